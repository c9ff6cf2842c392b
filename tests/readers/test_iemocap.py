"""IEMOCAP's nine parts. The files are made up in the structure of IEMOCAP_features.pkl, which is not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.readers.examples import iemocap_data, videos_of, write_pickle

from mien.errors import DataError
from mien.labels import LabelKind
from mien.readers import open_reader, rules
from mien.schema import Modality

FIRST = "Ses01F_impro01"


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_dialogues_have_sessions_speakers_texts_and_features(tmp_path: Path, protocol: int) -> None:
    data = iemocap_data()
    source = open_reader("iemocap", [write_pickle(tmp_path / "x.pkl", data, protocol)])
    videos = videos_of(source)
    assert source.splits == {
        "Ses01F_impro01": "train",
        "Ses01M_script01_1": "train",
        "Ses03M_impro05b": None,
        "Ses05F_impro02": "test",
    }
    assert [video.fold for video in videos.values()] == ["Ses01", "Ses01", "Ses03", "Ses05"]
    assert source.extra_columns == ("speaker", "fold")
    last = videos["Ses05F_impro02"].utterances
    assert [each.speaker for each in last] == ["Ses05F", "Ses05M", "Ses05F", "Ses05M"]
    assert last[1].transcript == "Ses05F_impro02 says caf\xe9 1"
    assert [each.index for each in last] == [0, 1, 2, 3]
    for modality, part in ((Modality.TEXT, 3), (Modality.ACOUSTIC, 4), (Modality.VISUAL, 5)):
        expected = np.asarray(data[part]["Ses05F_impro02"]).astype(np.float32)
        np.testing.assert_array_equal([each.features[modality] for each in last], expected)
        assert source.spaces[modality].n_features == expected.shape[1]


def test_each_utterance_has_one_of_six_classes(tmp_path: Path) -> None:
    source = open_reader("iemocap", [write_pickle(tmp_path / "x.pkl", iemocap_data())])
    (space,) = source.label_spaces
    assert (space.name, space.kind, space.neutral) == ("emotion", LabelKind.CLASSES, "neutral")
    labels = [each.labels for video in source.videos for each in video.utterances]
    assert all(list(each) == ["emotion"] for each in labels)
    named = [space.names[int(each["emotion"][0])] for each in labels]
    happy_to_frustrated = ["happy", "sad", "neutral", "angry", "excited", "frustrated"]
    assert named == [*happy_to_frustrated, "neutral", "happy", "sad", "frustrated", "angry"]
    assert not source.notes


def test_with_four_classes_excited_is_happy_and_frustrated_has_no_label(tmp_path: Path) -> None:
    source = open_reader("iemocap4", [write_pickle(tmp_path / "x.pkl", iemocap_data())])
    (space,) = source.label_spaces
    labels = [each.labels for video in source.videos for each in video.utterances]
    named = [space.names[int(each["emotion"][0])] if each else None for each in labels]
    four = ["happy", "sad", "neutral", "angry", "happy", None]
    assert named == [*four, "neutral", "happy", "sad", None, "angry"]


def test_a_vector_that_is_not_finite_is_missing(tmp_path: Path) -> None:
    data = iemocap_data()
    data[5][FIRST][2, 0] = np.nan
    source = open_reader("iemocap", [write_pickle(tmp_path / "x.pkl", data)])
    assert [Modality.VISUAL in each.features for each in videos_of(source)[FIRST].utterances] == [True, True, False]
    assert source.notes[rules.VECTOR_NOT_FINITE] == 1


def test_a_missing_text_is_empty_and_a_placeholder_is_missing(tmp_path: Path) -> None:
    data = iemocap_data()
    data[6][FIRST][:2] = [None, float("nan")]
    data[4][FIRST][1][0] = 1e38
    source = open_reader("iemocap", [write_pickle(tmp_path / "x.pkl", data)])
    utterances = videos_of(source)[FIRST].utterances
    assert [each.transcript for each in utterances[:2]] == ["", ""]
    assert [Modality.ACOUSTIC in each.features for each in utterances] == [True, False, True]
    assert source.notes == {rules.VALUE_ABSURD: 1, rules.VECTOR_NOT_FINITE: 1}


def _part(number: int, value: Any) -> Any:
    def change(data: list[Any]) -> None:
        data[number] = value(data[number])

    return change


WRONG = {
    "eight parts": (lambda data: data.pop(), r"Expected 9 parts \(videoIDs, .* but got 8 parts"),
    "a list of ids": (_part(0, list), r"Expected a dictionary of ids of dialogues as videoIDs .* but got list"),
    "ids that are numbers": (_part(7, lambda _: [1]), r"Expected a list of ids of dialogues as trainVid"),
    "a dialogue in both splits": (
        _part(8, lambda _: {FIRST}),
        r"in one of trainVid and testVid .* 'Ses01F_impro01' in",
    ),
    "another id": (_part(0, lambda part: part | {"dia0": ["a"]}), r"like 'Ses02F_impro01' .* but got 'dia0'"),
    "a missing dialogue": (_part(6, lambda _: {}), r"one value per utterance in videoSentence of .* but got NoneType"),
    "too few values": (_part(1, lambda part: part | {FIRST: ["F"]}), r"in videoSpeakers of .* but got 1 values"),
    "another speaker": (_part(1, lambda part: part | {FIRST: list("FXM")}), r"Expected F or M .* but got 'X'"),
    "another class": (_part(2, lambda part: part | {FIRST: [0, 6, 1]}), r"Expected classes 0 to 5 .* but got 6"),
    "half a class": (_part(2, lambda part: part | {FIRST: [0, 0.5, 1]}), r"Expected classes 0 to 5 .* but got 0.5"),
    "a text as class": (_part(2, lambda part: part | {FIRST: ["hap", "sad", "neu"]}), r"numbers of shape \(3,\)"),
    "uneven features": (
        _part(3, lambda part: part | {FIRST: [[1.0], [1.0, 2.0], [3.0]]}),
        r"Expected numbers of shape \(3, feature\) in videoText of dialogue 'Ses01F_impro01' .* different lengths",
    ),
    "other features": (
        _part(5, lambda part: part | {FIRST: np.ones((3, 7))}),
        r"Expected features of one length in videoVisual of .* but got 2 and 7",
    ),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, case: str) -> None:
    change, told = WRONG[case]
    data = list(iemocap_data())
    change(data)
    with pytest.raises(DataError, match=told):
        open_reader("iemocap", [write_pickle(tmp_path / "x.pkl", data)])


@pytest.mark.parametrize("bad", [[], None, [1.0, 2.0], "abc"])
def test_one_malformed_vector_costs_only_itself(tmp_path: Path, bad: object) -> None:
    data = list(iemocap_data())
    data[4] = {name: list(rows) for name, rows in data[4].items()}
    data[4]["Ses05F_impro02"][1] = bad
    source = open_reader("iemocap", [write_pickle(tmp_path / "x.pkl", tuple(data))])
    utterances = videos_of(source)["Ses05F_impro02"].utterances
    assert [Modality.ACOUSTIC in each.features for each in utterances] == [True, False, True, True]
    assert source.notes[rules.VECTOR_MALFORMED] == 1
