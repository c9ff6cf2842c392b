"""Platt scaling of all outputs of a classical system; the fit of one is `metrics.platt`."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mien.metrics.platt import fit_platt, sigmoid
from mien.models.classical import Array, Targets, has_both_classes


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
