"""Counts and sums per video, from which most scores are computed.

For a score of the split, the counts of all videos are added. For a score of a bootstrap resample, the counts of each
video are first multiplied by how often the resample contains the video. One matrix product therefore gives the counts
of all resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.decisions import Decisions, OperatingPoint
from mien.evaluation.rows import classes_of, gold_class, most_probable_class, video_numbers
from mien.labels import LabelKind
from mien.metrics.confusion import Confusion, count_per_video
from mien.metrics.regression import GradeRule, Moments, grades, interval_classes, moments_per_video
from mien.schema import (
    SENTIMENT,
    SENTIMENT_RANGE,
    BoolArray,
    FloatArray,
    IntArray,
    SentimentRule,
    SentimentValues,
    sentiment_classes,
)
from mien.storage.predictions import Predictions
from mien.task_kinds import BINARY
from mien.tasks import Task, labels_of

SENTIMENT_RULES = (SentimentRule.HAS0, SentimentRule.NON0)
# Predicted sentiment scores are also evaluated as seven or five classes, by two rounding rules.
# name of the counts -> (number of classes, rounding rule)
GRADES = {f"accuracy{n}_{rule}": (n, rule) for n in (7, 5) for rule in GradeRule}
# Predicted scores in [-1, 1] are evaluated as CH-SIMS is in MMSA: in two, three and five classes.
# name of the counts -> bounds between the classes
SIMS_RANGE = (-1.0, 1.0)
SIMS_CLASSES = {"accuracy3_sims": (-0.1, 0.1), "accuracy5_sims": (-0.7, -0.1, 0.1, 0.7)}
# name of the counts of two classes, above 0 and not above 0, from which accuracy and F1 are computed
SIMS_ABOVE_0 = "sims_above_0"
# key of the counts from which the F1 scores are computed
F1_COLUMNS = "f1_columns"
# key of the counts of classes that exclude each other, each against the others
CLASSES = "classes"

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
    tasks = {name: predictions.tasks[name] for name in predictions.outputs}
    return {name: COUNTERS[task.row.scores](predictions, task, decisions, videos) for name, task in tasks.items()}


def _count_sentiment(predictions: Predictions, task: Task, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions between positive and negative in every video.

    They are counted under two rules that turn gold scores into classes. Under `has0`, a gold score >= 0 (or another
    neutral value) is positive. Under `non0`, utterances with a gold score of exactly 0 are left out. If the labels are
    classes that were made under `has0`, the exact zeros are unknown, and the decisions are not counted under `non0`.

    Returns:
        Name of the rule -> confusion counts (video, output).
    """
    score = labels_of(task, predictions)[:, 0] - task.cuts[0].value
    counts = {}
    zeros_are_hidden = task.name == SENTIMENT and predictions.sentiment_values is SentimentValues.HAS0_CLASS
    for rule in SENTIMENT_RULES[:1] if zeros_are_hidden else SENTIMENT_RULES:
        positive, scored = sentiment_classes(score, rule)
        predicted = decided_positive(predictions, task, decisions, rule)
        counts[rule.value] = count_per_video(positive[:, None], predicted[:, None], *videos, scored)
    return counts


def decided_positive(
    predictions: Predictions, task: Task, decisions: Decisions, rule: SentimentRule = SentimentRule.HAS0
) -> BoolArray:
    """Decide between positive and negative for each utterance.

    Args:
        predictions: Predictions.
        task: Task that is learned from a score with a neutral value, as two classes or as three levels.
        decisions: Thresholds.
        rule: Rule that decides what neutral is. Two classes are the same under every rule. With three levels, a neutral
            utterance is positive under `has0`. Under `non0`, the probabilities of positive and negative are compared.

    Returns:
        True where the decision is positive, (utterance,).
    """
    values, thresholds = predictions.outputs[task.name], decisions.at(task)
    at_least_neutral, above_neutral = values[:, 0], values[:, -1]
    if rule is SentimentRule.HAS0 or len(task.cuts) == 1:
        return np.asarray(at_least_neutral >= thresholds[..., 0])
    return np.asarray(above_neutral >= thresholds[..., -1] * (above_neutral + 1 - at_least_neutral))


def decided_class(task: Task, values: FloatArray, decisions: Decisions) -> IntArray:
    """Return the index of the class that is decided for each utterance, for a task whose classes exclude each other.

    Args:
        task: Task that has `classes`.
        values: Predicted values (utterance, output).
        decisions: Thresholds. They decide between two classes; of more classes, the most probable one is taken.

    Returns:
        Indices (utterance,) in `task.classes`.
    """
    if task.kind == BINARY:
        return (values >= decisions.at(task))[:, 0].astype(np.int64)
    return most_probable_class(task, values)


