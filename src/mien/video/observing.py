"""What a video is asked before anything is predicted: who says what when, what is seen, how the voice sounds.

The questions do not wait for each other, so a crew works on them at once.

Tracks of voice and face for the report: measured, and plainly apart from what a model predicts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from mien.engine.threads import Crew
from mien.features import load_visual_extractor
from mien.features.acoustic.pitch import frame_times_s, high_passed, prediction_residual, track_pitch
from mien.features.visual.base import VisualExtractor
from mien.features.visual.face import FRAME_COLUMNS
from mien.media.clips import Clips, MediaSettings, clips_of
from mien.media.container import probe
from mien.media.decode import AUDIO_RATE_HZ, audio_chunks
from mien.media.recognition import Recognizer, load_recognizer
from mien.schema import FloatArray
from mien.video.analysis import Source, Track
from mien.video.page import thinned
from mien.video.watching import Seen, watch

T = TypeVar("T")
# The extractor behind the face tracks, whatever the model reads.
FACE = "face"


@dataclass(frozen=True)
class Questions:
    """What is asked about every video."""

    subtitles: Path | None
    media: MediaSettings
    # measure voice and face for the report
    tracks: bool
    # name of the visual extractor that the model reads; empty without
    model_sees: str = ""

    @property
    def eyes(self) -> set[str]:
        """Names of the visual extractors that look at the video."""
        return {self.model_sees, FACE if self.tracks else ""} - {""}


@dataclass(frozen=True)
class Observed:
    """The answers about one video, as far as they are there."""

    questions: Questions
    clips: Future[Clips]
    # by the visual extractors' names
    seen: Mapping[str, Future[Seen]]
    voice: Future[tuple[Track, ...]] | None

    def model_saw(self) -> Seen | None:
        """What the model's visual extractor saw; None if it has none."""
        name = self.questions.model_sees
        return self.seen[name].result() if name else None

    def tracks(self) -> tuple[Track, ...]:
        """Voice and face as measured; none if they were not asked for."""
        if self.voice is None:
            return ()
        return (
            *self.voice.result(),
            *face_tracks(self.seen[FACE].result(), used_by_model=self.questions.model_sees == FACE),
        )

    def forget(self) -> None:
        """Do not begin what nobody waits for any more."""
        for answer in (self.clips, *self.seen.values(), self.voice):
            if answer is not None:
                answer.cancel()


@dataclass(frozen=True)
class Observer:
    """Asks a crew about videos, with what is loaded once for all of them."""

    crew: Crew
    questions: Questions
    # None with subtitles
    recognizer: Future[Recognizer] | None
    eyes: Mapping[str, Future[VisualExtractor]] = field(default_factory=dict)

    def require_loaded(self) -> None:
        """Wait until all is loaded. Raises MissingExtraError, MissingWeightsError, what loading raises."""
        for loading in (self.recognizer, *self.eyes.values()):
            if loading is not None:
                loading.result()

    def observe(self, path: Path) -> Observed:
        """Begin with a video, the longest work first."""
        start, asked = self.crew.start, self.questions
        return Observed(
            asked,
            clips=start(partial(self._listen, path)),
            seen={name: start(partial(self._watch, path, name)) for name in sorted(self.eyes)},
            voice=start(partial(voice_tracks, path, self.crew.check)) if asked.tracks else None,
        )

    def _listen(self, path: Path) -> Clips:
        asked = self.questions
        recognizer = self.recognizer.result() if self.recognizer is not None else None
        return clips_of(
            path, asked.subtitles, asked.media, recognizer=recognizer, on_progress=lambda _s: self.crew.check()
        )

    def _watch(self, path: Path, name: str) -> Seen:
        return watch(path, self.eyes[name].result(), self.crew.check)


def ready_observer(
    crew: Crew, questions: Questions, recognizer: Recognizer | None, eyes: Mapping[str, VisualExtractor]
) -> Observer:
    """The observer of what was loaded before."""
    return Observer(
        crew,
        questions,
        recognizer=None if recognizer is None else _there(recognizer),
        eyes={name: _there(extractor) for name, extractor in eyes.items()},
    )


def observer(crew: Crew, questions: Questions) -> Observer:
    """Begin to load what the questions need."""
    hears = questions.subtitles is None
    return Observer(
        crew,
        questions,
        recognizer=crew.load(partial(load_recognizer, questions.media.speech)) if hears else None,
        eyes={name: crew.load(partial(load_visual_extractor, name)) for name in sorted(questions.eyes)},
    )


