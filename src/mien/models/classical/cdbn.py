"""Restricted Boltzmann machines under a logistic regression. Experimental: RBM-pretrained, NOT convolutional.

Source: H. Ranganathan, S. Chakraborty, S. Panchanathan, "Multimodal emotion recognition using deep learning
architectures", WACV 2016. There, convolutional deep belief networks learn from video frames and sound, layer by layer,
and a classifier looks at what they learned. A Dataset has one vector per utterance and modality, in which there is
nothing to convolve: what is left of the paper is pretraining layer by layer without labels, per modality and then
jointly. Like the paper it hears the voice and sees the face, and reads no text. Sizes are not the paper's.

Columns are brought to [0, 1] by the minimum and maximum of train; values beyond are cut off.
A missing modality: its top hidden units are off (zero), while the joint layer is trained and while it is used; the
modality's own layers are trained on the utterances that have it.

| paper | here |
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
    """Sizes and pretraining."""

    # hidden units of each layer of a modality, and how many layers
    rbm_size: int = 100
    rbm_layers: int = 2
    # hidden units of the joint layer
    joint_size: int = 100
    # passes over train per layer, and their step
    rbm_passes: int = 10
    rbm_learning_rate: float = 0.05
    # C of the logistic regression
    logistic_penalty: float = 0.01


def fit_cdbn(train: SplitColumns, _valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Layers and logistic regressions from train."""
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
    """Logistic regressions on the joint layer."""
    logits = _joint_units(tensors, columns, spec) @ tensors["weights"] + tensors["offsets"]
    return by_task(sigmoid(logits), spec.tasks)


def hidden_units(
    units: Float[Array, "n visible"], weights: Float[Array, "hidden visible"], biases: Float[Array, "hidden"]
) -> Float[Array, "n hidden"]:
    """Probability that each hidden unit is on."""
    return sigmoid(units @ weights.T + biases)


def _fit_rbm(units: FloatArray, size: int, name: str, spec: ClassicalSpec) -> Tensors:
    from sklearn.neural_network import BernoulliRBM

    machine = BernoulliRBM(
        size, learning_rate=spec.settings.rbm_learning_rate, n_iter=spec.settings.rbm_passes, random_state=spec.seed
    )
    machine.fit(units)
    return {name.format("weights"): machine.components_, name.format("biases"): machine.intercept_hidden_}


def _fit_logistic(units: FloatArray, present: Array, penalty: float) -> tuple[FloatArray, float]:
    """Weights and offset; the softened share of train, (n present + 1) / (n + 2), where there is one class only.

    Fitted on standardised units: many hidden units move by less than a thousandth, which the penalty would suppress.
    """
    from sklearn.linear_model import LogisticRegression

    if not has_both_classes(present):
        share = (present.sum() + 1) / (len(present) + 2)
        return np.zeros(units.shape[1]), float(np.log(share / (1 - share)))
    mean, scale = column_scaling(units)
    machine = LogisticRegression(C=penalty, max_iter=300)
    with iterations_may_run_out():
        machine.fit((units - mean) / scale, present)
    weights = machine.coef_[0] / scale
    return weights, float(machine.intercept_[0] - mean @ weights)


def _to_unit_interval(tensors: Tensors, modality: Modality, rows: FloatArray) -> FloatArray:
    return np.clip((rows - tensors[f"{modality}.low"]) / tensors[f"{modality}.range"], 0.0, 1.0)


def _top_units(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N visible"]:
    """The top layers of the modalities side by side; zero where an utterance lacks the modality."""
    tops = []
    for modality in spec.inputs:
        here = columns.present[modality]
        units = _to_unit_interval(tensors, modality, columns.features[modality][here].astype(np.float64))
        for layer in range(spec.settings.rbm_layers):
            units = hidden_units(units, tensors[f"{modality}.weights.{layer}"], tensors[f"{modality}.biases.{layer}"])
        top = np.zeros((columns.n_utterances, units.shape[1]))
        top[here] = units
        tops.append(top)
    return np.concatenate(tops, axis=1)


def _joint_units(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N joint"]:
    return hidden_units(_top_units(tensors, columns, spec), tensors["joint.weights"], tensors["joint.biases"])
