"""From predictions to decisions: which thresholds, and who chose them. Thresholds live in this folder only."""

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

# of two classes: the larger output of the paper's two-way softmax; also where valid cannot choose: no utterance with,
# or none without, the output
HALF = 0.5
# the paper's constants (section 4.2): 0.4 for F1, 0.2 for weighted accuracy
PAPER_F1_THRESHOLD = 0.4
PAPER_WEIGHTED_ACCURACY_THRESHOLD = 0.2
# How many resamples of the valid videos vote on a threshold: one best cut follows the accidents of few positives.
N_VOTES = 200
# scores closer than this are one maximum, apart only by rounding
ROUNDING = 1e-12


class ChosenOn(StrEnum):
    """What chose the thresholds. Test is not in the list."""

    VALID = "valid"
    PAPER = "paper"  # constants printed in the paper
    NOTHING = "nothing"  # constants


class OperatingPoint(StrEnum):
    """An operating point: one threshold per output, chosen for one metric."""

    WEIGHTED_ACCURACY = "weighted_accuracy"
    WEIGHTED_F1 = "weighted_f1"


# The metrics that a threshold can be chosen for. A name of a `OperatingPoint` is the metric it is chosen for.
DECISION_METRICS: dict[str, Callable[[Confusion], FloatArray]] = {
    name: METRICS[name].function for name in ("weighted_accuracy", "weighted_f1", "macro_f1", "positive_f1")
}
POINT_METRICS = {point.value: DECISION_METRICS[point] for point in OperatingPoint}
# output -> threshold, for every point
Thresholds = Mapping[OperatingPoint, Mapping[str, float]]


def _same_for_all(task: str, thresholds: Mapping[OperatingPoint, float]) -> Thresholds:
    return {point: dict.fromkeys(TASKS[task].outputs, value) for point, value in thresholds.items()}


def _halves() -> dict[str, Thresholds]:
    return {
        task: _same_for_all(task, dict.fromkeys(OperatingPoint, HALF))
        for task, row in TASKS.items()
        if row.decision == "half"
    }


