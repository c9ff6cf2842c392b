"""Result of one run on one split under one protocol, with a description of how its scores were computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mien.errors import UnknownNameError, UsageError
from mien.evaluation.counts import count_videos
from mien.evaluation.decisions import Decisions, OperatingPoint, paper_decisions
from mien.evaluation.headline import headline_intervals
from mien.evaluation.measures import Scores
from mien.evaluation.protocols import PROTOCOLS, UPPER_BOUND, Protocol, ProtocolInput
from mien.evaluation.rows import validated_predictions, video_numbers
from mien.evaluation.trivial import TrainMajority, score_trivial
from mien.metrics.significance import N_RESAMPLES, video_weights
from mien.storage.predictions import Predictions
from mien.task_kinds import BINARY, CLASSES, ORDINAL, PRESENCE, VOTED
from mien.tasks import PAPER_TASKS, Task, tasks_to_json

WEIGHTED_ACCURACY_COLUMNS = ("weighted_accuracy", "n_predicted_positive", "threshold")
F1_COLUMNS = ("weighted_f1", "macro_f1", "positive_f1")
SECOND_COLUMNS = (
    *("weighted_f1_at_f1_threshold", "weighted_accuracy_at_f1_threshold"),
    *("n_predicted_positive_at_f1_threshold", "f1_threshold"),
)


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Description of a run and of the scored split. It is printed beside the scores and does not affect them."""

    run: str
    model: str = ""
    inputs: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    seed: int | None = None
    split: str = "test"
    dataset: str = ""  # name and fingerprint, because releases of one data set differ

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary for JSON."""
        return asdict(self) | {"inputs": list(self.inputs), "tasks": list(self.tasks)}


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Number and seed of the bootstrap resamples. If the number is zero, no intervals are computed."""

    n_resamples: int = N_RESAMPLES
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """Scores of one run on one split: the output of `mien evaluate`.

    Scores are fractions, not percentages. docs/protocol.md explains each number.
    """

    identity: RunIdentity
    protocol: str
    n_videos: int
    n_utterances: int
    # predicted task -> name of a score -> value
    parts: Mapping[str, dict[str, Any]]
    # scores of the constant predictor under the same keys; None if `evaluate_predictions` got no majority
    trivial: Mapping[str, dict[str, Any]] | None
    intervals: dict[str, list[float]]  # path of a score, such as "sentiment.accuracy_has0" -> [low, high]
    operating_points: dict[str, Any]
    conventions: dict[str, str]
    upper_bound: bool = False
    notes: tuple[str, ...] = ()
    # all tasks of the run's label spaces
    tasks: Mapping[str, Task] = field(default_factory=lambda: PAPER_TASKS)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a nested dictionary. Undefined scores are NaN, which `to_json_text` writes as null."""
        return self.identity.to_json() | {
            "protocol": self.protocol,
            "upper_bound": self.upper_bound,
            "n_videos": self.n_videos,
            "n_utterances": self.n_utterances,
            **self._by_task(self.parts),
            "trivial": None if self.trivial is None else self._by_task(self.trivial),
            "intervals": self.intervals,
            "operating_points": self.operating_points,
            "conventions": self.conventions,
            "notes": list(self.notes),
            **tasks_to_json(self.tasks),
        }

    def _by_task(self, parts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return a dictionary with every task: task -> its scores, or None if the task is not predicted."""
        return {task: parts.get(task) for task in self.tasks}


