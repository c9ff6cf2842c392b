"""What a system gains by keeping its less confident answers to itself: the risk-coverage curve and its area.

Sources: R. El-Yaniv and Y. Wiener, "On the foundations of noise-free selective classification", JMLR 2010 (curve);
Y. Geifman, G. Uziel and R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019
(area, and the oracle it is held against).
"""

from __future__ import annotations

import numpy as np

from mien.metrics.confusion import quotient
from mien.schema import BoolArray, FloatArray


def risk_coverage(wrong: BoolArray, confidence: FloatArray, weight: FloatArray | None = None) -> FloatArray:
    """The risk among the k most confident answers, for every k from 1 to the number of answers.

    Answers of equal confidence share their errors evenly, so the order of the rows decides nothing.

    Args:
        wrong: (utterance,) True where the decision is an error.
        confidence: (utterance,) larger is surer.
        weight: (utterance,) positive share of each answer in the risk; with 1 / P on the present and 1 / N on the
            absent cases the risk of all answers is 1 - weighted accuracy. Default: 1, the risk is the error rate.

    Returns:
        (utterance,): the weighted share of errors among the 1, 2, ... most confident answers; coverage is k / n.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    # unique values ascend, so that of the negated confidence the surest comes first
    _, group, size = np.unique(-np.asarray(confidence, dtype=np.float64), return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    errors = np.bincount(group, weights=share * wrong, minlength=len(size)) / size
    shares = np.bincount(group, weights=share, minlength=len(size)) / size
    return quotient(np.cumsum(np.repeat(errors, size)), np.cumsum(np.repeat(shares, size)))


def oracle_risk(wrong: BoolArray, weight: FloatArray | None = None) -> FloatArray:
    """`risk_coverage` of a system that knows which of its answers are wrong: it gives those last, the heaviest last.

    No confidence can have a smaller area with the same answers.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    return risk_coverage(wrong, -(share * wrong), weight)


def area_under_risk(risk: FloatArray) -> float:
    """Mean of `risk_coverage` over all coverages, smaller is better; NaN where nothing is scored.

    Random abstention has the risk of all answers at every coverage, and so as its area.
    """
    return float(risk.mean()) if risk.size else float("nan")


def class_weights(present: BoolArray) -> FloatArray:
    """1 / P on present and 1 / N on absent cases (utterance,): both classes weigh the same, as in weighted accuracy."""
    n_present = int(present.sum())
    return np.where(present, 1 / max(n_present, 1), 1 / max(len(present) - n_present, 1))
