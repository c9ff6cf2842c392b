"""MELD's nine parts. The files are made up in the structure of MELD_features_raw.pkl, which is not here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.readers.examples import meld_features_data, videos_of, write_pickle

from mien.errors import DataError
from mien.readers import open_reader
from mien.schema import Modality


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_dialogues_have_speakers_texts_labels_and_features(tmp_path: Path, protocol: int) -> None:
    data = meld_features_data()
    source = open_reader("meld-features", [write_pickle(tmp_path / "x.pkl", data, protocol)])
    videos = videos_of(source)
    assert source.splits == {"dia0": "train", "dia7": "test", "dia1038": None}
    first = videos["dia0"].utterances
    assert [each.speaker for each in first] == ["dia0-0", "dia0-1", "dia0-0"]
    assert [each.transcript for each in first] == [f"dialogue 0, utterance {index}" for index in range(3)]
    named = {
        space.name: [
            space.names[int(each.labels[space.name][0])] for video in videos.values() for each in video.utterances
        ]
        for space in source.label_spaces
    }
    assert named["emotion"] == ["neutral", "surprise", "fear", "sadness", "joy", "anger"]
    assert named["sentiment"] == ["neutral", "positive", "negative", "negative", "positive", "neutral"]
    for modality, part in ((Modality.TEXT, 3), (Modality.ACOUSTIC, 4)):
        expected = np.asarray(data[part][0]).astype(np.float32)
        np.testing.assert_array_equal([each.features[modality] for each in first], expected)
    assert source.notes == {}


def test_a_missing_text_is_empty(tmp_path: Path) -> None:
    data = meld_features_data()
    data[5][0] = [None, float("nan"), "nan"]
    source = open_reader("meld-features", [write_pickle(tmp_path / "x.pkl", data)])
    assert [each.transcript for each in videos_of(source)["dia0"].utterances] == ["", "", "nan"]
    assert source.notes == {"transcript that is only None, nan, NULL or the like: kept": 1}


def test_other_parts_are_refused(tmp_path: Path) -> None:
    data = meld_features_data()
    with pytest.raises(DataError, match=r"^Expected 9 parts \(videoIDs, .*, but got 8 parts; check"):
        open_reader("meld-features", [write_pickle(tmp_path / "x.pkl", data[:8])])
    data[2][7] = np.array([7, 0])
    with pytest.raises(
        DataError, match=r"^Expected classes 0 to 6 in videoLabels of dialogue 7 of .*, but got 7; check"
    ):
        open_reader("meld-features", [write_pickle(tmp_path / "x.pkl", data)])
