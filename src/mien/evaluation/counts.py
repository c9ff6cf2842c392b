"""Counts and sums per video, from which most scores are computed.

For a score of the split, the counts of all videos are added. For a score of a bootstrap resample, the counts of each
video are first multiplied by how often the resample contains the video. One matrix product therefore gives the counts
of all resamples.
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
# Predicted sentiment scores are also evaluated as seven or five classes, by two rounding rules: name of the counts ->
# (number of classes, rule).
GRADES = {f"accuracy{n}_{rule}": (n, rule) for n in (7, 5) for rule in GradeRule}
# name of the counts from which the F1 scores are computed
F1_COLUMNS = "f1_columns"

# (number of the video of each utterance (utterance,), number of videos)
Videos = tuple[NDArray[np.intp], int]
# name of the counts -> counts or sums of shape (video, output)
TaskCounts = Mapping[str, Confusion | Moments]


def count_videos(predictions: Predictions, decisions: Decisions) -> dict[str, TaskCounts]:
    """Compute the counts and sums of every video, from which the scores of each predicted task are computed.

    The videos are in the sorted order of their ids.

    Args:
        predictions: Validated predictions (`validated_predictions`).
        decisions: Thresholds of every predicted task.

    Returns:
        Task -> name of the counts -> counts or sums (video, output).

    Raises:
        DataError: A predicted task has no thresholds.
    """
    videos = video_numbers(predictions)
    return {task: COUNTERS[TASKS[task].scores](predictions, task, decisions, videos) for task in predictions.outputs}


def has_degrees(task: str, predictions: Predictions) -> bool:
    """Return whether the gold labels of a task are intensities, and not classes stored as numbers.

    Args:
        task: Name in `TASKS`.
        predictions: Predictions with the gold labels.

    Returns:
        True for intensities.
    """
    if TASKS[task].labels == SENTIMENT:
        return predictions.sentiment_values is SentimentValues.INTENSITY
    return graded_emotions(predictions.emotions)


def _count_sentiment(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions of a sentiment task per video, under each rule for the two classes.

    Under `has0` a gold score >= 0 is positive. Under `non0` exact zeros are left out. The counts under `non0` are
    missing if the labels are classes that were made under `has0`, because these hide the exact zeros.
    """
    predicted = predictions.outputs[task] >= decisions.at(task)
    counts = {}
    zeros_are_hidden = predictions.sentiment_values is SentimentValues.HAS0_CLASS
    for rule in SENTIMENT_RULES[:1] if zeros_are_hidden else SENTIMENT_RULES:
        positive, scored = sentiment_classes(predictions.sentiment, rule)
        counts[rule.value] = count_per_video(positive[:, None], predicted, *videos, scored)
    return counts


def _count_presence(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions of a task with present-or-absent classes per video.

    The result has one entry per set of thresholds (`OperatingPoint`). The entry `F1_COLUMNS` is a copy of one of these,
    from which the F1 scores are computed.
    """
    labels, scored = classes_of(task, predictions)
    counts = {
        point.value: count_per_video(labels, predictions.outputs[task] >= decisions.at(task, point), *videos, scored)
        for point in OperatingPoint
    }
    return counts | {F1_COLUMNS: counts[decisions.f1_columns_at]}


def _count_score(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Compute the sums and counts of a task that predicts one sentiment intensity, per video.

    The entry ``moments`` contains the sums (see `Moments`). For each entry of `GRADES`, the counts tell how often the
    predicted class is right. The result is empty if the gold labels are classes.
    """
    counts = dict(_count_degrees(predictions, task, decisions, videos))
    if counts:
        target, prediction = labels_of(task, predictions), predictions.outputs[task]
        for name, (n_grades, rule) in GRADES.items():
            correct = grades(np.nan_to_num(target), rule, n_grades) == grades(prediction, rule, n_grades)
            scored = ~np.isnan(target[:, 0])
            counts[name] = count_per_video(np.ones_like(correct), correct, *videos, scored)
    return counts


def _count_degrees(predictions: Predictions, task: str, _decisions: Decisions, videos: Videos) -> TaskCounts:
    """Compute the sums of `Moments` per video for predicted intensities; empty if the gold labels are classes."""
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
