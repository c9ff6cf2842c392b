"""What every evaluation asks of its rows: usable probabilities, one row per utterance, the same utterances."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.schema import EMOTION_OUTPUTS, BoolArray, FloatArray
from mien.storage.predictions import Predictions


def checked(predictions: Predictions, name: str = "the predictions") -> Predictions:
    """The same predictions, sorted by video and index, with probabilities in float64.

    The order of the rows must not matter to any number, and sorting is what makes two tables comparable row by row.

    Raises:
        DataError: a probability is missing or outside [0, 1], an intensity is missing, an emotion column is missing, an
            utterance occurs twice.
    """
    sentiment = _checked_probabilities(predictions.sentiment_probability, name)
    emotions = _checked_probabilities(predictions.emotion_probabilities, name)
    if emotions is not None and emotions.shape[1] != len(EMOTION_OUTPUTS):
        raise DataError(
            f"Expected {name} to have {len(EMOTION_OUTPUTS)} emotion probabilities per utterance, "
            f"but got {emotions.shape[1]}; give {', '.join(EMOTION_OUTPUTS)}"
        )
    intensity = _checked_intensities(predictions.sentiment_intensity, name)
    intensities = _checked_intensities(predictions.emotion_intensities, name)
    order = np.lexsort((predictions.index, predictions.video_id.astype(str)))
    ordered = dataclasses.replace(
        predictions,
        video_id=predictions.video_id[order],
        index=predictions.index[order],
        sentiment=predictions.sentiment[order].astype(np.float64),
        emotions=predictions.emotions[order].astype(np.float64),
        sentiment_probability=None if sentiment is None else sentiment[order],
        emotion_probabilities=None if emotions is None else emotions[order],
        sentiment_intensity=None if intensity is None else intensity[order],
        emotion_intensities=None if intensities is None else intensities[order],
    )
    twice = np.flatnonzero((ordered.video_id[1:] == ordered.video_id[:-1]) & (ordered.index[1:] == ordered.index[:-1]))
    if twice.size:
        row = int(twice[0])
        raise DataError(
            f"Expected every utterance once in {name}, but got utterance {ordered.index[row]} of video "
            f"{ordered.video_id[row]} twice; remove one of the rows"
        )
    return ordered


def subset(predictions: Predictions, members: BoolArray) -> Predictions:
    """The rows (utterance,) of which `members` is True, in their order."""
    values = {field.name: getattr(predictions, field.name) for field in dataclasses.fields(predictions)}
    kept: dict[str, Any] = {name: value[members] for name, value in values.items() if isinstance(value, np.ndarray)}
    return dataclasses.replace(predictions, **kept)


def require_same_utterances(all_predictions: Sequence[Predictions], names: Sequence[str]) -> None:
    """Raise DataError naming the first difference in utterances or gold labels between `checked` predictions."""
    first = all_predictions[0]
    for other, name in zip(all_predictions[1:], names[1:], strict=True):
        difference = _first_difference(first, other)
        if difference:
            raise DataError(
                f"Expected {names[0]} and {name} to be about the same utterances with the same gold labels, "
                f"but got {difference}; evaluate both on the same split of the same dataset"
            )


def video_numbers(predictions: Predictions) -> tuple[NDArray[np.intp], int]:
    """The number of each row's video (utterance,) and how many videos there are; rows must be `checked`."""
    names, number = np.unique(predictions.video_id.astype(str), return_inverse=True)
    return number.reshape(-1), len(names)


def _checked_probabilities(values: FloatArray | None, name: str) -> FloatArray | None:
    if values is None:
        return None
    values = np.asarray(values, dtype=np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise DataError(
            f"Expected probabilities in [0, 1] in {name}, but got {values[wrong][0]} and {int(wrong.sum()) - 1} more "
            "outside; a system must answer for every utterance"
        )
    return values


def _checked_intensities(values: FloatArray | None, name: str) -> FloatArray | None:
    if values is None:
        return None
    values = np.asarray(values, dtype=np.float64)
    missing = ~np.isfinite(values)
    if missing.any():
        raise DataError(
            f"Expected finite intensities in {name}, but got {int(missing.sum())} that are not; "
            "a system must answer for every utterance"
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
