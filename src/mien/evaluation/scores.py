"""Counts -> scores: the part of a result for every task.

What is a formula of counts (the measures of a scorer) is computed alike for the split and for resamples of its videos.
What is not (ROC AUC, calibration error, concordance) is a function of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.counts import F1_COLUMNS, GRADES, TaskCounts, count_videos
from mien.evaluation.decisions import Decisions, OperatingPoint
from mien.evaluation.rows import classes_of
from mien.metrics import METRICS
from mien.metrics.calibration_error import calibration_error
from mien.metrics.confusion import Confusion
from mien.metrics.ranking import concordance_index, roc_auc
from mien.schema import EMOTIONS, NO_EMOTION, BoolArray, FloatArray, SentimentRule, SentimentValues
from mien.storage.predictions import Predictions
from mien.tasks import EMOTION, EMOTION_INTENSITY, TASKS, labels_of

SENTIMENT_NOTES = {
    SentimentValues.INTENSITY: (
        "the columns ending in _non0 score the same decisions, made for has0, on the utterances that are not exactly 0"
    ),
    SentimentValues.HAS0_CLASS: (
        "accuracy_non0 and weighted_f1_non0 are left out: the data set stores sentiment as classes under has0, "
        "so its exact zeros are hidden among the positive ones"
    ),
    SentimentValues.SIGNED_CLASS: (
        "has0 and non0 are equal here: the data set gives neutral utterances no sentiment label"
    ),
}
CLASSES_ONLY = "the scores of {part} are left out: the labels are classes, which have no degrees"


@dataclass(slots=True)
class Scores:
    """The parts of a result by task, of the tasks that are predicted, and what must be said about them."""

    parts: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measure:
    """One score that is a formula of counts."""

    # which counts of the task
    counts: str
    # in `mien.metrics.METRICS`
    metric: str

    def of(self, counts: TaskCounts, weights: NDArray[Any] | None = None) -> FloatArray:
        """The score of every output: (output,), or (resample, output) with weights (resample, video)."""
        part = counts[self.counts]
        score: FloatArray = METRICS[self.metric].function(part.summed() if weights is None else part.resampled(weights))
        return score


@dataclass(frozen=True, slots=True)
class Scorer:
    """How a task is scored; one row of `SCORERS`."""

    # counts and rows -> the part of a result; notes are added to the list
    part: Callable[[Predictions, str, Decisions, TaskCounts, list[str]], dict[str, Any]]
    # key in the part, or in the row of an output -> what it is computed from
    measures: Mapping[str, Measure]
    # a row for every output and means over them; else the scores of the only output
    by_output: bool
    # measure -> its column in a table, and its title in a figure (empty: not drawn)
    headline: Mapping[str, tuple[str, str]]
    # measures of single outputs that have an interval and a test too
    headline_by_output: tuple[str, ...] = ()


def score_at(predictions: Predictions, decisions: Decisions) -> Scores:
    """Score `checked` predictions with given thresholds.

    Args:
        predictions: sorted and checked rows.
        decisions: the thresholds.

    Returns:
        The parts with the keys of docs/protocol.md. An undefined score is NaN and a note says why.

    Raises:
        DataError: a task is predicted, but has no threshold.
    """
    counts = count_videos(predictions, decisions)
    scores = Scores({})
    for task in (task for task in TASKS if task in predictions.outputs):
        part = SCORERS[TASKS[task].scores].part
        scores.parts[task] = part(predictions, task, decisions, counts[task], scores.notes)
    return scores


def mean_of_defined(scores: FloatArray, defined: BoolArray | None = None) -> FloatArray:
    """Mean over the outputs (..., output) that have a score; NaN if none has.

    Which have one depends on the labels alone: of several resamples, epochs or thresholds say `defined` (output,).
    """
    kept = scores[..., ~np.isnan(scores) if defined is None else defined]
    mean: FloatArray = kept.mean(axis=-1) if kept.shape[-1] else np.full(kept.shape[:-1], np.nan)[()]
    return mean


def means_of(task: str) -> dict[str, int]:
    """Name of a mean -> how many outputs, from the first on, it is over; the first of them is the headline."""
    n = len(TASKS[task].outputs)
    return TASKS[task].means or {f"mean{n}": n}


def rows_key(task: str) -> str:
    """Where the part of a task holds the rows of its outputs."""
    return "per_emotion" if task in (EMOTION, EMOTION_INTENSITY) else "per_output"


def nested_rows(task: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The rows of all outputs as the part of a task holds them; that of `none` stands beside those of the emotions."""
    if task != EMOTION:
        return {rows_key(task): dict(rows)}
    return {"per_emotion": {name: rows[name] for name in EMOTIONS}, "no_emotion": rows[NO_EMOTION]}


