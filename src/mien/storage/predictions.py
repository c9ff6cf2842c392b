"""Predictions on disk: one Parquet table with gold labels and predictions side by side.

Other systems can write the same table and be evaluated in the same way (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mien.errors import DataError
from mien.limits import READ_ERRORS
from mien.schema import EMOTIONS, FloatArray, SentimentValues
from mien.storage.columns import open_arrow
from mien.storage.files import atomic_file
from mien.storage.parquet import read_parquet
from mien.tasks import TASKS

# first bytes of every Parquet file
PARQUET_HEAD = b"PAR1"
SENTIMENT_VALUES_KEY = b"mien.sentiment_values"


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one system for N utterances, with gold labels. Rows of one video are contiguous.

    Attributes:
        video_id: Id of the video of each utterance (N,), as texts.
        index: Index of each utterance in its video, (N,).
        sentiment: Gold sentiment score (N,), NaN where missing.
        emotions: Gold intensities of the emotions (N, 6). The row of an utterance without these labels is NaN.
        outputs: Predicted class probabilities or intensities (N, output) of each task, by the name of the task. The
            outputs of a task have the order in `tasks.TASKS`.
        sentiment_values: Whether the gold sentiment scores are intensities or only stand for a class.
    """

    video_id: np.ndarray[Any, np.dtype[np.object_]]
    index: np.ndarray[Any, np.dtype[np.int64]]
    sentiment: FloatArray
    emotions: FloatArray
    outputs: Mapping[str, FloatArray]
    sentiment_values: SentimentValues = SentimentValues.INTENSITY

    def to_pandas(self) -> Any:
        """Return a pandas data frame with one row per utterance (pandas must be installed)."""
        return predictions_to_table(self).to_pandas()


def predictions_to_table(predictions: Predictions) -> pa.Table:
    """Return the Arrow table that `write_predictions` writes."""
    data: dict[str, Any] = {
        "video_id": pa.array(predictions.video_id, pa.string()),
        "index": predictions.index,
        "sentiment": _nan_as_null(predictions.sentiment),
    }
    data |= {name: _nan_as_null(predictions.emotions[:, column]) for column, name in enumerate(EMOTIONS)}
    for task, row in TASKS.items():
        if task in predictions.outputs:
            data |= dict(zip(row.columns, predictions.outputs[task].T, strict=True))
    table = pa.table(data)
    return table.replace_schema_metadata({SENTIMENT_VALUES_KEY: predictions.sentiment_values.encode()})


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

    Raises:
        DataError: The file is missing, or a column is missing or has the wrong type.
        DamagedFileError: The file is not Parquet.
    """
    if not path.is_file():
        raise DataError(f"Expected a predictions table at {path}, but got nothing there; evaluate the run first")
    table = read_parquet(path, "a predictions table")
    predicted = [task for task, row in TASKS.items() if set(row.columns) & set(table.column_names)]
    needed = ["video_id", "index", "sentiment", *EMOTIONS, *(c for task in predicted for c in TASKS[task].columns)]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise DataError(f"Expected the columns {', '.join(missing)} in {path}, but got {', '.join(table.column_names)}")
    metadata = table.schema.metadata or {}
    try:
        return Predictions(
            video_id=table["video_id"].to_numpy().astype(object),
            index=_float_columns(table, ["index"])[:, 0].astype(np.int64),
            sentiment=_float_columns(table, ["sentiment"])[:, 0],
            emotions=_float_columns(table, EMOTIONS),
            outputs={task: _float_columns(table, TASKS[task].columns) for task in predicted},
            sentiment_values=SentimentValues(metadata.get(SENTIMENT_VALUES_KEY, b"intensity").decode()),
        )
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


def _nan_as_null(values: FloatArray) -> pa.Array:
    """Return an Arrow array of numbers, with null for NaN."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))
