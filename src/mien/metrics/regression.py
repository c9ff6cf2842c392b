"""Scores of predicted degrees as functions of sums per video, so that resampling videos is a matrix product.

A missing gold value (NaN) is left out, never read as zero.

Sentiment scores as 7 or 5 classes. Two rules are in use and disagree on many labels: every result names its rule.

| rule | a score y becomes | source |
|---|---|---|
| `round` | cut to [-3, 3] (or [-2, 2]), then rounded, halves to even | the Multimodal Transformer's code, MMSA's |
| `sdk` | away from 0: (0, 1] is 1, (1, 2] is 2, > 2 is 3, likewise below; 0 is 0 | CMU-MOSEI's readme, for its labels |

The readme speaks of labels, which are multiples of a third; a prediction is hardly ever exactly 0. Under `sdk` both are
therefore moved to the nearest third first: this part is ours. Five classes are the seven with 3 counted as 2.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.metrics.confusion import quotient, sum_per_video
from mien.schema import FloatArray, IntArray

# Relative to n * sum of squares. A constant side has a spread of rounding noise, not of exactly zero.
CONSTANT = 1e-12


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
    terms = (labelled, x, y, x * x, y * y, x * y, np.abs(y - x))
    return Moments(*(sum_per_video(each, video, n_videos) for each in terms))


def mean_absolute_error(moments: Moments) -> FloatArray:
    """Mean of |y - x| in the unit of the labels; NaN where nothing is scored."""
    return quotient(moments.absolute, moments.n)


def pearson(moments: Moments) -> FloatArray:
    """Pearson's correlation of gold and predicted values, in [-1, 1]; NaN where one side is constant."""
    covariance = moments.n * moments.xy - moments.x * moments.y
    spread_x = moments.n * moments.xx - moments.x**2
    spread_y = moments.n * moments.yy - moments.y**2
    constant = (spread_x <= CONSTANT * moments.n * moments.xx) | (spread_y <= CONSTANT * moments.n * moments.yy)
    product = np.where(constant, 0.0, np.maximum(spread_x, 0.0) * np.maximum(spread_y, 0.0))
    return np.clip(quotient(covariance, np.sqrt(product)), -1, 1)


STEPS_PER_POINT = 3


class GradeRule(StrEnum):
    """How a score in [-3, 3] becomes one of several classes."""

    ROUND = "round"
    SDK = "sdk"


def grades(values: FloatArray, rule: GradeRule, n_grades: int = 7) -> IntArray:
    """Classes -3 to 3 (seven) or -2 to 2 (five) of finite scores in [-3, 3], same shape."""
    top = n_grades // 2
    if rule is GradeRule.ROUND:
        return np.asarray(np.round(np.clip(values, -top, top)), dtype=np.int64)
    stepped = np.round(np.asarray(values, dtype=np.float64) * STEPS_PER_POINT)
    away = np.sign(stepped) * np.ceil(np.abs(stepped) / STEPS_PER_POINT)
    return np.asarray(np.clip(away, -top, top), dtype=np.int64)
