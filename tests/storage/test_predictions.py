"""The predictions table: ours comes back, a peer's is read the same way, a wrong one says what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.labelled import ACTS, TOPIC, labels_of

from mien.errors import DamagedFileError, DataError, WriteError
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, SentimentValues
from mien.storage.predictions import Predictions, read_predictions, write_predictions
from mien.tasks import EMOTION, EMOTION_INTENSITY, SENTIMENT, SENTIMENT_INTENSITY, tasks_of, tasks_to_json


def predictions():
    rng = np.random.default_rng(0)
    emotions = rng.integers(0, 4, size=(7, 6)).astype(float)
    emotions[3] = np.nan
    return Predictions(
        video_id=np.array(["ü", "ü", "ü", "b", "b", "b", "b"], dtype=object),
        index=np.array([0, 2, 11, 3, 1, 2, 5]),
        labels=labels_of([-3, 0, np.nan, 1 / 3, 2, 3, -1], emotions),
        outputs={SENTIMENT: rng.random((7, 1)), EMOTION: rng.random((7, 7))},
        sentiment_values=SentimentValues.SIGNED_CLASS,
    )


def assert_equal(found, expected):
    assert found.sentiment_values is expected.sentiment_values
    for name in ("video_id", "index", "sentiment", "emotions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.outputs.keys() == expected.outputs.keys()
    for task, values in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[task], values)


@pytest.mark.parametrize("tasks", [(SENTIMENT, EMOTION), (EMOTION,), (SENTIMENT,)], ids="+".join)
def test_one_or_two_tasks_come_back(tmp_path, tasks):
    both = predictions()
    expected = replace(both, outputs={task: both.outputs[task] for task in tasks})
    write_predictions(tmp_path / "new" / "test.parquet", expected)
    assert_equal(read_predictions(tmp_path / "new" / "test.parquet"), expected)


def test_intensities_come_back_beside_or_without_probabilities(tmp_path):
    degree, degrees = np.linspace(-3, 3, 7)[:, None], np.arange(42.0).reshape(7, 6) / 14
    alone = replace(predictions(), outputs={SENTIMENT_INTENSITY: degree})
    # in any order: the columns of the table stand in that of TASKS
    both = replace(alone, outputs={EMOTION_INTENSITY: degrees} | alone.outputs | predictions().outputs)
    for number, expected in enumerate((both, alone)):
        write_predictions(tmp_path / f"{number}.parquet", expected)
        assert_equal(read_predictions(tmp_path / f"{number}.parquet"), expected)
    names = list(pd.read_parquet(tmp_path / "0.parquet").columns)
    assert names[-7:] == [f"intensity_{name}" for name in ("sentiment", *EMOTIONS)]
    cut = pq.read_table(tmp_path / "0.parquet").drop_columns(["intensity_fear"])
    pq.write_table(cut, tmp_path / "cut.parquet")
    with pytest.raises(DataError, match="Expected the columns intensity_fear"):
        read_predictions(tmp_path / "cut.parquet")


def test_missing_labels_are_null_for_others_and_the_columns_are_those_of_the_documentation(tmp_path):
    write_predictions(tmp_path / "x.parquet", predictions())
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert frame["sentiment"].isna().tolist() == [False, False, True, False, False, False, False]
    assert pq.read_table(tmp_path / "x.parquet")["anger"].null_count == 1
    outputs = [f"probability_{name}" for name in ("positive", *EMOTION_OUTPUTS)]
    assert list(frame.columns) == ["video_id", "index", "sentiment", *EMOTIONS, *outputs]
    assert predictions().to_pandas().equals(frame)


def peers_table(**changes):
    """What another system may write: plain pandas, whole numbers, no metadata."""
    columns = {"video_id": ["v", "v", "w"], "index": [0, 1, 0], "sentiment": [1, -2, 0]}
    columns |= {name: [0, 1, 0] for name in EMOTIONS}
    columns |= {"probability_positive": [1.0, 0.25, 0.5]}
    columns |= {f"probability_{name}": [0.5, 0.25, 0.0] for name in EMOTION_OUTPUTS}
    columns |= changes
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None})


def test_a_table_made_with_pandas_is_read(tmp_path):
    peers_table().to_parquet(tmp_path / "x.parquet")
    found = read_predictions(tmp_path / "x.parquet")
    assert found.sentiment_values is SentimentValues.INTENSITY
    assert found.video_id.tolist() == ["v", "v", "w"]
    assert found.sentiment.tolist() == [1, -2, 0]
    assert found.outputs[EMOTION].shape == (3, 7)
    assert found.outputs[SENTIMENT].tolist() == [[1.0], [0.25], [0.5]]


@pytest.mark.parametrize("name", ["video_id", "index", "sentiment", "surprise"])
def test_a_column_that_is_missing_is_named(tmp_path, name):
    peers_table(**{name: None}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=f"Expected the columns {name} in .*x.parquet, but got .*probability_positive"):
        read_predictions(tmp_path / "x.parquet")


def test_six_of_seven_emotion_probabilities_are_not_taken_for_none(tmp_path):
    peers_table(probability_none=None).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="Expected the columns probability_none in"):
        read_predictions(tmp_path / "x.parquet")


def test_a_column_of_another_kind_is_named(tmp_path):
    peers_table(probability_positive=["yes", "no", "no"]).to_parquet(tmp_path / "x.parquet")
    message = (
        "Expected a predictions table in .*, but got .*string in the column probability_positive; see docs/formats"
    )
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "x.parquet")
    table = pa.Table.from_pandas(peers_table())
    pq.write_table(table.replace_schema_metadata({b"mien.sentiment_values": b"percent"}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="but got 'percent' is not a valid SentimentValues"):
        read_predictions(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index": [0.5, 1.5, 0]}, "the index 0.5 in row 0, where a whole number is needed"),
        ({"index": [0, None, 0]}, "no index in row 1"),
        ({"index": [0, np.inf, 0]}, "the index inf in row 1"),
        ({"index": [0, 1e300, 0]}, r"the index 1e\+300 in row 1"),
        ({"index": np.array([0, 2**63, 1], dtype=np.uint64)}, ".*9223372036854775808"),
        ({"index": [0, 0, 0]}, "2 rows for utterance 0 of video 'v'"),
        ({"video_id": ["v", None, "w"]}, "no video_id in row 1"),
        ({"video_id": [1, 1, 2]}, "int64 in the column video_id, whose ids are texts"),
        ({"sentiment": [1, 40, 0]}, "40 as gold label sentiment in row 1, where a value from -3 to 3 is needed"),
        ({"sentiment": [1, -np.inf, 0]}, "-inf as gold label sentiment in row 1"),
        ({"fear": [0, 1, 3.5]}, "3.5 as gold label fear in row 2, where a value from 0 to 3 is needed"),
        ({"fear": [0, -1, 3]}, "-1 as gold label fear in row 1"),
        (
            {"probability_positive": [0.5, 1.5, 1]},
            "1.5 in the column probability_positive in row 1, where a value from 0",
        ),
        ({"probability_fear": [0.5, None, 1]}, "null in the column probability_fear in row 1"),
        (
            {"intensity_sentiment": [0, 55, 1]},
            "55 in the column intensity_sentiment in row 1, where a value from -3 to 3",
        ),
    ],
)
def test_values_that_cannot_be_right_are_refused_with_their_row(tmp_path, changes, message):
    peers_table(**changes).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=f"Expected a predictions table in .*, but got {message}.*; see docs/formats"):
        read_predictions(tmp_path / "x.parquet")


def test_whole_numbers_of_any_type_and_rounded_values_are_read(tmp_path):
    large = 2**60 + 1  # has no exact value in float64
    changes = {
        "video_id": pd.Categorical(["v", "v", "w"]),
        "index": [large, 1, 0],
        "sentiment": [np.nan, -3, 3.0000001],
    }
    changes |= {"intensity_sentiment": [3.2, -3.1, 0], "probability_positive": np.array([1, 0, 0.5], np.float32)}
    peers_table(**changes).to_parquet(tmp_path / "x.parquet")
    found = read_predictions(tmp_path / "x.parquet")
    assert found.index.tolist() == [large, 1, 0]
    assert found.video_id.tolist() == ["v", "v", "w"]
    peers_table(index=[2.0, 1.0, 0.0]).to_parquet(tmp_path / "y.parquet")
    assert read_predictions(tmp_path / "y.parquet").index.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        (TOPIC, {"topic": ["art", "cooking", None]}, "the class 'cooking', which is none of art, sport"),
        (
            TOPIC,
            {"probability_topic_art": [0.25, 0.9, 0.25]},
            "the classes of topic with the sum 1.65, not 1, in row 1",
        ),
        (ACTS, {"acts_ask": [0, 2, 1]}, "2 as gold label acts_ask in row 1, where 0 or 1 is needed"),
    ],
)
def test_classes_and_labels_of_other_spaces_are_checked_too(tmp_path, space, changes, message):
    tasks = tasks_of([space])
    rows = 3
    columns = {name: ["art", "sport", None] if space is TOPIC else [0, 1, None] for name in space.columns}
    columns |= {name: [0.25] * rows for task in tasks.values() for name in task.columns}

    def write(path, **changed):
        frame = pd.DataFrame({"video_id": ["v", "v", "w"], "index": [0, 1, 0], **(columns | changed)})
        metadata = {b"mien.tasks": json.dumps(tasks_to_json(tasks)).encode()}
        pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(metadata), path)
        return path

    assert len(read_predictions(write(tmp_path / "x.parquet")).index) == rows
    with pytest.raises(DataError, match=message):
        read_predictions(write(tmp_path / "y.parquet", **changes))


def test_a_file_that_is_missing_or_no_parquet_says_so(tmp_path):
    path = tmp_path / "x.parquet"
    with pytest.raises(DataError, match="Expected a predictions table at .* but got nothing there; evaluate the run"):
        read_predictions(path)
    write_predictions(path, predictions())
    for content in (path.read_bytes()[:-5], b"video_id,index\n", b""):
        path.write_bytes(content)
        with pytest.raises(
            DamagedFileError, match="Expected a predictions table in .* but got .*; it is cut, altered or of another"
        ):
            read_predictions(path)


def test_what_cannot_be_written_leaves_the_old_table(tmp_path):
    write_predictions(tmp_path / "x.parquet", predictions())
    with pytest.raises(WriteError, match="Expected to write .*x.parquet/y.parquet"):
        write_predictions(tmp_path / "x.parquet" / "y.parquet", predictions())
    assert_equal(read_predictions(tmp_path / "x.parquet"), predictions())
