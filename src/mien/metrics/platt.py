"""Platt scaling: probabilities from decision values or logits.

Source: J. Platt, "Probabilistic outputs for support vector machines", in Advances in Large Margin Classifiers, 1999;
with the regularised targets of its section 2.2. One difference: the slope is at least zero, because calibration must
not reverse the order that a system predicts. A slope of zero gives every case the share of present cases.

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
# Probabilities are clipped to this distance from 0 and 1 before the logit, so that it is finite and precise.
SMALLEST = 1e-12


def fit_platt(decision: Float[Array, "n"], present: Bool[Array, "n"]) -> tuple[float, float]:
    """Fit slope and offset of the logistic function by maximum likelihood on the softened labels.

    Args:
        decision: Decision values or logits (n,), at least one.
        present: True where the class is present, (n,).

    Returns:
        ``(slope, offset)`` with P(present) = sigmoid(slope * decision + offset); the slope is at least 0, and 0 where
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
    """Compute the logistic function without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))


def logit(probability: FloatArray) -> FloatArray:
    """Compute log(p / (1 - p)), always finite: p is clipped to [`SMALLEST`, 1 - `SMALLEST`]."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))
