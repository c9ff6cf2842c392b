"""Metrics of predicted degrees, computed from sums per video, so that resampling videos is a matrix product.

A missing gold value (NaN) is excluded and never read as zero.

Sentiment scores are also scored as 7 or 5 classes. Two rounding rules are in use and disagree on many labels, so every
result names its rule.

| rule | class of a score y | source |
|---|---|---|
| `round` | clip to [-3, 3] (or [-2, 2]), then round, halves to even | code of the Multimodal Transformer and of MMSA |
| `sdk` | away from 0: (0, 1] is 1, (1, 2] is 2, > 2 is 3, likewise below; 0 is 0 | CMU-MOSEI's readme, for its labels |

The readme's rule is for labels, which are multiples of 1/3; a prediction is almost never exactly 0. `sdk` therefore
rounds labels and predictions to the nearest third first, which the readme does not mention. Five classes are the seven
with 3 counted as 2.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.metrics.confusion import quotient, sum_per_video
from mien.schema import FloatArray, IntArray

# Smallest spread relative to n * sum of squares. Rounding gives constant values a spread slightly above zero.
CONSTANT = 1e-12


class Moments(NamedTuple):
    """Sums over labelled utterances of gold values x and predictions y: arrays of one shape."""

    n: FloatArray
    x: FloatArray
    y: FloatArray
    xx: FloatArray
    yy: FloatArray
    xy: FloatArray
    absolute: FloatArray  # sum of |y - x|

    def summed(self) -> Moments:
        """Sum over the first axis, for example over videos."""
        return Moments(*(np.asarray(part).sum(axis=0) for part in self))

    def resampled(self, weights: NDArray[Any]) -> Moments:
        """Compute sums (resample, ...) from sums (video, ...) and the weights of resamples (resample, video)."""
        return Moments(*(np.tensordot(weights.astype(np.float64, copy=False), part, axes=(1, 0)) for part in self))


def moments_per_video(target: FloatArray, prediction: FloatArray, video: IntArray, n_videos: int) -> Moments:
    """Compute the sums of each video.

    Args:
        target: Gold values (utterance, ...), NaN where missing.
        prediction: Finite predictions of the same shape.
        video: Number of each utterance's video, (utterance,), from 0 to n_videos - 1.
        n_videos: Number of videos.

    Returns:
        Sums of shape (video, ...); zeros for a video without a labelled utterance.
    """
    labelled = ~np.isnan(target)
    x, y = np.where(labelled, target, 0.0), np.where(labelled, prediction, 0.0)
    terms = (labelled, x, y, x * x, y * y, x * y, np.abs(y - x))
    return Moments(*(sum_per_video(each, video, n_videos) for each in terms))


def mean_absolute_error(moments: Moments) -> FloatArray:
    """Compute the mean of |y - x| in the unit of the labels; NaN where nothing is scored."""
    return quotient(moments.absolute, moments.n)


def pearson(moments: Moments) -> FloatArray:
    """Compute Pearson's correlation of gold and predicted values in [-1, 1]; NaN where either is constant."""
    covariance = moments.n * moments.xy - moments.x * moments.y
    spread_x = moments.n * moments.xx - moments.x**2
    spread_y = moments.n * moments.yy - moments.y**2
    constant = (spread_x <= CONSTANT * moments.n * moments.xx) | (spread_y <= CONSTANT * moments.n * moments.yy)
    product = np.where(constant, 0.0, np.maximum(spread_x, 0.0) * np.maximum(spread_y, 0.0))
    return np.clip(quotient(covariance, np.sqrt(product)), -1, 1)


STEPS_PER_POINT = 3


class GradeRule(StrEnum):
    """Rule that turns a score in [-3, 3] into one of several classes; see the table above."""

    ROUND = "round"
    SDK = "sdk"


def grades(values: FloatArray, rule: GradeRule, n_grades: int = 7) -> IntArray:
    """Turn sentiment scores into classes.

    Args:
        values: Finite scores in [-3, 3], any shape.
        rule: Rounding rule.
        n_grades: Number of classes, 7 (-3 to 3) or 5 (-2 to 2).

    Returns:
        Class numbers in the shape of `values`.
    """
    top = n_grades // 2
    if rule is GradeRule.ROUND:
        return np.asarray(np.round(np.clip(values, -top, top)), dtype=np.int64)
    stepped = np.round(np.asarray(values, dtype=np.float64) * STEPS_PER_POINT)
    rounded_away = np.sign(stepped) * np.ceil(np.abs(stepped) / STEPS_PER_POINT)
    return np.asarray(np.clip(rounded_away, -top, top), dtype=np.int64)
