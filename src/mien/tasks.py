"""The prediction tasks: what a system learns from the labels of a data set.

A task is a label space (`mien.labels`) and a kind (`mien.task_kinds`). `tasks_of` makes the tasks of some label spaces.
They are stored with a run, its predictions and its results. Outputs, targets, predictions and scores are mappings with
task names as keys. A task predicts either classes or intensities; in identifiers, intensities are called degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from mien.errors import UnknownNameError
from mien.labels import INTENSITY, PAPER_SPACES, LabelKind, LabelSpace, labels_or_missing, spaces_from_json
from mien.schema import EMOTION, SENTIMENT, BoolArray, FloatArray, IntArray, SentimentValues, graded_emotions
from mien.task_kinds import BINARY, HALF, NO_DECISION, PRESENCE, TASK_KINDS, VOTED, Cut, TaskKind, default_kinds

SENTIMENT_INTENSITY = SENTIMENT + INTENSITY
EMOTION_INTENSITY = EMOTION + INTENSITY


class HasLabels(Protocol):
    """An object with the gold labels of N utterances, such as `SplitColumns` or `Predictions`."""

    @property
    def labels(self) -> Mapping[str, FloatArray]:
        """Name of a label space -> labels (N, column), NaN where missing."""
        ...

    @property
    def index(self) -> IntArray:
        """Number of each utterance in its video, (N,)."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction task: a label space and a kind."""

    name: str
    space: LabelSpace
    kind: str
    # the entry of the kind in `TASK_KINDS`
    row: TaskKind
    # place among the tasks of the same data set; stored arrays and sums of losses follow it
    position: int = 0

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs in column order; one number is predicted for each."""
        return self.row.outputs(self.space)

    @property
    def n_logits(self) -> int:
        """Width of the output layer."""
        return self.row.logits_per_output * len(self.outputs)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Cut points: output k is the probability that the label reaches cut point k. Empty for other kinds."""
        return self.row.cuts(self.space)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of classes that exclude each other, in the order of their indices; empty if there are none."""
        return self.row.classes(self.space)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest prediction."""
        return self.space.bounds if self.predicts_degrees else (0.0, 1.0)

    @property
    def predicts_degrees(self) -> bool:
        """Whether the outputs are intensities, which need no threshold. Otherwise they are probabilities of classes."""
        return self.row.decision == NO_DECISION

    @property
    def has_thresholds(self) -> bool:
        """True if each output is compared with a threshold."""
        return self.row.decision in (HALF, VOTED)

    @property
    def on_request(self) -> bool:
        """True if the task is trained only if it is requested by name, because it is not the main task of its space."""
        return self.name != self.space.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a Predictions table, one per output."""
        if not self.predicts_degrees:
            return tuple(f"probability_{self.space.prefix}{output}" for output in self.outputs)
        return tuple(f"intensity_{name}" for name in self.space.columns)

    @property
    def letters(self) -> str:
        """Abbreviation in names of benchmark settings and in the table of task combinations."""
        if not self.space.is_paper:
            return self.name
        return self.space.name[0].upper() + ("I" if self.on_request else "")

    @property
    def export_name(self) -> str:
        """Name of the output in an exported graph."""
        singular, plural = ("intensity", "intensities") if self.predicts_degrees else ("probability", "probabilities")
        return f"{self.space.name}_{singular if len(self.outputs) == 1 else plural}"

    @property
    def n_own_outputs(self) -> int:
        """Number of outputs without the last one of a multilabel that stands for "none of them"."""
        has_none = self.space.kind is LabelKind.MULTILABEL and self.outputs[-1] == self.space.neutral
        return len(self.outputs) - has_none

    @property
    def means(self) -> dict[str, int]:
        """Name of a mean in a result -> how many outputs, counted from the first, it averages: {"mean6": 6}."""
        return {f"mean{n}": n for n in (self.n_own_outputs, len(self.outputs))}

    def is_graded(self, labelled: HasLabels, values: SentimentValues) -> bool:
        """Return whether the gold labels are intensities, as far as the task needs them to be.

        Args:
            labelled: Object with the gold labels.
            values: Whether the labels of the space `sentiment` are scores or classes.

        Returns:
            True if the labels are intensities. Labels that are classes, stored as numbers, are not intensities.
        """
        if self.space.kind is LabelKind.MULTILABEL:
            return graded_emotions(labels_of(self, labelled))
        return self.space.name != SENTIMENT or values is SentimentValues.INTENSITY


def tasks_of(spaces: Iterable[LabelSpace], kinds: Mapping[str, str] | None = None) -> dict[str, Task]:
    """Return the tasks that can be learned from some label spaces.

    Every space has a main task, whose name is that of the space. A score that has a neutral value, and a multilabel
    with degrees, have a second task, NAME_intensity.

    Args:
        spaces: Label spaces.
        kinds: Name of a task -> its kind, where this is not the default.

    Returns:
        Task by name: first the main tasks, in the order of the spaces, then those that predict the intensities.

    Raises:
        UnknownNameError: There is no such kind or task, or the kind does not suit the label space.
    """
    spaces = tuple(spaces)
    found = {name: (space, kind) for space in spaces for name, kind in default_kinds(space).items()}
    for name, kind in (kinds or {}).items():
        if name not in found:
            raise UnknownNameError("task", name, found)
        suitable = [each for each, row in TASK_KINDS.items() if row.suits(found[name][0])]
        if kind not in suitable:
            raise UnknownNameError(f"the kind of the task {name}", kind, suitable)
        found[name] = found[name][0], kind
    ordered = sorted(found, key=lambda name: name.endswith(INTENSITY))
    return {
        name: Task(name, found[name][0], found[name][1], TASK_KINDS[found[name][1]], position)
        for position, name in enumerate(ordered)
    }


# The tasks of the paper's label spaces. It reads sentiment as two classes.
PAPER_TASKS: Mapping[str, Task] = MappingProxyType(tasks_of(PAPER_SPACES))


def spaces_of(tasks: Mapping[str, Task]) -> tuple[LabelSpace, ...]:
    """Return the label spaces from which `tasks_of` made these tasks."""
    return tuple(task.space for task in tasks.values() if not task.on_request)


def kinds_of(tasks: Mapping[str, Task]) -> dict[str, str]:
    """Return the kinds that `tasks_of` must be given to make these tasks: those that are not the default."""
    default = {name: kind for space in spaces_of(tasks) for name, kind in default_kinds(space).items()}
    return {name: task.kind for name, task in tasks.items() if task.kind != default[name]}


def tasks_to_json(tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Return the entries `label_spaces` and `task_kinds` of a JSON file, from which `tasks_from_json` makes the tasks.

    `task_kinds` contains only the kinds that are not the default.
    """
    return {"label_spaces": [space.to_json() for space in spaces_of(tasks)], "task_kinds": kinds_of(tasks)}


