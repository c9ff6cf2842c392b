"""Metrics of predicted intensities, computed from sums per video.

One matrix product adds the sums of the videos in every bootstrap resample. A missing gold value (NaN) is
excluded and never counted as zero.

Sentiment intensities are also evaluated as 7 or 5 classes. There are two rounding rules, which disagree on many labels,
so the name of every such result contains its rule.

| rule | class of a score | source |
|---|---|---|
| `round` | clip to [-3, 3] (or [-2, 2]), then round, halves to even | code of the Multimodal Transformer and of MMSA |
| `sdk` | away from 0: (0, 1] is 1, (1, 2] is 2, > 2 is 3, likewise below; 0 is 0 | CMU-MOSEI's readme, for its labels |

The readme's rule is for labels, which are multiples of 1/3, whereas a prediction is almost never exactly 0. `sdk`
therefore first rounds labels and predictions to the nearest third, which the readme does not mention. With five
classes, 3 counts as 2, and -3 as -2.

CH-SIMS has sentiment scores in [-1, 1]. Its published evaluation, in the code of MMSA, divides them into 2, 3 and 5
classes at fixed bounds (`interval_classes`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.metrics.confusion import quotient, sum_per_video
from mien.schema import FloatArray, IntArray

# n values count as constant if n * (sum of squares) - (sum)^2 is at most this share of n * (sum of squares). Because of
# rounding, the difference can be slightly above zero for constant values.
CONSTANT = 1e-12


class Moments(NamedTuple):
    """Sums over labelled utterances from which metrics of predicted intensities are computed.

    Let x be the gold value and y the prediction of an utterance. The fields contain the number of utterances and the
    sums of x, y, x^2, y^2, x y and |y - x|. All arrays have the same shape.
    """

    n: FloatArray  # number of labelled utterances
    x: FloatArray  # sum of x
    y: FloatArray  # sum of y
    xx: FloatArray  # sum of x^2
    yy: FloatArray  # sum of y^2
    xy: FloatArray  # sum of x * y
    absolute: FloatArray  # sum of |y - x|

    def summed(self) -> Moments:
        """Return the sums added up along the first axis, for example over videos."""
        return Moments(*(np.asarray(part).sum(axis=0) for part in self))

    def resampled(self, weights: NDArray[Any]) -> Moments:
        """Compute the sums of every bootstrap resample of the videos. The first axis of the sums must be the video.

        Args:
            weights: How many times each resample contains each video, (resample, video).

        Returns:
            Sums (resample, ...). A video that a resample contains twice counts twice.
        """
        return Moments(*(np.tensordot(weights.astype(np.float64, copy=False), part, axes=(1, 0)) for part in self))


def moments_per_video(target: FloatArray, prediction: FloatArray, video: IntArray, n_videos: int) -> Moments:
    """Compute the sums in `Moments` over the labelled utterances of each video.

    Args:
        target: Gold values (utterance, ...), NaN where missing.
        prediction: Finite predictions, in the shape of `target`.
        video: Index of the video of each utterance, from 0 to n_videos - 1, (utterance,).
        n_videos: Number of videos.

    Returns:
        Sums (video, ...). They are zero for a video without labelled utterances.
    """
    labelled = ~np.isnan(target)
    x, y = np.where(labelled, target, 0.0), np.where(labelled, prediction, 0.0)
    terms = (labelled, x, y, x * x, y * y, x * y, np.abs(y - x))
    return Moments(*(sum_per_video(each, video, n_videos) for each in terms))


def mean_absolute_error(moments: Moments) -> FloatArray:
    """Compute the mean absolute error of the predictions, in the unit of the labels. NaN where there is no label."""
    return quotient(moments.absolute, moments.n)


def pearson(moments: Moments) -> FloatArray:
    """Compute Pearson's correlation, in [-1, 1], between gold and predicted values.

    It is NaN if all gold values are equal or all predicted values are equal.
    """
    covariance = moments.n * moments.xy - moments.x * moments.y
    spread_x = moments.n * moments.xx - moments.x**2
    spread_y = moments.n * moments.yy - moments.y**2
    constant = (spread_x <= CONSTANT * moments.n * moments.xx) | (spread_y <= CONSTANT * moments.n * moments.yy)
    product = np.where(constant, 0.0, np.maximum(spread_x, 0.0) * np.maximum(spread_y, 0.0))
    return np.clip(quotient(covariance, np.sqrt(product)), -1, 1)


def concordance_correlation(moments: Moments) -> FloatArray:
    """Compute Lin's concordance correlation coefficient, in [-1, 1], between gold and predicted values.

    It is 2 cov(x, y) / (var(x) + var(y) + (mean(x) - mean(y))^2), with variances that divide by n. It is 1 only if all
    predictions are exact. NaN if all gold and predicted values are the same number.
    """
    covariance = moments.n * moments.xy - moments.x * moments.y
    spread = moments.n * (moments.xx + moments.yy) - moments.x**2 - moments.y**2
    distance = spread + (moments.x - moments.y) ** 2
    constant = distance <= CONSTANT * moments.n * (moments.xx + moments.yy)
    return np.clip(quotient(2 * covariance, np.where(constant, 0.0, distance)), -1, 1)


STEPS_PER_POINT = 3


class GradeRule(StrEnum):
    """Rule that rounds a sentiment score in [-3, 3] to a whole number, which is the class of the score.

    `ROUND` rounds to the nearest whole number; a score halfway between two whole numbers becomes the even one. `SDK`
    first rounds to the nearest third. If the result is not a whole number, it then becomes the next one away from zero.
    """

    ROUND = "round"
    SDK = "sdk"


def grades(values: FloatArray, rule: GradeRule, n_grades: int = 7) -> IntArray:
    """Turn sentiment scores into classes, which are whole numbers.

    Args:
        values: Finite scores in [-3, 3], any shape.
        rule: Rounding rule.
        n_grades: Number of classes: 7 (from -3 to 3) or 5 (from -2 to 2).

    Returns:
        Class of each score, in the shape of `values`.
    """
    top = n_grades // 2
    if rule is GradeRule.ROUND:
        return np.asarray(np.round(np.clip(values, -top, top)), dtype=np.int64)
    stepped = np.round(np.asarray(values, dtype=np.float64) * STEPS_PER_POINT)
    rounded_away = np.sign(stepped) * np.ceil(np.abs(stepped) / STEPS_PER_POINT)
    return np.asarray(np.clip(rounded_away, -top, top), dtype=np.int64)


def interval_classes(values: FloatArray, bounds: tuple[float, ...]) -> IntArray:
    """Turn scores into classes, which are intervals. A score that equals a bound belongs to the lower class.

    Scores and bounds are compared as float32 numbers, because a score that a file stores as the float32 nearest to 0.1
    would otherwise be above 0.1.

    Args:
        values: Finite scores, any shape.
        bounds: Bounds between the classes in rising order.

    Returns:
        Class of each score, from 0 to the number of bounds, in the shape of `values`.
    """
    return np.searchsorted(np.asarray(bounds, dtype=np.float32), np.asarray(values, dtype=np.float32), side="left")
