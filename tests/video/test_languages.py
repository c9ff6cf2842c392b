"""Utterances in a language that the model does not know get no prediction."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from mien.commands.shipped import find_run
from mien.media.clips import Clips
from mien.media.languages import UNDETERMINED
from mien.media.recognition import SpeechSettings
from mien.schema import LANGUAGES, Clip, FeatureSpace, Modality
from mien.video.languages import (
    NOT_STATED,
    count_language,
    known_languages,
    record_languages,
    withhold_unknown_languages,
)

RUN = find_run("mosei-text")
VOICE = FeatureSpace(Modality.ACOUSTIC, "egemaps", 88)


def clips(*languages, text="good day"):
    return Clips([Clip(n, n, n + 1, text, language=code) for n, code in enumerate(languages)], 9.0)


def test_the_shipped_model_knows_english():
    assert known_languages(RUN) == ("en",)


def test_another_language_is_named_with_what_the_model_knows_and_counted():
    found = withhold_unknown_languages(clips("en", "fr", "fr", ""), RUN)
    reason = "French; mosei-text knows English"
    assert [clip.not_judged for clip in found.clips] == ["", reason, reason, ""]
    ((note, count),) = found.notes.items()
    assert note.startswith(f"{reason}: no prediction; train a model of that language")
    assert count == 2


def test_undetermined_speech_has_the_reason_of_recognition():
    found = withhold_unknown_languages(dataclasses.replace(clips(UNDETERMINED), why_undetermined="unclear"), RUN)
    assert found.clips[0].not_judged == "unclear"


def test_an_earlier_reason_is_kept():
    sound = dataclasses.replace(clips(), clips=[Clip(0, 0, 1, "[music]", not_judged="a sound", language="fr")])
    assert withhold_unknown_languages(sound, RUN).clips[0].not_judged == "a sound"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Сегодня хорошая погода", "written in Cyrillic letters; mosei-text knows English"),
        ("今天天气很好", "written in Chinese letters; mosei-text knows English"),
        ("صباح الخير", "written in Arabic letters; mosei-text knows English"),
        ("We met Юля there", ""),
        ("Café, naïve", ""),
        ("123 ...", ""),
        ("", ""),
    ],
)
def test_subtitles_in_other_letters_are_not_english(text, reason):
    assert withhold_unknown_languages(clips("", text=text), RUN).clips[0].not_judged == reason


def test_a_model_that_states_no_language_judges_all_with_one_note():
    run = dataclasses.replace(RUN, dataset={k: v for k, v in RUN.dataset.items() if k != LANGUAGES})
    found = withhold_unknown_languages(clips("en", "fr"), run)
    assert [clip.not_judged for clip in found.clips] == ["", ""]
    assert found.notes == {NOT_STATED: 2}


def test_a_model_of_the_voice_judges_every_language():
    run = dataclasses.replace(RUN, spaces={Modality.ACOUSTIC: VOICE})
    given = dataclasses.replace(clips("fr", UNDETERMINED), why_undetermined="unclear")
    assert withhold_unknown_languages(given, run) == given


def test_a_dataset_records_the_languages_of_its_recordings():
    notes: Counter[str] = Counter()
    for code in ["pl"] * 19 + ["cs", UNDETERMINED, ""]:
        count_language(notes, code)
    origin = {"notes": notes, "extractors": {"text": "minilm"}}
    record_languages(origin, SpeechSettings())
    assert origin[LANGUAGES] == ["pl"]  # one misheard recording in twenty does not count
    assert notes["recordings in Polish, but the text extractor minilm knows English"] == 1
    given = {"notes": Counter(), "extractors": {"acoustic": "egemaps"}}
    record_languages(given, SpeechSettings(language="de"))
    assert given == {"notes": {}, "extractors": {"acoustic": "egemaps"}, LANGUAGES: ["de"]}
    unknown = {"notes": Counter(), "extractors": {}}
    record_languages(unknown, SpeechSettings())
    assert LANGUAGES not in unknown
