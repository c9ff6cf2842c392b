"""How well probabilities or intensities order the cases, whatever the threshold."""

from __future__ import annotations

import numpy as np

from mien.errors import DataError
from mien.schema import BoolArray, FloatArray


def roc_auc(target: BoolArray, probability: FloatArray) -> float:
    """Probability that a random positive case ranks above a random negative one; ties count half.

    Args:
        target: (utterance,) True where the class is present. Leave unlabelled utterances out.
        probability: (utterance,) probability, or any score that grows with it.

    Returns:
        A number in [0, 1]; NaN where only one class occurs.
    """
    from sklearn.metrics import roc_auc_score  # takes two seconds to import, and prediction never needs it

    target = np.asarray(target, dtype=bool)
    if not target.any() or target.all():
        return float("nan")
    return float(roc_auc_score(target, probability))


def concordance_index(target: FloatArray, prediction: FloatArray) -> float:
    """Probability that of two utterances with different gold intensities the stronger one is predicted stronger.

    Ties of the predictions count half. With labels of two values it is the ROC AUC; it is (1 + Somers' D) / 2, read
    from Kendall's tau-b, which scipy counts in n log n (Harrell et al., JAMA 247, 1982).

    Args:
        target: (utterance,) gold intensity, NaN where missing.
        prediction: (utterance,) predicted intensity, or any score that grows with it.

    Returns:
        A number in [0, 1]; NaN where all gold intensities are equal.

    Raises:
        DataError: the lengths differ, or a prediction for a labelled utterance is not a finite number.
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
    """Gold and predicted values of the labelled utterances, in float64.

    Raises:
        DataError: the lengths differ, or a prediction for a labelled utterance is not a finite number.
    """
    target, prediction = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if target.shape != prediction.shape:
        raise DataError(
            f"Expected one prediction per gold value, but got {prediction.shape} for {target.shape}; "
            "give both with one row per utterance"
        )
    labelled = ~np.isnan(target)
    target, prediction = target[labelled], prediction[labelled]
    if not np.isfinite(prediction).all():
        raise DataError(
            f"Expected finite predictions, but got {(~np.isfinite(prediction)).sum()} that are not; "
            "a system must answer for every labelled utterance"
        )
    return target, prediction


def _untied_pairs(values: FloatArray) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float(len(values) * (len(values) - 1) - (counts * (counts - 1)).sum())
