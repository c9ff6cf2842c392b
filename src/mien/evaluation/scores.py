"""Computation of the scores of every task, which form the task's entry in a result.

Most scores are computed from counts per video, so the same code serves the split and bootstrap resamples of its videos.
ROC AUC, calibration error and concordance index are computed from the predictions of all utterances.
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
    """Scores of all predicted tasks, and messages about these scores."""

    # predicted task -> its entry in a result: name of a score -> value
    parts: dict[str, dict[str, Any]]
    # messages that explain missing scores, undefined scores, and how scores are defined
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measure:
    """Definition of a score that is computed from counts: which counts, and which metric is applied to them."""

    # key of the counts in `TaskCounts`
    counts: str
    # name in `mien.metrics.METRICS`
    metric: str

    def of(self, counts: TaskCounts, weights: NDArray[Any] | None = None) -> FloatArray:
        """Compute the score of every output.

        Args:
            counts: Counts per video of the task.
            weights: How many times each resample contains each video, (resample, video), from `video_weights`. If it is
                None, the split itself is scored.

        Returns:
            Scores of shape (output,), or (resample, output) if `weights` is given.
        """
        part = counts[self.counts]
        score: FloatArray = METRICS[self.metric].function(part.summed() if weights is None else part.resampled(weights))
        return score


@dataclass(frozen=True, slots=True)
class Scorer:
    """Definition of the scores of one kind of task; `SCORERS` has one entry per kind."""

    # function that computes the task's entry in a result and appends messages to the given list
    part: Callable[[Predictions, str, Decisions, TaskCounts, list[str]], dict[str, Any]]
    # key of a score in the task's entry, or in the row of an output -> how it is computed
    measures: Mapping[str, Measure]
    # True: the entry has a row per output, and means over the outputs; False: it has the scores of the only output
    by_output: bool
    # key of a headline score -> (heading in tables, title in figures); a score with an empty title has no figure
    headline: Mapping[str, tuple[str, str]]
    # keys of scores that are headline scores of every single output, too
    headline_by_output: tuple[str, ...] = ()


def score_at(predictions: Predictions, decisions: Decisions) -> Scores:
    """Score predictions with the given thresholds.

    Args:
        predictions: Validated predictions (`validated_predictions`).
        decisions: Thresholds of every predicted task.

    Returns:
        Scores of every predicted task; docs/protocol.md explains each key. An undefined score is NaN, and a message in
        `notes` gives the reason.

    Raises:
        DataError: A predicted task has no thresholds.
    """
    counts = count_videos(predictions, decisions)
    scores = Scores({})
    for task in (task for task in TASKS if task in predictions.outputs):
        part = SCORERS[TASKS[task].scores].part
        scores.parts[task] = part(predictions, task, decisions, counts[task], scores.notes)
    return scores


def mean_of_defined(scores: FloatArray, defined: BoolArray | None = None) -> FloatArray:
    """Average scores over the outputs whose score is defined.

    Args:
        scores: Scores (..., output), NaN where undefined.
        defined: Mask (output,), True for the outputs to average. If it is None, the scores that are not NaN are
            averaged; this is only possible for scores of shape (output,). With resamples, pass the outputs whose score
            is defined on the split itself, so that every resample averages the same outputs.

    Returns:
        Means (...), which are NaN if no output is averaged.
    """
    selected = scores[..., ~np.isnan(scores) if defined is None else defined]
    mean: FloatArray = selected.mean(axis=-1) if selected.shape[-1] else np.full(selected.shape[:-1], np.nan)[()]
    return mean


def means_of(task: str) -> dict[str, int]:
    """Return which means over outputs are reported for a task.

    Returns:
        Name of a mean -> number n of averaged outputs. The first n outputs of the task are averaged. For emotion, the
        result is {"mean6": 6, "mean7": 7}. The first mean is a headline score.
    """
    n = len(TASKS[task].outputs)
    return TASKS[task].means or {f"mean{n}": n}


def rows_key(task: str) -> str:
    """Return the key under which a task's entry in a result contains the scores of each output."""
    return "per_emotion" if task in (EMOTION, EMOTION_INTENSITY) else "per_output"


