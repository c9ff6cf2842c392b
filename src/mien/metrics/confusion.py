"""Counts of binary decisions, and the scores computed from them.

The counts are arrays of any shape. The same formula therefore scores one split, many thresholds, or thousands of
bootstrap resamples. No score is rounded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.schema import BoolArray, FloatArray


class Confusion(NamedTuple):
    """Counts of binary decisions: true positives, false positives, false negatives and true negatives.

    The four counts are arrays of the same shape.
    """

    tp: FloatArray  # present, and predicted present
    fp: FloatArray  # absent, but predicted present
    fn: FloatArray  # present, but predicted absent
    tn: FloatArray  # absent, and predicted absent

    @property
    def positives(self) -> FloatArray:
        """Number of cases where the class is present, P = TP + FN."""
        return self.tp + self.fn

    @property
    def negatives(self) -> FloatArray:
        """Number of cases where the class is absent, N = TN + FP."""
        return self.tn + self.fp

    @property
    def predicted_positives(self) -> FloatArray:
        """Number of cases where the class is predicted present, TP + FP."""
        return self.tp + self.fp

    @property
    def total(self) -> FloatArray:
        """Number of all scored cases, P + N."""
        return self.positives + self.negatives

    def summed(self) -> Confusion:
        """Return the counts summed over the first axis, for example over videos."""
        return Confusion(*(np.asarray(part).sum(axis=0) for part in self))

    def resampled(self, weights: NDArray[Any]) -> Confusion:
        """Compute the counts of every bootstrap resample of the videos. The first axis of the counts must be the video.

        Args:
            weights: How many times each resample contains each video, (resample, video).

        Returns:
            Counts (resample, ...). A video that a resample contains twice counts twice.
        """
        return Confusion(*(np.tensordot(weights.astype(np.float64, copy=False), part, axes=(1, 0)) for part in self))

    def take(self, index: Any) -> Confusion:
        """Return the counts selected by an index or a slice, which is applied to each of the four arrays."""
        return Confusion(*(part[index] for part in self))


def count_decisions(target: BoolArray, predicted: BoolArray, scored: BoolArray | None = None) -> Confusion:
    """Count true and false positives and negatives over all utterances.

    Args:
        target: True where the class is present, (utterance, ...).
        predicted: True where the class is predicted, (utterance, ...); broadcasts against `target`.
        scored: True where the utterance has a label, (utterance,). Utterances without a label are not counted. If it is
            None, all utterances are counted.

    Returns:
        Counts, summed over the utterances. They have the shape of `target` without its first axis.

    Raises:
        DataError: The arrays differ in their number of utterances.

    Example:
        >>> float(count_decisions(np.array([True, True, False]), np.array([True, False, False])).tp)
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
    """Count true and false positives and negatives separately for each video.

    Args:
        target: True where the class is present, (utterance, ...).
        predicted: True where the class is predicted, (utterance, ...).
        video: Index of the video of each utterance, from 0 to n_videos - 1, (utterance,).
        n_videos: Number of videos.
        scored: True where the utterance has a label, (utterance,). Utterances without a label are not counted. If it is
            None, all utterances are counted.

    Returns:
        Counts (video, ...). They are zero for a video without labelled utterances.

    Raises:
        DataError: The arrays differ in their number of utterances.
    """
    return Confusion(*(sum_per_video(cell, video, n_videos) for cell in _cells(target, predicted, scored)))


def sum_per_video(terms: NDArray[Any], video: NDArray[Any], n_videos: int) -> FloatArray:
    """Sum values of utterances separately for each video.

    Args:
        terms: Values to sum, (utterance, ...).
        video: Index of the video of each utterance, from 0 to n_videos - 1, (utterance,).
        n_videos: Number of videos.

    Returns:
        Sums (video, ...). They are zero for a video without utterances.
    """
    sums = np.zeros((n_videos, *terms.shape[1:]))
    np.add.at(sums, video, terms)
    return sums


