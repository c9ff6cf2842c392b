"""Whether a probability means what it says: of all cases given 0.7, do seven in ten hold?"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.metrics.confusion import quotient
from mien.schema import BoolArray, FloatArray

N_BINS = 10


class Bins(StrEnum):
    """How the probabilities are put into bins; part of the definition, so it has a name."""

    EQUAL_WIDTH = "equal_width"  # [0, 1/n), [1/n, 2/n), ..., [1 - 1/n, 1]
    EQUAL_COUNT = "equal_count"  # edges at the quantiles of the probabilities; equal probabilities share a bin


class ReliabilityBins(NamedTuple):
    """What a reliability diagram draws; four arrays (bin,)."""

    probability: FloatArray  # mean probability in the bin, NaN where it is empty
    share: FloatArray  # share of present cases in the bin, NaN where it is empty
    n_cases: FloatArray  # utterances in the bin
    n_present: FloatArray  # those of them where the class is present


def calibration_error(
    target: BoolArray, probability: FloatArray, n_bins: int = N_BINS, bins: Bins = Bins.EQUAL_WIDTH
) -> float:
    """Expected calibration error of a binary probability.

    sum over bins of (n_bin / n) * |share of present cases in the bin - mean probability in the bin|. The probability is
    that of the positive class, over the whole of [0, 1]; it is not the confidence of the predicted class.

    Args:
        target: (utterance,) True where the class is present. Leave unlabelled utterances out.
        probability: (utterance,) in [0, 1].
        n_bins: number of bins, default 10.
        bins: how the bins are cut, default `Bins.EQUAL_WIDTH`.

    Returns:
        A number in [0, 1], smaller is better; NaN where nothing is scored.
    """
    probability = np.asarray(probability, dtype=np.float64)
    if probability.size == 0:
        return float("nan")
    number = _bin_numbers(probability, n_bins, bins)
    present = np.bincount(number, weights=np.asarray(target, dtype=np.float64), minlength=n_bins)
    promised = np.bincount(number, weights=probability, minlength=n_bins).astype(np.float64)
    return float(np.abs(present - promised).sum() / probability.size)


def resampled_calibration_error(
    target: BoolArray, probability: FloatArray, video: NDArray[np.intp], weights: NDArray[Any], n_bins: int = N_BINS
) -> FloatArray:
    """`calibration_error` in bins of equal width, of many resamples of the videos at once.

    Args:
        target: (utterance,) True where the class is present.
        probability: (utterance,) in [0, 1].
        video: (utterance,) number of the utterance's video.
        weights: (resample, video) how often each resample drew each video.
        n_bins: number of bins, default 10.

    Returns:
        (resample,), NaN where a resample drew nothing that is scored.
    """
    number = _bin_numbers(np.asarray(probability, dtype=np.float64), n_bins, Bins.EQUAL_WIDTH)
    gaps = np.zeros((weights.shape[1], n_bins))
    np.add.at(gaps, (video, number), np.asarray(target, dtype=np.float64) - probability)
    n_cases = np.bincount(video, minlength=weights.shape[1])
    return quotient(np.abs(weights @ gaps).sum(axis=1), weights @ n_cases)


def brier(target: BoolArray, probability: FloatArray) -> float:
    """Mean of (probability - target)^2 over (utterance,); smaller is better; NaN where nothing is scored."""
    probability = np.asarray(probability, dtype=np.float64)
    if probability.size == 0:
        return float("nan")
    return float(np.mean((probability - np.asarray(target, dtype=np.float64)) ** 2))


def equal_count_edges(probability: FloatArray, n_bins: int = N_BINS) -> FloatArray:
    """The inner edges (n_bins - 1,) of bins of equal count: the quantiles of the probabilities (utterance,).

    An edge belongs to the bin above it, so equal probabilities share a bin and bins may differ in count or be empty.
    """
    edges: FloatArray = np.quantile(probability, np.arange(1, n_bins) / n_bins)
    return edges


def reliability(target: BoolArray, probability: FloatArray, inner_edges: FloatArray) -> ReliabilityBins:
    """Per bin, what was promised and what came true.

    Args:
        target: (utterance,) True where the class is present. Leave unlabelled utterances out.
        probability: (utterance,) in [0, 1].
        inner_edges: (bin - 1,) ascending, for example from `equal_count_edges`.
    """
    n_bins = len(inner_edges) + 1
    number = np.searchsorted(inner_edges, probability, side="right")
    n_cases = np.bincount(number, minlength=n_bins).astype(np.float64)
    n_present = np.bincount(number, weights=target, minlength=n_bins).astype(np.float64)
    promised = np.bincount(number, weights=probability, minlength=n_bins).astype(np.float64)
    return ReliabilityBins(quotient(promised, n_cases), quotient(n_present, n_cases), n_cases, n_present)


def _bin_numbers(probability: FloatArray, n_bins: int, bins: Bins) -> NDArray[Any]:
    if bins is Bins.EQUAL_WIDTH:
        return np.minimum((probability * n_bins).astype(np.intp), n_bins - 1)
    return np.searchsorted(equal_count_edges(probability, n_bins), probability, side="right")
