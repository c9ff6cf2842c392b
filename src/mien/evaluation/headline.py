"""The headline scores as functions of counts and sums per video, so that resampling videos is a matrix product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.decisions import Decisions, Point
from mien.evaluation.intensity import emotion_gold, sentiment_gold
from mien.evaluation.rows import video_numbers
from mien.evaluation.scores import N_EMOTIONS, sentiment_rules
from mien.metrics.confusion import Confusion, accuracy, count_per_video, weighted_accuracy, weighted_f1
from mien.metrics.grades import GradeRule, grades
from mien.metrics.regression import Moments, mean_absolute_error_of, moments_per_video, pearson_of
from mien.metrics.significance import percentile_interval, video_weights
from mien.schema import EMOTIONS, FloatArray, SentimentRule, emotion_multihot7, sentiment_classes
from mien.storage.predictions import Predictions

MEAN6_WEIGHTED_ACCURACY = "emotion.weighted_accuracy_mean6"
MEAN6_WEIGHTED_F1 = "emotion.weighted_f1_mean6"
MAE = "sentiment_intensity.mae"
PEARSON = "sentiment_intensity.pearson"
ACCURACY7 = f"sentiment_intensity.accuracy7_{GradeRule.ROUND}"
MEAN6_MAE = "emotion_intensity.mae_mean6"
MEAN6_PEARSON = "emotion_intensity.pearson_mean6"
# every other headline score is the better the larger
LOWER_IS_BETTER = frozenset({MAE, MEAN6_MAE})
SumsT = TypeVar("SumsT", Confusion, Moments)


@dataclass(frozen=True, slots=True)
class VideoCounts:
    """What the headline scores of one system on one split are made of. All counts are (video, ...)."""

    n_videos: int
    sentiment: Mapping[SentimentRule, Confusion]  # (video,); empty without a sentiment head
    emotion: Mapping[str, Confusion]  # "weighted_accuracy" and "weighted_f1" -> (video, 6); empty without the head
    sentiment_intensity: tuple[Moments, Confusion] | None = None  # (video,) each; the second of right grades
    emotion_intensity: Moments | None = None  # (video, 6)


def count_videos(predictions: Predictions, decisions: Decisions) -> VideoCounts:
    """Count the decisions of `checked` predictions video by video, videos in sorted order."""
    video, n_videos = video_numbers(predictions)
    sentiment = {}
    if predictions.sentiment_probability is not None:
        predicted = predictions.sentiment_probability >= decisions.sentiment
        for rule in sentiment_rules(predictions.sentiment_values):
            positive, scored = sentiment_classes(predictions.sentiment, rule)
            sentiment[rule] = count_per_video(positive, predicted, video, n_videos, scored)
    emotion = {}
    if predictions.emotion_probabilities is not None:
        labels, scored = emotion_multihot7(predictions.emotions)
        points = {"weighted_accuracy": Point.WEIGHTED_ACCURACY, "weighted_f1": decisions.f1_columns_at}
        for metric, point in points.items():
            predicted = predictions.emotion_probabilities >= decisions.at(point)
            emotion[metric] = count_per_video(
                labels[:, :N_EMOTIONS], predicted[:, :N_EMOTIONS], video, n_videos, scored
            )
    return VideoCounts(n_videos, sentiment, emotion, *_count_intensities(predictions, video, n_videos))


def _count_intensities(
    predictions: Predictions, video: NDArray[np.intp], n_videos: int
) -> tuple[tuple[Moments, Confusion] | None, Moments | None]:
    of_sentiment = of_emotions = None
    said, gold = predictions.sentiment_intensity, sentiment_gold(predictions)
    if said is not None and gold is not None:
        right = grades(np.nan_to_num(gold), GradeRule.ROUND) == grades(said, GradeRule.ROUND)
        graded = count_per_video(np.ones_like(right), right, video, n_videos, ~np.isnan(gold))
        of_sentiment = moments_per_video(gold, said, video, n_videos), graded
    said, gold = predictions.emotion_intensities, emotion_gold(predictions)
    if said is not None and gold is not None:
        of_emotions = moments_per_video(gold, said, video, n_videos)
    return of_sentiment, of_emotions


def headline_values(counts: VideoCounts, weights: NDArray[Any] | None = None) -> dict[str, FloatArray]:
    """Every headline score, by its path in the result.

    Args:
        counts: from `count_videos`.
        weights: (resample, video) from `video_weights`; default: the split as it is.

    Returns:
        Path -> score: scalars, or (resample,) with weights. A resample in which an emotion of the mean has lost all
        its cases is NaN. Emotions undefined on the whole split are left out of the mean.
    """

    def whole(part: SumsT) -> SumsT:
        return part.summed() if weights is None else part.resampled(weights)

    values: dict[str, FloatArray] = {}
    for rule, per_video in counts.sentiment.items():
        confusion = whole(per_video)
        values[f"sentiment.accuracy_{rule}"] = accuracy(confusion)
        values[f"sentiment.weighted_f1_{rule}"] = weighted_f1(confusion)
    if counts.emotion:
        by_accuracy, by_f1 = counts.emotion["weighted_accuracy"], counts.emotion["weighted_f1"]
        scores = weighted_accuracy(whole(by_accuracy))
        values[MEAN6_WEIGHTED_ACCURACY] = _mean(scores, ~np.isnan(weighted_accuracy(by_accuracy.summed())))
        values[MEAN6_WEIGHTED_F1] = _mean(weighted_f1(whole(by_f1)), ~np.isnan(weighted_f1(by_f1.summed())))
        for column, name in enumerate(EMOTIONS):
            values[f"emotion.per_emotion.{name}.weighted_accuracy"] = scores[..., column]
    if counts.sentiment_intensity is not None:
        sums, graded = counts.sentiment_intensity
        moments = whole(sums)
        values[MAE] = mean_absolute_error_of(moments)
        values[PEARSON] = pearson_of(moments)
        values[ACCURACY7] = accuracy(whole(graded))
    if counts.emotion_intensity is not None:
        moments, total = whole(counts.emotion_intensity), counts.emotion_intensity.summed()
        for path, score in ((MEAN6_MAE, mean_absolute_error_of), (MEAN6_PEARSON, pearson_of)):
            values[path] = _mean(score(moments), ~np.isnan(score(total)))
    return values


def headline_intervals(counts: VideoCounts, n_resamples: int, seed: int) -> tuple[dict[str, list[float]], list[str]]:
    """95 % intervals of every headline score by bootstrap over videos.

    Returns:
        Path -> [low, high], and notes naming the scores that were undefined in some resamples.
    """
    weights = video_weights(counts.n_videos, n_resamples, seed)
    intervals, notes = {}, []
    for path, values in headline_values(counts, weights).items():
        interval = percentile_interval(values)
        intervals[path] = [interval.low, interval.high]
        if 0 < interval.n_defined < n_resamples:
            notes.append(
                f"the interval of {path} rests on {interval.n_defined} of {n_resamples} resamples: "
                "in the others an emotion lost all its cases"
            )
    return intervals, notes


def _mean(scores: FloatArray, defined: NDArray[np.bool_]) -> FloatArray:
    if not defined.any():
        return np.full(scores.shape[:-1], np.nan)[()]
    mean: FloatArray = scores[..., defined].mean(axis=-1)
    return mean
