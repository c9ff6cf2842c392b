"""Whether a probability means what it says: of all cases given 0.7, do seven in ten hold?"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.schema import BoolArray, FloatArray

N_BINS = 10


class Bins(StrEnum):
    """How the probabilities are put into bins; part of the definition, so it has a name."""

    EQUAL_WIDTH = "equal_width"  # [0, 1/n), [1/n, 2/n), ..., [1 - 1/n, 1]
    EQUAL_COUNT = "equal_count"  # edges at the quantiles of the probabilities; equal probabilities share a bin


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
    promised = np.bincount(number, weights=probability, minlength=n_bins)
    return float(np.abs(present - promised).sum() / probability.size)


def brier(target: BoolArray, probability: FloatArray) -> float:
    """Mean of (probability - target)^2 over (utterance,); smaller is better; NaN where nothing is scored."""
    probability = np.asarray(probability, dtype=np.float64)
    if probability.size == 0:
        return float("nan")
    return float(np.mean((probability - np.asarray(target, dtype=np.float64)) ** 2))


def _bin_numbers(probability: FloatArray, n_bins: int, bins: Bins) -> NDArray[Any]:
    if bins is Bins.EQUAL_WIDTH:
        return np.minimum((probability * n_bins).astype(np.intp), n_bins - 1)
    inner_edges = np.quantile(probability, np.arange(1, n_bins) / n_bins)
    return np.searchsorted(inner_edges, probability, side="right")
