"""Scores of intensities. A missing gold value (NaN) is left out, never read as zero."""

from __future__ import annotations

import numpy as np

from mien.errors import DataError
from mien.schema import FloatArray


def mean_absolute_error(target: FloatArray, prediction: FloatArray) -> float:
    """Mean of |prediction - target|.

    Args:
        target: (utterance,) gold intensity, NaN where missing.
        prediction: (utterance,) predicted intensity.

    Returns:
        A number >= 0 in the unit of the labels, smaller is better; NaN where nothing is scored.

    Raises:
        DataError: the lengths differ, or a prediction for a labelled utterance is not a finite number.
    """
    target, prediction = labelled_pairs(target, prediction)
    return float(np.mean(np.abs(prediction - target))) if target.size else float("nan")


def pearson(target: FloatArray, prediction: FloatArray) -> float:
    """Pearson's correlation of gold and predicted intensities, same arguments as `mean_absolute_error`.

    Returns:
        A number in [-1, 1]; NaN where fewer than two utterances are scored or one side is constant.

    Raises:
        DataError: the lengths differ, or a prediction for a labelled utterance is not a finite number.
    """
    target, prediction = labelled_pairs(target, prediction)
    if target.size < 2 or np.ptp(target) == 0 or np.ptp(prediction) == 0:
        return float("nan")
    x, y = target - target.mean(), prediction - prediction.mean()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def labelled_pairs(target: FloatArray, prediction: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gold and predicted values of the labelled utterances, in float64. Raises DataError as the scores do."""
    target, prediction = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if target.shape != prediction.shape:
        raise DataError(
            f"Expected one prediction per gold value, but got {prediction.shape} for {target.shape}; "
            "give both with one row per utterance"
        )
    labelled = ~np.isnan(target)
    target, prediction = target[labelled], prediction[labelled]
    if not np.isfinite(prediction).all():
        raise DataError(
            f"Expected finite predictions, but got {(~np.isfinite(prediction)).sum()} that are not; "
            "a system must answer for every labelled utterance"
        )
    return target, prediction