def _there(value: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(value)
    return future


# Sound is measured in stretches of this length, so that memory does not grow with the film.
STRETCH_S = 10.0
# a shorter rest at the end has too few periods for a pitch
SHORTEST_STRETCH_S = 0.5
LOUDNESS_STEP_S = 0.1
QUIETEST_DB = -80.0
# of the 100 frames a second, every tenth is shown
PITCH_EVERY = 10
# Longer tracks become means of neighbours, so that the files of a six-hour film stay small: 33 minutes at 10 a second.
MOST_TRACK_POINTS = 20_000
FACE_SHOWN = {
    "mouth_open_inner": "mouth opening",
    "mouth_corner_height_left": "left mouth corner height",
    "brow_inner_height_left": "left inner brow height",
}


def voice_tracks(path: Path, check: Callable[[], None] | None = None) -> tuple[Track, ...]:
    """Loudness in dB below full scale and the pitch of the voice in Hz, every 0.1 s; nothing for a silent film.

    `check` is called for every stretch and may stop the measuring by raising.
    """
    if not probe(path).has_audio:
        return ()
    times_s, levels_db, pitch_times_s, pitch_hz = [], [], [], []
    step = round(LOUDNESS_STEP_S * AUDIO_RATE_HZ)
    for chunk in audio_chunks(path, AUDIO_RATE_HZ, chunk_s=STRETCH_S):
        if check is not None:
            check()
        whole = chunk.samples[: len(chunk.samples) // step * step].reshape(-1, step).astype(np.float64)
        power = np.maximum((whole**2).mean(axis=1), 10 ** (QUIETEST_DB / 10))
        times_s.append(chunk.start_s + (np.arange(len(power)) + 0.5) * LOUDNESS_STEP_S)
        levels_db.append(10 * np.log10(power))
        if len(chunk.samples) >= SHORTEST_STRETCH_S * AUDIO_RATE_HZ:
            heard_s, heard_hz = _pitch(chunk.samples)
            pitch_times_s.append(chunk.start_s + heard_s)
            pitch_hz.append(heard_hz)
    tracks = [Track("loudness", "dB", Source.VOICE, _joined(times_s), _joined(levels_db), note="level of the sound")]
    if pitch_hz:
        note = "fundamental frequency where there is a voice"
        tracks.append(Track("pitch", "Hz", Source.VOICE, _joined(pitch_times_s), _joined(pitch_hz), note=note))
    return tuple(map(bounded, tracks))


def face_tracks(seen: Seen, *, used_by_model: bool) -> tuple[Track, ...]:
    """Whether a face is seen, and a few of its measures, from the frames of the `face` extractor."""
    if not len(seen.times_s):
        return ()
    present: FloatArray = np.asarray(~np.isnan(seen.vectors).any(axis=1), dtype=np.float64)
    note = "the main face is found"
    tracks = [Track("face present", "", Source.FACE, seen.times_s, present, used_by_model, note, (0.0, 1.0))]
    for column, name in FACE_SHOWN.items():
        values = seen.vectors[:, FRAME_COLUMNS.index(column)].astype(np.float64)
        note = "relative to the size of the face"
        tracks.append(Track(name, "", Source.FACE, seen.times_s, values, used_by_model, note))
    return tuple(map(bounded, tracks))


def bounded(track: Track, max_points: int = MOST_TRACK_POINTS) -> Track:
    """The track itself, or means of its neighbouring points where it has too many; its note then says so."""
    if len(track.times_s) <= max_points:
        return track
    n_points = len(track.times_s)
    step_s = float(track.times_s[-1] - track.times_s[0]) / (n_points - 1) * n_points / max_points
    times_s, values = thinned(track.times_s, track.values, max_points)
    note = f"{track.note}; means over {step_s:.2g} s, because the film is long"
    return dataclasses.replace(track, times_s=times_s, values=values, note=note)


def _pitch(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Times and F0 in Hz (point,), NaN without a voice: as `covarep-like-74` has it, without the rest."""
    signal = high_passed(np.asarray(samples, dtype=np.float64))
    pitch = track_pitch(signal, prediction_residual(signal))
    f0_hz = np.where(pitch.voiced, pitch.f0_hz, np.nan).astype(np.float32)
    return frame_times_s(len(f0_hz))[::PITCH_EVERY], f0_hz[::PITCH_EVERY]


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(0)