def tasks_from_json(facts: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks that `tasks_to_json` described; those of the paper if the entries are missing.

    Raises:
        ValueError: A value is not allowed.
        UnknownNameError: There is no such task or kind.
    """
    kinds = facts.get("task_kinds", {})
    return tasks_of(spaces_from_json(facts), {str(name): str(kind) for name, kind in kinds.items()})


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks in the order of `tasks_of`.

    Stored arrays need a fixed order of outputs, because the names of the outputs are not stored.
    """
    return sorted(tasks, key=lambda task: task.position)


def select_tasks(tasks: Mapping[str, Task], names: Sequence[str]) -> tuple[Task, ...]:
    """Return the named tasks, in the order of the names.

    Raises:
        UnknownNameError: There is no task of this name.
    """
    for name in names:
        if name not in tasks:
            raise UnknownNameError("task", name, tasks)
    return tuple(tasks[name] for name in names)


def labels_of(task: Task, labelled: HasLabels) -> FloatArray:
    """Return the gold labels (N, column) from which a task is learned; missing labels are NaN.

    Args:
        task: The task.
        labelled: Object with the gold labels of N utterances.
    """
    return labels_or_missing(labelled.labels, task.space, len(labelled.index))


def output_name(task: Task, output: str) -> str:
    """Return a unique name for an output of a task: no output of another task has the same name.

    Args:
        task: The task.
        output: Name of an output of the task.

    Returns:
        For the paper's sentiment, which has only one output, the name of the task (``sentiment``). For the paper's
        emotions, the name of the output (``anger``). For any other task, both names (``emotion_intensity anger``).
    """
    if task.space.is_paper and task.kind == BINARY:
        return task.name
    return output if task.space.is_paper and task.kind == PRESENCE else f"{task.name} {output}"


def targets_of(task: Task, labelled: HasLabels) -> tuple[FloatArray | BoolArray, BoolArray]:
    """Compute the targets of a task from the gold labels.

    Args:
        task: The task.
        labelled: Object with the gold labels of N utterances.

    Returns:
        ``(targets, scored)``. `targets` (N, output) contains booleans if the task predicts classes, and floats if it
        predicts intensities. `scored` (N,) is True for utterances that have a label.
    """
    labels = labels_of(task, labelled)
    scored: BoolArray = np.asarray(~np.isnan(labels).any(axis=1), dtype=np.bool_)
    return TARGETS[task.row.target](labels, task), scored


def class_probabilities(task: Task, values: FloatArray) -> FloatArray:
    """Return the probabilities of classes that exclude each other.

    Args:
        task: Task that has `classes`.
        values: Predicted values (..., output).

    Returns:
        Probabilities (..., class) in the order of `task.classes`; their sum is 1.
    """
    if not task.cuts:
        return values
    ends = np.ones((*values.shape[:-1], 1))
    reached = np.concatenate([ends, values, 0 * ends], axis=-1)
    probabilities: FloatArray = reached[..., :-1] - reached[..., 1:]
    return probabilities


def _reached(labels: FloatArray, task: Task) -> BoolArray:
    """Return whether each label reaches each cut point of the task, (N, cut); False where the label is missing."""
    columns = [labels[:, 0] > cut.value if cut.strict else labels[:, 0] >= cut.value for cut in task.cuts]
    reached: BoolArray = np.stack(columns, axis=1)
    return reached


def _one_of(labels: FloatArray, task: Task) -> BoolArray:
    """Return whether each utterance has each class, (N, class); False where the label is missing."""
    has_class: BoolArray = labels == np.arange(len(task.classes))
    return has_class


def _present(labels: FloatArray, task: Task) -> BoolArray:
    """Return whether each label is present, (N, output); False in rows with a missing label.

    If the task has an output for it, the last column tells whether no label is present.
    """
    present = np.nan_to_num(labels) > 0
    if task.n_own_outputs < len(task.outputs):
        present = np.concatenate([present, ~present.any(axis=1, keepdims=True)], axis=1)
    classes: BoolArray = present & ~np.isnan(labels).any(axis=1, keepdims=True)
    return classes


def _degrees(labels: FloatArray, _task: Task) -> FloatArray:
    """Return the intensities themselves, in which missing values are replaced by zero."""
    return np.nan_to_num(labels)


# name of a target -> function(labels (N, column), task), which returns targets (N, output)
TARGETS: dict[str, Callable[[FloatArray, Task], FloatArray | BoolArray]] = {
    "reached": _reached,
    "one_of": _one_of,
    "present": _present,
    "degrees": _degrees,
}
