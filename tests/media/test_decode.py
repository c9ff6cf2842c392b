"""Sound and pictures at their presentation times, from every kind of file that people have."""

from __future__ import annotations

import sys
import tracemalloc
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError, MissingExtraError, UsageError
from mien.media.container import probe
from mien.media.decode import audio_chunks, frames, read_audio

pytest.importorskip("av")
from tests.media.examples import gray, tone, turn_in_header, write_media, write_wav


def sound_of(path: Path, **how) -> np.ndarray:
    chunks = list(audio_chunks(path, **how))
    return np.concatenate([chunk.samples for chunk in chunks]) if chunks else np.zeros(0, dtype=np.float32)


def first_loud_s(samples: np.ndarray, rate_hz: int = 16_000) -> float:
    return float(np.flatnonzero(np.abs(samples) > 0.05)[0]) / rate_hz


def last_loud_s(samples: np.ndarray, rate_hz: int = 16_000) -> float:
    return float(np.flatnonzero(np.abs(samples) > 0.05)[-1]) / rate_hz


def levels(path: Path, rate_hz: float, **how) -> list[tuple[float, int]]:
    return [(round(frame.time_s, 6), round(float(frame.image.mean()))) for frame in frames(path, rate_hz, **how)]


def near(found: list[tuple[float, int]], expected: list[tuple[float, int]]) -> bool:
    assert [time_s for time_s, _ in found] == [time_s for time_s, _ in expected]
    return all(abs(one - other) <= 4 for (_, one), (_, other) in zip(found, expected, strict=True))


# --- sound


def test_mono_8_khz_becomes_16_khz_with_the_same_pitch_and_times(tmp_path):
    path = write_wav(tmp_path / "phone.wav", [tone(8_000, 3.0, [(1.0, 2.0)])], 8_000)
    facts = probe(path)
    assert (facts.has_audio, facts.has_video) == (True, False)
    assert facts.duration_s == pytest.approx(3.0)
    samples = sound_of(path)
    assert samples.dtype == np.float32
    assert samples.size == 48_000
    assert first_loud_s(samples) == pytest.approx(1.0, abs=0.002)
    assert last_loud_s(samples) == pytest.approx(2.0, abs=0.002)
    spectrum = np.abs(np.fft.rfft(samples[16_000:32_000]))
    assert int(np.argmax(spectrum)) == 440
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_two_channels_become_their_mean_whatever_the_rate(tmp_path, rate_hz):
    left = tone(rate_hz, 1.0, [(0.0, 1.0)])
    path = write_wav(tmp_path / "left.wav", [left, np.zeros_like(left)], rate_hz)
    samples = sound_of(path)
    assert samples.size == pytest.approx(16_000, abs=1)
    assert np.abs(samples[4_000:12_000]).max() == pytest.approx(0.25, abs=0.01)


def test_stereo_48_khz_aac_keeps_its_times(tmp_path):
    burst = tone(48_000, 3.0, [(0.5, 0.8), (2.2, 2.5)])
    path = write_media(tmp_path / "sound.mp4", sound=[(0.0, np.stack([burst, burst]))])
    samples = sound_of(path)
    assert first_loud_s(samples) == pytest.approx(0.5, abs=0.01)
    assert last_loud_s(samples) == pytest.approx(2.5, abs=0.03)
    assert not probe(path).has_video
    assert list(frames(path)) == []


def test_eight_channels_of_aac_are_heard(tmp_path):
    # PyAV cannot read, or make, frames with so many planes; its resampler can
    import av

    burst = tone(44_100, 2.0, [(0.5, 1.5)])
    packed = np.repeat((burst * 32_000).astype(np.int16), 8)[None]
    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="7.1")
    frame.sample_rate, frame.pts = 44_100, 0
    path = tmp_path / "surround.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="7.1")
        resampler = av.AudioResampler("fltp", "7.1", 44_100, frame_size=1024)
        planar = [*resampler.resample(frame), *resampler.resample(None)]
        for each in [*planar, None]:
            container.mux(stream.encode(each))
    notes: Counter[str] = Counter()
    samples = sound_of(path, notes=notes)
    assert first_loud_s(samples) == pytest.approx(0.5, abs=0.01)
    assert last_loud_s(samples) == pytest.approx(1.5, abs=0.03)
    assert not notes


