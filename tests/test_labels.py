"""Label spaces: what they refuse, their columns, and files that were written before there were any."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.evaluation.examples import gold, predicted
from tests.graded import write_graded
from tests.labelled import ACTS, AROUSAL, EFFORT, OWN_SPACES, TOPIC

from mien.errors import DamagedFileError, DataError
from mien.labels import (
    EMOTION_SPACE,
    PAPER_SPACES,
    SENTIMENT_SPACE,
    LabelKind,
    LabelSpace,
    class_indices,
    class_names,
    require_distinct,
    spaces_from_json,
)
from mien.schema import EMOTIONS, Utterance, Video
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset
from mien.storage.predictions import read_predictions, write_predictions
from mien.tasks import PAPER_TASKS

CLASSES, SCORE, ORDINAL, MULTILABEL = LabelKind.CLASSES, LabelKind.SCORE, LabelKind.ORDINAL, LabelKind.MULTILABEL


def test_the_paper_s_columns_are_bare_and_others_have_the_name_in_front():
    assert SENTIMENT_SPACE.columns == ("sentiment",)
    assert EMOTION_SPACE.columns == EMOTIONS
    assert ACTS.columns == ("acts_ask", "acts_tell", "acts_joke")
    assert LabelSpace("emotion", MULTILABEL, ("joy", "anger")).columns == ("emotion_joy", "emotion_anger")
    assert (TOPIC.bounds, ACTS.bounds, EMOTION_SPACE.bounds, EFFORT.bounds) == ((0, 3), (0, 1), (0, 3), (0, 2))


@pytest.mark.parametrize("space", [*PAPER_SPACES, *OWN_SPACES], ids=lambda space: space.name)
def test_a_space_survives_json(space):
    assert LabelSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (("Topic", CLASSES, ("a", "b")), "choose another name"),
        (("split", CLASSES, ("a", "b")), "choose another name"),
        (("hurt_intensity", CLASSES, ("a", "b")), "does not end in _intensity"),
        (("t", CLASSES, ("a",)), "Expected 2 to .* names for the classes t, but got 1"),
        (("t", CLASSES, ("a", "a")), "different names"),
        (("t", CLASSES, ("a.b", "c")), "without any of"),
        (("t", SCORE, (), 1.0, 1.0), "from a lower to a higher number"),
        (("t", SCORE), "from a lower to a higher number"),
        (("t", SCORE, (), 0.0, 1.0, (), 1.0), "a neutral value inside of the range"),
        (("t", ORDINAL, ("a", "b"), 0.0, 1.0, (0.5, 0.7)), "Expected 1 rising cut points"),
        (("t", ORDINAL, ("a", "b", "c"), 0.0, 1.0, (0.7, 0.5)), "Expected 2 rising cut points"),
        (("t", MULTILABEL, ("a",), 0.0, 0.0), "degrees from 0 to a number above 0"),
        (("t", CLASSES, ("a", "b"), 0.0, None, (), "c"), "a neutral value among its names"),
    ],
)
def test_what_does_not_fit_is_refused(facts, why):
    with pytest.raises(ValueError, match=why):
        LabelSpace(*facts)


def test_two_spaces_with_one_column_are_refused():
    with pytest.raises(ValueError, match="got acts_ask twice"):
        require_distinct([ACTS, LabelSpace("acts_ask", SCORE, low=0.0, high=1.0)])
    with pytest.raises(ValueError, match="got anger twice"):
        DatasetFacts("x", {}, label_spaces=(EMOTION_SPACE, LabelSpace("anger", SCORE, low=0.0, high=1.0)))
    assert require_distinct((*PAPER_SPACES, *OWN_SPACES))


def test_classes_are_indices_in_memory_and_names_on_disk():
    indices = class_indices(["war", None, "art"], TOPIC.names)
    np.testing.assert_array_equal(indices, [2, np.nan, 0])
    assert class_names(indices, TOPIC.names) == ["war", None, "art"]
    with pytest.raises(ValueError, match="the class 'peace', which is none of art, sport"):
        class_indices(["peace"], TOPIC.names)


def write_topics(folder, value=1.0):
    labels = {"topic": np.array([value]), "arousal": np.array([-0.5])}
    videos = [Video("v", [Utterance(0, labels=labels), Utterance(1)], "train")]
    return write_dataset(folder, videos, DatasetFacts("own", {}, label_spaces=(AROUSAL, TOPIC)))


def test_a_dataset_with_other_labels_reads_back_equal(tmp_path):
    data = open_dataset(write_topics(tmp_path / "d").folder)
    (video,) = data.videos()
    assert [utterance.labels for utterance in video.utterances] == [{"topic": [1.0], "arousal": [-0.5]}, {}]
    assert data.table()["topic"].to_pylist() == ["sport", None]
    columns = data.columns("train")
    np.testing.assert_array_equal(columns.labels["topic"], [[1.0], [np.nan]])
    assert np.isnan(columns.sentiment).all()


@pytest.mark.parametrize("value", [4.0, 0.5, -1.0])
def test_a_class_that_is_not_there_is_refused(tmp_path, value):
    with pytest.raises(DataError, match=r"Expected topic of utterance 0 of video 'v' in \[0, 3\]"):
        write_topics(tmp_path / "d", value)


def test_labels_of_no_space_are_refused(tmp_path):
    video = Video("v", [Utterance(0, labels={"mood": np.array([1.0])})], "train")
    with pytest.raises(DataError, match="to have only sentiment, emotion labels, but got mood labels too"):
        write_dataset(tmp_path / "d", [video], DatasetFacts("x", {}))


def test_an_altered_card_is_refused(tmp_path):
    folder = write_topics(tmp_path / "d").folder
    card = json.loads((folder / "dataset.json").read_text())
    card["label_spaces"][1]["names"] = ["art", "war", "x", "weather"]
    (folder / "dataset.json").write_text(json.dumps(card))
    with pytest.raises(DamagedFileError, match="the class 'sport'"):
        open_dataset(folder)


def test_a_dataset_whose_card_names_no_label_spaces_has_those_of_the_paper(tmp_path):
    data = write_graded(tmp_path / "d", 4)
    card = json.loads((data.folder / "dataset.json").read_text())
    del card["label_spaces"]
    (data.folder / "dataset.json").write_text(json.dumps(card))
    assert open_dataset(data.folder).facts.label_spaces == PAPER_SPACES == spaces_from_json({})


def test_predictions_without_label_spaces_have_the_paper_s_tasks(tmp_path):
    rows = predicted(gold())
    write_predictions(tmp_path / "p.parquet", rows)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names[2:9] == ["sentiment", *EMOTIONS]
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "old.parquet")
    old = read_predictions(tmp_path / "old.parquet")
    assert old.tasks == dict(PAPER_TASKS)
    np.testing.assert_array_equal(old.emotions, rows.emotions)
