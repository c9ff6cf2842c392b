"""Base of classical systems, which are fitted once on the train split and stored as named arrays.

A classical system consists of two functions: ``fit`` computes named arrays, and ``probabilities`` predicts with them.
Only these arrays are stored, whichever library fitted them. No pickle is written, and prediction is array arithmetic.

Axes: N = utterances of a `SplitColumns`; output = the outputs of several tasks, task after task in the order of
`tasks_of`. Outputs that are classes (`classes_among`) and outputs that are intensities (`degrees_among`) are in
separate arrays.

This file also contains functions that several systems share: linear support vector machines (SVMs), one per output,
stored as weights and offsets, and their Platt scaling (`metrics.platt` fits one output). It contains the simplest
system, `majority`, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from mien.metrics.platt import fit_platt, sigmoid
from mien.models.batch import InputKind
from mien.schema import FloatArray, Modality
from mien.storage.split_columns import SplitColumns
from mien.task_kinds import NO_DECISION, TaskKind
from mien.tasks import Task, in_order, targets_of

# added to probabilities of classes that exclude each other, so that their sum is not zero
SMALLEST = 1e-12
Array = NDArray[Any]
Tensors = dict[str, Array]
# task -> predictions for N utterances: probabilities of classes, or intensities
Probabilities = dict[str, Float[Array, "N output"]]


@dataclass(frozen=True)
class ClassicalSpec:
    """Specification of what to fit: the input modalities, the tasks, the settings of the system, and the seed.

    Together with the data, this specification determines the fitted arrays.
    """

    inputs: tuple[Modality, ...]
    tasks: tuple[Task, ...]
    settings: Any
    seed: int = 0


def class_tasks_only(kind: TaskKind) -> bool:
    """Return True for a kind of task that predicts classes, False for one that predicts intensities."""
    return kind.decision != NO_DECISION


@dataclass(frozen=True)
class ClassicalEntry:
    """Registry entry of a classical system, which is not a neural network.

    It contains the functions that fit the system and predict with it, the default settings, the kind of input, and the
    modalities and tasks that the system supports.
    """

    # (train, valid, spec) -> arrays; valid serves to select and calibrate
    fit: Callable[[SplitColumns, SplitColumns, ClassicalSpec], Tensors]
    # (arrays, columns, spec) -> predictions; reads only the modalities in `spec.inputs`, and only where `present`
    probabilities: Callable[[Tensors, SplitColumns, ClassicalSpec], Probabilities]
    settings: Any
    description: str
    citation: str
    input_kind: InputKind = InputKind.UTTERANCE
    modalities: tuple[Modality, ...] = tuple(Modality)
    # tells whether the system can learn a kind of task
    claims: Callable[[TaskKind], bool] = class_tasks_only
    # task -> kind in which the system learns it where the labels allow it; the default kind for other tasks
    kinds: Mapping[str, str] = field(default_factory=dict)
    # always empty: settings of the training loop do not apply
    training: Mapping[str, Any] = field(default_factory=dict)
    # True: a free adaptation, which must not be reported as the cited system
    experimental: bool = False

    def claimed(self, tasks: Mapping[str, Task]) -> tuple[str, ...]:
        """Return the names of those tasks that the system can learn."""
        return tuple(name for name, task in tasks.items() if self.claims(task.row))


class ClassicalTargets(NamedTuple):
    """Gold values of the outputs of several tasks, one row per utterance and one column per output.

    They are booleans for classes and floats for intensities. The mask `scored` is False where a label is missing.
    """

    values: Bool[Array, "N output"] | Float[Array, "N output"]
    scored: Bool[Array, "N output"]


def classes_among(tasks: Sequence[Task]) -> list[Task]:
    """Return only the given tasks that predict classes."""
    return [task for task in tasks if not task.predicts_degrees]


def degrees_among(tasks: Sequence[Task]) -> list[Task]:
    """Return only the given tasks that predict intensities."""
    return [task for task in tasks if task.predicts_degrees]


def joined_targets(columns: SplitColumns, tasks: Sequence[Task]) -> ClassicalTargets:
    """Concatenate the targets of several tasks, in the order of `tasks_of`.

    Args:
        columns: Utterances with gold labels.
        tasks: Tasks that all predict classes, or that all predict intensities.

    Returns:
        The targets, with one row per utterance and one column per output. If `tasks` is empty, there are no columns.
    """
    empty = np.zeros((columns.n_utterances, 0), dtype=bool)
    values, scored = [empty], [empty]
    for task in in_order(tasks):
        targets, labelled = targets_of(task, columns)
        values.append(targets)
        scored.append(np.repeat(labelled[:, None], targets.shape[1], axis=1))
    return ClassicalTargets(np.concatenate(values, axis=1), np.concatenate(scored, axis=1))


def by_task(outputs: Float[Array, "N output"], tasks: Sequence[Task]) -> Probabilities:
    """Split the predictions for several tasks into one array per task. Clip intensities to the range of the labels.

    The outputs were fitted one by one, and so the probabilities of classes that exclude each other, or of reaching cut
    points, need not fit together. The former are divided by their sum. The latter are lowered where they would rise.

    Args:
        outputs: Predicted values, one column per output, with the tasks in the order of `tasks_of`.
        tasks: The tasks to which the columns belong.

    Returns:
        Predictions (N, output) by task.
    """
    predictions, start = {}, 0
    for task in in_order(tasks):
        part = outputs[:, start : start + len(task.outputs)]
        if task.predicts_degrees:
            part = np.clip(part, *task.range)
        elif task.cuts:
            part = np.minimum.accumulate(part, axis=1)
        elif task.classes:
            part = (part + SMALLEST) / (part + SMALLEST).sum(axis=1, keepdims=True)
        predictions[task.name] = part
        start += len(task.outputs)
    return predictions


def has_both_classes(labels: Bool[Array, "n"]) -> bool:
    """Return True if the labels contain both True and False."""
    return bool(labels.any() and not labels.all())


def column_scaling(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean (feature,) and the standard deviation (feature,) of every column of `rows` (n, feature).

    For a constant column, the standard deviation is returned as 1 instead of 0, so that dividing by it is possible.
    """
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    # rounding makes the deviation of a constant column small, but not exactly zero
    return mean, np.where(deviation <= 1e-7 * np.maximum(np.abs(mean), 1.0), 1.0, deviation)


