"""`cdbn` (experimental): a logistic regression on stacked restricted Boltzmann machines (RBMs), NOT convolutional.

Source: H. Ranganathan, S. Chakraborty, S. Panchanathan, "Multimodal emotion recognition using deep learning
architectures", WACV 2016. The paper trains convolutional deep belief networks layer by layer on video frames and sound,
and a classifier on their hidden units. In a Dataset, an utterance has one vector per modality, which has no axis to
convolve over. This file therefore keeps only the unsupervised pretraining layer by layer: first for each modality, then
for a joint layer. As in the paper, the inputs are voice and face, without text. Sizes are not the paper's.

Features are scaled to [0, 1] by the minimum and maximum of train; values outside are clipped. The layers of a modality
are trained on the utterances that have it. If an utterance lacks a modality, the units of its top layer are zero, both
when the joint layer is trained and when it is used.

| paper | this file |
|---|---|
| CRBM layers of one modality | ``<modality>.weights.<layer>``, fully connected |
| joint layer | ``joint.weights`` |
| P(h_j = 1 | v) = sigmoid(sum_i W_ij v_i + b_j) | `hidden_units` |
| classifier | logistic regression per output |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mien.metrics.platt import sigmoid
from mien.models.classical.base import (
    Array,
    ClassicalSpec,
    Probabilities,
    Tensors,
    by_task,
    column_scaling,
    has_both_classes,
    iterations_may_run_out,
    joined_targets,
)
from mien.models.layers import SystemSettings
from mien.schema import FloatArray, Modality
from mien.storage.split_columns import SplitColumns


@dataclass(frozen=True)
class CdbnSettings(SystemSettings):
    """Settings of `cdbn`: sizes and pretraining of the layers, and penalty of the logistic regressions."""

    # hidden units of each layer of a modality, and number of layers per modality
    rbm_size: int = 100
    rbm_layers: int = 2
    # hidden units of the joint layer
    joint_size: int = 100
    # passes over train per layer, and their learning rate
    rbm_passes: int = 10
    rbm_learning_rate: float = 0.05
    # C of the logistic regression
    logistic_penalty: float = 0.01


def fit_cdbn(train: SplitColumns, _valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Pretrain the layers of `cdbn`, then fit one logistic regression per output. Both use the train split.

    Args:
        train: Train split.
        _valid: Unused.
        spec: Inputs, tasks, settings (`CdbnSettings`) and seed.

    Returns:
        Arrays by name. For each modality: ``low`` (minimum) and ``range`` of its features, and ``weights`` and
        ``biases`` of each layer. For the joint layer: ``weights`` and ``biases``. For the logistic regressions:
        ``weights`` (joint unit, output) and ``offsets`` (output,).
    """
    settings: CdbnSettings = spec.settings
    tensors: Tensors = {}
    for modality in spec.inputs:
        rows = train.features[modality][train.present[modality]].astype(np.float64)
        low, high = rows.min(axis=0), rows.max(axis=0)
        tensors |= {f"{modality}.low": low, f"{modality}.range": np.where(high > low, high - low, 1.0)}
        units = _to_unit_interval(tensors, modality, rows)
        for layer in range(settings.rbm_layers):
            name = f"{modality}.{{}}.{layer}"
            tensors |= _fit_rbm(units, settings.rbm_size, name, spec)
            units = hidden_units(units, tensors[name.format("weights")], tensors[name.format("biases")])
    tensors |= _fit_rbm(_top_units(tensors, train, spec), settings.joint_size, "joint.{}", spec)
    joint, targets = _joint_units(tensors, train, spec), joined_targets(train, spec.tasks)
    weights = np.zeros((joint.shape[1], targets.values.shape[1]))
    offsets = np.zeros(targets.values.shape[1])
    for output, (labels, scored) in enumerate(zip(targets.values.T, targets.scored.T, strict=True)):
        weights[:, output], offsets[output] = _fit_logistic(joint[scored], labels[scored], settings.logistic_penalty)
    return tensors | {"weights": weights, "offsets": offsets}


def cdbn_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """Predict with a fitted `cdbn`: one logistic regression per output, on the hidden units of the joint layer.

    Args:
        tensors: Arrays from `fit_cdbn`.
        columns: Utterances to predict.
        spec: The spec that was given to `fit_cdbn`.

    Returns:
        Probabilities (N, output) by task.
    """
    logits = _joint_units(tensors, columns, spec) @ tensors["weights"] + tensors["offsets"]
    return by_task(sigmoid(logits), spec.tasks)


def hidden_units(
    units: Float[Array, "n visible"], weights: Float[Array, "hidden visible"], biases: Float[Array, "hidden"]
) -> Float[Array, "n hidden"]:
    """Compute the probability that each hidden unit of a restricted Boltzmann machine (RBM) is 1.

    Args:
        units: Values of the visible units in [0, 1], one row per case.
        weights: Weights between hidden and visible units.
        biases: Biases of the hidden units.

    Returns:
        Probabilities, one row per case and one column per hidden unit.
    """
    return sigmoid(units @ weights.T + biases)


def _fit_rbm(units: FloatArray, size: int, name: str, spec: ClassicalSpec) -> Tensors:
    from sklearn.neural_network import BernoulliRBM

    machine = BernoulliRBM(
        size, learning_rate=spec.settings.rbm_learning_rate, n_iter=spec.settings.rbm_passes, random_state=spec.seed
    )
    machine.fit(units)
    return {name.format("weights"): machine.components_, name.format("biases"): machine.intercept_hidden_}


def _fit_logistic(units: FloatArray, labels: Array, penalty: float) -> tuple[FloatArray, float]:
    """Fit one logistic regression to the hidden units, and return its weights (unit,) and its offset.

    `units` contains the values of the hidden units, (utterance, unit). They are standardised for the fit. Many of them
    vary by less than a thousandth, so the penalty would otherwise suppress their weights.

    If the labels contain only one class, the weights are zero. The offset then gives the probability (number of
    positive labels + 1) / (number of labels + 2).
    """
    from sklearn.linear_model import LogisticRegression

    if not has_both_classes(labels):
        share = (labels.sum() + 1) / (len(labels) + 2)
        return np.zeros(units.shape[1]), float(np.log(share / (1 - share)))
    mean, scale = column_scaling(units)
    machine = LogisticRegression(C=penalty, max_iter=300)
    with iterations_may_run_out():
        machine.fit((units - mean) / scale, labels)
    weights = machine.coef_[0] / scale
    return weights, float(machine.intercept_[0] - mean @ weights)


def _to_unit_interval(tensors: Tensors, modality: Modality, rows: FloatArray) -> FloatArray:
    return np.clip((rows - tensors[f"{modality}.low"]) / tensors[f"{modality}.range"], 0.0, 1.0)


def _top_units(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N visible"]:
    """Return the hidden units of the top layer of every modality, concatenated, one row per utterance.

    The units of a modality are zero where an utterance lacks it.
    """
    tops = []
    for modality in spec.inputs:
        mask = columns.present[modality]
        units = _to_unit_interval(tensors, modality, columns.features[modality][mask].astype(np.float64))
        for layer in range(spec.settings.rbm_layers):
            units = hidden_units(units, tensors[f"{modality}.weights.{layer}"], tensors[f"{modality}.biases.{layer}"])
        top = np.zeros((columns.n_utterances, units.shape[1]))
        top[mask] = units
        tops.append(top)
    return np.concatenate(tops, axis=1)


def _joint_units(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N joint"]:
    return hidden_units(_top_units(tensors, columns, spec), tensors["joint.weights"], tensors["joint.biases"])