def test_silence_stands_before_a_late_start_and_in_gaps(tmp_path):
    burst = tone(48_000, 0.5, [(0.0, 0.5)])
    sound = [(0.7, np.stack([burst, burst])), (2.0, np.stack([burst, burst]))]
    pictures = [(number / 10, gray(100)) for number in range(30)]
    path = write_media(tmp_path / "late.mkv", pictures, sound, codecs=("mpeg4", "pcm_s16le"))
    notes: Counter[str] = Counter()
    samples = sound_of(path, notes=notes)
    assert first_loud_s(samples) == pytest.approx(0.7, abs=0.002)
    assert np.abs(samples[round(1.22 * 16_000) : round(1.98 * 16_000)]).max() == 0
    assert first_loud_s(samples[round(1.5 * 16_000) :]) + 1.5 == pytest.approx(2.0, abs=0.002)
    assert last_loud_s(samples) == pytest.approx(2.5, abs=0.002)
    assert sum(notes.values()) == 1


@pytest.mark.parametrize("chunk_s", [0.01, 0.37, 1.0, 100.0])
def test_chunks_follow_each_other_without_hole_or_overlap(tmp_path, chunk_s):
    burst = tone(44_100, 2.3, [(0.1, 2.2)])
    path = write_wav(tmp_path / "a.wav", [burst], 44_100)
    chunks = list(audio_chunks(path, chunk_s=chunk_s))
    done = 0
    for chunk in chunks:
        assert chunk.start_s == pytest.approx(done / 16_000)
        done += chunk.samples.size
    assert all(chunk.samples.size == round(chunk_s * 16_000) for chunk in chunks[:-1])
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), sound_of(path))


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_a_stretch_read_by_seeking_is_the_stretch_of_the_stream(tmp_path, rate_hz):
    rng = np.random.default_rng(3)
    noise = (rng.standard_normal(rate_hz * 20) * 0.1).astype(np.float32)
    path = write_media(tmp_path / "noise.mp4", sound=[(0.0, np.stack([noise, noise]))], rate_hz=rate_hz)
    whole = sound_of(path)
    part = read_audio(path, 12.25, 13.5)
    assert part.size == 20_000
    expected = whole[196_000:216_000]
    assert np.allclose(part, expected, atol=1e-4)


def test_a_stretch_beyond_the_end_is_silent(tmp_path):
    path = write_wav(tmp_path / "a.wav", [tone(16_000, 1.0, [(0.0, 1.0)])], 16_000)
    part = read_audio(path, 0.9, 1.4)
    assert np.abs(part[:1_500]).max() > 0.4
    assert np.abs(part[1_700:]).max() == 0
    with pytest.raises(UsageError, match="start_s <= end_s"):
        read_audio(path, 1.0, 0.5)