def note_undefined(task: str, rows: Mapping[str, Mapping[str, Any]], notes: list[str]) -> None:
    """Say which outputs have undefined scores, because a mean over fewer outputs is another number."""
    undefined = [name for name, row in rows.items() if np.isnan(row["weighted_accuracy"])]
    notes += [
        f"weighted_accuracy, macro_f1 and roc_auc of {name} are undefined: {rows[name]['n_positive']} utterances "
        f"with it and {rows[name]['n_negative']} without"
        for name in undefined
    ]
    mean, n = next(iter(means_of(task).items()))
    lost = [name for name in TASKS[task].outputs[:n] if name in undefined]
    if lost:
        what = "emotions" if task == EMOTION else "outputs"
        notes.append(f"weighted_accuracy_{mean} is the mean over {n - len(lost)} {what}, without {', '.join(lost)}")


def counts_of(confusion: Confusion, suffix: str = "") -> dict[str, int]:
    """The counts that stand beside every score."""
    return {
        f"n_positive{suffix}": int(confusion.positives),
        f"n_negative{suffix}": int(confusion.negatives),
        f"n_predicted_positive{suffix}": int(confusion.predicted_positives),
    }


def _whole(counts: TaskCounts, name: str) -> Confusion:
    """The counts of decisions (output,) of the split."""
    confusion = counts[name].summed()
    assert isinstance(confusion, Confusion)
    return confusion


