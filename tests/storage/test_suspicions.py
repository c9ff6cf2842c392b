"""The messages about suspicious data."""

from __future__ import annotations

from mien.storage.suspicions import column_cell, shared_texts, stored_alarms, suspicions, without_splits

SOUND = {
    "utterances": 40,
    "all_zero_rows": 0,
    "constant_columns": 0,
    "suspected_placeholders": [],
}
NO_LEAK = {
    "videos_in_several_splits": [],
    "every_video_has_one_utterance": False,
    "numbered_ids_in_several_splits": None,
    "texts": 7,
    "texts_in_several_splits": 0,
    "utterances_with_shared_texts": 0,
    "longest_shared_texts": [],
}
PLACEHOLDER = {"column": "pitch", "value": -1e38, "utterances": 3, "reason": "absurd"}


def test_sound_data_have_none():
    assert suspicions({"text": SOUND}, NO_LEAK) == []


def test_features_are_named_by_modality_column_and_value():
    facts = SOUND | {"all_zero_rows": 9, "constant_columns": 1, "suspected_placeholders": [PLACEHOLDER]}
    placeholders, zeros, constant = suspicions({"text": SOUND, "acoustic": facts}, NO_LEAK)
    assert placeholders.startswith("acoustic: column pitch: -1e+38 in 3 utterances (absurd)")
    assert zeros.startswith("acoustic: 9 of 40 vectors have only zeros")
    assert constant == "acoustic: 1 column with one value in all utterances"
    assert column_cell([PLACEHOLDER] * 5).endswith("and 2 more columns")


def test_leaks_are_explained():
    leak = NO_LEAK | {"every_video_has_one_utterance": True}
    assert suspicions({}, leak) == ["every video has one utterance: there is no context"]
    leak |= {"numbered_ids_in_several_splits": ["a", "b", "c", "d"], "videos_in_several_splits": ["x"]}
    videos, ids = suspicions({}, leak)
    assert videos.startswith("1 video in several splits (x)")
    assert "Without this number, 4 videos (a, b, c, ...) in several splits; if they are ids of utterances" in ids
    assert suspicions({}, leak, "utterance")[1].endswith("4 videos (a, b, c, ...) in several splits")
    shared = NO_LEAK | {"texts_in_several_splits": 1, "utterances_with_shared_texts": 2}
    text = shared_texts(shared | {"longest_shared_texts": ["yes " * 30]})
    assert text.startswith("1 of 7 different transcripts occur in more than one split, in 2 utterances")
    assert len(text) < 300


def test_alarms_of_a_foreign_card_are_texts_or_ignored():
    assert stored_alarms({"alarms": ["sentiment: doubtful", 7]}) == ["sentiment: doubtful"]
    assert stored_alarms({"alarms": "sentiment"}) == stored_alarms({"alarms": 3}) == stored_alarms({}) == []


def test_data_without_any_split_are_pointed_out() -> None:
    (text,) = without_splits(["none"])
    assert "--rename-split none=train" in text
    assert without_splits(["train", "none"]) == without_splits([]) == []
