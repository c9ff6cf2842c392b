"""The four counts of a binary decision, and every score that is a formula of them.

The counts are arrays of any shape, so one formula serves a single score, a sweep over thresholds and thousands of
bootstrap resamples at once. Nothing here rounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.schema import BoolArray, FloatArray


class Confusion(NamedTuple):
    """Counts of one or many binary decisions; four arrays of one shape."""

    tp: FloatArray  # present, and predicted present
    fp: FloatArray  # absent, but predicted present
    fn: FloatArray  # present, but predicted absent
    tn: FloatArray  # absent, and predicted absent

    @property
    def positives(self) -> FloatArray:
        """P = TP + FN."""
        return self.tp + self.fn

    @property
    def negatives(self) -> FloatArray:
        """N = TN + FP."""
        return self.tn + self.fp

    @property
    def predicted_positives(self) -> FloatArray:
        """TP + FP."""
        return self.tp + self.fp

    @property
    def total(self) -> FloatArray:
        """P + N."""
        return self.positives + self.negatives

    def summed(self) -> Confusion:
        """The counts summed over the first axis: from one row per video to one score."""
        return Confusion(*(np.asarray(part).sum(axis=0) for part in self))

    def resampled(self, weights: NDArray[Any]) -> Confusion:
        """The counts of many resamples of the first axis at once.

        Args:
            weights: (resample, video), how often each resample drew each video.

        Returns:
            Counts of shape (resample, ...) from counts of shape (video, ...).
        """
        return Confusion(*(np.tensordot(weights.astype(np.float64, copy=False), part, axes=(1, 0)) for part in self))

    def take(self, index: Any) -> Confusion:
        """The same selection of all four arrays."""
        return Confusion(*(part[index] for part in self))


def count_decisions(target: BoolArray, predicted: BoolArray, scored: BoolArray | None = None) -> Confusion:
    """Count decisions over the first axis.

    Args:
        target: (utterance, ...) True where the class is present.
        predicted: (utterance, ...) True where it is predicted; broadcasts against `target`.
        scored: (utterance,) False where the label is missing; such rows count nowhere. Default: all are scored.

    Returns:
        Counts of shape (...).

    Raises:
        DataError: the first axes differ in length.

    Example:
        >>> float(count(np.array([True, True, False]), np.array([True, False, False])).tp)
        1.0
    """
    return Confusion(*(cell.sum(axis=0, dtype=np.float64) for cell in _cells(target, predicted, scored)))


def count_per_video(
    target: BoolArray,
    predicted: BoolArray,
    video: NDArray[np.intp],
    n_videos: int,
    scored: BoolArray | None = None,
) -> Confusion:
    """Count decisions video by video.

    Args:
        target: (utterance, ...) True where the class is present.
        predicted: (utterance, ...) True where it is predicted.
        video: (utterance,) number of the utterance's video, 0 to n_videos - 1.
        n_videos: how many videos there are.
        scored: (utterance,) False where the label is missing.

    Returns:
        Counts of shape (video, ...); a video without a scored utterance has zeros.

    Raises:
        DataError: the first axes differ in length.
    """
    return Confusion(*(sum_per_video(cell, video, n_videos) for cell in _cells(target, predicted, scored)))


def sum_per_video(terms: NDArray[Any], video: NDArray[Any], n_videos: int) -> FloatArray:
    """Sums (video, ...) of terms (utterance, ...); zeros for a video without an utterance."""
    sums = np.zeros((n_videos, *terms.shape[1:]))
    np.add.at(sums, video, terms)
    return sums


def accuracy(confusion: Confusion) -> FloatArray:
    """(TP + TN) / (P + N); NaN where nothing is scored."""
    return quotient(confusion.tp + confusion.tn, confusion.total)


def weighted_accuracy(confusion: Confusion) -> FloatArray:
    """(TP/P + TN/N) / 2, the mean of both recalls, also called balanced accuracy (paper, section 4.2).

    The released code writes (TP*N/P + TN) / (2N), which is the same number. Every constant predictor has 0.5.
    NaN where P or N is 0.
    """
    return (quotient(confusion.tp, confusion.positives) + quotient(confusion.tn, confusion.negatives)) / 2


def weighted_f1(confusion: Confusion) -> FloatArray:
    """(P * F1_present + N * F1_absent) / (P + N): the F1 of both classes, weighted by how many there are.

    F1_present = 2TP / (2TP + FP + FN) and F1_absent = 2TN / (2TN + FP + FN). This is the F1 of the paper's tables, for
    sentiment and for each emotion. For a rare class it is close to F1_absent: read `positive_f1` beside it.
    A class without a case has weight 0. NaN where nothing is scored.
    """
    # an F1 is undefined only for a class without a case: its weight is 0
    present = np.nan_to_num(positive_f1(confusion)) * confusion.positives
    absent = np.nan_to_num(negative_f1(confusion)) * confusion.negatives
    return quotient(present + absent, confusion.total)


def macro_f1(confusion: Confusion) -> FloatArray:
    """(F1_present + F1_absent) / 2; NaN where P or N is 0."""
    return (positive_f1(confusion) + negative_f1(confusion)) / 2


def positive_f1(confusion: Confusion) -> FloatArray:
    """F1_present = 2TP / (2TP + FP + FN); NaN where P is 0.

    Without a case it would be 0 or 0 / 0 depending on the predictions; whether a score exists must depend on the labels
    alone, or systems would be averaged over different emotions.
    """
    return _defined_f1(confusion.tp, confusion, confusion.positives)


def negative_f1(confusion: Confusion) -> FloatArray:
    """F1_absent = 2TN / (2TN + FP + FN); NaN where N is 0."""
    return _defined_f1(confusion.tn, confusion, confusion.negatives)


def quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Element-wise division that gives NaN, without a warning, where the denominator is 0."""
    result = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)
    scalar_or_array: FloatArray = result[()]
    return scalar_or_array


def _cells(target: BoolArray, predicted: BoolArray, scored: BoolArray | None) -> tuple[BoolArray, ...]:
    target, predicted = np.asarray(target, dtype=bool), np.asarray(predicted, dtype=bool)
    lengths = {len(target), len(predicted)} | ({len(scored)} if scored is not None else set())
    if len(lengths) > 1:
        raise DataError(
            f"Expected target, prediction and mask of one length, but got {len(target)}, {len(predicted)}"
            f"{'' if scored is None else f' and {len(scored)}'}; give one row per utterance"
        )
    n_axes = max(target.ndim, predicted.ndim)
    mask = np.ones(len(target), dtype=bool) if scored is None else np.asarray(scored, dtype=bool)
    mask = mask.reshape(-1, *[1] * (n_axes - 1))
    return (
        target & predicted & mask,
        ~target & predicted & mask,
        target & ~predicted & mask,
        ~target & ~predicted & mask,
    )


def _defined_f1(right: FloatArray, confusion: Confusion, cases: FloatArray) -> FloatArray:
    f1 = np.where(np.asarray(cases) > 0, quotient(2 * right, 2 * right + confusion.fp + confusion.fn), np.nan)
    scalar_or_array: FloatArray = f1[()]
    return scalar_or_array