def _sentiment_part(
    predictions: Predictions, task: str, decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    part: dict[str, Any] = {
        key: float(measure.of(counts)[0]) if measure.counts in counts else None
        for key, measure in SENTIMENT_MEASURES.items()
    }
    positive, scored = classes_of(task, predictions)
    target, probability = positive[scored, 0], predictions.outputs[task][scored, 0]
    part |= {
        "roc_auc": roc_auc(target, probability),
        "calibration_error": calibration_error(target, probability),
        "threshold": float(decisions.at(task)[0]),
        "n_scored": int(scored.sum()),
    } | counts_of(_whole(counts, SentimentRule.HAS0).take(0))
    if SentimentRule.NON0 in counts:
        non0 = _whole(counts, SentimentRule.NON0).take(0)
        part |= {"n_scored_non0": int(non0.total)} | counts_of(non0, "_non0")
    notes.append(SENTIMENT_NOTES[predictions.sentiment_values])
    if part["n_scored"] == 0:
        notes.append("the sentiment scores are undefined: no utterance has a sentiment label")
    elif not part["n_positive"] or not part["n_negative"]:
        notes.append("weighted_accuracy, macro_f1 and roc_auc of sentiment are undefined: only one class occurs")
    return part


def _presence_part(
    predictions: Predictions, task: str, decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    labels, scored = classes_of(task, predictions)
    targets, probabilities = labels[scored], predictions.outputs[task][scored]
    values = {key: measure.of(counts) for key, measure in PRESENCE_MEASURES.items()}
    main, second = _whole(counts, OperatingPoint.WEIGHTED_ACCURACY), _whole(counts, OperatingPoint.WEIGHTED_F1)
    rows = {
        name: {
            **{key: float(scores[column]) for key, scores in values.items()},
            "threshold": float(decisions.at(task, OperatingPoint.WEIGHTED_ACCURACY)[column]),
            "f1_threshold": float(decisions.at(task, OperatingPoint.WEIGHTED_F1)[column]),
            "roc_auc": roc_auc(targets[:, column], probabilities[:, column]),
            "calibration_error": calibration_error(targets[:, column], probabilities[:, column]),
            **counts_of(main.take(column)),
            "n_predicted_positive_at_f1_threshold": int(second.predicted_positives[column]),
        }
        for column, name in enumerate(TASKS[task].outputs)
    }
    if not scored.any():
        notes.append(f"the {task} scores are undefined: no utterance has {TASKS[task].labels} labels")
    note_undefined(task, rows, notes)
    means = means_of(task)
    first = next(iter(means))
    part = {
        f"{key}_{mean}": float(mean_of_defined(scores[:n]))
        for key, scores in values.items()
        for mean, n in means.items()
        if key != AT_F1_THRESHOLD or mean == first
    }
    return part | {"n_scored": int(scored.sum())} | nested_rows(task, rows)


def _score_part(
    predictions: Predictions, task: str, _decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    part: dict[str, Any] = dict.fromkeys(("mae", "pearson", "concordance_index", *GRADES))
    if not counts:
        notes.append(CLASSES_ONLY.format(part=task))
        return part | {"n_scored": 0}
    gold, said = labels_of(task, predictions)[:, 0], predictions.outputs[task][:, 0]
    part |= {key: float(measure.of(counts)[0]) for key, measure in SCORE_MEASURES.items()}
    part |= {"concordance_index": concordance_index(gold, said), "n_scored": int((~np.isnan(gold)).sum())}
    _note_constant(task, said[~np.isnan(gold)], notes)
    return part


def _degrees_part(
    predictions: Predictions, task: str, _decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    said, gold = predictions.outputs[task], labels_of(task, predictions)
    undefined = np.full(said.shape[1], np.nan)
    if not counts:
        notes.append(CLASSES_ONLY.format(part=task))
        gold = np.full_like(said, np.nan)
    values = {key: measure.of(counts) if counts else undefined for key, measure in DEGREES_MEASURES.items()}
    values["concordance_index"] = np.array(
        [concordance_index(gold[:, column], said[:, column]) for column in range(said.shape[1])]
    )
    rows: dict[str, dict[str, Any]] = {
        name: {key: float(scores[column]) for key, scores in values.items()}
        | {"n_nonzero": int((gold[:, column] > 0).sum())}
        for column, name in enumerate(TASKS[task].outputs)
    }
    scored = ~np.isnan(gold).any(axis=1)
    for column, name in enumerate(TASKS[task].outputs):
        _note_constant(f"{task} of {name}", said[scored, column], notes)
    means = {
        f"{key}_{mean}": float(mean_of_defined(scores[:n]))
        for key, scores in values.items()
        for mean, n in means_of(task).items()
    }
    return means | {"n_scored": int(scored.sum())} | nested_rows(task, rows)


def _note_constant(what: str, said: FloatArray, notes: list[str]) -> None:
    if len(said) and np.ptp(said) == 0:
        notes.append(f"pearson of {what} is undefined: the same is predicted for every utterance")


AT_F1_THRESHOLD = "weighted_f1_at_f1_threshold"
HAS0, NON0 = SentimentRule.HAS0.value, SentimentRule.NON0.value
SENTIMENT_MEASURES = {
    "accuracy_has0": Measure(HAS0, "accuracy"),
    "weighted_f1_has0": Measure(HAS0, "weighted_f1"),
    "accuracy_non0": Measure(NON0, "accuracy"),
    "weighted_f1_non0": Measure(NON0, "weighted_f1"),
    "macro_f1_has0": Measure(HAS0, "macro_f1"),
    "weighted_accuracy_has0": Measure(HAS0, "weighted_accuracy"),
}
PRESENCE_MEASURES = {
    "weighted_accuracy": Measure(OperatingPoint.WEIGHTED_ACCURACY.value, "weighted_accuracy"),
    "weighted_f1": Measure(F1_COLUMNS, "weighted_f1"),
    "macro_f1": Measure(F1_COLUMNS, "macro_f1"),
    "positive_f1": Measure(F1_COLUMNS, "positive_f1"),
    AT_F1_THRESHOLD: Measure(OperatingPoint.WEIGHTED_F1.value, "weighted_f1"),
}
DEGREES_MEASURES = {"mae": Measure("moments", "mae"), "pearson": Measure("moments", "pearson")}
SCORE_MEASURES = DEGREES_MEASURES | {name: Measure(name, "accuracy") for name in GRADES}

SCORERS: dict[str, Scorer] = {
    # two classes of sentiment, with zero among the positive ones and without it
    "sentiment": Scorer(
        _sentiment_part,
        SENTIMENT_MEASURES,
        by_output=False,
        headline={
            "accuracy_has0": ("acc has0", "accuracy (has0)"),
            "weighted_f1_has0": ("F1 has0", "weighted F1 (has0)"),
            "accuracy_non0": ("acc non0", ""),
            "weighted_f1_non0": ("F1 non0", ""),
        },
    ),
    # every output present or absent
    "presence": Scorer(
        _presence_part,
        PRESENCE_MEASURES,
        by_output=True,
        headline={
            "weighted_accuracy": ("W-Acc", "weighted accuracy"),
            "weighted_f1": ("F1", "weighted F1"),
        },
        headline_by_output=("weighted_accuracy",),
    ),
    # one degree
    "score": Scorer(
        _score_part,
        SCORE_MEASURES,
        by_output=False,
        headline={"mae": ("MAE", ""), "pearson": ("r", ""), "accuracy7_round": ("acc7", "")},
    ),
    # several degrees
    "degrees": Scorer(
        _degrees_part, DEGREES_MEASURES, by_output=True, headline={"mae": ("MAE", ""), "pearson": ("r", "")}
    ),
}
