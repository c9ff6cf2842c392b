"""Scores of decisions among several classes that exclude each other.

They are computed from the counts of each class against the others, with the class as the last axis. The same formula
therefore scores one split or thousands of bootstrap resamples.
"""

from __future__ import annotations

import numpy as np

from mien.metrics.confusion import Confusion, quotient
from mien.schema import BoolArray, FloatArray

# keeps the logarithm of a probability of zero finite
SMALLEST_PROBABILITY = 1e-15


def class_f1(confusion: Confusion) -> FloatArray:
    """Compute the F1 of each class, 2TP / (2TP + FP + FN). 0 for a class that is neither present nor predicted."""
    return np.nan_to_num(quotient(2 * confusion.tp, 2 * confusion.tp + confusion.fp + confusion.fn))


def accuracy_of_classes(confusion: Confusion) -> FloatArray:
    """Compute the share of cases whose class is predicted. NaN if there is no case.

    Args:
        confusion: Counts of each class against the others, (..., class).

    Returns:
        Accuracies (...).
    """
    return quotient(confusion.tp.sum(axis=-1), confusion.positives.sum(axis=-1))


def weighted_f1_of_classes(confusion: Confusion) -> FloatArray:
    """Compute the mean F1 of the classes, weighted by their numbers of cases. NaN if there is no case.

    Args:
        confusion: Counts of each class against the others, (..., class).

    Returns:
        Scores (...).
    """
    weights = confusion.positives
    return quotient((weights * class_f1(confusion)).sum(axis=-1), weights.sum(axis=-1))


def macro_f1_of_classes(confusion: Confusion) -> FloatArray:
    """Compute the mean F1 of the classes that are present or predicted in some case. NaN if there is no case.

    Args:
        confusion: Counts of each class against the others, (..., class).

    Returns:
        Scores (...).
    """
    occurs = confusion.tp + confusion.fp + confusion.fn > 0
    return quotient(class_f1(confusion).sum(axis=-1), occurs.sum(axis=-1))


def log_loss(target: BoolArray, probability: FloatArray) -> float:
    """Compute the mean negative log likelihood of the class of each case. NaN if there is no case.

    Args:
        target: True where the class is present: (utterance,) for two classes, or (utterance, class).
        probability: Probability of the class, in the shape of `target`.

    Returns:
        The loss, at least 0.
    """
    if target.ndim == 1:
        target = np.stack([~target, target], axis=1)
        probability = np.stack([1 - probability, probability], axis=1)
    likelihood = np.where(target, probability, 0.0).sum(axis=1)
    return float(-np.log(np.maximum(likelihood, SMALLEST_PROBABILITY)).mean()) if len(likelihood) else float("nan")