def nested_rows(task: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the dictionary that stores the scores of all outputs in a task's entry of a result.

    Args:
        task: Name in `TASKS`.
        rows: Output -> its scores.

    Returns:
        The key `rows_key(task)` with `rows` as its value. For emotion, the scores of the output `none` are stored
        separately, under the key ``no_emotion``.
    """
    if task != EMOTION:
        return {rows_key(task): dict(rows)}
    return {"per_emotion": {name: rows[name] for name in EMOTIONS}, "no_emotion": rows[NO_EMOTION]}


def note_undefined(task: str, rows: Mapping[str, Mapping[str, Any]], notes: list[str]) -> None:
    """Append messages to `notes` about outputs with undefined scores, and about means that leave out these outputs.

    Args:
        task: Name in `TASKS`.
        rows: Output -> its scores and counts.
        notes: List to which the messages are appended.
    """
    undefined = [name for name, row in rows.items() if np.isnan(row["weighted_accuracy"])]
    notes += [
        f"weighted_accuracy, macro_f1 and roc_auc of {name} are undefined: {rows[name]['n_positive']} utterances "
        f"with it and {rows[name]['n_negative']} without"
        for name in undefined
    ]
    mean, n = next(iter(means_of(task).items()))
    excluded = [name for name in TASKS[task].outputs[:n] if name in undefined]
    if excluded:
        noun = "emotions" if task == EMOTION else "outputs"
        notes.append(
            f"weighted_accuracy_{mean} is the mean over {n - len(excluded)} {noun}, without {', '.join(excluded)}"
        )


def counts_of(confusion: Confusion, suffix: str = "") -> dict[str, int]:
    """Return the counts that are reported beside the scores.

    Args:
        confusion: Confusion counts of one output (scalars).
        suffix: Ending of each key, such as "_non0".

    Returns:
        The numbers of utterances that have the class, that do not have it, and that are predicted to have it, by key.
    """
    return {
        f"n_positive{suffix}": int(confusion.positives),
        f"n_negative{suffix}": int(confusion.negatives),
        f"n_predicted_positive{suffix}": int(confusion.predicted_positives),
    }


def _split_counts(counts: TaskCounts, name: str) -> Confusion:
    """Return the confusion counts of the whole split, (output,): the sum of ``counts[name]`` over all videos."""
    confusion = counts[name].summed()
    assert isinstance(confusion, Confusion)
    return confusion


def _sentiment_part(
    predictions: Predictions, task: str, decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task with two sentiment classes.

    Return the scores by key: the task's entry in a result. Messages about the scores are appended to `notes`.
    """
    part: dict[str, Any] = {
        key: float(measure.of(counts)[0]) if measure.counts in counts else None
        for key, measure in SENTIMENT_MEASURES.items()
    }
    positive, scored = classes_of(task, predictions)
    target, probability = positive[scored, 0], predictions.outputs[task][scored, 0]
    part |= {
        "roc_auc": roc_auc(target, probability),
        "calibration_error": calibration_error(target, probability),
        "threshold": float(decisions.at(task)[..., 0].mean()),
        "n_scored": int(scored.sum()),
    } | counts_of(_split_counts(counts, SentimentRule.HAS0).take(0))
    if SentimentRule.NON0 in counts:
        non0 = _split_counts(counts, SentimentRule.NON0).take(0)
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
    """Compute all scores of a task with present-or-absent classes: the scores of each class, and their means.

    Return the scores by key: the task's entry in a result. Messages about undefined scores are appended to `notes`.
    """
    labels, scored = classes_of(task, predictions)
    targets, probabilities = labels[scored], predictions.outputs[task][scored]
    values = {key: measure.of(counts) for key, measure in PRESENCE_MEASURES.items()}
    main, second = (
        _split_counts(counts, OperatingPoint.WEIGHTED_ACCURACY),
        _split_counts(counts, OperatingPoint.WEIGHTED_F1),
    )
    rows = {
        name: {
            **{key: float(scores[column]) for key, scores in values.items()},
            "threshold": float(decisions.at(task, OperatingPoint.WEIGHTED_ACCURACY)[..., column].mean()),
            "f1_threshold": float(decisions.at(task, OperatingPoint.WEIGHTED_F1)[..., column].mean()),
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
    """Compute all scores of a task that predicts one intensity.

    Return the scores by key: the task's entry in a result. If the gold labels are classes, the scores are None.
    Messages about missing or undefined scores are appended to `notes`.
    """
    part: dict[str, Any] = dict.fromkeys(("mae", "pearson", "concordance_index", *GRADES))
    if not counts:
        notes.append(CLASSES_ONLY.format(part=task))
        return part | {"n_scored": 0}
    target, prediction = labels_of(task, predictions)[:, 0], predictions.outputs[task][:, 0]
    part |= {key: float(measure.of(counts)[0]) for key, measure in SCORE_MEASURES.items()}
    part |= {"concordance_index": concordance_index(target, prediction), "n_scored": int((~np.isnan(target)).sum())}
    _note_constant(task, prediction[~np.isnan(target)], notes)
    return part


def _degrees_part(
    predictions: Predictions, task: str, _decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task that predicts several intensities: the scores of each, and their means.

    Return the scores by key: the task's entry in a result. If the gold labels are classes, the scores are NaN. Messages
    about undefined scores are appended to `notes`.
    """
    prediction, target = predictions.outputs[task], labels_of(task, predictions)
    undefined = np.full(prediction.shape[1], np.nan)
    if not counts:
        notes.append(CLASSES_ONLY.format(part=task))
        target = np.full_like(prediction, np.nan)
    values = {key: measure.of(counts) if counts else undefined for key, measure in DEGREES_MEASURES.items()}
    values["concordance_index"] = np.array(
        [concordance_index(target[:, column], prediction[:, column]) for column in range(prediction.shape[1])]
    )
    rows: dict[str, dict[str, Any]] = {
        name: {key: float(scores[column]) for key, scores in values.items()}
        | {"n_nonzero": int((target[:, column] > 0).sum())}
        for column, name in enumerate(TASKS[task].outputs)
    }
    scored = ~np.isnan(target).any(axis=1)
    for column, name in enumerate(TASKS[task].outputs):
        _note_constant(f"{task} of {name}", prediction[scored, column], notes)
    means = {
        f"{key}_{mean}": float(mean_of_defined(scores[:n]))
        for key, scores in values.items()
        for mean, n in means_of(task).items()
    }
    return means | {"n_scored": int(scored.sum())} | nested_rows(task, rows)


def _note_constant(name: str, prediction: FloatArray, notes: list[str]) -> None:
    """Append a message to `notes` if all predictions (utterance,) are equal.

    Pearson's correlation is undefined then.
    """
    if len(prediction) and np.ptp(prediction) == 0:
        notes.append(f"pearson of {name} is undefined: the same is predicted for every utterance")


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
    # two sentiment classes: exact zeros are positive (has0) or left out (non0)
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
    # classes that are each present or absent
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
    # one intensity
    "score": Scorer(
        _score_part,
        SCORE_MEASURES,
        by_output=False,
        headline={"mae": ("MAE", ""), "pearson": ("r", ""), "accuracy7_round": ("acc7", "")},
    ),
    # several intensities
    "degrees": Scorer(
        _degrees_part, DEGREES_MEASURES, by_output=True, headline={"mae": ("MAE", ""), "pearson": ("r", "")}
    ),
}