def _count_classes(predictions: Predictions, task: Task, _decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions of a task with classes that exclude each other, in every video.

    Returns:
        Under `CLASSES`, the confusion counts (video, class) of each class against the others.
    """
    gold, scored = gold_class(task, predictions)
    predicted = most_probable_class(task, predictions.outputs[task.name])
    classes = np.arange(len(task.classes))
    return {CLASSES: count_per_video(gold[:, None] == classes, predicted[:, None] == classes, *videos, scored)}


def _count_levels(predictions: Predictions, task: Task, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions of a task with ordered levels, in every video.

    Returns:
        The counts of the levels; and, for a score with a neutral value, those of its two classes by name of the rule.
    """
    counts = _count_classes(predictions, task, decisions, videos)
    if task.space.kind is not LabelKind.SCORE:
        return counts
    return {**_count_sentiment(predictions, task, decisions, videos), **counts}


def _count_presence(predictions: Predictions, task: Task, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Count the right and wrong decisions of a task with present-or-absent classes in every video.

    Returns:
        Name of an `OperatingPoint` -> confusion counts (video, output) with its thresholds. One of them is also stored
        under `F1_COLUMNS`: the one from which the F1 scores are computed.
    """
    labels, scored = classes_of(task, predictions)
    counts = {
        point.value: count_per_video(
            labels, predictions.outputs[task.name] >= decisions.at(task, point), *videos, scored
        )
        for point in OperatingPoint
    }
    return counts | {F1_COLUMNS: counts[decisions.f1_columns_at]}


def _count_score(predictions: Predictions, task: Task, decisions: Decisions, videos: Videos) -> TaskCounts:
    """Compute counts and sums of a task that predicts one sentiment intensity, for every video.

    Returns:
        The sums (see `Moments`) under ``moments``. Under each name that `score_classes` returns, gold and predicted
        intensity are turned into classes, and the counts tell how often the two classes are equal. For scores of
        `SIMS_RANGE`, ``SIMS_ABOVE_0`` has the counts of the class above 0. If the gold labels are classes, the
        dictionary is empty.
    """
    counts = dict(_count_degrees(predictions, task, decisions, videos))
    if not counts:
        return counts
    target, prediction = labels_of(task, predictions), predictions.outputs[task.name]
    known, scored = np.nan_to_num(target), ~np.isnan(target[:, 0])
    for name, class_of in score_classes(task).items():
        correct = class_of(known) == class_of(prediction)
        counts[name] = count_per_video(np.ones_like(correct), correct, *videos, scored)
    if is_scored_as_sims(task):
        counts[SIMS_ABOVE_0] = count_per_video(known > 0, prediction > 0, *videos, scored)
    return counts


def is_scored_as_sims(task: Task) -> bool:
    """Return whether the intensities are evaluated as those of CH-SIMS: scores in [-1, 1] that are neutral at 0."""
    return task.range == SIMS_RANGE and task.space.neutral == 0


def score_classes(task: Task) -> dict[str, Callable[[FloatArray], IntArray]]:
    """Return the ways in which the intensities of a task are turned into classes, by the name of the accuracy.

    There is none if the range of the intensities is neither that of CMU-MOSEI nor that of CH-SIMS.
    """
    if task.range == SENTIMENT_RANGE:
        return {name: partial(grades, rule=rule, n_grades=n_grades) for name, (n_grades, rule) in GRADES.items()}
    if is_scored_as_sims(task):
        return {name: partial(interval_classes, bounds=bounds) for name, bounds in SIMS_CLASSES.items()}
    return {}


def _count_degrees(predictions: Predictions, task: Task, _decisions: Decisions, videos: Videos) -> TaskCounts:
    """Compute the sums of `Moments` for a task that predicts intensities, for every video.

    Returns:
        The sums (video, output) under ``moments``; an empty dictionary if the gold labels are classes.
    """
    if not task.is_graded(predictions, predictions.sentiment_values):
        return {}
    target = labels_of(task, predictions)
    return {"moments": moments_per_video(target, predictions.outputs[task.name], *videos)}


# name of a scorer in `evaluation.scores.SCORERS` -> function that computes its counts
COUNTERS: dict[str, Callable[[Predictions, Task, Decisions, Videos], TaskCounts]] = {
    "sentiment": _count_sentiment,
    "levels": _count_levels,
    "classes": _count_classes,
    "presence": _count_presence,
    "score": _count_score,
    "degrees": _count_degrees,
}
