"""From decision values to probabilities: Platt scaling.

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

import numpy as np
from jaxtyping import Bool, Float

from mien.models.classical import Array, Targets, has_both_classes, sigmoid
from mien.schema import FloatArray


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


def fit_platt_outputs(
    train: tuple[Float[Array, "n output"], Targets], valid: tuple[Float[Array, "v output"], Targets]
) -> Float[Array, "2 output"]:
    """Slopes and offsets of all outputs, from decision values and labels.

    Fitted on valid, whose decision values are those of unseen utterances; on train for an output of which valid has
    only one class, which is then too sure of itself.
    """
    fitted = np.zeros((2, train[0].shape[1]))
    for output in range(fitted.shape[1]):
        chosen = []
        for decisions, targets in (valid, train):
            scored = targets.scored[:, output]
            chosen.append((decisions[scored, output], targets.labels[scored, output]))
        decision, present = chosen[0] if has_both_classes(chosen[0][1]) else chosen[1]
        fitted[:, output] = fit_platt(decision, present)
    return fitted


def apply_platt(platt: Float[Array, "2 output"], decisions: Float[Array, "n output"]) -> Float[Array, "n output"]:
    """Probabilities of `fit_platt_outputs`' outputs."""
    return sigmoid(decisions * platt[0] + platt[1])
