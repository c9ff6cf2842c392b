"""The second kind of system: fitted once on the train split, and then nothing but named arrays.

A classical system is two plain functions. ``fit`` learns the arrays, ``probabilities`` uses them; whatever library did
the fitting, only the arrays are stored, so that no pickle is ever written and prediction is arithmetic on numpy arrays.

Axes: N = utterances of the columns; output = the outputs of one task after another in the order of `TASKS`, classes and
degrees each for themselves (`classes_among`, `degrees_among`).

Also here is what several systems share: linear support vector machines, one per output, as weights and offsets, and
their Platt scaling (the fit of one is `metrics.platt`); and the simplest system, `majority`.
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
from mien.tasks import TASKS, Task, targets_of

Array = NDArray[Any]
Tensors = dict[str, Array]
# task -> what a system says of N utterances: probabilities of classes, or degrees
Probabilities = dict[str, Float[Array, "N output"]]


@dataclass(frozen=True)
class ClassicalSpec:
    """All that decides what is learned, beside the columns."""

    inputs: tuple[Modality, ...]
    tasks: tuple[str, ...]
    settings: Any
    seed: int = 0


def class_tasks_only(row: Task) -> bool:
    """Claims the tasks whose outputs are classes."""
    return not row.predicts_degrees


@dataclass(frozen=True)
class ClassicalEntry:
    """One system: how to fit it and use it, and its default settings. The other fields are those of `ModelEntry`."""

    # (train, valid, spec): valid may choose and calibrate; nothing else is ever given
    fit: Callable[[SplitColumns, SplitColumns, ClassicalSpec], Tensors]
    # reads only the spec's inputs, and of them only what is `present`
    probabilities: Callable[[Tensors, SplitColumns, ClassicalSpec], Probabilities]
    settings: Any
    description: str
    citation: str
    input_kind: InputKind = InputKind.UTTERANCE
    modalities: tuple[Modality, ...] = tuple(Modality)
    # which tasks it can learn
    claims: Callable[[Task], bool] = class_tasks_only
    # always empty: the loop's settings do not apply
    training: Mapping[str, Any] = field(default_factory=dict)
    # what stands here is a free adaptation: not to be reported as the cited system
    experimental: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks it can learn."""
        return tuple(task for task, row in TASKS.items() if self.claims(row))


class ClassicalTargets(NamedTuple):
    """What the outputs of some tasks should be, classes or degrees; `scored` is False where the label is missing."""

    values: Bool[Array, "N output"] | Float[Array, "N output"]
    scored: Bool[Array, "N output"]


def classes_among(tasks: Sequence[str]) -> list[str]:
    """Those whose outputs are classes."""
    return [task for task in tasks if not TASKS[task].predicts_degrees]


def degrees_among(tasks: Sequence[str]) -> list[str]:
    """Those whose outputs are degrees."""
    return [task for task in tasks if TASKS[task].predicts_degrees]


def in_order(tasks: Sequence[str]) -> list[str]:
    """The order of `TASKS`, however they were asked for: stored arrays do not name their outputs."""
    return [task for task in TASKS if task in tasks]


def joined_targets(columns: SplitColumns, tasks: Sequence[str]) -> ClassicalTargets:
    """The targets of the tasks, all of classes or all of degrees, side by side in the order of `TASKS`."""
    nothing = np.zeros((columns.n_utterances, 0), dtype=bool)
    values, scored = [nothing], [nothing]
    for task in in_order(tasks):
        targets, labelled = targets_of(task, columns)
        values.append(targets)
        scored.append(np.repeat(labelled[:, None], targets.shape[1], axis=1))
    return ClassicalTargets(np.concatenate(values, axis=1), np.concatenate(scored, axis=1))


def by_task(outputs: Float[Array, "N output"], tasks: Sequence[str]) -> Probabilities:
    """Outputs as `joined_targets` orders them, sorted by task; degrees are cut to the range of the labels."""
    said, start = {}, 0
    for task in in_order(tasks):
        row = TASKS[task]
        part = outputs[:, start : start + len(row.outputs)]
        said[task] = np.clip(part, *row.range) if row.predicts_degrees else part
        start += len(row.outputs)
    return said


def has_both_classes(labels: Bool[Array, "n"]) -> bool:
    """Whether there is anything to tell apart."""
    return bool(labels.any() and not labels.all())


def column_scaling(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and s.d. (feature,) of every column of (n, feature); a constant column keeps its scale."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    # a constant column has a spread of rounding noise, not of exactly zero
    return mean, np.where(spread <= 1e-7 * np.maximum(np.abs(mean), 1.0), 1.0, spread)


@contextmanager
def iterations_may_run_out() -> Iterator[None]:
    """Inside, scikit-learn does not warn that a solver stopped at its limit: what it has then is what is used."""
    from sklearn.exceptions import ConvergenceWarning  # scikit-learn takes seconds to import, and only fitting needs it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit_platt_outputs(
    train: tuple[Float[Array, "n output"], ClassicalTargets], valid: tuple[Float[Array, "v output"], ClassicalTargets]
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
            chosen.append((decisions[scored, output], targets.values[scored, output]))
        decision, present = chosen[0] if has_both_classes(chosen[0][1]) else chosen[1]
        fitted[:, output] = fit_platt(decision, present)
    return fitted


def apply_platt(platt: Float[Array, "2 output"], decisions: Float[Array, "n output"]) -> Float[Array, "n output"]:
    """Probabilities of `fit_platt_outputs`' outputs."""
    return sigmoid(decisions * platt[0] + platt[1])


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


# The system that has learned nothing: it says of every utterance how frequent each class is on train, and the median.
#
# Sentiment is then always the more frequent class of train, as in the trivial row of an evaluation. A constant has a
# weighted accuracy of 50 % at any threshold. In the columns of F1 a threshold decides whether an emotion is always or
# never said: under `clean` never, which is the trivial row's answer too unless most of train has the emotion.
# What is missing makes no difference, because nothing is looked at; nor does the seed.


@dataclass(frozen=True)
class MajoritySettings:
    """Nothing to set."""


def fit_majority(train: SplitColumns, _valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """``shares`` (output,) and ``medians`` (output,): of the labelled train utterances."""
    targets = joined_targets(train, classes_among(spec.tasks))
    tensors = {"shares": targets.values.sum(axis=0) / np.maximum(targets.scored.sum(axis=0), 1)}
    if degrees := degrees_among(spec.tasks):
        values, scored = joined_targets(train, degrees)
        tensors["medians"] = np.array([np.median(each[here]) for each, here in zip(values.T, scored.T, strict=True)])
    return tensors


def majority_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """The same shares and medians for every utterance."""
    said = by_task(np.tile(tensors["shares"], (columns.n_utterances, 1)), classes_among(spec.tasks))
    if degrees := degrees_among(spec.tasks):
        said |= by_task(np.tile(tensors["medians"], (columns.n_utterances, 1)), degrees)
    return said
