"""Scores of tasks whose classes exclude each other: positive and negative, ordered levels, or any classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.evaluation.counts import CLASSES, TaskCounts
from mien.evaluation.decisions import Decisions
from mien.evaluation.measures import Measure, Scorer, counts_of, split_counts
from mien.evaluation.rows import classes_of, gold_class, most_probable_class
from mien.metrics.calibration_error import calibration_error
from mien.metrics.classes import class_f1, log_loss
from mien.metrics.confusion import Confusion, quotient
from mien.metrics.ranking import roc_auc
from mien.schema import SentimentRule, SentimentValues
from mien.storage.predictions import Predictions
from mien.tasks import Task, class_probabilities

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
LEVELS_NOTE = (
    "the columns ending in _non0 compare the probability of a score above 0 with that of one below 0, on the "
    "utterances that are not exactly 0"
)


def sentiment_part(
    predictions: Predictions, task: Task, decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task with two sentiment classes, or those of three levels that follow from two classes.

    Args:
        predictions: Validated predictions.
        task: Task that is learned from a score with a neutral value.
        decisions: Thresholds.
        counts: Counts per video of the task.
        notes: List to which messages about the scores are appended.

    Returns:
        The scores by key: the task's entry in a result.
    """
    part: dict[str, Any] = {
        key: float(measure.of(counts)[0]) if measure.counts in counts else None
        for key, measure in SENTIMENT_MEASURES.items()
    }
    positive, scored = classes_of(task, predictions)
    target, probability = positive[scored, 0], predictions.outputs[task.name][scored, 0]
    part |= {
        "roc_auc": roc_auc(target, probability),
        "calibration_error": calibration_error(target, probability),
        "threshold": float(decisions.at(task)[..., 0].mean()),
        "n_scored": int(scored.sum()),
    } | counts_of(split_counts(counts, SentimentRule.HAS0).take(0))
    if SentimentRule.NON0 in counts:
        non0 = split_counts(counts, SentimentRule.NON0).take(0)
        part |= {"n_scored_non0": int(non0.total)} | counts_of(non0, "_non0")
    notes.append(LEVELS_NOTE if len(task.cuts) > 1 else SENTIMENT_NOTES[predictions.sentiment_values])
    if part["n_scored"] == 0:
        notes.append(f"the {task.name} scores are undefined: no utterance has a {task.name} label")
    elif not part["n_positive"] or not part["n_negative"]:
        notes.append(f"weighted_accuracy, macro_f1 and roc_auc of {task.name} are undefined: only one class occurs")
    return part


def classes_part(
    predictions: Predictions, task: Task, _decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task with several classes or levels: those of all classes together, and of each.

    Args:
        predictions: Validated predictions.
        task: Task that has `classes`.
        _decisions: Unused.
        counts: Counts per video of the task.
        notes: List to which messages about the scores are appended.

    Returns:
        The scores by key: the task's entry in a result.
    """
    part: dict[str, Any] = {key: float(measure.of(counts)[0]) for key, measure in CLASS_MEASURES.items()}
    gold, scored = gold_class(task, predictions)
    values = predictions.outputs[task.name][scored]
    targets, probabilities = np.eye(len(task.classes), dtype=bool)[gold[scored]], class_probabilities(task, values)
    areas = [roc_auc(targets[:, number], probabilities[:, number]) for number in range(len(task.classes))]
    defined = [area for area in areas if not np.isnan(area)]
    if not scored.any():
        notes.append(f"the {task.name} scores are undefined: no utterance has {task.space.name} labels")
    confusion = split_counts(counts, CLASSES)
    predicted = most_probable_class(task, values)
    return part | {
        "roc_auc_of_classes": float(np.mean(defined)) if defined else float("nan"),
        "log_loss": log_loss(targets, probabilities),
        "n_scored": int(scored.sum()),
        "per_class": _class_rows(task, confusion, areas),
        "confusion": {
            name: {
                other: int(((gold[scored] == row) & (predicted == column)).sum())
                for column, other in enumerate(task.classes)
            }
            for row, name in enumerate(task.classes)
        },
    }


def _class_rows(task: Task, confusion: Confusion, areas: list[float]) -> dict[str, dict[str, Any]]:
    """Return the scores of each class against the others, by name of the class."""
    recalls = quotient(confusion.tp, confusion.positives)
    precisions = quotient(confusion.tp, confusion.predicted_positives)
    f1 = class_f1(confusion)
    return {
        name: {
            "precision": float(precisions[column]),
            "recall": float(recalls[column]),
            "f1": float(f1[column]),
            "roc_auc": areas[column],
            **counts_of(confusion.take(column)),
        }
        for column, name in enumerate(task.classes)
    }


def levels_part(
    predictions: Predictions, task: Task, decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task with ordered levels.

    If the label is a score with a neutral value, the scores of its two classes come first.

    Args:
        predictions: Validated predictions.
        task: Task that has `classes` and `cuts`.
        decisions: Thresholds.
        counts: Counts per video of the task.
        notes: List to which messages about the scores are appended.

    Returns:
        The scores by key: the task's entry in a result.
    """
    levels = classes_part(predictions, task, decisions, counts, notes)
    if SentimentRule.HAS0 not in counts:
        return levels
    return levels | sentiment_part(predictions, task, decisions, counts, notes)


HAS0, NON0 = SentimentRule.HAS0.value, SentimentRule.NON0.value
SENTIMENT_MEASURES = {
    "accuracy_has0": Measure(HAS0, "accuracy"),
    "weighted_f1_has0": Measure(HAS0, "weighted_f1"),
    "accuracy_non0": Measure(NON0, "accuracy"),
    "weighted_f1_non0": Measure(NON0, "weighted_f1"),
    "macro_f1_has0": Measure(HAS0, "macro_f1"),
    "weighted_accuracy_has0": Measure(HAS0, "weighted_accuracy"),
}
CLASS_MEASURES = {
    "accuracy": Measure(CLASSES, "accuracy_of_classes"),
    "weighted_f1": Measure(CLASSES, "weighted_f1_of_classes"),
    "macro_f1": Measure(CLASSES, "macro_f1_of_classes"),
}
SENTIMENT_HEADLINE = {
    "accuracy_has0": ("acc has0", "accuracy (has0)"),
    "weighted_f1_has0": ("F1 has0", "weighted F1 (has0)"),
    "accuracy_non0": ("acc non0", ""),
    "weighted_f1_non0": ("F1 non0", ""),
}
CLASS_HEADLINE = {
    "accuracy": ("acc", "accuracy"),
    "weighted_f1": ("F1", "weighted F1"),
    "macro_f1": ("macro F1", ""),
}
# two sentiment classes: exact zeros are positive (has0) or left out (non0)
SENTIMENT_SCORER = Scorer(sentiment_part, SENTIMENT_MEASURES, by_output=False, headline=SENTIMENT_HEADLINE)
# exactly one of several classes
CLASS_SCORER = Scorer(classes_part, CLASS_MEASURES, by_output=False, headline=CLASS_HEADLINE)
# ordered levels; those of a score with a neutral value also give two classes
LEVEL_SCORER = Scorer(
    levels_part,
    SENTIMENT_MEASURES | CLASS_MEASURES,
    by_output=False,
    headline=SENTIMENT_HEADLINE | {key: (f"{column} levels", "") for key, (column, _) in CLASS_HEADLINE.items()},
)
