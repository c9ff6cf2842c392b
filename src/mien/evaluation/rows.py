"""What every evaluation asks of its rows: usable outputs, one row per utterance, the same utterances."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.tasks import TASKS, targets_of


def validated_predictions(predictions: Predictions, name: str = "the predictions") -> Predictions:
    """The same predictions, sorted by video and index, with labels and outputs in float64.

    The order of the rows must not matter to any number, and sorting is what makes two tables comparable row by row.

    Raises:
        DataError: a probability is missing or outside [0, 1], a degree is missing, a task has too few or too many
            outputs, an utterance occurs twice.
    """
    outputs = {task: _checked_outputs(task, values, name) for task, values in predictions.outputs.items()}
    order = np.lexsort((predictions.index, predictions.video_id.astype(str)))
    ordered = dataclasses.replace(
        select_rows(predictions, order),
        sentiment=predictions.sentiment[order].astype(np.float64),
        emotions=predictions.emotions[order].astype(np.float64),
        outputs={task: values[order] for task, values in outputs.items()},
    )
    twice = np.flatnonzero((ordered.video_id[1:] == ordered.video_id[:-1]) & (ordered.index[1:] == ordered.index[:-1]))
    if twice.size:
        row = int(twice[0])
        raise DataError(
            f"Expected every utterance once in {name}, but got utterance {ordered.index[row]} of video "
            f"{ordered.video_id[row]} twice; remove one of the rows"
        )
    return ordered


def select_rows(predictions: Predictions, rows: BoolArray | NDArray[np.intp]) -> Predictions:
    """Some rows of the predictions: those of a mask (utterance,) in their order, or those numbered, in that order."""
    return dataclasses.replace(
        predictions,
        video_id=predictions.video_id[rows],
        index=predictions.index[rows],
        sentiment=predictions.sentiment[rows],
        emotions=predictions.emotions[rows],
        outputs={task: values[rows] for task, values in predictions.outputs.items()},
    )


def require_same_utterances(all_predictions: Sequence[Predictions], names: Sequence[str]) -> None:
    """Raise DataError naming the first difference in utterances or gold labels between validated predictions."""
    first = all_predictions[0]
    for other, name in zip(all_predictions[1:], names[1:], strict=True):
        difference = _first_difference(first, other)
        if difference:
            raise DataError(
                f"Expected {names[0]} and {name} to be about the same utterances with the same gold labels, "
                f"but got {difference}; evaluate both on the same split of the same dataset"
            )


def classes_of(task: str, predictions: Predictions) -> tuple[BoolArray, BoolArray]:
    """Which outputs of a task of classes are present (utterance, output), and which rows have labels (utterance,)."""
    targets, scored = targets_of(task, predictions)
    return np.asarray(targets, dtype=np.bool_), scored


def video_numbers(predictions: Predictions) -> tuple[NDArray[np.intp], int]:
    """The number of each row's video (utterance,) and how many videos there are; rows must be validated."""
    names, number = np.unique(predictions.video_id.astype(str), return_inverse=True)
    return number.reshape(-1), len(names)


def _checked_outputs(task: str, values: FloatArray, name: str) -> FloatArray:
    values, row = np.asarray(values, dtype=np.float64), TASKS[task]
    if values.shape[1] != len(row.outputs):
        raise DataError(
            f"Expected {name} to have {len(row.outputs)} outputs of {task} per utterance, "
            f"but got {values.shape[1]}; give {', '.join(row.outputs)}"
        )
    if row.predicts_degrees:
        missing = ~np.isfinite(values)
        if missing.any():
            raise DataError(
                f"Expected finite intensities in {name}, but got {int(missing.sum())} that are not; "
                "a system must answer for every utterance"
            )
        return values
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise DataError(
            f"Expected probabilities in [0, 1] in {name}, but got {values[wrong][0]} and {int(wrong.sum()) - 1} more "
            "outside; a system must answer for every utterance"
        )
    return values


def _first_difference(first: Predictions, other: Predictions) -> str:
    if first.sentiment_values != other.sentiment_values:
        return f"sentiment values {first.sentiment_values.value} and {other.sentiment_values.value}"
    rows = min(len(first.index), len(other.index))
    unlike = (first.video_id[:rows] != other.video_id[:rows]) | (first.index[:rows] != other.index[:rows])
    if unlike.any():
        row = int(np.argmax(unlike))
        return f"{_utterance(first, row)} against {_utterance(other, row)}"
    if len(first.index) != len(other.index):
        longer = first if len(first.index) > rows else other
        return (
            f"{len(first.index)} against {len(other.index)} utterances, the first extra one {_utterance(longer, rows)}"
        )
    gold, other_gold = _gold(first), _gold(other)
    differs = ~((gold == other_gold) | (np.isnan(gold) & np.isnan(other_gold))).all(axis=1)
    if differs.any():
        row = int(np.argmax(differs))
        return (
            f"other gold labels for {_utterance(first, row)}: {gold[row].tolist()} against {other_gold[row].tolist()}"
        )
    return ""


def _gold(predictions: Predictions) -> NDArray[Any]:
    # float32, so that labels which went through a float32 array in one system count as the same
    return np.column_stack([predictions.sentiment, predictions.emotions]).astype(np.float32)


def _utterance(predictions: Predictions, row: int) -> str:
    return f"utterance {predictions.index[row]} of video {predictions.video_id[row]}"
