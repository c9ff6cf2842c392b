"""Scores of predicted degrees as functions of sums per video, so that resampling videos is a matrix product.

A missing gold value (NaN) is left out, never read as zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.metrics.confusion import quotient
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
    parts = []
    for terms in (labelled, x, y, x * x, y * y, x * y, np.abs(y - x)):
        sums = np.zeros((n_videos, *target.shape[1:]))
        np.add.at(sums, video, terms)
        parts.append(sums)
    return Moments(*parts)


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
