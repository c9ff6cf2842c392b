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
    """How probabilities are divided into bins."""

    EQUAL_WIDTH = "equal_width"  # with n bins: [0, 1/n), [1/n, 2/n), ..., [1 - 1/n, 1]
    EQUAL_COUNT = "equal_count"  # edges at quantiles of the probabilities; equal probabilities share a bin


class ReliabilityBins(NamedTuple):
    """Data of a reliability diagram: four arrays with one entry per bin."""

    probability: FloatArray  # mean predicted probability, NaN in an empty bin
    share: FloatArray  # share of utterances where the class is present, NaN in an empty bin
    n_cases: FloatArray  # number of utterances
    n_present: FloatArray  # number of utterances where the class is present


def calibration_error(
    target: BoolArray, probability: FloatArray, n_bins: int = N_BINS, bins: Bins = Bins.EQUAL_WIDTH
) -> float:
    """Compute the expected calibration error of the predicted probabilities of one class.

    In each bin of probabilities, the gap is |share of utterances where the class is present - mean probability|. The
    error is the mean gap over the bins, weighted by the number of utterances in each. The probabilities are those of
    the class itself, not the confidence of the decision for or against the class.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability of the class in [0, 1], (utterance,).
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
    """Compute `calibration_error`, with bins of equal width, for many bootstrap resamples of the videos.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability of the class in [0, 1], (utterance,).
        video: Index of the video of each utterance, (utterance,).
        weights: How many times each resample contains each video, (resample, video).
        n_bins: Number of bins.

    Returns:
        Calibration errors (resample,); NaN where a resample has no utterance.
    """
    bin_number = _bin_numbers(np.asarray(probability, dtype=np.float64), n_bins, Bins.EQUAL_WIDTH)
    gaps = np.zeros((weights.shape[1], n_bins))
    np.add.at(gaps, (video, bin_number), np.asarray(target, dtype=np.float64) - probability)
    n_cases = np.bincount(video, minlength=weights.shape[1])
    return quotient(np.abs(weights @ gaps).sum(axis=1), weights @ n_cases)


def brier(target: BoolArray, probability: FloatArray) -> float:
    """Compute the Brier score, which is the mean of (probability - target)^2 with the target 0 or 1.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability of the class in [0, 1], (utterance,).

    Returns:
        Score in [0, 1]; smaller is better. NaN if there are no utterances.
    """
    probability = np.asarray(probability, dtype=np.float64)
    if probability.size == 0:
        return float("nan")
    return float(np.mean((probability - np.asarray(target, dtype=np.float64)) ** 2))


def equal_count_edges(probability: FloatArray, n_bins: int = N_BINS) -> FloatArray:
    """Compute the edges between bins that have about the same number of utterances: quantiles of the probabilities.

    An edge belongs to the bin above it. Equal probabilities therefore fall into the same bin, so bins may differ in
    their number of utterances or be empty.

    Args:
        probability: Probabilities in [0, 1], (utterance,).
        n_bins: Number of bins.

    Returns:
        Ascending edges (n_bins - 1,).
    """
    edges: FloatArray = np.quantile(probability, np.arange(1, n_bins) / n_bins)
    return edges


def reliability(target: BoolArray, probability: FloatArray, inner_edges: FloatArray) -> ReliabilityBins:
    """Compute the mean predicted probability and the observed frequency in each bin, for a reliability diagram.

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability of the class in [0, 1], (utterance,).
        inner_edges: Ascending edges (bin - 1,) between the bins, for example from `equal_count_edges`.

    Returns:
        For every bin: the mean probability, the share of utterances with the class, and the two numbers of utterances.
    """
    n_bins = len(inner_edges) + 1
    bin_number = np.searchsorted(inner_edges, probability, side="right")
    n_cases = np.bincount(bin_number, minlength=n_bins).astype(np.float64)
    n_present = np.bincount(bin_number, weights=target, minlength=n_bins).astype(np.float64)
    probability_sum = np.bincount(bin_number, weights=probability, minlength=n_bins).astype(np.float64)
    return ReliabilityBins(quotient(probability_sum, n_cases), quotient(n_present, n_cases), n_cases, n_present)


def _bin_numbers(probability: FloatArray, n_bins: int, bins: Bins) -> NDArray[Any]:
    """Return the bin number of every probability, from 0 to n_bins - 1."""
    if bins is Bins.EQUAL_WIDTH:
        return np.minimum((probability * n_bins).astype(np.intp), n_bins - 1)
    return np.searchsorted(equal_count_edges(probability, n_bins), probability, side="right")
