"""Calibration of probabilities: whether the class occurs as often as its predicted probability states."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.metrics.confusion import quotient
from mien.schema import BoolArray, FloatArray

N_BINS = 10


class Bins(StrEnum):
    """How probabilities are divided into bins: bins of equal width, or bins with about equally many utterances."""

    EQUAL_WIDTH = "equal_width"  # with n bins: [0, 1/n), [1/n, 2/n), ..., [1 - 1/n, 1]
    EQUAL_COUNT = "equal_count"  # edges at quantiles of the probabilities; equal probabilities share a bin


class ReliabilityBins(NamedTuple):
    """Data of a reliability diagram: four arrays with one entry per bin.

    The arrays contain the mean predicted probability, the share of utterances where the class is present, the number of
    utterances, and the number of utterances where the class is present.
    """

    probability: FloatArray  # mean predicted probability, NaN in an empty bin
    share: FloatArray  # share of utterances where the class is present, NaN in an empty bin
    n_cases: FloatArray  # number of utterances
    n_present: FloatArray  # number of utterances where the class is present


def calibration_error(
    target: BoolArray, probability: FloatArray, n_bins: int = N_BINS, bins: Bins = Bins.EQUAL_WIDTH
) -> float:
    """Compute the expected calibration error of the predicted probabilities of one class.

    The utterances are divided into bins by their probability. The gap of a bin is the absolute difference between the
    share of its utterances where the class is present and their mean probability. The error is the mean of the gaps,
    weighted by the number of utterances in each bin.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability that the class is present, in [0, 1], (utterance,).
        n_bins: Number of bins.
        bins: How probabilities are divided into bins.

    Returns:
        Error in [0, 1]; smaller is better. NaN if there are no utterances.
    """
    probability = np.asarray(probability, dtype=np.float64)
    if probability.size == 0:
        return float("nan")
    bin_number = _bin_numbers(probability, n_bins, bins)
    n_present = np.bincount(bin_number, weights=np.asarray(target, dtype=np.float64), minlength=n_bins)
    probability_sum = np.bincount(bin_number, weights=probability, minlength=n_bins).astype(np.float64)
    return float(np.abs(n_present - probability_sum).sum() / probability.size)


def resampled_calibration_error(
    target: BoolArray, probability: FloatArray, video: NDArray[np.intp], weights: NDArray[Any], n_bins: int = N_BINS
) -> FloatArray:
    """Compute the expected calibration error of one class in many bootstrap resamples of the videos.

    The bins have equal width. `calibration_error` defines the error.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability that the class is present, in [0, 1], (utterance,).
        video: Index of the video of each utterance, (utterance,).
        weights: How many times each resample contains each video, (resample, video).
        n_bins: Number of bins.

    Returns:
        Calibration error of each resample, (resample,). NaN for a resample without utterances.
    """
    bin_number = _bin_numbers(np.asarray(probability, dtype=np.float64), n_bins, Bins.EQUAL_WIDTH)
    gaps = np.zeros((weights.shape[1], n_bins))
    np.add.at(gaps, (video, bin_number), np.asarray(target, dtype=np.float64) - probability)
    n_cases = np.bincount(video, minlength=weights.shape[1])
    return quotient(np.abs(weights @ gaps).sum(axis=1), weights @ n_cases)


def brier(target: BoolArray, probability: FloatArray) -> float:
    """Compute the Brier score: the mean of (probability - target)^2, where the target is 0 or 1.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability that the class is present, in [0, 1], (utterance,).

    Returns:
        Score in [0, 1]; smaller is better. NaN if there are no utterances.
    """
    probability = np.asarray(probability, dtype=np.float64)
    if probability.size == 0:
        return float("nan")
    return float(np.mean((probability - np.asarray(target, dtype=np.float64)) ** 2))


def equal_count_edges(probability: FloatArray, n_bins: int = N_BINS) -> FloatArray:
    """Compute edges of bins that contain about the same number of utterances. The edges are quantiles.

    A probability that equals an edge belongs to the bin above the edge. Equal probabilities are always in the same bin.
    If many are equal, bins may differ in their number of utterances or be empty.

    Args:
        probability: Probabilities in [0, 1], (utterance,).
        n_bins: Number of bins.

    Returns:
        Ascending edges between the bins, (n_bins - 1,).
    """
    edges: FloatArray = np.quantile(probability, np.arange(1, n_bins) / n_bins)
    return edges


def reliability(target: BoolArray, probability: FloatArray, inner_edges: FloatArray) -> ReliabilityBins:
    """Compute the mean predicted probability and the observed frequency in each bin, for a reliability diagram.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability that the class is present, in [0, 1], (utterance,).
        inner_edges: Ascending edges between the bins, (bin - 1,), for example from `equal_count_edges`.

    Returns:
        For every bin: the mean probability, the share of utterances where the class is present, the number of
        utterances, and the number of utterances where the class is present.
    """
    n_bins = len(inner_edges) + 1
    bin_number = np.searchsorted(inner_edges, probability, side="right")
    n_cases = np.bincount(bin_number, minlength=n_bins).astype(np.float64)
    n_present = np.bincount(bin_number, weights=target, minlength=n_bins).astype(np.float64)
    probability_sum = np.bincount(bin_number, weights=probability, minlength=n_bins).astype(np.float64)
    return ReliabilityBins(quotient(probability_sum, n_cases), quotient(n_present, n_cases), n_cases, n_present)


def _bin_numbers(probability: FloatArray, n_bins: int, bins: Bins) -> NDArray[Any]:
    """Return the index of the bin of every probability, (utterance,), from 0 to n_bins - 1."""
    if bins is Bins.EQUAL_WIDTH:
        return np.minimum((probability * n_bins).astype(np.intp), n_bins - 1)
    return np.searchsorted(equal_count_edges(probability, n_bins), probability, side="right")
