"""Ranking metrics: how well predicted probabilities or intensities order the utterances. No threshold is used."""

from __future__ import annotations

import numpy as np

from mien.errors import DataError
from mien.schema import BoolArray, FloatArray


def roc_auc(target: BoolArray, probability: FloatArray) -> float:
    """Compute the ROC AUC: the probability that a random positive case ranks above a random negative one.

    If both cases have the same probability, the pair counts half. The pairs are counted exactly, as in the statistic U
    of Mann and Whitney (Hanley and McNeil, Radiology 143, 1982).

    Args:
        target: True where the class is present, (utterance,); only labelled utterances.
        probability: Probability of the class, or any score that grows with it, (utterance,).

    Returns:
        ROC AUC in [0, 1]; NaN if only one class occurs.

    Raises:
        DataError: A probability is not finite.
    """
    target, probability = np.asarray(target, dtype=bool), np.asarray(probability)
    if not target.any() or target.all():
        return float("nan")
    _require_finite_predictions(probability)
    positives, negatives = probability[target], np.sort(probability[~target])
    # of each positive case: the negative ones below it, and those below or equal
    below = np.searchsorted(negatives, positives, side="left")
    not_above = np.searchsorted(negatives, positives, side="right")
    return float((below.sum() + not_above.sum()) / 2 / (len(positives) * len(negatives)))


def concordance_index(target: FloatArray, prediction: FloatArray) -> float:
    """Compute the concordance index: how often two utterances are predicted in the right order.

    Only pairs of utterances with different gold intensities are used. The index is the share of these pairs in which
    the utterance with the higher gold intensity has the higher prediction. A pair with equal predictions counts half.
    If there are only two different gold intensities, the index equals the ROC AUC.

    The source is Harrell et al., JAMA 247, 1982. The index is (1 + Somers' D) / 2. It is computed from Kendall's tau-b,
    because scipy computes tau-b for n utterances in O(n log n).

    Args:
        target: Gold intensity, NaN where missing, (utterance,).
        prediction: Predicted intensity, or any score that grows with it, (utterance,).

    Returns:
        Index in [0, 1]; NaN if all gold intensities are equal.

    Raises:
        DataError: The lengths differ, or a prediction for a labelled utterance is not finite.
    """
    from scipy.stats import kendalltau

    target, prediction = _labelled_pairs(target, prediction)
    if target.size < 2 or np.ptp(target) == 0:
        return float("nan")
    if np.ptp(prediction) == 0:
        return 0.5
    tau_b = float(kendalltau(target, prediction).statistic)
    return float(1 + tau_b * np.sqrt(_untied_pairs(prediction) / _untied_pairs(target))) / 2


def _labelled_pairs(target: FloatArray, prediction: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the gold values and the predictions of the labelled utterances, both in float64.

    Raises:
        DataError: The shapes differ, or a prediction for a labelled utterance is not finite.
    """
    target, prediction = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if target.shape != prediction.shape:
        raise DataError(
            f"Expected one prediction per gold value, but got {prediction.shape} for {target.shape}; "
            "give both with one row per utterance"
        )
    labelled = ~np.isnan(target)
    target, prediction = target[labelled], prediction[labelled]
    _require_finite_predictions(prediction)
    return target, prediction


def _require_finite_predictions(prediction: FloatArray) -> None:
    """Raise DataError if the prediction for a labelled utterance is not finite."""
    if not np.isfinite(prediction).all():
        raise DataError(
            f"Expected finite predictions, but got {(~np.isfinite(prediction)).sum()} that are not; "
            "a system must answer for every labelled utterance"
        )


def _untied_pairs(values: FloatArray) -> float:
    """Count the pairs (i, j) of entries with different values. (i, j) and (j, i) count as two pairs."""
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float(len(values) * (len(values) - 1) - (counts * (counts - 1)).sum())