@dataclass(frozen=True, slots=True)
class Decisions:
    """Every threshold of a system; an output counts as present where probability >= threshold."""

    # task -> its thresholds; those of rule `half` are always there, those of rule `voted` if the system predicts them
    thresholds: Mapping[str, Thresholds] = field(default_factory=_halves)
    # the point that decides for the columns of F1; weighted accuracy and counts always use `WEIGHTED_ACCURACY`
    f1_columns_at: OperatingPoint = OperatingPoint.WEIGHTED_ACCURACY
    chosen_on: ChosenOn = ChosenOn.NOTHING
    notes: tuple[str, ...] = ()

    def at(self, task: str, point: OperatingPoint = OperatingPoint.WEIGHTED_ACCURACY) -> FloatArray:
        """The thresholds of a task at one operating point, (output,) in the order of the task's outputs.

        Raises DataError if an output has none.
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
        """What decisions.json holds; `from_json` reads it back exactly."""
        return {
            "chosen_on": self.chosen_on.value,
            "rule": "present where probability >= threshold",
            **{task: self._task_json(task) for task, row in TASKS.items() if not row.predicts_degrees},
            "f1_columns_at": self.f1_columns_at.value,
            "notes": list(self.notes),
        }

    def _task_json(self, task: str) -> Any:
        """One number for rule `half`, output -> threshold for each point else."""
        if TASKS[task].decision == "half":
            return float(self.at(task)[0])
        return {point.value: dict(self.thresholds.get(task, {}).get(point, {})) for point in OperatingPoint}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Decisions:
        """Rebuild from `to_json`'s dictionary. Raises DataError when a part is missing or no number in [0, 1]."""
        # a file written before a task came into the table does not name it
        named = [
            task for task, row in TASKS.items() if not row.predicts_degrees and task in {*facts, SENTIMENT, EMOTION}
        ]
        try:
            thresholds = {task: _task_from_json(task, facts[task]) for task in named}
            decisions = cls(
                thresholds=_halves() | {task: points for task, points in thresholds.items() if any(points.values())},
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
        wrong = [value for value in values if not 0 <= value <= 1]
        if wrong:
            raise DataError(f"Expected thresholds in [0, 1], but got {wrong[0]}; fit the decisions again on valid")
        return decisions


def _task_from_json(task: str, facts: Any) -> Thresholds:
    if TASKS[task].decision == "half":
        return _same_for_all(task, dict.fromkeys(OperatingPoint, float(facts)))
    return {point: {str(name): float(value) for name, value in facts[point.value].items()} for point in OperatingPoint}


def constant_decisions(weighted_accuracy: float, weighted_f1: float, **facts: Any) -> Decisions:
    """The same pair of thresholds for every output of every task that has them chosen.

    `facts` are further fields of `Decisions`.
    """
    pair = {OperatingPoint.WEIGHTED_ACCURACY: weighted_accuracy, OperatingPoint.WEIGHTED_F1: weighted_f1}
    voted = [task for task, row in TASKS.items() if row.decision == "voted"]
    return Decisions(thresholds=_halves() | {task: _same_for_all(task, pair) for task in voted}, **facts)


def paper_decisions() -> Decisions:
    """The paper's two operating points of one model: the columns of F1 have their own threshold."""
    return constant_decisions(
        PAPER_WEIGHTED_ACCURACY_THRESHOLD,
        PAPER_F1_THRESHOLD,
        f1_columns_at=OperatingPoint.WEIGHTED_F1,
        chosen_on=ChosenOn.PAPER,
    )


def fit_decisions(valid: Predictions) -> Decisions:
    """Choose the thresholds of every predicted task on valid, by the rule that its row names (`RULES`).

    Args:
        valid: predictions for the valid split. Nothing here can tell which split they are of: never give it test.

    Returns:
        Thresholds for all outputs of classes. Where valid has only one class of an output, its threshold is 0.5 and a
        note says so.

    Raises:
        DataError: the rows are unusable, see `validated_predictions`.
    """
    valid = validated_predictions(valid, "the predictions on valid")
    thresholds, notes = _halves(), []
    for task in valid.outputs:
        if rule := RULES[TASKS[task].decision]:
            thresholds[task], told = rule(valid, task)
            notes += told
    return Decisions(thresholds=thresholds, chosen_on=ChosenOn.VALID, notes=tuple(notes))


def _half(_valid: Predictions, task: str) -> tuple[Thresholds, list[str]]:
    return _same_for_all(task, dict.fromkeys(OperatingPoint, HALF)), []


def _voted(valid: Predictions, task: str) -> tuple[Thresholds, list[str]]:
    """For each output the thresholds that maximise weighted accuracy and weighted F1 (`voted_thresholds`).

    Under `clean` the point of weighted F1 serves one extra number only.
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


# decision rule of a task -> how its thresholds are chosen on valid; None: degrees, which nothing is decided from
RULES: dict[str, Callable[[Predictions, str], tuple[Thresholds, list[str]]] | None] = {
    "half": _half,
    "voted": _voted,
    "none": None,
}


def voting_draws(video_id: NDArray[Any]) -> NDArray[Any]:
    """How often each of `N_VOTES` resamples drew each row's video, from the names of the videos (utterance,).

    Returns (vote, utterance), for `voted_thresholds`.
    """
    names, video = np.unique(video_id.astype(str), return_inverse=True)
    return video_weights(max(len(names), 1), N_VOTES)[:, video]


def voted_thresholds(
    target: BoolArray,
    probability: FloatArray,
    draws: NDArray[Any],
    scores: Mapping[str, Callable[[Confusion], FloatArray]],
) -> dict[str, float]:
    """The median of the best cuts of many resamples; those that drew only one class have no vote.

    Where only one class occurs at all, which cannot choose, every threshold is 0.5.

    Args:
        target: (utterance,) True where present.
        probability: (utterance,) in [0, 1].
        draws: (vote, utterance) how often each resample drew the utterance's video.
        scores: name -> function of counts, applied to all cuts of a resample at once.

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
    """The cut with the highest score; of several equal maxima the middle one, of an even number the upper middle.

    The middle, because the ends of a flat top are the cuts that one utterance more would have ruled out; the upper one,
    because a system that says nothing about an emotion should not claim it.
    """
    maxima = np.flatnonzero(scores >= np.nanmax(scores) - ROUNDING)
    return float(thresholds[maxima[len(maxima) // 2]])


def candidate_thresholds(
    target: BoolArray, probability: FloatArray, weights: NDArray[Any] | None = None
) -> tuple[FloatArray, Confusion]:
    """All thresholds that decide differently, ascending, and their counts; O(n log n).

    Candidates are the midpoints between neighbouring distinct probabilities, with 0 below the lowest (everything is
    present) and 1 above the highest (everything is absent; left out if some probability is 1, for which >= 1 holds).

    Args:
        target: (utterance,) True where present; at least one row.
        probability: (utterance,) in [0, 1].
        weights: (utterance,) how often each row counts, default once; rows that count zero times offer no cut.

    Returns:
        Thresholds (cut,) and counts of shape (cut,).
    """
    if weights is None:
        weights = np.ones(len(target))
    drawn = weights > 0
    values, group = np.unique(probability[drawn], return_inverse=True)
    present = np.bincount(group.reshape(-1), weights=(target * weights)[drawn], minlength=len(values))
    absent = np.bincount(group.reshape(-1), weights=(~target * weights)[drawn], minlength=len(values))
    # at cut k the values k, k + 1, ... are called present
    fn = np.concatenate([[0.0], np.cumsum(present)])
    tn = np.concatenate([[0.0], np.cumsum(absent)])
    confusion = Confusion(tp=fn[-1] - fn, fp=tn[-1] - tn, fn=fn, tn=tn)
    lower, upper = np.concatenate([[0.0], values]), np.concatenate([values, [1.0]])
    middle = (lower + upper) / 2
    # between neighbouring floats the midpoint may round onto the lower one, which would then count as present
    middle[1:] = np.where(middle[1:] > lower[1:], middle[1:], upper[1:])
    if values[-1] == 1:
        return middle[:-1], confusion.take(slice(0, -1))
    return middle, confusion