def accuracy(confusion: Confusion) -> FloatArray:
    """Compute the accuracy: the share of all cases that are decided correctly. NaN if there is no case."""
    return quotient(confusion.tp + confusion.tn, confusion.total)


def weighted_accuracy(confusion: Confusion) -> FloatArray:
    """Compute the mean of the recalls of both classes, (TP/P + TN/N) / 2, also called balanced accuracy.

    P is the number of cases where the class is present, and N the number where it is absent. The score is NaN where P
    or N is 0. A constant prediction scores 0.5. The paper defines this score in section 4.2. Its released code computes
    (TP*N/P + TN) / (2N), which is the same number.
    """
    return (quotient(confusion.tp, confusion.positives) + quotient(confusion.tn, confusion.negatives)) / 2


def weighted_f1(confusion: Confusion) -> FloatArray:
    """Compute the F1 of both classes weighted by class size, (P * F1_present + N * F1_absent) / (P + N).

    P is the number of cases where the class is present, and N the number where it is absent. F1_present is 2TP / (2TP +
    FP + FN), and F1_absent is 2TN / (2TN + FP + FN). If P is 0, the score is F1_absent. If N is 0, it is F1_present. If
    both are 0, it is NaN.

    The paper's tables report this F1 for sentiment and for each emotion. For a rare emotion it is close to F1_absent,
    so `positive_f1` is reported beside it.
    """
    # F1 is NaN only for a class without a case, whose weight is 0
    present = np.nan_to_num(positive_f1(confusion)) * confusion.positives
    absent = np.nan_to_num(negative_f1(confusion)) * confusion.negatives
    return quotient(present + absent, confusion.total)


def macro_f1(confusion: Confusion) -> FloatArray:
    """Compute the mean of `positive_f1` and `negative_f1`, without weights. NaN where one of the two is NaN."""
    return (positive_f1(confusion) + negative_f1(confusion)) / 2


def positive_f1(confusion: Confusion) -> FloatArray:
    """Compute the F1 of the present class, 2TP / (2TP + FP + FN). NaN where no case has the class.

    If no case has the class, the score is always NaN, although the formula gives 0 where the class is predicted for
    some case. Means over several emotions therefore cover the same emotions for every system.
    """
    return _defined_f1(confusion.tp, confusion, confusion.positives)


def negative_f1(confusion: Confusion) -> FloatArray:
    """Compute the F1 of the negative decision, 2TN / (2TN + FP + FN). It is NaN where there are no negative cases."""
    return _defined_f1(confusion.tn, confusion, confusion.negatives)


def quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide element by element. Where the denominator is 0, the result is NaN, and there is no warning.

    Args:
        numerator: Array of any shape; broadcasts against the denominator.
        denominator: Array of any shape.

    Returns:
        Quotients in the broadcast shape. If both arguments are scalars, a scalar.
    """
    result = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)
    scalar_or_array: FloatArray = result[()]
    return scalar_or_array


def _cells(target: BoolArray, predicted: BoolArray, scored: BoolArray | None) -> tuple[BoolArray, ...]:
    """Return masks of the true positives, false positives, false negatives and true negatives, in this order.

    Where `scored` is False, all four masks are False.
    """
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


def _defined_f1(n_correct: FloatArray, confusion: Confusion, cases: FloatArray) -> FloatArray:
    """Compute the F1 of one of the two classes.

    Args:
        n_correct: Number of cases of the class that are decided correctly (TP or TN).
        confusion: All counts.
        cases: Number of cases of the class.

    Returns:
        F1; NaN where the class has no cases.
    """
    f1 = np.where(np.asarray(cases) > 0, quotient(2 * n_correct, 2 * n_correct + confusion.fp + confusion.fn), np.nan)
    scalar_or_array: FloatArray = f1[()]
    return scalar_or_array
