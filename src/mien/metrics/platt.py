"""From decision values, or logits, to probabilities: Platt scaling.

Source: J. Platt, "Probabilistic outputs for support vector machines", in Advances in Large Margin Classifiers, 1999;
with the regularised targets of its section 2.2. One difference: the slope may not be negative, because calibration is
not to turn round what a system has learned; where its order does not hold at all, its share is what is left.

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
# Probabilities are held this far from 0 and 1 before their logit is taken: beyond, a double has no digits left.
SMALLEST = 1e-12


def fit_platt(decision: Float[Array, "n"], present: Bool[Array, "n"]) -> tuple[float, float]:
    """Slope (from 0 on) and offset that maximise the likelihood of the softened labels; at least one row."""
    from scipy.optimize import minimize

    n_present, n_absent = int(present.sum()), int((~present).sum())
    soft = np.where(present, (n_present + 1) / (n_present + 2), 1 / (n_absent + 2))
    centre, spread = float(decision.mean()), float(decision.std())
    share = float(soft.mean())
    if spread <= 1e-12 * max(abs(centre), 1.0):
        return 0.0, float(np.log(share / (1 - share)))
    standard = (decision - centre) / spread

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        logits = parameters[0] * standard + parameters[1]
        residual = sigmoid(logits) - soft
        value = float(np.mean(np.logaddexp(0.0, logits) - soft * logits))
        return value, np.array([np.mean(residual * standard), np.mean(residual)])

    start = np.array([1.0, np.log(share / (1 - share))])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)], options={"gtol": 1e-9}
    )
    slope = float(found.x[0]) / spread
    return slope, float(found.x[1]) - slope * centre


def sigmoid(values: FloatArray) -> FloatArray:
    """Without overflow at either end."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))


def logit(probability: FloatArray) -> FloatArray:
    """log(p / (1 - p)), finite everywhere: 0 and 1 count as `SMALLEST` and 1 - `SMALLEST`."""
    held = np.clip(np.asarray(probability, dtype=np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(held) - np.log1p(-held))
