"""Validation, comparison and selection of the rows (utterances) of Predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.schema import BoolArray, FloatArray, IntArray
from mien.storage.predictions import Predictions
from mien.tasks import Task, class_probabilities, labels_of, targets_of


def validated_predictions(predictions: Predictions, name: str = "the predictions") -> Predictions:
    """Check predictions, and return them sorted by video id and utterance index, with float64 values.

    After sorting, no score depends on the original order of the rows, and two sets of predictions can be compared row
    by row.

    Args:
        predictions: Predictions with rows in any order.
        name: Name of the predictions in error messages.

    Returns:
        Sorted predictions.

    Raises:
        DataError: A probability is missing or outside [0, 1], an intensity is missing, the number of outputs of a task
            is wrong, or an utterance occurs twice.
    """
    outputs = {
        task: _checked_outputs(predictions.tasks[task], values, name) for task, values in predictions.outputs.items()
    }
    order = np.lexsort((predictions.index, predictions.video_id.astype(str)))
    ordered = dataclasses.replace(
        select_rows(predictions, order),
        labels={space: values[order].astype(np.float64) for space, values in predictions.labels.items()},
        outputs={task: values[order] for task, values in outputs.items()},
    )
    repeated = np.flatnonzero(
        (ordered.video_id[1:] == ordered.video_id[:-1]) & (ordered.index[1:] == ordered.index[:-1])
    )
    if repeated.size:
        row = int(repeated[0])
        raise DataError(
            f"Expected every utterance once in {name}, but got utterance {ordered.index[row]} of video "
            f"{ordered.video_id[row]} twice; remove one of the rows"
        )
    return ordered


def select_rows(predictions: Predictions, rows: BoolArray | NDArray[np.intp]) -> Predictions:
    """Select rows of the predictions.

    Args:
        predictions: Predictions to select from.
        rows: Mask (utterance,), or row indices in the wanted order.

    Returns:
        The selected rows.
    """
    return dataclasses.replace(
        predictions,
        video_id=predictions.video_id[rows],
        index=predictions.index[rows],
        labels={space: values[rows] for space, values in predictions.labels.items()},
        outputs={task: values[rows] for task, values in predictions.outputs.items()},
    )


def require_same_utterances(all_predictions: Sequence[Predictions], names: Sequence[str]) -> None:
    """Check that several Predictions have the same utterances with the same gold labels.

    Args:
        all_predictions: One or more Predictions, each of which `validated_predictions` has returned.
        names: Name of each of the Predictions in error messages.

    Raises:
        DataError: Some Predictions differ from the first; the message names the first difference.
    """
    first = all_predictions[0]
    for other, name in zip(all_predictions[1:], names[1:], strict=True):
        difference = _first_difference(first, other)
        if difference:
            raise DataError(
                f"Expected {names[0]} and {name} to be about the same utterances with the same gold labels, "
                f"but got {difference}; evaluate both on the same split of the same dataset"
            )


def classes_of(task: Task, predictions: Predictions) -> tuple[BoolArray, BoolArray]:
    """Return the gold classes of a task that predicts classes.

    Args:
        task: The task.
        predictions: Predictions with the gold labels.

    Returns:
        ``(present, scored)``: `present` (utterance, output) is True where the class of an output is present. `scored`
        (utterance,) is False where the label is missing.
    """
    targets, scored = targets_of(task, predictions)
    return np.asarray(targets, dtype=np.bool_), scored


def gold_class(task: Task, predictions: Predictions) -> tuple[IntArray, BoolArray]:
    """Return the index of the gold class of each utterance, for a task whose classes exclude each other.

    Args:
        task: Task that has `classes`.
        predictions: Predictions with the gold labels.

    Returns:
        ``(index, scored)``: indices (utterance,) in `task.classes`, arbitrary where the mask `scored` (utterance,) is
        False.
    """
    targets, scored = classes_of(task, predictions)
    return (targets.sum(axis=1) if task.cuts else targets.argmax(axis=1)), scored


def most_probable_class(task: Task, values: FloatArray) -> IntArray:
    """Return the index of the most probable class of each utterance, for a task whose classes exclude each other.

    Args:
        task: Task that has `classes`.
        values: Predicted values (utterance, output).

    Returns:
        Indices (utterance,) in `task.classes`. Of several equally probable classes, the first one.
    """
    most_probable: IntArray = class_probabilities(task, values).argmax(axis=1)
    return most_probable


def video_numbers(predictions: Predictions) -> tuple[NDArray[np.intp], int]:
    """Number the videos from 0, in the sorted order of their ids.

    Returns:
        The index of each utterance's video (utterance,), and the number of videos.
    """
    names, number = np.unique(predictions.video_id.astype(str), return_inverse=True)
    return number.reshape(-1), len(names)


def _checked_outputs(task: Task, values: FloatArray, name: str) -> FloatArray:
    """Return the predicted values of one task in float64.

    Raises:
        DataError: The number of outputs is wrong, an intensity is not finite, or a probability is not in [0, 1].
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape[1] != len(task.outputs):
        raise DataError(
            f"Expected {name} to have {len(task.outputs)} outputs of {task.name} per utterance, "
            f"but got {values.shape[1]}; give {', '.join(task.outputs)}"
        )
    if task.predicts_degrees:
        missing = ~np.isfinite(values)
        if missing.any():
            raise DataError(
                f"Expected finite intensities in {name}, but got {int(missing.sum())} that are not; "
                "a system must answer for every utterance"
            )
        return values
    invalid = ~((values >= 0) & (values <= 1))
    if invalid.any():
        raise DataError(
            f"Expected probabilities in [0, 1] in {name}, but got {values[invalid][0]} and {int(invalid.sum()) - 1} "
            "more outside; a system must answer for every utterance"
        )
    return values