@contextmanager
def iterations_may_run_out() -> Iterator[None]:
    """Context manager that suppresses scikit-learn's warning that a solver reached its limit of iterations."""
    from sklearn.exceptions import ConvergenceWarning  # scikit-learn takes seconds to import, and only fitting needs it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit_platt_outputs(
    train: tuple[Float[Array, "n output"], ClassicalTargets], valid: tuple[Float[Array, "v output"], ClassicalTargets]
) -> Float[Array, "2 output"]:
    """Fit Platt scaling, which turns decision values into probabilities, for every output.

    The scaling is fitted on the valid split, because the system was not fitted on its utterances. If all labels of an
    output are equal on the valid split, the scaling of this output is fitted on the train split instead. The
    probabilities of this output are then overconfident.

    Args:
        train: Decision values and targets of the train split.
        valid: Decision values and targets of the valid split.

    Returns:
        Slope (first row) and offset (second row) of each output.
    """
    fitted = np.zeros((2, train[0].shape[1]))
    for output in range(fitted.shape[1]):
        candidates = []
        for decisions, targets in (valid, train):
            scored = targets.scored[:, output]
            candidates.append((decisions[scored, output], targets.values[scored, output]))
        decision, labels = candidates[0] if has_both_classes(candidates[0][1]) else candidates[1]
        fitted[:, output] = fit_platt(decision, labels)
    return fitted


