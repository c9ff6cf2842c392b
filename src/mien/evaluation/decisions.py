"""Decision thresholds of every output: their choice on the valid split, and the constants of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.rows import classes_of, validated_predictions
from mien.limits import READ_ERRORS
from mien.metrics import METRICS
from mien.metrics.confusion import Confusion
from mien.metrics.significance import video_weights
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.task_kinds import HALF as HALF_RULE
from mien.task_kinds import MOST_PROBABLE, NO_DECISION, VOTED
from mien.tasks import PAPER_TASKS, Task

# Threshold of two-class tasks. It picks the more probable class, as the paper does with its two-way softmax. It is also
# used for an output of which only one class occurs in the valid split, because no threshold can then be chosen.
HALF = 0.5
# constant thresholds of the paper (section 4.2)
PAPER_F1_THRESHOLD = 0.4
PAPER_WEIGHTED_ACCURACY_THRESHOLD = 0.2
# Number of bootstrap resamples of the valid videos. A threshold is the median of the best thresholds in the resamples,
# because the best threshold on the valid split itself overfits if there are few positive cases.
N_VOTES = 200
# scores closer than this differ only by rounding and count as equal
ROUNDING = 1e-12


class ChosenOn(StrEnum):
    """Data on which thresholds were chosen. There is deliberately no value for the test split."""

    VALID = "valid"  # predictions for the valid split
    PAPER = "paper"  # constants of the paper
    NOTHING = "nothing"  # other constants


class OperatingPoint(StrEnum):
    """Name of a metric for which thresholds are chosen.

    A system has one set of thresholds for each of these metrics, with one threshold per output.
    """

    WEIGHTED_ACCURACY = "weighted_accuracy"
    WEIGHTED_F1 = "weighted_f1"


# metrics of decisions that the choice of a threshold can maximise: name -> function of the confusion counts
DECISION_METRICS: dict[str, Callable[[Confusion], FloatArray]] = {
    name: METRICS[name].function for name in ("weighted_accuracy", "weighted_f1", "macro_f1", "positive_f1")
}
POINT_METRICS = {point.value: DECISION_METRICS[point] for point in OperatingPoint}
# a threshold, or one per utterance (utterance,), see `evaluation.folds`
Threshold = float | FloatArray
# operating point -> output -> threshold
Thresholds = Mapping[OperatingPoint, Mapping[str, Threshold]]


def _same_for_all(task: Task, thresholds: Mapping[OperatingPoint, float]) -> Thresholds:
    """Return thresholds that are the same for all outputs of a task.

    Args:
        task: The task.
        thresholds: Operating point (metric for which a threshold is chosen) -> threshold.

    Returns:
        Nested dictionary: operating point, then output, then threshold.
    """
    return {point: dict.fromkeys(task.outputs, value) for point, value in thresholds.items()}


@dataclass(frozen=True, slots=True)
class Decisions:
    """All decision thresholds of a system.

    A class is predicted as present if its probability is at least the threshold.
    """

    # Task -> thresholds, for the predicted tasks with the decision rule VOTED. The threshold of tasks with the rule
    # HALF is 0.5 if they have no entry.
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    # Operating point whose thresholds are used for the F1 scores. Weighted accuracy and the reported counts always use
    # the thresholds of `WEIGHTED_ACCURACY`.
    f1_columns_at: OperatingPoint = OperatingPoint.WEIGHTED_ACCURACY
    chosen_on: ChosenOn = ChosenOn.NOTHING
    notes: tuple[str, ...] = ()

    def at(self, task: Task, point: OperatingPoint = OperatingPoint.WEIGHTED_ACCURACY) -> FloatArray:
        """Return the thresholds of a task that were chosen for one metric (operating point).

        Args:
            task: The task.
            point: Metric for which the thresholds were chosen.

        Returns:
            Thresholds (output,) in the order of the task's outputs. If folds have different thresholds, one row per
            utterance (utterance, output).

        Raises:
            DataError: An output has no threshold.
        """
        thresholds = self.thresholds.get(task.name, {}).get(point, {})
        if not thresholds and task.row.decision == HALF_RULE:
            return np.full(len(task.outputs), HALF)
        missing = [name for name in task.outputs if name not in thresholds]
        if missing:
            raise DataError(
                f"Expected a {point.value} threshold for {', '.join(missing)}, but got none; "
                f"fit the decisions on predictions of {task.name}"
            )
        values = [np.asarray(thresholds[name], dtype=np.float64) for name in task.outputs]
        return np.stack(np.broadcast_arrays(*values), axis=-1)

    def to_json(self, tasks: Mapping[str, Task] = PAPER_TASKS) -> dict[str, Any]:
        """Return a dictionary to store as decisions.json. `from_json` builds equal Decisions from it.

        Args:
            tasks: All tasks of the run's label spaces.

        Returns:
            The dictionary. It has an entry for every task that compares its outputs with thresholds.
        """
        return {
            "chosen_on": self.chosen_on.value,
            "rule": "present where probability >= threshold",
            **{name: self._task_json(task) for name, task in tasks.items() if task.has_thresholds},
            "f1_columns_at": self.f1_columns_at.value,
            "notes": list(self.notes),
        }

    def _task_json(self, task: Task) -> Any:
        """Return the entry of a task in decisions.json.

        For a task with the decision rule HALF, the entry is its threshold. For any other task, it is a nested
        dictionary of thresholds: operating point, then output, then threshold.
        """
        if task.row.decision == HALF_RULE:
            return float(self.at(task)[0])
        return {point.value: dict(self.thresholds.get(task.name, {}).get(point, {})) for point in OperatingPoint}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any], tasks: Mapping[str, Task] = PAPER_TASKS) -> Decisions:
        """Build Decisions from a dictionary that `to_json` returned.

        Args:
            facts: The dictionary.
            tasks: All tasks of the run's label spaces.

        Returns:
            The Decisions.

        Raises:
            DataError: An entry is missing, or a threshold is not a number in [0, 1].
        """
        try:
            thresholds = {
                name: _task_from_json(task, facts[name]) for name, task in tasks.items() if task.has_thresholds
            }
            decisions = cls(
                thresholds={name: points for name, points in thresholds.items() if any(points.values())},
                f1_columns_at=OperatingPoint(facts["f1_columns_at"]),
                chosen_on=ChosenOn(facts["chosen_on"]),
                notes=tuple(facts.get("notes", ())),
            )
        except READ_ERRORS as error:
            raise DataError(
                f"Expected thresholds as decisions.json has them, but got {type(error).__name__} {error}; "
                "fit the decisions again on the valid split"
            ) from None
        values = [value for points in thresholds.values() for each in points.values() for value in each.values()]
        out_of_range = [value for value in values if not 0 <= value <= 1]
        if out_of_range:
            raise DataError(
                f"Expected thresholds in [0, 1], but got {out_of_range[0]}; fit the decisions again on valid"
            )
        return decisions


def _task_from_json(task: Task, facts: Any) -> Thresholds:
    """Restore the thresholds of one task from its entry in decisions.json, which `Decisions._task_json` built."""
    if task.row.decision == HALF_RULE:
        return {} if float(facts) == HALF else _same_for_all(task, dict.fromkeys(OperatingPoint, float(facts)))
    return {point: {str(name): float(value) for name, value in facts[point.value].items()} for point in OperatingPoint}


def constant_decisions(
    weighted_accuracy: float, weighted_f1: float, tasks: Mapping[str, Task] = PAPER_TASKS, **facts: Any
) -> Decisions:
    """Build decisions in which all classes have the same constant thresholds.

    The constants apply to tasks whose decision rule is VOTED. These are the tasks for which `fit_decisions` chooses
    the thresholds on the valid split.

    Args:
        weighted_accuracy: Threshold for weighted accuracy and for the reported counts of decisions.
        weighted_f1: Threshold for weighted F1.
        tasks: All tasks of the run's label spaces.
        **facts: Further fields of `Decisions`.

    Returns:
        Decisions with these thresholds. Tasks with the decision rule HALF have the threshold 0.5.
    """
    pair = {OperatingPoint.WEIGHTED_ACCURACY: weighted_accuracy, OperatingPoint.WEIGHTED_F1: weighted_f1}
    voted = {name: task for name, task in tasks.items() if task.row.decision == VOTED}
    return Decisions(thresholds={name: _same_for_all(task, pair) for name, task in voted.items()}, **facts)


def paper_decisions(tasks: Mapping[str, Task] = PAPER_TASKS) -> Decisions:
    """Return the constant thresholds of the paper, for all voted tasks of a run's label spaces.

    They are 0.4 for the F1 scores, and 0.2 for weighted accuracy and for the reported counts of decisions.
    """
    return constant_decisions(
        PAPER_WEIGHTED_ACCURACY_THRESHOLD,
        PAPER_F1_THRESHOLD,
        tasks,
        f1_columns_at=OperatingPoint.WEIGHTED_F1,
        chosen_on=ChosenOn.PAPER,
    )


def fit_decisions(valid: Predictions) -> Decisions:
    """Choose the thresholds of every predicted task on the valid split.

    Each task has a decision rule, and `RULES` has the function that chooses the thresholds by this rule.

    Args:
        valid: Predictions for the valid split. Never pass the test split; the function cannot detect it.

    Returns:
        Thresholds for all outputs that are classes. If a class is present in all utterances of the valid split, or in
        none, its threshold is 0.5, and a message in `notes` reports this.

    Raises:
        DataError: The predictions are unusable, see `validated_predictions`.
    """
    valid = validated_predictions(valid, "the predictions on valid")
    thresholds: dict[str, Thresholds] = {}
    notes: list[str] = []
    for name in valid.outputs:
        task = valid.tasks[name]
        if rule := RULES[task.row.decision]:
            thresholds[name], task_notes = rule(valid, task)
            notes += task_notes
    return Decisions(thresholds=thresholds, chosen_on=ChosenOn.VALID, notes=tuple(notes))


def _fit_voted(valid: Predictions, task: Task) -> tuple[Thresholds, list[str]]:
    """Choose two thresholds for every output of a task, by the method of `voted_thresholds`.

    One is chosen for the highest weighted accuracy, the other for the highest weighted F1. The protocol `clean` uses
    the second threshold only for the scores whose keys end in ``at_f1_threshold``.

    Returns:
        ``(thresholds, notes)``. If a class is present in all utterances of the valid split, or in none, its thresholds
        are 0.5, and `notes` has a message about it.
    """
    labels, scored = classes_of(task, valid)
    draws = voting_draws(valid.video_id[scored])
    thresholds: dict[OperatingPoint, dict[str, float]] = {point: {} for point in OperatingPoint}
    notes = []
    for column, name in enumerate(task.outputs):
        present = labels[scored, column]
        voted = voted_thresholds(present, valid.outputs[task.name][scored, column], draws, POINT_METRICS)
        if present.all() or not present.any():
            notes.append(
                f"the thresholds of {name} are {HALF}: valid has {int(present.sum())} utterances with it "
                f"and {int((~present).sum())} without, which cannot choose"
            )
        for point in OperatingPoint:
            thresholds[point][name] = voted[point]
    return thresholds, notes


# decision rule of a task -> function that chooses its thresholds on the valid split; None if there is nothing to choose
RULES: dict[str, Callable[[Predictions, Task], tuple[Thresholds, list[str]]] | None] = {
    HALF_RULE: None,
    VOTED: _fit_voted,
    MOST_PROBABLE: None,
    NO_DECISION: None,
}


def voting_draws(video_id: NDArray[Any]) -> NDArray[Any]:
    """Draw `N_VOTES` bootstrap resamples of the videos for `voted_thresholds`.

    Args:
        video_id: Id of each utterance's video, (utterance,).

    Returns:
        How many times a resample contains the video of an utterance, (resample, utterance).
    """
    names, video = np.unique(video_id.astype(str), return_inverse=True)
    return video_weights(max(len(names), 1), N_VOTES)[:, video]


def voted_thresholds(
    target: BoolArray,
    probability: FloatArray,
    draws: NDArray[Any],
    scores: Mapping[str, Callable[[Confusion], FloatArray]],
) -> dict[str, float]:
    """Choose one threshold of a class for each of several scores.

    In every resample, the threshold with the highest score is determined. The median of these best thresholds is
    chosen. A resample in which the class is present in all utterances, or in none, is not used. If this is so in the
    whole split, every threshold is 0.5.

    Args:
        target: True where the class is present, (utterance,).
        probability: Probability of the class in [0, 1], (utterance,).
        draws: How many times a resample contains the video of an utterance, (resample, utterance).
        scores: Name of a score -> function that computes the score from confusion counts (threshold,), for all
            candidate thresholds of a resample at once.

    Returns:
        Name of a score -> threshold.
    """
    if target.all() or not target.any():
        return dict.fromkeys(scores, HALF)
    positives = draws @ target
    cuts = [
        candidate_thresholds(target, probability, weights)
        for weights, n_present in zip(draws, positives, strict=True)
        if 0 < n_present < weights.sum()
    ]
    cuts = cuts or [candidate_thresholds(target, probability)]
    return {
        name: float(np.median([_best_cut(thresholds, score(confusion)) for thresholds, confusion in cuts]))
        for name, score in scores.items()
    }


def _best_cut(thresholds: FloatArray, scores: FloatArray) -> float:
    """Return the threshold with the highest score.

    If several thresholds have the highest score, the middle one is returned, because the lowest and the highest of them
    depend on single utterances. If their number is even, the upper one of the two in the middle is returned. A higher
    threshold avoids predicting an emotion without evidence.

    Args:
        thresholds: Ascending thresholds (threshold,).
        scores: Score at each threshold, (threshold,).
    """
    maxima = np.flatnonzero(scores >= np.nanmax(scores) - ROUNDING)
    return float(thresholds[maxima[len(maxima) // 2]])


def candidate_thresholds(
    target: BoolArray, probability: FloatArray, weights: NDArray[Any] | None = None
) -> tuple[FloatArray, Confusion]:
    """Return one threshold for every possible set of decisions, and the confusion counts at each threshold.

    The thresholds are the midpoints between neighbours in the sorted list of 0, the distinct probabilities, and 1. At
    the lowest threshold, every utterance is predicted present. At the highest, every utterance is predicted absent,
    unless some probability is 1. No threshold can then predict every utterance absent, and no such threshold is
    returned. The computing time is O(n log n) for n utterances.

    Args:
        target: True where the class is present, (utterance,); at least one utterance.
        probability: Probability of the class in [0, 1], (utterance,).
        weights: Weight of each utterance in the counts, (utterance,); at least one is above zero. Utterances with
            weight zero are ignored. If it is None, each utterance has weight 1.

    Returns:
        Ascending thresholds (threshold,), and the confusion counts (TP, FP, FN, TN) at each of them, (threshold,).
    """
    if weights is None:
        weights = np.ones(len(target))
    drawn = weights > 0
    values, group = np.unique(probability[drawn], return_inverse=True)
    present = np.bincount(group.reshape(-1), weights=(target * weights)[drawn], minlength=len(values))
    absent = np.bincount(group.reshape(-1), weights=(~target * weights)[drawn], minlength=len(values))
    # at the threshold with index k, the probabilities values[k:] are predicted present
    fn = np.concatenate([[0.0], np.cumsum(present)])
    tn = np.concatenate([[0.0], np.cumsum(absent)])
    confusion = Confusion(tp=fn[-1] - fn, fp=tn[-1] - tn, fn=fn, tn=tn)
    lower, upper = np.concatenate([[0.0], values]), np.concatenate([values, [1.0]])
    midpoints = (lower + upper) / 2
    # The midpoint of adjacent floats may round to the lower one, which would then be predicted present.
    midpoints[1:] = np.where(midpoints[1:] > lower[1:], midpoints[1:], upper[1:])
    if values[-1] == 1:
        return midpoints[:-1], confusion.take(slice(0, -1))
    return midpoints, confusion
