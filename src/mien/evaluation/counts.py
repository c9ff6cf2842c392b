"""Counts per video from predictions and decisions: the sums that count-based scores are computed from.

A score of the split gives every video the weight 1; a score of a resample weights videos by how often they were drawn.
Resampling videos is therefore a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.decisions import Decisions, OperatingPoint
from mien.evaluation.rows import classes_of, video_numbers
from mien.metrics.confusion import Confusion, count_per_video
from mien.metrics.regression import GradeRule, Moments, grades, moments_per_video
from mien.schema import SentimentRule, SentimentValues, graded_emotions, sentiment_classes
from mien.storage.predictions import Predictions
from mien.tasks import SENTIMENT, TASKS, labels_of

SENTIMENT_RULES = (SentimentRule.HAS0, SentimentRule.NON0)
# scores as seven or five classes, by either rule: name of the counts -> (number of classes, rule)
GRADES = {f"accuracy{n}_{rule}": (n, rule) for n in (7, 5) for rule in GradeRule}
# name of the counts at the operating point of the F1 columns
F1_COLUMNS = "f1_columns"

# number of each row's video (utterance,), number of videos
Videos = tuple[NDArray[np.intp], int]
# name of the counts -> counts of shape (video, output)
TaskCounts = Mapping[str, Confusion | Moments]


def count_videos(predictions: Predictions, decisions: Decisions) -> dict[str, TaskCounts]:
    """Count the decisions of every video, videos in sorted order.

    Args:
        predictions: Validated predictions (`validated_predictions`).
        decisions: Thresholds of every predicted task.

    Returns:
        Task -> name of the counts -> counts (video, output).

    Raises:
        DataError: A predicted task has no thresholds.
    """
    videos = video_numbers(predictions)
    return {task: COUNTERS[TASKS[task].scores](predictions, task, decisions, videos) for task in predictions.outputs}


def has_degrees(task: str, predictions: Predictions) -> bool:
    """Tell whether the labels of a task are degrees and not classes stored as numbers.

    Args:
        task: Name in `TASKS`.
        predictions: Predictions with the gold labels.

    Returns:
        True for degrees.
    """
    if TASKS[task].labels == SENTIMENT:
        return predictions.sentiment_values is SentimentValues.INTENSITY
    return graded_emotions(predictions.emotions)


def _count_sentiment(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count decisions under every rule that the labels can be scored by."""
    predicted = predictions.outputs[task] >= decisions.at(task)
    counts = {}
    zeros_are_hidden = predictions.sentiment_values is SentimentValues.HAS0_CLASS
    for rule in SENTIMENT_RULES[:1] if zeros_are_hidden else SENTIMENT_RULES:
        positive, scored = sentiment_classes(predictions.sentiment, rule)
        counts[rule.value] = count_per_video(positive[:, None], predicted, *videos, scored)
    return counts


def _count_presence(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count decisions at every operating point."""
    labels, scored = classes_of(task, predictions)
    counts = {
        point.value: count_per_video(labels, predictions.outputs[task] >= decisions.at(task, point), *videos, scored)
        for point in OperatingPoint
    }
    return counts | {F1_COLUMNS: counts[decisions.f1_columns_at]}


def _count_score(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Compute moments, and for every definition of classes how often the predicted class is right."""
    counts = dict(_count_degrees(predictions, task, decisions, videos))
    if counts:
        target, prediction = labels_of(task, predictions), predictions.outputs[task]
        for name, (n_grades, rule) in GRADES.items():
            correct = grades(np.nan_to_num(target), rule, n_grades) == grades(prediction, rule, n_grades)
            scored = ~np.isnan(target[:, 0])
            counts[name] = count_per_video(np.ones_like(correct), correct, *videos, scored)
    return counts


def _count_degrees(predictions: Predictions, task: str, _decisions: Decisions, videos: Videos) -> TaskCounts:
    """Compute moments; no counts where the labels are classes."""
    if not has_degrees(task, predictions):
        return {}
    target = labels_of(task, predictions)
    return {"moments": moments_per_video(target, predictions.outputs[task], *videos)}


# name of a scorer in `evaluation.scores.SCORERS` -> function that computes its counts
COUNTERS: dict[str, Callable[[Predictions, str, Decisions, Videos], TaskCounts]] = {
    "sentiment": _count_sentiment,
    "presence": _count_presence,
    "score": _count_score,
    "degrees": _count_degrees,
}