def apply_platt(platt: Float[Array, "2 output"], decisions: Float[Array, "n output"]) -> Float[Array, "n output"]:
    """Turn decision values into probabilities by Platt scaling.

    Args:
        platt: Slopes (first row) and offsets (second row) from `fit_platt_outputs`.
        decisions: Decision values, one column per output.

    Returns:
        Probabilities, in the shape of `decisions`.
    """
    return sigmoid(decisions * platt[0] + platt[1])


def fit_linear_svm(features: Any, present: Bool[Array, "n"], penalty: float) -> tuple[Float[Array, "feature"], float]:
    """Fit a binary linear SVM with balanced class weights.

    The squared hinge loss is minimised in the primal form, which needs no random numbers.

    Args:
        features: Features (n, feature), dense or scipy sparse.
        present: True for the rows of the positive class.
        penalty: The parameter C of the SVM.

    Returns:
        Weights and offset of the decision function. If the labels contain only one class, all of them are zero.
    """
    from sklearn.svm import LinearSVC

    if not has_both_classes(present):
        return np.zeros(features.shape[1]), 0.0
    machine = LinearSVC(C=penalty, dual=False, class_weight="balanced")
    with iterations_may_run_out():
        machine.fit(features, present)
    return machine.coef_[0], float(machine.intercept_[0])


def fit_linear_svr(features: Any, values: Float[Array, "n"], penalty: float) -> tuple[Float[Array, "feature"], float]:
    """Fit a linear support vector regression (squared epsilon-insensitive loss, solved in the primal form).

    Args:
        features: Features (n, feature), dense or scipy sparse.
        values: Target value of each row.
        penalty: The parameter C of the regression.

    Returns:
        Weights and offset of the regression.
    """
    from sklearn.svm import LinearSVR

    machine = LinearSVR(C=penalty, loss="squared_epsilon_insensitive", dual=False)
    with iterations_may_run_out():
        machine.fit(features, values)
    return machine.coef_, float(np.ravel(machine.intercept_)[0])


# The trivial system `majority`. For every utterance, it predicts the fraction of train utterances with each class, and
# the median intensities of train.
#
# Its sentiment is the majority class of train, as in the trivial row of an evaluation. A constant prediction has a
# weighted accuracy of 50 % at any threshold. For the F1 of an emotion, the threshold decides whether the emotion is
# predicted always or never. Under the protocol `clean` it is never predicted, as in the trivial row, unless most train
# utterances have the emotion. Missing modalities and the seed have no effect.


@dataclass(frozen=True)
class MajoritySettings:
    """Settings of the system `majority`. The class is empty, because the system has no settings."""


def fit_majority(train: SplitColumns, _valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Compute, on the labelled train utterances, the share of each class and the median of each intensity.

    Args:
        train: Train split.
        _valid: Unused.
        spec: Specification of the system. Only its tasks are used.

    Returns:
        Arrays by name: ``shares`` (output,) contains the share of utterances with each class. If a task predicts
        intensities, ``medians`` (output,) contains the median of each intensity.
    """
    targets = joined_targets(train, classes_among(spec.tasks))
    tensors = {"shares": targets.values.sum(axis=0) / np.maximum(targets.scored.sum(axis=0), 1)}
    if degrees := degrees_among(spec.tasks):
        values, scored = joined_targets(train, degrees)
        tensors["medians"] = np.array([np.median(each[mask]) for each, mask in zip(values.T, scored.T, strict=True)])
    return tensors


def majority_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """Predict the same values for every utterance: the share of each class in train and the median intensities.

    Args:
        tensors: Arrays from `fit_majority`.
        columns: Utterances to predict; only their number is used.
        spec: The spec that was given to `fit_majority`.

    Returns:
        Predictions (N, output) by task.
    """
    predictions = by_task(np.tile(tensors["shares"], (columns.n_utterances, 1)), classes_among(spec.tasks))
    if degrees := degrees_among(spec.tasks):
        predictions |= by_task(np.tile(tensors["medians"], (columns.n_utterances, 1)), degrees)
    return predictions
