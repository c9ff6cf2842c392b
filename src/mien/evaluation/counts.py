"""Predictions and decisions -> counts per video: what every score that is a formula of counts is made of.

A score of the split gives every video the weight 1, one of a resample other weights, so that resampling videos is a
matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.decisions import Decisions, Point
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

# name of the counts -> (video, output)
TaskCounts = Mapping[str, Confusion | Moments]


@dataclass(frozen=True, slots=True)
class VideoCounts:
    """What the scores of one system on one split are made of."""

    n_videos: int
    tasks: Mapping[str, TaskCounts]


@dataclass(frozen=True, slots=True)
class _Videos:
    """The video of every row."""

    number: NDArray[np.intp]  # (utterance,)
    n: int


def count_videos(predictions: Predictions, decisions: Decisions) -> VideoCounts:
    """Count the decisions of `checked` predictions video by video, videos in sorted order.

    Raises DataError where a predicted task has no thresholds.
    """
    videos = _Videos(*video_numbers(predictions))
    return VideoCounts(
        videos.n,
        {task: COUNTERS[TASKS[task].scores](predictions, task, decisions, videos) for task in predictions.outputs},
    )


def sentiment_rules(values: SentimentValues) -> tuple[SentimentRule, ...]:
    """The rules under which these labels can be scored."""
    return SENTIMENT_RULES[:1] if values is SentimentValues.HAS0_CLASS else SENTIMENT_RULES


def has_degrees(task: str, predictions: Predictions) -> bool:
    """Whether the labels of a task are degrees, or classes stored as numbers."""
    if TASKS[task].labels == SENTIMENT:
        return predictions.sentiment_values is SentimentValues.INTENSITY
    return graded_emotions(predictions.emotions)


def _count_sentiment(predictions: Predictions, task: str, decisions: Decisions, videos: _Videos) -> TaskCounts:
    """One set of counts for every rule that the labels can be scored under."""
    predicted = predictions.outputs[task] >= decisions.at(task)
    counts = {}
    for rule in sentiment_rules(predictions.sentiment_values):
        positive, scored = sentiment_classes(predictions.sentiment, rule)
        counts[rule.value] = count_per_video(positive[:, None], predicted, videos.number, videos.n, scored)
    return counts


def _count_presence(predictions: Predictions, task: str, decisions: Decisions, videos: _Videos) -> TaskCounts:
    """One set of counts for every operating point."""
    labels, scored = classes_of(task, predictions)
    counts = {
        point.value: count_per_video(
            labels, predictions.outputs[task] >= decisions.at(task, point), videos.number, videos.n, scored
        )
        for point in Point
    }
    return counts | {F1_COLUMNS: counts[decisions.f1_columns_at]}


def _count_score(predictions: Predictions, task: str, decisions: Decisions, videos: _Videos) -> TaskCounts:
    """Moments, and for every way to make classes of a score how often the right one was met."""
    counts = dict(_count_degrees(predictions, task, decisions, videos))
    if counts:
        gold, said = labels_of(task, predictions), predictions.outputs[task]
        for name, (n_grades, rule) in GRADES.items():
            right = grades(np.nan_to_num(gold), rule, n_grades) == grades(said, rule, n_grades)
            scored = ~np.isnan(gold[:, 0])
            counts[name] = count_per_video(np.ones_like(right), right, videos.number, videos.n, scored)
    return counts


def _count_degrees(predictions: Predictions, task: str, _decisions: Decisions, videos: _Videos) -> TaskCounts:
    """Moments; nothing where the labels are classes."""
    if not has_degrees(task, predictions):
        return {}
    gold = labels_of(task, predictions)
    return {"moments": moments_per_video(gold, predictions.outputs[task], videos.number, videos.n)}


# the names of `evaluation.scores.SCORERS` -> how the counts are made
COUNTERS: dict[str, Callable[[Predictions, str, Decisions, _Videos], TaskCounts]] = {
    "sentiment": _count_sentiment,
    "presence": _count_presence,
    "score": _count_score,
    "degrees": _count_degrees,
}
