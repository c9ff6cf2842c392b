"""Predictions on disk: one Parquet table with gold labels and predictions side by side.

Other systems can write the same table and be evaluated in the same way (docs/formats.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mien.errors import DataError, MienError
from mien.labels import EMOTION_SPACE, SENTIMENT_SPACE, LabelKind, LabelSpace, class_indices, labels_or_missing
from mien.limits import READ_ERRORS
from mien.schema import FloatArray, SentimentValues
from mien.storage.columns import label_arrays, open_arrow
from mien.storage.files import atomic_file
from mien.storage.parquet import read_parquet
from mien.task_kinds import CLASSES
from mien.tasks import PAPER_TASKS, Task, spaces_of, tasks_from_json, tasks_to_json

# first bytes of every Parquet file
PARQUET_HEAD = b"PAR1"
SENTIMENT_VALUES_KEY = b"mien.sentiment_values"
# label spaces and kinds of the tasks, as JSON; a table without this entry has those of the paper
TASKS_KEY = b"mien.tasks"
# whole numbers below this are exact in float64
LARGEST_INDEX = 2.0**53
# of float32 values that others wrote
ROUNDING = 1e-6
CLASS_SUM_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one system for N utterances, with gold labels. Rows of one video are contiguous.

    Attributes:
        video_id: Id of the video of each utterance (N,), as texts.
        index: Index of each utterance in its video, (N,).
        labels: Gold labels (N, column) of each label space, by its name. The row of an utterance without these labels
            is NaN.
        outputs: Predicted class probabilities or intensities (N, output) of each task, by the name of the task. The
            outputs of a task have the order in its `Task`.
        sentiment_values: Whether the gold sentiment scores are intensities or only stand for a class.
        tasks: All tasks of the label spaces, by name; the system may predict only some of them.
    """

    video_id: np.ndarray[Any, np.dtype[np.object_]]
    index: np.ndarray[Any, np.dtype[np.int64]]
    labels: Mapping[str, FloatArray]
    outputs: Mapping[str, FloatArray]
    sentiment_values: SentimentValues = SentimentValues.INTENSITY
    tasks: Mapping[str, Task] = field(default_factory=lambda: PAPER_TASKS)

    @property
    def sentiment(self) -> FloatArray:
        """Labels (N,) of the label space `sentiment`, scores in CMU-MOSEI; NaN where missing."""
        return labels_or_missing(self.labels, SENTIMENT_SPACE, len(self.index))[:, 0]

    @property
    def emotions(self) -> FloatArray:
        """Labels (N, column) of the label space `emotion`, six intensities in CMU-MOSEI; rows of NaN where missing."""
        return labels_or_missing(self.labels, EMOTION_SPACE, len(self.index))

    @property
    def predicted_tasks(self) -> list[Task]:
        """The predicted tasks, in the order of `tasks`."""
        return [task for name, task in self.tasks.items() if name in self.outputs]

    def to_pandas(self) -> Any:
        """Return a pandas data frame with one row per utterance (pandas must be installed)."""
        return predictions_to_table(self).to_pandas()


