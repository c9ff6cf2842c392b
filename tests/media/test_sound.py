"""Which sound is heard: tracks, channels that cancel each other, channels without positions; clocks and lengths."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import av
import numpy as np
import pytest
from tests.media.examples import gray, tone, write_media, write_wav

from mien.errors import UsageError
from mien.media.container import CLOCK_RESTARTS, probe
from mien.media.decode import LONGEST_FREEZE_S, audio_chunks, frames, read_audio
from mien.media.sound import choose_sound

RATE_HZ = 16_000


def sound_of(path, notes=None, track=None):
    return np.concatenate([chunk.samples for chunk in audio_chunks(path, notes=notes, track=track)])


def rms(samples):
    return float(np.sqrt((np.asarray(samples, dtype=np.float64) ** 2).mean()))


def write_tracks(path, tracks, languages=()):
    """A Matroska file with one mono PCM track for each array of samples."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, _ in enumerate(tracks):
            stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
            if number < len(languages):
                stream.metadata["language"] = languages[number]
            streams.append(stream)
        for stream, samples in zip(streams, tracks, strict=True):
            values = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def test_channels_that_cancel_each_other_are_not_mixed(tmp_path):
    burst = tone(RATE_HZ, 2.0, [(0.0, 2.0)])
    for channels in ([burst, 0 * burst], [burst, -0.4 * burst]):  # one-sided, or weaker than one channel, but heard
        assert choose_sound(write_wav(tmp_path / f"{channels[1].min()}.wav", channels, RATE_HZ)).channel is None
    path = write_wav(tmp_path / "cancel.wav", [0.9 * burst, -burst], RATE_HZ)
    notes: Counter[str] = Counter()
    samples = sound_of(path, notes)
    assert notes == {"the channels cancel each other: channel 2 of 2 is heard, the loudest": 1}
    np.testing.assert_allclose(samples, -burst, atol=1e-3)
    np.testing.assert_array_equal(read_audio(path, 0.5, 1.0), samples[RATE_HZ // 2 : RATE_HZ])


def test_a_recorder_with_many_channels_is_heard_in_its_loudest_one(tmp_path):
    burst = tone(RATE_HZ, 2.0, [(0.5, 1.5)])
    channels = [np.zeros_like(burst) for _ in range(10)]
    channels[8] = burst
    path = write_wav(tmp_path / "many.wav", channels, RATE_HZ)
    assert choose_sound(path).channel == 8
    assert rms(sound_of(path)) == pytest.approx(rms(burst), rel=0.01)


def test_the_first_track_is_heard_and_another_one_only_on_demand(tmp_path):
    first, second = tone(RATE_HZ, 3.0, [(0.0, 3.0)]), 0.5 * tone(RATE_HZ, 3.0, [(0.0, 3.0)], hz=900.0)
    path = write_tracks(tmp_path / "two.mkv", [first, second], ["eng", "fre"])
    notes: Counter[str] = Counter()
    np.testing.assert_allclose(sound_of(path, notes), first, atol=1e-3)
    (note,) = notes
    assert note.startswith("sound track 1 of 2 is heard (eng, pcm_s16le, mono; ")
    np.testing.assert_allclose(sound_of(path, track=2), second, atol=1e-3)
    np.testing.assert_allclose(read_audio(path, 1.0, 2.0, track=2), second[RATE_HZ : 2 * RATE_HZ], atol=1e-3)
    with pytest.raises(UsageError, match=r"one of two\.mkv, but got 3; it has 1: eng, pcm_s16le, mono; 2: fre"):
        sound_of(path, track=3)


@pytest.mark.data
def test_the_track_in_which_somebody_speaks_is_heard(data_dir, tmp_path):
    """A real voice: the detector does not take a synthetic one for speech."""
    spoken = read_audio(sorted((data_dir / "voices").rglob("*.opus"))[0], 0.0, 3.0)
    path = write_tracks(tmp_path / "film.mkv", [0.3 * tone(RATE_HZ, 3.0, [(0.0, 3.0)]), spoken])
    assert choose_sound(path).track == 1
    assert "most speech" in choose_sound(path).notes[0]


def joined(tmp_path, lengths_s):
    """A transport stream made of two recordings, each with its own clock from zero."""
    content = b""
    for number, length_s in enumerate(lengths_s):
        pictures = [(place / 10, gray(60 + 40 * number)) for place in range(round(10 * length_s))]
        sound = 0.5 * tone(48_000, length_s, [(0.0, length_s)], hz=440.0 * (number + 1))
        part = tmp_path / f"part{number}.ts"
        write_media(part, pictures, [(0.0, np.stack([sound, sound]))])
        content += part.read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(content)
    return path


def test_a_clock_that_starts_again_loses_no_sound_and_no_picture(tmp_path):
    path = joined(tmp_path, (4.0, 3.0))
    assert probe(path).duration_s == pytest.approx(7.0, abs=0.3)
    notes: Counter[str] = Counter()
    samples = sound_of(path, notes)
    assert notes[CLOCK_RESTARTS] == 1
    assert samples.size / RATE_HZ == pytest.approx(7.0, abs=0.3)
    loudness = rms(samples[RATE_HZ : 3 * RATE_HZ])
    assert loudness > 0.1
    assert rms(samples[round(4.6 * RATE_HZ) : round(6.6 * RATE_HZ)]) == pytest.approx(loudness, rel=0.1)
    np.testing.assert_allclose(read_audio(path, 5.0, 6.0), samples[5 * RATE_HZ : 6 * RATE_HZ], atol=1e-6)
    seen = {round(frame.time_s): float(frame.image.mean()) for frame in frames(path, 1.0)}
    assert max(seen) >= 6
    assert seen[6] - seen[2] > 30


def test_a_picture_is_not_shown_through_a_jump_of_the_clock(tmp_path):
    pictures = [(0.0, gray(90)), (0.5, gray(90)), (100.0, gray(160)), (100.5, gray(160))]
    path = write_media(tmp_path / "jump.mkv", pictures)
    times_s = [frame.time_s for frame in frames(path, 1.0)]
    assert max(time_s for time_s in times_s if time_s < 100) <= 1 + LONGEST_FREEZE_S
    assert 100.0 in times_s


def test_the_length_of_raw_aac_is_measured_and_nothing_is_missing(tmp_path):
    noise = np.random.default_rng(0).normal(size=48_000 * 8) * np.linspace(1, 0, 48_000 * 8) ** 8
    path = write_media(tmp_path / "raw.aac", sound=[(0.0, 0.3 * noise[None])], layout="mono")
    with av.open(str(path)) as container:
        assert abs((container.duration or 0) / 1e6 - 8.0) > 0.5, "FFmpeg's estimate is right, so this shows nothing"
    assert probe(path).duration_s == pytest.approx(8.0, abs=0.1)
    notes: Counter[str] = Counter()
    assert sound_of(path, notes).size / RATE_HZ == pytest.approx(8.0, abs=0.1)
    assert not notes