def test_memory_does_not_grow_with_length(tmp_path):
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as handle:
        handle.setnchannels(1)
        handle.setsampwidth(2)
        handle.setframerate(8_000)
        for _ in range(6):
            handle.writeframes(bytes(8_000 * 60 * 2))
    tracemalloc.start()
    n_samples = sum(chunk.samples.size for chunk in audio_chunks(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_samples == 6 * 60 * 16_000
    assert peak < 6e6  # the whole stream would be 23 MB


# --- pictures


def test_variable_frame_rate_is_sampled_by_what_is_on_the_screen(tmp_path):
    pictures = [(0.0, gray(20)), (0.1, gray(60)), (0.5, gray(100)), (0.55, gray(140)), (1.2, gray(180))]
    path = write_media(tmp_path / "vfr.mp4", pictures)
    found = levels(path, 10.0)
    shown = [20] + [60] * 4 + [100] + [140] * 6 + [180]
    assert near(found[:13], [(number / 10, level) for number, level in enumerate(shown)])


def test_a_picture_that_stands_still_is_converted_once(tmp_path):
    path = write_media(tmp_path / "still.mp4", [(0.0, gray(20)), (1.0, gray(200)), (1.1, gray(200))])
    images = [frame.image for frame in frames(path, 20.0) if frame.time_s < 0.99]
    assert len(images) == 20
    assert all(image is images[0] for image in images)


def test_video_that_starts_late_has_no_picture_before(tmp_path):
    burst = tone(48_000, 1.0, [(0.0, 1.0)])
    pictures = [(0.45 + number / 10, gray(50 + 10 * number)) for number in range(5)]
    path = write_media(
        tmp_path / "late.mkv", pictures, [(0.0, np.stack([burst, burst]))], codecs=("mpeg4", "pcm_s16le")
    )
    assert levels(path, 10.0)[0][0] == 0.5


@pytest.mark.parametrize(
    ("matrix", "red_side", "turned"),
    [
        ((0, 1, -1, 0), "right", True),  # a phone held upright
        ((0, -1, 1, 0), "left", True),
        ((-1, 0, 0, -1), "bottom", False),
        ((1, 0, 0, 1), "top", False),
    ],
)
def test_rotation_in_the_header_is_applied(tmp_path, matrix, red_side, turned):
    image = gray(0, 64, 32)
    image[:8, :, 0] = 255
    path = write_media(tmp_path / "turned.mp4", [(number / 10, image) for number in range(5)])
    turn_in_header(path, matrix)
    shown = next(iter(frames(path))).image.astype(int)
    assert shown.shape == ((64, 32, 3) if turned else (32, 64, 3))
    red = {"top": shown[:6], "bottom": shown[-6:], "left": shown[:, :6], "right": shown[:, -6:]}
    assert {side: part[..., 0].mean() > 180 for side, part in red.items() if side == red_side} == {red_side: True}
    assert all(part[..., 0].mean() < 120 for side, part in red.items() if side != red_side)


def test_an_8k_frame_is_scaled_down(tmp_path):
    image = gray(30, 7680, 4320)
    image[:, 3840:] = 200
    path = write_media(tmp_path / "huge.mov", [(0.0, image), (0.1, image)], codecs=("mjpeg", "aac"))
    shown = next(iter(frames(path, max_side_px=320))).image
    assert shown.shape == (180, 320, 3)
    assert shown[:, :150].mean() == pytest.approx(30, abs=4)
    assert shown[:, 170:].mean() == pytest.approx(200, abs=4)


def test_a_stream_without_times_or_frame_rate_is_played_at_its_guessed_rate(tmp_path):
    path = write_media(tmp_path / "raw.h264", [(number / 25, gray(10 * number)) for number in range(20)])
    found = levels(path, 5.0)
    assert len(found) >= 3
    assert [level for _, level in found] == sorted(level for _, level in found)
    assert probe(path).has_video


def test_a_container_that_begins_late_begins_at_zero(tmp_path):
    burst = tone(48_000, 2.0, [(1.0, 1.5)])
    pictures = [(10 + number / 10, gray(40 + 8 * number)) for number in range(20)]
    path = write_media(tmp_path / "broadcast.ts", pictures, [(10.0, np.stack([burst, burst]))])
    # The encoder puts 21 ms of sound before the first picture: the container, and time 0, begin there.
    assert near(levels(path, 10.0)[:3], [(0.1, 40), (0.2, 48), (0.3, 56)])
    assert first_loud_s(sound_of(path)) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_is_positive(tmp_path, value):
    with pytest.raises(UsageError, match="rate_hz"):
        next(iter(frames(tmp_path / "x.mp4", value)))


# --- what is no media, or no longer


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "zero bytes"),
        ("letter.mp4", b"Dear Sir or Madam,\nthis is no video.\n" * 50, "Expected a video or audio file"),
        ("letter.txt", b"Dear Sir or Madam,\nthis is no video.\n" * 50, "Expected a video or audio file"),
        ("random.mp4", np.random.default_rng(5).bytes(5_000), "Expected a video or audio file"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", "Expected a video or audio file"),
    ],
)
def test_what_is_no_media_is_told(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (probe, lambda each: list(audio_chunks(each)), lambda each: list(frames(each))):
        with pytest.raises(DataError, match=words) as caught:
            read(path)
        assert name in str(caught.value)


def test_a_picture_is_no_video(tmp_path):
    import cv2

    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), gray(9))
    with pytest.raises(DataError, match="without moving picture"):
        probe(path)


def test_a_missing_file_or_a_folder_is_told(tmp_path):
    for path in (tmp_path / "nothing.mp4", tmp_path):
        with pytest.raises(DataError, match="no file there"):
            probe(path)


