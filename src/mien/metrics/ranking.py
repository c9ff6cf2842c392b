"""How well probabilities order the cases, whatever the threshold."""

from __future__ import annotations

import numpy as np

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
