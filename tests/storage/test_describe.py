"""What `mien describe` counts, checked against counts made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.storage.examples import SPACES, videos

from mien.labels import paper_labels
from mien.schema import FeatureSpace, Modality, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.storage.describe import describe

VOICE = {Modality.ACOUSTIC: FeatureSpace(Modality.ACOUSTIC, "voice-3d", 3)}


def spoken(index, text, sentiment, emotions, voice, start_s=None):
    features = {} if voice is None else {Modality.ACOUSTIC: np.array(voice, dtype=np.float32)}
    end_s = None if start_s is None else start_s + 1800
    labels = None if emotions is None else np.array(emotions, dtype=float)
    return Utterance(index, start_s, end_s, text, features, labels=paper_labels(sentiment, labels))


@pytest.fixture
def description(tmp_path):
    corpus = [
        Video(
            "a",
            [
                spoken(0, "Good morning.", 2.0, [0, 0, 0, 1, 0, 0], [1, 5, 0], 0.0),
                spoken(1, " well,  I see ", -1.0, [3, 0, 0, 0.5, 0, 0], [2, 5, 0], 1800.0),
                spoken(2, "only here", 0.0, [0, 0, 0, 0, 0, 0], [0, 0, 0]),
            ],
            "train",
        ),
        Video("b", [spoken(0, "well,  i see", None, None, None)], "train"),
        Video("c", [spoken(0, "GOOD MORNING.", 1.0, None, [-7, 5, 9]), spoken(1, "", 1.0, None, None)], "test"),
        Video("d", [spoken(0, "Well,  I see", None, None, None), spoken(1, " ", None, None, None)], "valid"),
        Video("e", [spoken(0, "only here", None, None, None)]),
    ]
    facts = DatasetFacts("counted", VOICE, origin={"notes": {"rule": 2}}, licence_note="none")
    return describe(write_dataset(tmp_path / "data", corpus, facts))


def test_it_is_plain_json(description):
    assert json.loads(json.dumps(description, allow_nan=False)) == description


def test_counts_of_videos_utterances_and_hours(description):
    assert list(description["splits"]) == ["train", "valid", "test", "none"]
    train = description["splits"]["train"]
    assert (train["videos"], train["utterances"], train["hours"]) == (2, 4, 1.0)
    assert train["utterances_per_video"] == {"min": 1, "median": 2.0, "max": 3}
    assert {name: part["utterances"] for name, part in description["splits"].items()} == {
        "train": 4,
        "valid": 2,
        "test": 2,
        "none": 1,
    }


def test_label_distributions(description):
    train, test = description["splits"]["train"], description["splits"]["test"]
    shares = {"labelled": 3, "negative": 1, "zero": 1, "positive": 1, "share_positive_has0": 2 / 3}
    assert train["sentiment"] == shares
    assert train["emotion"]["labelled"] == 3
    assert train["emotion"]["present"] == {
        "anger": 1,
        "disgust": 0,
        "fear": 0,
        "happy": 2,
        "sad": 0,
        "surprise": 0,
        "none": 1,
    }
    assert test["sentiment"]["share_positive_has0"] == 1
    assert test["emotion"] == {"labelled": 0, "present": dict.fromkeys(train["emotion"]["present"], 0)}
    assert description["splits"]["valid"]["sentiment"]["labelled"] == 0


def test_coverage_and_constant_columns(description):
    voice = {name: part["coverage"]["acoustic"] for name, part in description["splits"].items()}
    assert voice["train"] == {
        "utterances": 3,
        "share": 0.75,
        "constant_columns": 1,
        "all_zero_rows": 1,
        "min": 0.0,
        "max": 5.0,
    }
    assert voice["test"] == {
        "utterances": 1,
        "share": 0.5,
        "constant_columns": 3,
        "all_zero_rows": 0,
        "min": -7.0,
        "max": 9.0,
    }
    assert voice["valid"] == {
        "utterances": 0,
        "share": 0.0,
        "constant_columns": 0,
        "all_zero_rows": 0,
        "min": None,
        "max": None,
    }


def test_leakage_finds_texts_in_several_splits_whatever_their_case_and_margins(description):
    leakage = description["leakage"]
    assert leakage["texts_in_several_splits"] == 2
    assert leakage["longest_shared_texts"] == ["good morning.", "well,  i see"]
    assert leakage["videos_in_several_splits"] == []


def test_facts_of_the_card_are_passed_on(description):
    assert description["name"] == "counted"
    assert description["origin"] == {"notes": {"rule": 2}}
    assert description["licence_note"] == "none"
    space = description["feature_spaces"]["acoustic"]
    assert (space["name"], space["n_features"], space["level"]) == ("voice-3d", 3, "utterance")
    assert space["fingerprint"] == VOICE[Modality.ACOUSTIC].fingerprint


def test_word_vectors_do_not_disturb(tmp_path):
    description = describe(write_dataset(tmp_path / "data", videos(), DatasetFacts("words", SPACES)))
    assert description["feature_spaces"]["visual"]["level"] == "word"
    assert description["splits"]["train"]["coverage"]["text"]["utterances"] == 4


def test_speakers_and_folds_are_counted_where_they_are_recorded(description, tmp_path):
    assert [part["speakers"] for part in description["splits"].values()] == [None] * 4
    assert description["folds"] is None
    assert description["leakage"]["speakers"].startswith("not recorded")
    corpus = [
        Video("a", [Utterance(0, speaker="Joey"), Utterance(1, speaker="Ross"), Utterance(2)], "train", "one"),
        Video("b", [Utterance(0, speaker="Joey"), Utterance(1, speaker="Joey")], "train", "two"),
        Video("c", [Utterance(0, speaker="Joey"), Utterance(1, speaker="Monica")], "valid", "one"),
        Video("d", [Utterance(0, speaker="Monica")], None),
    ]
    facts = DatasetFacts("told", {}, extra_columns=("speaker", "fold"))
    told = describe(write_dataset(tmp_path / "told", corpus, facts))
    assert {name: part["speakers"] for name, part in told["splits"].items()} == {"train": 2, "valid": 2, "none": 1}
    assert told["folds"] == {"one": 2, "two": 1}
    assert told["leakage"]["speakers"] == "1 of 3 in several splits"
    assert json.loads(json.dumps(told, allow_nan=False)) == told