def predictions_to_table(predictions: Predictions) -> pa.Table:
    """Return the Arrow table that `write_predictions` writes."""
    data: dict[str, Any] = {
        "video_id": pa.array(predictions.video_id, pa.string()),
        "index": predictions.index,
    }
    for space in spaces_of(predictions.tasks):
        data |= label_arrays(labels_or_missing(predictions.labels, space, len(predictions.index)), space)
    for task in predictions.predicted_tasks:
        data |= dict(zip(task.columns, predictions.outputs[task.name].T, strict=True))
    table = pa.table(data)
    return table.replace_schema_metadata(
        {
            SENTIMENT_VALUES_KEY: predictions.sentiment_values.encode(),
            TASKS_KEY: json.dumps(tasks_to_json(predictions.tasks)).encode(),
        }
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a predictions table atomically.

    Args:
        path: Parquet file to write.
        predictions: Predictions of all utterances.

    Raises:
        WriteError: The file cannot be written.
    """
    with atomic_file(path) as aside, open_arrow(aside, "wb") as file:
        pq.write_table(predictions_to_table(predictions), file, compression="zstd")


@contextmanager
def predictions_writer(path: Path) -> Iterator[Callable[[Predictions], None]]:
    """Context manager that yields a function which appends Predictions to a table.

    The file is created at `path` only if the block succeeds.

    All Predictions must come from one system. At least one call of the function is required.

    Raises:
        WriteError: The file cannot be written.
    """
    with atomic_file(path) as aside, open_arrow(aside, "wb") as file, ExitStack() as open_files:
        writer: pq.ParquetWriter | None = None

        def write(part: Predictions) -> None:
            nonlocal writer
            table = predictions_to_table(part)
            if writer is None:
                writer = open_files.enter_context(pq.ParquetWriter(file, table.schema, compression="zstd"))
            writer.write_table(table)

        yield write


def read_predictions(path: Path) -> Predictions:
    """Read a predictions table.

    The values are checked, because other systems write such tables, too.

    Raises:
        DataError: The file is missing, or a column is missing or has the wrong type. An id is missing, an index is not
            a whole number, or an utterance occurs twice. A label or a prediction is not in its range.
        DamagedFileError: The file is not Parquet.
    """
    if not path.is_file():
        raise DataError(f"Expected a predictions table at {path}, but got nothing there; evaluate the run first")
    table = read_parquet(path, "a predictions table")
    metadata = table.schema.metadata or {}
    try:
        tasks = tasks_from_json(json.loads(metadata.get(TASKS_KEY, b"{}")))
    except (*READ_ERRORS, MienError) as error:
        raise DataError(f"Expected label spaces in {path}, but got {error}; see docs/formats.md") from None
    spaces = spaces_of(tasks)
    predicted = {name: task for name, task in tasks.items() if set(task.columns) & set(table.column_names)}
    needed = ["video_id", "index", *(c for space in spaces for c in space.columns)]
    needed += [c for task in predicted.values() for c in task.columns]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise DataError(f"Expected the columns {', '.join(missing)} in {path}, but got {', '.join(table.column_names)}")
    try:
        predictions = Predictions(
            video_id=_video_ids(table),
            index=_indices(table),
            labels={space.name: _stored_labels(table, space) for space in spaces},
            outputs={name: _float_columns(table, task.columns) for name, task in predicted.items()},
            sentiment_values=SentimentValues(metadata.get(SENTIMENT_VALUES_KEY, b"intensity").decode()),
            tasks=tasks,
        )
        _require_distinct_utterances(predictions)
        for space in spaces:
            _require_labels(space, predictions.labels[space.name])
        for task in predicted.values():
            _require_outputs(task, predictions.outputs[task.name])
        return predictions
    except READ_ERRORS as error:
        raise DataError(f"Expected a predictions table in {path}, but got {error}; see docs/formats.md") from None


def _float_columns(table: pa.Table, names: Sequence[str]) -> FloatArray:
    """Return columns as one float64 array (row, column), with NaN for null.

    Raise ValueError if a column does not contain numbers.
    """
    for name in names:
        kind = table[name].type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise ValueError(f"{kind} in the column {name}")
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)


def _stored_labels(table: pa.Table, space: LabelSpace) -> FloatArray:
    """Return the gold labels (row, column) of a label space. Raise ValueError for values of another type."""
    if space.kind is LabelKind.CLASSES:
        return class_indices(table[space.name].to_pylist(), space.names)[:, None]
    return _float_columns(table, space.columns)


def _video_ids(table: pa.Table) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Return the video ids (row,). Raise ValueError if they are not texts or one is missing."""
    column = table["video_id"]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise ValueError(f"{kind} in the column video_id, whose ids are texts")
    ids = column.to_pylist()
    if None in ids:
        raise ValueError(f"no video_id in row {ids.index(None)}")
    return np.array(ids, dtype=object)


def _indices(table: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the numbers of the utterances (row,). Raise ValueError if one is missing or not a whole number."""
    column = table["index"]
    if pa.types.is_integer(column.type) and not column.null_count:
        # not by way of float64, which has no exact value for large whole numbers
        return np.array(column.cast(pa.int64()).to_pylist(), dtype=np.int64)
    values = _float_columns(table, ["index"])[:, 0]
    with np.errstate(invalid="ignore"):  # NaN and infinity are found by the same comparison
        wrong = np.flatnonzero(~((values == np.round(values)) & (np.abs(values) < LARGEST_INDEX)))
    if len(wrong):
        found = "no index" if np.isnan(values[wrong[0]]) else f"the index {values[wrong[0]]:g}"
        raise ValueError(f"{found} in row {wrong[0]}, where a whole number is needed")
    return values.astype(np.int64)


def _require_distinct_utterances(predictions: Predictions) -> None:
    """Raise ValueError if two rows are about the same utterance."""
    rows = pa.table({"video_id": pa.array(predictions.video_id, pa.string()), "index": predictions.index})
    counts = rows.group_by(["video_id", "index"]).aggregate([([], "count_all")])
    if len(counts) < len(rows):
        n_rows = counts["count_all"].to_numpy()
        row = int(np.argmax(n_rows))
        name = f"utterance {counts['index'][row].as_py()} of video {counts['video_id'][row].as_py()!r}"
        raise ValueError(f"{n_rows[row]} rows for {name}")


def _require_labels(space: LabelSpace, values: FloatArray) -> None:
    """Raise ValueError if a gold label is outside the range of its label space. NaN stands for a missing label."""
    low, high = space.bounds
    with_degrees = space.is_graded or space.kind is not LabelKind.MULTILABEL
    wrong = ~np.isnan(values) & ~((values >= low - ROUNDING) & (values <= high + ROUNDING))
    if not with_degrees:
        wrong |= ~np.isnan(values) & (values != 0) & (values != 1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        expected = f"a value from {low:g} to {high:g}" if with_degrees else "0 or 1"
        raise ValueError(
            f"{values[row, column]:g} as gold label {space.columns[column]} in row {row}, where {expected} is needed"
        )


def _require_outputs(task: Task, values: FloatArray) -> None:
    """Raise ValueError if a probability or an intensity is missing or outside its range, or classes do not sum to 1.

    Systems that predict intensities by regression can leave the range a little. An intensity is therefore refused only
    if its distance from the range is larger than the width of the range.
    """
    low, high = task.range
    margin = high - low if task.predicts_degrees else ROUNDING
    wrong = ~((values >= low - margin) & (values <= high + margin))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        found = "null" if np.isnan(values[row, column]) else f"{values[row, column]:g}"
        expected = f"a value from {low:g} to {high:g}"
        raise ValueError(f"{found} in the column {task.columns[column]} in row {row}, where {expected} is needed")
    if task.kind == CLASSES:
        wrong_sums = np.flatnonzero(np.abs(values.sum(axis=1) - 1) > CLASS_SUM_TOLERANCE)
        if len(wrong_sums):
            row = int(wrong_sums[0])
            raise ValueError(
                f"probabilities of the classes of {task.name} with the sum {values[row].sum():g}, not 1, in row {row}"
            )