def _first_difference(first: Predictions, other: Predictions) -> str:
    """Describe the first difference in utterances or gold labels.

    Return an empty text if there is no difference.
    """
    if first.sentiment_values != other.sentiment_values:
        return f"sentiment values {first.sentiment_values.value} and {other.sentiment_values.value}"
    rows = min(len(first.index), len(other.index))
    other_utterance = (first.video_id[:rows] != other.video_id[:rows]) | (first.index[:rows] != other.index[:rows])
    if other_utterance.any():
        row = int(np.argmax(other_utterance))
        return f"{_row_name(first, row)} against {_row_name(other, row)}"
    if len(first.index) != len(other.index):
        longer = first if len(first.index) > rows else other
        return (
            f"{len(first.index)} against {len(other.index)} utterances, the first extra one {_row_name(longer, rows)}"
        )
    gold, other_gold = _gold_labels(first, other), _gold_labels(other, first)
    other_labels = ~((gold == other_gold) | (np.isnan(gold) & np.isnan(other_gold))).all(axis=1)
    if other_labels.any():
        row = int(np.argmax(other_labels))
        return f"other gold labels for {_row_name(first, row)}: {gold[row].tolist()} against {other_gold[row].tolist()}"
    return ""


def _gold_labels(predictions: Predictions, other: Predictions) -> NDArray[Any]:
    """Return the gold labels (utterance, label) of the label spaces that two Predictions have in common."""
    shared = [
        task
        for name, task in predictions.tasks.items()
        if not task.on_request and name in other.tasks and task.space.describes_same(other.tasks[name].space)
    ]
    columns = [labels_of(task, predictions) for task in shared]
    # float32, because one of the compared systems may have stored its labels in float32
    return np.concatenate([np.empty((len(predictions.index), 0)), *columns], axis=1).astype(np.float32)


def _row_name(predictions: Predictions, row: int) -> str:
    """Return a text for error messages that names the utterance of a row."""
    return f"utterance {predictions.index[row]} of video {predictions.video_id[row]}"
