"""Linear support vector machines of several outputs, as weights and offsets."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mien.models.classical import Array, has_both_classes, iterations_may_run_out


def fit_linear_svm(features: Any, present: Bool[Array, "n"], penalty: float) -> tuple[Float[Array, "feature"], float]:
    """Weights and offset of one binary SVM on (n, feature), dense or scipy sparse, both classes weighing the same.

    Squared hinge loss, solved in the primal, which needs no random numbers. An output of one class only can learn
    nothing: its decision is zero throughout.
    """
    from sklearn.svm import LinearSVC

    if not has_both_classes(present):
        return np.zeros(features.shape[1]), 0.0
    machine = LinearSVC(C=penalty, dual=False, class_weight="balanced")
    with iterations_may_run_out():
        machine.fit(features, present)
    return machine.coef_[0], float(machine.intercept_[0])


def fit_linear_svr(features: Any, values: Float[Array, "n"], penalty: float) -> tuple[Float[Array, "feature"], float]:
    """Weights and offset of one support vector regression (squared epsilon-insensitive loss, in the primal)."""
    from sklearn.svm import LinearSVR

    machine = LinearSVR(C=penalty, loss="squared_epsilon_insensitive", dual=False)
    with iterations_may_run_out():
        machine.fit(features, values)
    return machine.coef_, float(np.ravel(machine.intercept_)[0])
