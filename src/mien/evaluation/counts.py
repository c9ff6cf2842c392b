"""Predictions and decisions -> counts per video: what every score that is a formula of counts is made of.

A score of the split gives every video the weight 1, one of a resample other weights, so that resampling videos is a
matrix product.
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
# seven and five classes of a score, each by both rules
GRADES = {f"accuracy{n}_{rule}": (n, rule) for n in (7, 5) for rule in GradeRule}
# decisions at the point that serves the columns of F1
F1_COLUMNS = "f1_columns"

# number of every row's video (utterance,), how many videos
Videos = tuple[NDArray[np.intp], int]
# name of the counts -> (video, output)
TaskCounts = Mapping[str, Confusion | Moments]


def count_videos(predictions: Predictions, decisions: Decisions) -> dict[str, TaskCounts]:
    """Task -> counts of the decisions of `checked` predictions video by video, videos in sorted order.

    Raises DataError where a predicted task has no thresholds.
    """
    videos = video_numbers(predictions)
    return {task: COUNTERS[TASKS[task].scores](predictions, task, decisions, videos) for task in predictions.outputs}


def has_degrees(task: str, predictions: Predictions) -> bool:
    """Whether the labels of a task are degrees, or classes stored as numbers."""
    if TASKS[task].labels == SENTIMENT:
        return predictions.sentiment_values is SentimentValues.INTENSITY
    return graded_emotions(predictions.emotions)


def _count_sentiment(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """One set of counts for every rule that the labels can be scored under."""
    predicted = predictions.outputs[task] >= decisions.at(task)
    counts = {}
    zeros_are_hidden = predictions.sentiment_values is SentimentValues.HAS0_CLASS
    for rule in SENTIMENT_RULES[:1] if zeros_are_hidden else SENTIMENT_RULES:
        positive, scored = sentiment_classes(predictions.sentiment, rule)
        counts[rule.value] = count_per_video(positive[:, None], predicted, *videos, scored)
    return counts


def _count_presence(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """One set of counts for every operating point."""
    labels, scored = classes_of(task, predictions)
    counts = {
        point.value: count_per_video(labels, predictions.outputs[task] >= decisions.at(task, point), *videos, scored)
        for point in OperatingPoint
    }
    return counts | {F1_COLUMNS: counts[decisions.f1_columns_at]}


def _count_score(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Moments, and for every way to make classes of a score how often the right one was met."""
    counts = dict(_count_degrees(predictions, task, decisions, videos))
    if counts:
        gold, said = labels_of(task, predictions), predictions.outputs[task]
        for name, (n_grades, rule) in GRADES.items():
            right = grades(np.nan_to_num(gold), rule, n_grades) == grades(said, rule, n_grades)
            scored = ~np.isnan(gold[:, 0])
            counts[name] = count_per_video(np.ones_like(right), right, *videos, scored)
    return counts


def _count_degrees(predictions: Predictions, task: str, _decisions: Decisions, videos: Videos) -> TaskCounts:
    """Moments; nothing where the labels are classes."""
    if not has_degrees(task, predictions):
        return {}
    gold = labels_of(task, predictions)
    return {"moments": moments_per_video(gold, predictions.outputs[task], *videos)}


# the names of `evaluation.scores.SCORERS` -> how the counts are made
COUNTERS: dict[str, Callable[[Predictions, str, Decisions, Videos], TaskCounts]] = {
    "sentiment": _count_sentiment,
    "presence": _count_presence,
    "score": _count_score,
    "degrees": _count_degrees,
}
