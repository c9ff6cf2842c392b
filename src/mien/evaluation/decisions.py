"""Decisions: the thresholds of every output, how they are chosen on valid, and the constants of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.rows import classes_of, validated_predictions
from mien.metrics import METRICS
from mien.metrics.confusion import Confusion
from mien.metrics.significance import video_weights
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.tasks import EMOTION, SENTIMENT, TASKS

# Threshold of two-class tasks, as the larger output of the paper's two-way softmax. Also used where valid has only one
# class of an output and so cannot determine a threshold.
HALF = 0.5
# constants of the paper (section 4.2)
PAPER_F1_THRESHOLD = 0.4
PAPER_WEIGHTED_ACCURACY_THRESHOLD = 0.2
# Number of resamples of the valid videos that vote on a threshold. A single best cut overfits when positives are few.
N_VOTES = 200
# scores closer than this differ only by rounding and count as equal
ROUNDING = 1e-12


class ChosenOn(StrEnum):
    """Source of the thresholds; the test split is excluded on purpose."""

    VALID = "valid"  # predictions for the valid split
    PAPER = "paper"  # constants of the paper
    NOTHING = "nothing"  # other constants


class OperatingPoint(StrEnum):
    """Operating point: one threshold per output, chosen for one metric; the value is the name of the metric."""

    WEIGHTED_ACCURACY = "weighted_accuracy"
    WEIGHTED_F1 = "weighted_f1"


# metrics of decisions that a threshold can maximise: name -> function of counts
DECISION_METRICS: dict[str, Callable[[Confusion], FloatArray]] = {
    name: METRICS[name].function for name in ("weighted_accuracy", "weighted_f1", "macro_f1", "positive_f1")
}
POINT_METRICS = {point.value: DECISION_METRICS[point] for point in OperatingPoint}
# operating point -> output -> threshold
Thresholds = Mapping[OperatingPoint, Mapping[str, float]]


def _same_for_all(task: str, thresholds: Mapping[OperatingPoint, float]) -> Thresholds:
    """Give all outputs of a task the same threshold at each operating point."""
    return {point: dict.fromkeys(TASKS[task].outputs, value) for point, value in thresholds.items()}


def _half_thresholds() -> dict[str, Thresholds]:
    """Return the thresholds of all tasks with decision rule `half`."""
    return {
        task: _same_for_all(task, dict.fromkeys(OperatingPoint, HALF))
        for task, row in TASKS.items()
        if row.decision == "half"
    }


@dataclass(frozen=True, slots=True)
class Decisions:
    """All thresholds of a system; an output is present where its probability >= threshold."""

    # task -> thresholds; contains every task of rule `half`, and those of rule `voted` that the system predicts
    thresholds: Mapping[str, Thresholds] = field(default_factory=_half_thresholds)
    # operating point of the F1 columns; weighted accuracy and counts always use `WEIGHTED_ACCURACY`
    f1_columns_at: OperatingPoint = OperatingPoint.WEIGHTED_ACCURACY
    chosen_on: ChosenOn = ChosenOn.NOTHING
    notes: tuple[str, ...] = ()

    def at(self, task: str, point: OperatingPoint = OperatingPoint.WEIGHTED_ACCURACY) -> FloatArray:
        """Return the thresholds of a task at one operating point.

        Args:
            task: Name in `TASKS`.
            point: Operating point.

        Returns:
            Thresholds (output,) in the order of the task's outputs.

        Raises:
            DataError: An output has no threshold.
        """
        thresholds = self.thresholds.get(task, {}).get(point, {})
        missing = [name for name in TASKS[task].outputs if name not in thresholds]
        if missing:
            raise DataError(
                f"Expected a {point.value} threshold for {', '.join(missing)}, but got none; "
                f"fit the decisions on predictions of {task}"
            )
        return np.array([thresholds[name] for name in TASKS[task].outputs], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return the content of decisions.json; `from_json` restores it exactly."""
        return {
            "chosen_on": self.chosen_on.value,
            "rule": "present where probability >= threshold",
            **{task: self._task_json(task) for task, row in TASKS.items() if not row.predicts_degrees},
            "f1_columns_at": self.f1_columns_at.value,
            "notes": list(self.notes),
        }

    def _task_json(self, task: str) -> Any:
        """Return one number for rule `half`, else operating point -> output -> threshold."""
        if TASKS[task].decision == "half":
            return float(self.at(task)[0])
        return {point.value: dict(self.thresholds.get(task, {}).get(point, {})) for point in OperatingPoint}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Decisions:
        """Rebuild from `to_json`'s dictionary.

        Raises:
            DataError: A part is missing, or a threshold is not a number in [0, 1].
        """
        # a file lacks the tasks that were added to the table after it was written
        stored_tasks = [
            task for task, row in TASKS.items() if not row.predicts_degrees and task in {*facts, SENTIMENT, EMOTION}
        ]
        try:
            thresholds = {task: _task_from_json(task, facts[task]) for task in stored_tasks}
            decisions = cls(
                thresholds=_half_thresholds()
                | {task: points for task, points in thresholds.items() if any(points.values())},
                f1_columns_at=OperatingPoint(facts["f1_columns_at"]),
                chosen_on=ChosenOn(facts["chosen_on"]),
                notes=tuple(facts.get("notes", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
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


def _task_from_json(task: str, facts: Any) -> Thresholds:
    """Rebuild the thresholds of one task from its part of decisions.json."""
    if TASKS[task].decision == "half":
        return _same_for_all(task, dict.fromkeys(OperatingPoint, float(facts)))
    return {point: {str(name): float(value) for name, value in facts[point.value].items()} for point in OperatingPoint}


def constant_decisions(weighted_accuracy: float, weighted_f1: float, **facts: Any) -> Decisions:
    """Build decisions with the same two thresholds for every output of every task of rule `voted`.

    Args:
        weighted_accuracy: Threshold at the operating point of weighted accuracy.
        weighted_f1: Threshold at the operating point of weighted F1.
        **facts: Further fields of `Decisions`.

    Returns:
        Decisions; tasks of rule `half` have the threshold 0.5.
    """
    pair = {OperatingPoint.WEIGHTED_ACCURACY: weighted_accuracy, OperatingPoint.WEIGHTED_F1: weighted_f1}
    voted = [task for task, row in TASKS.items() if row.decision == "voted"]
    return Decisions(thresholds=_half_thresholds() | {task: _same_for_all(task, pair) for task in voted}, **facts)


def paper_decisions() -> Decisions:
    """Return the paper's constants: 0.2 for weighted accuracy and counts, 0.4 for the F1 columns."""
    return constant_decisions(
        PAPER_WEIGHTED_ACCURACY_THRESHOLD,
        PAPER_F1_THRESHOLD,
        f1_columns_at=OperatingPoint.WEIGHTED_F1,
        chosen_on=ChosenOn.PAPER,
    )


def fit_decisions(valid: Predictions) -> Decisions:
    """Choose the thresholds of every predicted task on valid, by the decision rule of the task (`RULES`).

    Args:
        valid: Predictions for the valid split. Never pass the test split; the function cannot detect it.

    Returns:
        Thresholds for all outputs that are classes. If valid has only one class of an output, its threshold is 0.5 and
        a note reports it.

    Raises:
        DataError: The rows are unusable, see `validated_predictions`.
    """
    valid = validated_predictions(valid, "the predictions on valid")
    thresholds, notes = _half_thresholds(), []
    for task in valid.outputs:
        if rule := RULES[TASKS[task].decision]:
            thresholds[task], task_notes = rule(valid, task)
            notes += task_notes
    return Decisions(thresholds=thresholds, chosen_on=ChosenOn.VALID, notes=tuple(notes))


def _fit_half(_valid: Predictions, task: str) -> tuple[Thresholds, list[str]]:
    """Return the threshold 0.5 for all outputs, and no notes."""
    return _same_for_all(task, dict.fromkeys(OperatingPoint, HALF)), []


def _fit_voted(valid: Predictions, task: str) -> tuple[Thresholds, list[str]]:
    """Choose for each output the thresholds that maximise weighted accuracy and weighted F1 (`voted_thresholds`).

    Under `clean` the operating point of weighted F1 is used for one additional score only.
    """
    labels, scored = classes_of(task, valid)
    draws = voting_draws(valid.video_id[scored])
    thresholds: dict[OperatingPoint, dict[str, float]] = {point: {} for point in OperatingPoint}
    notes = []
    for column, name in enumerate(TASKS[task].outputs):
        present = labels[scored, column]
        voted = voted_thresholds(present, valid.outputs[task][scored, column], draws, POINT_METRICS)
        if present.all() or not present.any():
            notes.append(
                f"the thresholds of {name} are {HALF}: valid has {int(present.sum())} utterances with it "
                f"and {int((~present).sum())} without, which cannot choose"
            )
        for point in OperatingPoint:
            thresholds[point][name] = voted[point]
    return thresholds, notes


# decision rule of a task -> function that chooses its thresholds on valid; None for degrees, which have no decision
RULES: dict[str, Callable[[Predictions, str], tuple[Thresholds, list[str]]] | None] = {
    "half": _fit_half,
    "voted": _fit_voted,
    "none": None,
}


def voting_draws(video_id: NDArray[Any]) -> NDArray[Any]:
    """Draw `N_VOTES` resamples of the videos for `voted_thresholds`, from each row's video name (utterance,).

    Returns:
        How often each resample drew the row's video, (vote, utterance).
    """
    names, video = np.unique(video_id.astype(str), return_inverse=True)
    return video_weights(max(len(names), 1), N_VOTES)[:, video]


def voted_thresholds(
    target: BoolArray,
    probability: FloatArray,
    draws: NDArray[Any],
    scores: Mapping[str, Callable[[Confusion], FloatArray]],
) -> dict[str, float]:
    """Choose thresholds as the median of the best cuts of many resamples.

    Resamples with only one class are excluded. If all utterances have one class, every threshold is 0.5.

    Args:
        target: True where the output is present, (utterance,).
        probability: Probability of the output in [0, 1], (utterance,).
        draws: How often each resample drew the utterance's video, (vote, utterance).
        scores: Name -> function of counts to maximise; it is applied to all cuts of a resample at once.

    Returns:
        Name -> threshold.
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
    """Return the threshold with the highest score; among equal maxima the middle one, or the upper middle one.

    The ends of a plateau depend on single utterances, so the middle is more robust. The upper of two middle ones avoids
    predicting an emotion without evidence.
    """
    maxima = np.flatnonzero(scores >= np.nanmax(scores) - ROUNDING)
    return float(thresholds[maxima[len(maxima) // 2]])


def candidate_thresholds(
    target: BoolArray, probability: FloatArray, weights: NDArray[Any] | None = None
) -> tuple[FloatArray, Confusion]:
    """Return all thresholds that decide differently, with their counts, in O(n log n).

    Candidates are the midpoints between neighbours among 0, the distinct probabilities, and 1. At the lowest candidate
    everything is present, at the highest everything is absent; the highest is left out if some probability is 1.

    Args:
        target: True where the output is present, (utterance,); at least one row.
        probability: Probability of the output in [0, 1], (utterance,).
        weights: How often each row counts, (utterance,), at least one above zero; None counts each once. Rows with
            weight zero give no candidate.

    Returns:
        Ascending thresholds (cut,) and counts of shape (cut,).
    """
    if weights is None:
        weights = np.ones(len(target))
    drawn = weights > 0
    values, group = np.unique(probability[drawn], return_inverse=True)
    present = np.bincount(group.reshape(-1), weights=(target * weights)[drawn], minlength=len(values))
    absent = np.bincount(group.reshape(-1), weights=(~target * weights)[drawn], minlength=len(values))
    # at cut k the values from number k on are predicted present
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
