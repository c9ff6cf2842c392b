"""Scores of intensities. A missing gold value (NaN) is left out, never read as zero.

Errors and correlations as functions of sums per video, so that resampling videos is a matrix product.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.metrics.confusion import quotient
from mien.schema import FloatArray, IntArray


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


class Moments(NamedTuple):
    """Sums over labelled utterances of gold values x and predictions y; arrays of one shape."""

    n: FloatArray
    x: FloatArray
    y: FloatArray
    xx: FloatArray
    yy: FloatArray
    xy: FloatArray
    absolute: FloatArray  # of |y - x|

    def summed(self) -> Moments:
        """The sums over the first axis: from one row per video to one score."""
        return Moments(*(np.asarray(part).sum(axis=0) for part in self))

    def resampled(self, weights: NDArray[Any]) -> Moments:
        """The sums of many resamples (resample, video) of the first axis: (resample, ...) from (video, ...)."""
        return Moments(*(np.tensordot(weights.astype(np.float64, copy=False), part, axes=(1, 0)) for part in self))


def moments_per_video(target: FloatArray, prediction: FloatArray, video: IntArray, n_videos: int) -> Moments:
    """Sums of each video.

    Args:
        target: (utterance, ...) gold values, NaN where missing.
        prediction: the same shape, finite.
        video: (utterance,) number of each row's video.
        n_videos: how many there are; one without a labelled utterance has zeros.
    """
    labelled = ~np.isnan(target)
    x, y = np.where(labelled, target, 0.0), np.where(labelled, prediction, 0.0)
    parts = []
    for terms in (labelled, x, y, x * x, y * y, x * y, np.abs(y - x)):
        sums = np.zeros((n_videos, *target.shape[1:]))
        np.add.at(sums, video, terms)
        parts.append(sums)
    return Moments(*parts)


def mean_absolute_error_of(moments: Moments) -> FloatArray:
    """`mean_absolute_error` from sums; NaN where nothing is scored."""
    return quotient(moments.absolute, moments.n)


def pearson_of(moments: Moments) -> FloatArray:
    """`pearson` from sums; NaN where one side is constant."""
    covariance = moments.n * moments.xy - moments.x * moments.y
    spread_x = moments.n * moments.xx - moments.x**2
    spread_y = moments.n * moments.yy - moments.y**2
    # a constant side has a spread of rounding noise, not of exactly zero
    constant = (spread_x <= 1e-12 * moments.n * moments.xx) | (spread_y <= 1e-12 * moments.n * moments.yy)
    product = np.where(constant, 0.0, np.maximum(spread_x, 0.0) * np.maximum(spread_y, 0.0))
    return np.clip(quotient(covariance, np.sqrt(product)), -1, 1)