def evaluate_predictions(
    predictions: Predictions | Mapping[int, Predictions],
    *,
    protocol: str = "clean",
    decisions: Decisions | None = None,
    majority: TrainMajority | None = None,
    identity: RunIdentity | None = None,
    bootstrap: Bootstrap | None = None,
) -> Result:
    """Score one run on one split.

    Args:
        predictions: Predictions for the split to score, from the epoch chosen on the valid split. The protocol
            `released` needs a dictionary instead: epoch -> predictions.
        protocol: Name in `PROTOCOLS`.
        decisions: Thresholds that `fit_decisions` chose on the valid split. The protocol `clean` requires them; the
            other protocols ignore them.
        majority: Constant predictions computed from the train split, which are scored as a baseline. If it is None, the
            baseline is left out.
        identity: Description of the run, to include in the result.
        bootstrap: Number and seed of the resamples for the intervals. If it is None, there are 1,000 resamples with
            seed 0. The protocol `released` has no intervals: its scores are maxima over many choices, and resamples of
            the videos do not describe the uncertainty of a maximum.

    Returns:
        Scores of every predicted task, the 95 % intervals of the headline scores, the thresholds, and texts that
        explain how to interpret the scores.

    Raises:
        UnknownNameError: There is no such protocol.
        UsageError: The predictions or thresholds that the protocol needs are missing.
        DataError: The predictions are unusable.

    Example:
        >>> result = evaluate_predictions(test, decisions=fit_decisions(valid))  # doctest: +SKIP
        >>> result.parts["sentiment"]["accuracy_has0"]  # doctest: +SKIP
        0.7951
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    chosen = PROTOCOLS[protocol]
    scores, scored_predictions, thresholds = _apply_protocol(chosen, protocol, predictions, decisions)
    rows = validated_predictions(scored_predictions)
    notes = list(scores.notes)
    intervals: dict[str, list[float]] = {}
    bootstrap = bootstrap or Bootstrap()
    n_videos = video_numbers(rows)[1]
    if thresholds is not None and bootstrap.n_resamples and n_videos:
        weights = video_weights(n_videos, bootstrap.n_resamples, bootstrap.seed)
        intervals, interval_notes = headline_intervals(count_videos(rows, thresholds), weights, rows.tasks)
        notes += interval_notes
    return Result(
        identity=identity or RunIdentity(run=""),
        protocol=protocol,
        n_videos=n_videos,
        n_utterances=len(rows.index),
        parts=scores.parts,
        trivial=None if majority is None else score_trivial(rows, majority).parts,
        intervals=intervals,
        operating_points=_operating_points(chosen, thresholds, scores, rows.tasks),
        conventions=_conventions(chosen, identity, rows.tasks.values()),
        upper_bound=chosen.upper_bound,
        notes=tuple(notes),
        tasks=rows.tasks,
    )


def _apply_protocol(
    chosen: Protocol,
    name: str,
    predictions: Predictions | Mapping[int, Predictions],
    decisions: Decisions | None,
) -> tuple[Scores, Predictions, Decisions | None]:
    """Check the arguments that a protocol needs, and score the predictions under it.

    Returns:
        ``(scores, predictions, decisions)``. `predictions` are those of one epoch; they give the utterances and gold
        labels. `decisions` are the thresholds, or None if the protocol chooses a separate threshold for each score.

    Raises:
        UsageError: The predictions or thresholds that the protocol needs are missing.
    """
    if chosen.needs is ProtocolInput.EPOCHS:
        if isinstance(predictions, Predictions):
            raise UsageError(
                f"Expected predictions of every epoch under the protocol {name}, but got one table; "
                "train with the predictions of all epochs kept"
            )
        scores = chosen.function(predictions)
        return scores, next(iter(predictions.values())), None
    if not isinstance(predictions, Predictions):
        raise UsageError(
            f"Expected one table of predictions under the protocol {name}, but got one per epoch; "
            "give those of the epoch chosen on valid"
        )
    if chosen.needs is ProtocolInput.PREDICTIONS:
        return chosen.function(predictions), predictions, paper_decisions(predictions.tasks)
    if decisions is None:
        raise UsageError(
            f"Expected thresholds under the protocol {name}, but got none; fit them on valid, or use the protocol fixed"
        )
    return chosen.function(predictions, decisions), predictions, decisions


def _operating_points(
    chosen: Protocol, decisions: Decisions | None, scores: Scores, tasks: Mapping[str, Task]
) -> dict[str, Any]:
    """Return the entry `operating_points` of a result, which lists the thresholds and the scores that use them.

    Only tasks whose thresholds are chosen per class (decision rule VOTED) are included.

    Returns:
        Operating point (metric for which thresholds are chosen) -> dictionary. Its key ``columns`` has the scores that
        use the thresholds, and ``chosen_on`` the data on which the thresholds were chosen. The thresholds of emotion
        are under ``thresholds``, those of any other task under the name of the task. If the protocol chooses a
        separate threshold for each score, the only entry is a warning.
    """
    voted_tasks = [name for name in scores.parts if tasks[name].row.decision == VOTED]
    if not voted_tasks:
        return {}
    if decisions is None:
        return {"each metric for itself": {"chosen_on": chosen.thresholds_chosen_by, "warning": UPPER_BOUND}}
    separate_f1 = decisions.f1_columns_at is OperatingPoint.WEIGHTED_F1
    columns = {
        OperatingPoint.WEIGHTED_ACCURACY: WEIGHTED_ACCURACY_COLUMNS + (() if separate_f1 else F1_COLUMNS),
        OperatingPoint.WEIGHTED_F1: (F1_COLUMNS if separate_f1 else ()) + SECOND_COLUMNS,
    }
    return {
        point.value: {"columns": list(columns[point]), "chosen_on": decisions.chosen_on.value}
        | {
            "thresholds" if tasks[name].space.is_six_emotions else name: dict(decisions.thresholds[name][point])
            for name in voted_tasks
        }
        for point in OperatingPoint
    }


def _conventions(chosen: Protocol, identity: RunIdentity | None, tasks: Iterable[Task]) -> dict[str, str]:
    """Return the explanations (name -> text) that are needed to interpret the scores of these tasks.

    There are seven for the paper's label spaces.
    """
    kinds = {task.kind for task in tasks}
    facts = {}
    if kinds & {BINARY, ORDINAL}:
        facts["sentiment_classes"] = (
            "has0: >= 0 is positive; non0: exact zeros dropped; the suffix of each key says which"
        )
    if kinds & {BINARY, ORDINAL, PRESENCE}:
        facts["f1"] = "weighted over both classes; macro_f1 and positive_f1 stand beside it"
    if PRESENCE in kinds:
        facts["emotion_accuracy"] = "weighted accuracy (TP/P + TN/N) / 2, not plain accuracy"
        facts["mean"] = "mean6: the six emotions; mean7: those and none; the suffix of each key says which"
        facts["thresholds"] = (
            "one per metric"
            if chosen.needs is not ProtocolInput.DECISIONS
            else "one per emotion, chosen for weighted accuracy; keys with at_f1_threshold: chosen for weighted F1"
        )
    if CLASSES in kinds:
        facts["classes"] = (
            "accuracy: share of all utterances; weighted_f1: mean of the F1 of the classes, weighted by the number of "
            "utterances of each class; macro_f1: their plain mean; the most probable class is taken"
        )
    return facts | {
        "chosen_on": f"epoch: {chosen.epoch_chosen_by}; thresholds: {chosen.thresholds_chosen_by}",
        "data": f"{identity.dataset or 'unnamed'}, split {identity.split}" if identity else "unnamed",
    }