@pytest.mark.parametrize("name", ["-.wav", "-i.wav", "pipe:0.wav", "concat:a.wav", "100%d.wav"])
def test_odd_names_are_names(tmp_path, monkeypatch, name):
    write_wav(tmp_path / name, [tone(16_000, 1.0, [(0.2, 0.4)])], 16_000)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).duration_s == pytest.approx(1.0)
    assert first_loud_s(sound_of(Path(name))) == pytest.approx(0.2, abs=0.01)


def cut_example(tmp_path: Path, **how) -> Path:
    rng = np.random.default_rng(8)
    pictures = [(number / 10, rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)) for number in range(50)]
    burst = tone(48_000, 5.0, [(0.0, 5.0)])
    path = write_media(tmp_path / "cut.mp4", pictures, [(0.0, np.stack([burst, burst]))], **how)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    return path


def test_an_mp4_cut_before_its_index_is_told(tmp_path):
    with pytest.raises(DataError, match="moov"):
        probe(cut_example(tmp_path))


def test_of_a_damaged_tail_the_rest_is_read_and_the_loss_noted(tmp_path):
    path = cut_example(tmp_path, options={"movflags": "faststart"})
    notes: Counter[str] = Counter()
    shown = list(frames(path, 10.0, notes=notes))
    assert 15 <= len(shown) <= 45
    assert any("seconds of video missing" in note for note in notes)
    samples = sound_of(path, notes=notes)
    assert 1.5 * 16_000 < samples.size < 4.5 * 16_000
    assert any("seconds of audio missing" in note for note in notes)


def test_damage_inside_is_stepped_over(tmp_path):
    pictures = [(number / 10, gray(40 + 3 * number)) for number in range(50)]
    burst = tone(48_000, 5.0, [(0.0, 5.0)])
    path = write_media(tmp_path / "scratched.mp4", pictures, [(0.0, np.stack([burst, burst]))])
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + len(content) // 4
    content[begin : begin + 2_000] = np.random.default_rng(2).bytes(2_000)
    path.write_bytes(content)
    notes: Counter[str] = Counter()
    assert sound_of(path, notes=notes).size == pytest.approx(5 * 16_000, rel=0.05)
    assert levels(path, 10.0, notes=notes)[-1][0] == pytest.approx(4.9)


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    path = write_wav(tmp_path / "a.wav", [tone(16_000, 0.1, [])], 16_000)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"mien\[media\]"):
        probe(path)


# --- real files


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "duration_s", "width", "height"),
    [
        ("-3nNcZdcdvU.mp4", 44.33, 320, 240),
        ("-571d8cVauQ.mp4", 89.30, 486, 360),
        ("WolfgangLanger_Pexels.mp4", 19.69, 640, 360),
        ("no_face.mp4", 3.95, 640, 360),
        ("face_noface.mov", 6.42, 640, 360),
    ],
)
def test_real_videos_decode_from_end_to_end(data_dir, name, duration_s, width, height):
    path = data_dir / "videos" / name
    assert probe(path).duration_s == pytest.approx(duration_s, abs=0.01)
    notes: Counter[str] = Counter()
    found = [(frame.time_s, frame.image.shape) for frame in frames(path, 5.0, notes=notes)]
    assert {shape for _, shape in found} == {(height, width, 3)}
    shown = [time_s for time_s, _ in found]
    assert shown == pytest.approx([number / 5 for number in range(len(shown))])
    assert shown[-1] == pytest.approx(duration_s, abs=0.25)
    assert not notes


@pytest.mark.data
def test_sound_that_starts_later_than_the_video_is_in_its_place(data_dir):
    samples = sound_of(data_dir / "videos" / "face_noface.mov")
    assert np.abs(samples[: round(2.42 * 16_000)]).max() == 0
    assert np.flatnonzero(samples)[0] / 16_000 == pytest.approx(2.43, abs=0.01)
    assert samples.size / 16_000 == pytest.approx(6.42, abs=0.05)


@pytest.mark.data
def test_sixteen_khz_mono_comes_through_unchanged(data_dir):
    path = data_dir / "videos" / "librivox" / "librivox_all.wav"
    with wave.open(str(path)) as handle:
        expected = np.frombuffer(handle.readframes(handle.getnframes()), dtype="<i2") / 32768
    assert np.allclose(sound_of(path), expected, atol=1e-6)
