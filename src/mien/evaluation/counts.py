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
# Predicted sentiment scores are also evaluated as seven or five classes, by two rounding rules.
# name of the counts -> (number of classes, rounding rule)
GRADES = {f"accuracy{n}_{rule}": (n, rule) for n in (7, 5) for rule in GradeRule}
# key of the counts from which the F1 scores are computed
F1_COLUMNS = "f1_columns"

# (index of each utterance's video, from 0, (utterance,); number of videos)
Videos = tuple[NDArray[np.intp], int]
# name -> confusion counts or sums for intensities, each of shape (video, output)
TaskCounts = Mapping[str, Confusion | Moments]


def count_videos(predictions: Predictions, decisions: Decisions) -> dict[str, TaskCounts]:
    """Compute for every video the numbers from which the scores are computed.

    For classes, these are the confusion counts (TP, FP, FN, TN). For intensities, they are the sums in `Moments`.

    Args:
        predictions: Validated predictions (`validated_predictions`).
        decisions: Thresholds of every predicted task.

    Returns:
        Nested dictionary: task, then name of the counts, then counts or sums of shape (video, output). The videos are
        sorted by their ids.

    Raises:
        DataError: A predicted task has no thresholds.
    """
    videos = video_numbers(predictions)
    return {task: COUNTERS[TASKS[task].scores](predictions, task, decisions, videos) for task in predictions.outputs}


def has_degrees(task: str, predictions: Predictions) -> bool:
    """Return whether the gold labels of a task are intensities.

    Labels that are classes, stored as numbers, are not intensities.

    Args:
        task: Name in `TASKS`.
        predictions: Predictions with the gold labels.

    Returns:
        True if the gold labels are intensities.
    """
    if TASKS[task].labels == SENTIMENT:
        return predictions.sentiment_values is SentimentValues.INTENSITY
    return graded_emotions(predictions.emotions)


def _count_sentiment(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions of a sentiment task in every video.

    They are counted under two rules that turn gold scores into classes. Under `has0`, a gold score >= 0 is positive.
    Under `non0`, utterances with a gold score of exactly 0 are left out. If the labels are classes that were made under
    `has0`, the exact zeros are unknown, and the decisions are not counted under `non0`.

    Returns:
        Name of the rule -> confusion counts (video, output).
    """
    predicted = predictions.outputs[task] >= decisions.at(task)
    counts = {}
    zeros_are_hidden = predictions.sentiment_values is SentimentValues.HAS0_CLASS
    for rule in SENTIMENT_RULES[:1] if zeros_are_hidden else SENTIMENT_RULES:
        positive, scored = sentiment_classes(predictions.sentiment, rule)
        counts[rule.value] = count_per_video(positive[:, None], predicted, *videos, scored)
    return counts


def _count_presence(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions of a task with present-or-absent classes in every video.

    Returns:
        Name of an `OperatingPoint` -> confusion counts (video, output) with its thresholds. One of them is also stored
        under `F1_COLUMNS`: the one from which the F1 scores are computed.
    """
    labels, scored = classes_of(task, predictions)
    counts = {
        point.value: count_per_video(labels, predictions.outputs[task] >= decisions.at(task, point), *videos, scored)
        for point in OperatingPoint
    }
    return counts | {F1_COLUMNS: counts[decisions.f1_columns_at]}


def _count_score(predictions: Predictions, task: str, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Compute counts and sums of a task that predicts one sentiment intensity, for every video.

    Returns:
        The sums (see `Moments`) under ``moments``. Under each key of `GRADES`, gold and predicted intensity are rounded
        to classes, and the counts tell how often the two classes are equal. If the gold labels are classes, the
        dictionary is empty.
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
    """Compute the sums of `Moments` for a task that predicts intensities, for every video.

    Returns:
        The sums (video, output) under ``moments``; an empty dictionary if the gold labels are classes.
    """
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
