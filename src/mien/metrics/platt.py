"""Platt scaling: probabilities from decision values or logits.

Source: J. Platt, "Probabilistic outputs for support vector machines", in Advances in Large Margin Classifiers, 1999;
with the regularised targets of its section 2.2. There is one difference: the slope is at least zero, because
calibration must not reverse the order that a system predicts. If the slope is zero, every case gets the mean of the
`soft` targets.

| paper | here |
|---|---|
| f(x) | decision |
| -A, -B of P(y=1|f) = 1 / (1 + exp(A f + B)) | slope, offset |
| t+ = (N+ + 1) / (N+ + 2), t- = 1 / (N- + 2) | `soft` targets |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from mien.schema import FloatArray

Array = NDArray[Any]
# Before a logit is computed, its probability is clipped to this distance from 0 and 1, so that the logit is finite and
# precise.
SMALLEST = 1e-12


def fit_platt(decision: Float[Array, "n"], present: Bool[Array, "n"]) -> tuple[float, float]:
    """Fit the slope and offset of the logistic function that turns decision values into probabilities.

    The fit maximises the likelihood of softened labels. Let P and N be the numbers of cases where the class is present
    and absent. A present case has the label (P + 1) / (P + 2) instead of 1, and an absent one 1 / (N + 2) instead of 0.

    Args:
        decision: Decision values or logits (n,), at least one.
        present: True where the class is present, (n,).

    Returns:
        ``(slope, offset)`` with P(present) = sigmoid(slope * decision + offset). The slope is at least 0. It is 0 if
        all decision values are equal.
    """
    from scipy.optimize import minimize

    n_present, n_absent = int(present.sum()), int((~present).sum())
    soft = np.where(present, (n_present + 1) / (n_present + 2), 1 / (n_absent + 2))
    centre, spread = float(decision.mean()), float(decision.std())
    share = float(soft.mean())
    if spread <= 1e-12 * max(abs(centre), 1.0):
        return 0.0, float(np.log(share / (1 - share)))
    standardized = (decision - centre) / spread

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        logits = parameters[0] * standardized + parameters[1]
        residual = sigmoid(logits) - soft
        value = float(np.mean(np.logaddexp(0.0, logits) - soft * logits))
        return value, np.array([np.mean(residual * standardized), np.mean(residual)])

    start = np.array([1.0, np.log(share / (1 - share))])
    optimum = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)], options={"gtol": 1e-9}
    )
    slope = float(optimum.x[0]) / spread
    return slope, float(optimum.x[1]) - slope * centre


def sigmoid(values: FloatArray) -> FloatArray:
    """Compute the logistic function 1 / (1 + exp(-x)) of each value x without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))


def logit(probability: FloatArray) -> FloatArray:
    """Compute log(p / (1 - p)) of each probability p.

    Each p is first clipped to [`SMALLEST`, 1 - `SMALLEST`], so the result is always finite.
    """
    clipped = np.clip(np.asarray(probability, dtype=np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))
