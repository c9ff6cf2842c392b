"""`logistic`: logistic regression on the features of one utterance, also known as a linear probe.

A simple baseline without context: a system that does not exceed it has gained nothing from the neighbouring utterances.
Classes that exclude each other are learned together (multinomial regression), other outputs one by one.

Features are standardised on the train split. A missing modality takes the mean of train, which is then zero.

Source: D. R. Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical Society B 20, 1958.
The solver is L-BFGS of scikit-learn. Only the fitted weights are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mien.metrics.platt import sigmoid
from mien.models.classical.base import (
    SMALLEST,
    Array,
    ClassicalSpec,
    Probabilities,
    Tensors,
    by_task,
    column_scaling,
    has_both_classes,
    iterations_may_run_out,
)
from mien.models.layers import SystemSettings
from mien.schema import Modality
from mien.storage.split_columns import SplitColumns
from mien.task_kinds import MOST_PROBABLE
from mien.tasks import Task, in_order, targets_of

# values of C, the inverse strength of the L2 penalty, among which the valid split chooses
PENALTIES = (0.001, 0.01, 0.1, 1.0)
# coefficients and offsets of the outputs of one task
Weights = tuple[Float[Array, "feature output"], Float[Array, "output"]]


@dataclass(frozen=True)
class LogisticSettings(SystemSettings):
    """Settings of `logistic`: the penalty, and how long the solver may run."""

    # C of the regression; 0: the value of `PENALTIES` with the lowest loss on valid, for each task
    penalty: float = 0.0
    max_iterations: int = 1000


def fit_logistic(train: SplitColumns, valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Fit the regressions on the train split. The valid split chooses the penalty of each task.

    Args:
        train: Train split.
        valid: Valid split.
        spec: Inputs, tasks and settings (`LogisticSettings`). The seed has no effect.

    Returns:
        Arrays by name: ``mean`` and ``scale`` of each modality. For each task: ``coefficients`` (feature, output),
        ``offsets`` (output,) and the chosen ``penalty`` (1,).
    """
    settings: LogisticSettings = spec.settings
    tensors: Tensors = {}
    for modality in spec.inputs:
        rows = train.features[modality][train.present[modality]].astype(np.float64)
        tensors[f"{modality}.mean"], tensors[f"{modality}.scale"] = column_scaling(rows)
    features = [_standardised(tensors, columns, spec.inputs) for columns in (train, valid)]
    for task in spec.tasks:
        (targets, scored), (valid_targets, valid_scored) = targets_of(task, train), targets_of(task, valid)
        rows, labels = features[0][scored], targets[scored].astype(bool)
        candidates = []
        for penalty in (settings.penalty,) if settings.penalty else PENALTIES:
            weights = _fit_task(rows, labels, task, penalty, settings.max_iterations)
            predicted = _predict_task(weights, features[1][valid_scored], task)
            candidates.append((_log_loss(valid_targets[valid_scored].astype(bool), predicted), penalty, weights))
        _, penalty, (coefficients, offsets) = min(candidates, key=lambda each: each[0])
        tensors |= {f"{task.name}.coefficients": coefficients, f"{task.name}.offsets": offsets}
        tensors[f"{task.name}.penalty"] = np.array([penalty])
    return tensors


def logistic_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """Predict with a fitted `logistic`.

    Args:
        tensors: Arrays from `fit_logistic`.
        columns: Utterances to predict.
        spec: The spec that was given to `fit_logistic`.

    Returns:
        Probabilities (N, output) by task.
    """
    features = _standardised(tensors, columns, spec.inputs)
    outputs = [
        _predict_task((tensors[f"{task.name}.coefficients"], tensors[f"{task.name}.offsets"]), features, task)
        for task in in_order(spec.tasks)
    ]
    return by_task(np.concatenate(outputs, axis=1), spec.tasks)


def _standardised(tensors: Tensors, columns: SplitColumns, inputs: Sequence[Modality]) -> Float[Array, "N feature"]:
    """Return the standardised features of all modalities side by side; zero where an utterance lacks a modality."""
    blocks = []
    for modality in inputs:
        block = (columns.features[modality].astype(np.float64) - tensors[f"{modality}.mean"]) / tensors[
            f"{modality}.scale"
        ]
        blocks.append(np.where(columns.present[modality][:, None], block, 0.0))
    return np.concatenate(blocks, axis=1)


def _fit_task(
    rows: Float[Array, "n feature"], labels: Bool[Array, "n output"], task: Task, penalty: float, max_iterations: int
) -> Weights:
    """Fit one task. An output of which train has only one class gets a constant probability near 0 or 1."""
    from sklearn.linear_model import LogisticRegression

    coefficients = np.zeros((rows.shape[1], labels.shape[1]))
    offsets = np.where(labels.any(axis=0), 1.0, -1.0) * -np.log(SMALLEST)

    def fitted(targets: Array) -> LogisticRegression:
        with iterations_may_run_out():
            return LogisticRegression(C=penalty, max_iter=max_iterations).fit(rows, targets)

    if task.row.decision == MOST_PROBABLE:
        classes = np.flatnonzero(labels.any(axis=0))
        if len(classes) > 2:
            machine = fitted(labels.argmax(axis=1))
            coefficients[:, classes], offsets[classes] = machine.coef_.T, machine.intercept_
        elif len(classes) == 2:
            machine = fitted(labels[:, classes[1]])
            coefficients[:, classes[1]], offsets[classes] = machine.coef_[0], (0.0, machine.intercept_[0])
        return coefficients, offsets
    for output in range(labels.shape[1]):
        if has_both_classes(labels[:, output]):
            machine = fitted(labels[:, output])
            coefficients[:, output], offsets[output] = machine.coef_[0], machine.intercept_[0]
    return coefficients, offsets


def _predict_task(weights: Weights, features: Float[Array, "n feature"], task: Task) -> Float[Array, "n output"]:
    """Return the probabilities: a softmax over classes that exclude each other, for other outputs the logistic."""
    logits = features @ weights[0] + weights[1]
    if task.row.decision == MOST_PROBABLE:
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))
    return sigmoid(logits)


def _log_loss(present: Bool[Array, "n output"], probabilities: Float[Array, "n output"]) -> float:
    """Return the negative log likelihood of the outputs that are present, and of the others' absence."""
    right = np.where(present, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(right, SMALLEST)).sum())
