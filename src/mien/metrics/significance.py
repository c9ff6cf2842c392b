"""Is the difference real? Bootstrap over videos, t-test over seeds, McNemar over utterances, Holm over metrics.

The utterances of one video are not independent, so what is resampled is the video (docs/protocol.md). The bootstrap
works on counts per video: one matrix product with `video_weights` gives the counts of all resamples.
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
# differences over seeds that spread less than this are equal up to rounding
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile interval of a resampled score."""

    low: float
    high: float
    n_defined: int  # resamples in which the score is defined: the others are left out


@dataclass(frozen=True, slots=True)
class PairedBootstrap:
    """A resampled difference A - B."""

    interval: Interval
    p: float


@dataclass(frozen=True, slots=True)
class PairedTTest:
    """Student's t of the differences A - B over seeds. NaN, with the reason, where it says nothing."""

    t: float
    p: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class McNemar:
    """Where two systems disagree about being right."""

    n_only_a_right: int
    n_only_b_right: int
    p: float


def video_weights(n_videos: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """How often each resample draws each video, with replacement: (resample, video), rows sum to n_videos.

    Drawing n videos out of n with replacement is one multinomial draw of n with equal chances. The same seed gives the
    same weights, so two systems scored with them are compared pair by pair.

    Raises:
        DataError: there is no video.
    """
    if n_videos < 1:
        raise DataError(f"Expected at least one video to resample, but got {n_videos}; give predictions that have rows")
    chances = np.full(n_videos, 1 / n_videos)
    return np.random.default_rng(seed).multinomial(n_videos, chances, size=n_resamples)


def paired_bootstrap(differences: FloatArray, level: float = LEVEL) -> PairedBootstrap:
    """Interval and two-sided p from resampled differences (resample,); NaN where a resample left a score undefined.

    p = 2 * min(share <= 0, share >= 0), clipped to [1 / (n + 1), 1]: n resamples cannot show a smaller one.
    """
    defined = differences[~np.isnan(differences)]
    interval = percentile_interval(differences, level)
    if defined.size == 0:
        return PairedBootstrap(interval, float("nan"))
    p = 2 * min(float(np.mean(defined <= 0)), float(np.mean(defined >= 0)))
    return PairedBootstrap(interval, min(max(p, 1 / (defined.size + 1)), 1.0))


def percentile_interval(values: FloatArray, level: float = LEVEL) -> Interval:
    """The middle `level` of resampled values (resample,), undefined ones (NaN) left out; NaN if none is left."""
    defined = values[~np.isnan(values)]
    if defined.size == 0:
        return Interval(float("nan"), float("nan"), 0)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), int(defined.size))


def paired_t_test(a: ArrayLike, b: ArrayLike) -> PairedTTest:
    """Two-sided paired t-test over seeds.

    Args:
        a: (seed,) scores of system A.
        b: (seed,) scores of system B with the same seeds in the same order.

    Returns:
        t and p; NaN with the reason where there are fewer than two seeds, where a score is undefined, or where the
        differences do not spread.

    Raises:
        DataError: the numbers of scores differ.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise DataError(
            f"Expected as many scores of A as of B, but got {first.size} and {second.size}; pair them by seed"
        )
    from scipy import stats  # takes most of a second to import, and prediction never needs it

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
    """Exact McNemar test: among the cases only one system gets right, is one system right more often than half?

    Args:
        a_right: (utterance,) whether A decides rightly.
        b_right: (utterance,) whether B does, on the same utterances.

    Returns:
        Both counts and the two-sided p (1 where the systems never differ). Utterances of one video depend on each
        other, so this p is a little too small; the paired video bootstrap is the one to trust.
    """
    from scipy import stats

    only_a = int(np.sum(a_right & ~b_right))
    only_b = int(np.sum(~a_right & b_right))
    if only_a + only_b == 0:
        return McNemar(0, 0, 1.0)
    return McNemar(only_a, only_b, float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue))


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's step-down correction (test,): the chance of even one false claim stays below the level.

    The k-th smallest of m values is multiplied by m - k + 1, and made no smaller than the one before. NaN stays NaN and
    is not counted as a test.
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected
