"""Significance tests: bootstrap over videos, t-test over seeds, McNemar's test over utterances, Holm's correction.

The utterances of one video depend on each other, so the bootstrap resamples videos (docs/protocol.md). It uses counts
per video: their matrix product with `video_weights` gives the counts of all resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import DataError
from mien.schema import BoolArray, FloatArray

N_RESAMPLES = 1000
LEVEL = 0.95
# if the standard deviation of differences over seeds is not above this, the differences are equal up to rounding
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """Percentile interval of a score over bootstrap resamples.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        n_defined: Number of resamples where the score is defined. The other resamples are excluded.
    """

    low: float
    high: float
    n_defined: int


@dataclass(frozen=True, slots=True)
class PairedBootstrap:
    """Confidence interval and two-sided p-value of the difference in score between two systems, A - B.

    Both are computed from bootstrap resamples of the videos.
    """

    interval: Interval
    p: float


@dataclass(frozen=True, slots=True)
class PairedTTest:
    """Result of Student's paired t-test of two systems A and B, whose runs are paired by seed.

    If the test is undefined, t and p are NaN, and `reason` explains why.
    """

    t: float
    p: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class McNemar:
    """Result of McNemar's test of two systems A and B.

    It contains the number of utterances where only A is right, the number where only B is right, and the two-sided
    p-value.
    """

    n_only_a_right: int
    n_only_b_right: int
    p: float


def video_weights(n_videos: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """Draw bootstrap resamples of the videos. Each resample consists of n_videos videos, drawn with replacement.

    The same seed always gives the same resamples. Two systems that are scored with the same seed can therefore be
    compared resample by resample.

    Args:
        n_videos: Number of videos.
        n_resamples: Number of resamples.
        seed: Seed of the random numbers.

    Returns:
        How many times each resample contains each video, (resample, video). Every row sums to n_videos.

    Raises:
        DataError: There is no video.
    """
    if n_videos < 1:
        raise DataError(f"Expected at least one video to resample, but got {n_videos}; give predictions that have rows")
    chances = np.full(n_videos, 1 / n_videos)
    return np.random.default_rng(seed).multinomial(n_videos, chances, size=n_resamples)


def paired_bootstrap(differences: FloatArray, level: float = LEVEL) -> PairedBootstrap:
    """Compute the confidence interval and the two-sided p-value of the difference in score of two systems.

    The p-value is twice the smaller of two shares: the share of the resamples with a difference <= 0, and the share
    with a difference >= 0. It is clipped to [1 / (n + 1), 1], where n is the number of defined differences, because n
    resamples cannot show a smaller p-value.

    Args:
        differences: Difference A - B in each bootstrap resample, (resample,). NaN where a score is undefined.
        level: Confidence level of the interval, for example 0.95.

    Returns:
        Interval and p-value. They are NaN if no difference is defined.
    """
    defined = differences[~np.isnan(differences)]
    interval = percentile_interval(differences, level)
    if defined.size == 0:
        return PairedBootstrap(interval, float("nan"))
    p = 2 * min(float(np.mean(defined <= 0)), float(np.mean(defined >= 0)))
    return PairedBootstrap(interval, min(max(p, 1 / (defined.size + 1)), 1.0))


def percentile_interval(values: FloatArray, level: float = LEVEL) -> Interval:
    """Compute the central percentile interval of the values of a score in bootstrap resamples.

    Args:
        values: One value per resample, (resample,). NaN values are excluded.
        level: Confidence level of the interval, for example 0.95.

    Returns:
        The interval. Its bounds are NaN if all values are NaN.
    """
    defined = values[~np.isnan(values)]
    if defined.size == 0:
        return Interval(float("nan"), float("nan"), 0)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), int(defined.size))


def paired_t_test(a: ArrayLike, b: ArrayLike) -> PairedTTest:
    """Compute the two-sided paired t-test of the scores of two systems over seeds.

    Args:
        a: Scores of system A, one per seed, (seed,).
        b: Scores of system B for the same seeds in the same order, (seed,).

    Returns:
        t and p. Both are NaN, and a reason is given, in three cases: there are fewer than two seeds, a score is
        undefined, or all differences are equal.

    Raises:
        DataError: The numbers of scores differ.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise DataError(
            f"Expected as many scores of A as of B, but got {first.size} and {second.size}; pair them by seed"
        )
    from scipy import stats  # slow to import, and prediction does not need it

    differences = first - second
    nan = float("nan")
    if differences.size < 2:
        return PairedTTest(nan, nan, f"a t-test over seeds needs at least two, got {differences.size}")
    if np.isnan(differences).any():
        return PairedTTest(nan, nan, "the score is undefined for some seed")
    spread = float(differences.std(ddof=1))
    if spread <= ROUNDING:
        return PairedTTest(nan, nan, "the difference is the same for every seed, so its spread says nothing")
    t = float(differences.mean()) / (spread / math.sqrt(differences.size))
    return PairedTTest(t, float(2 * stats.t.sf(abs(t), differences.size - 1)))


def mcnemar(a_right: BoolArray, b_right: BoolArray) -> McNemar:
    """Compute the exact McNemar test of two systems A and B.

    The test uses only the utterances where exactly one of the two systems is right. It assumes independent utterances.
    The utterances of one video depend on each other, so the p-value is slightly too small. Prefer the paired bootstrap
    over videos.

    Args:
        a_right: True where the decision of A is right, (utterance,).
        b_right: True where the decision of B is right, (utterance,), for the same utterances.

    Returns:
        The number of utterances where only A is right, the number where only B is right, and the two-sided p-value. The
        p-value is 1 if both numbers are 0.
    """
    from scipy import stats

    only_a = int(np.sum(a_right & ~b_right))
    only_b = int(np.sum(~a_right & b_right))
    if only_a + only_b == 0:
        return McNemar(0, 0, 1.0)
    return McNemar(only_a, only_b, float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue))


def holm(p_values: ArrayLike) -> FloatArray:
    """Compute the p-values of several tests after Holm's step-down correction, (test,).

    The correction bounds the probability of at least one false positive among the tests. The m p-values are sorted in
    ascending order, and the k-th is multiplied by m - k + 1. A product that is smaller than the preceding one is
    replaced by the preceding one. A corrected p-value above 1 is set to 1. A p-value that is NaN stays NaN and is not
    counted in m.
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected
