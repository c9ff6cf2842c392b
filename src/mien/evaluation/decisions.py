"""From probabilities to decisions: which thresholds, and who chose them. Thresholds live in this folder only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.rows import checked
from mien.metrics.confusion import Confusion, weighted_accuracy, weighted_f1
from mien.metrics.significance import video_weights
from mien.schema import EMOTION_OUTPUTS, BoolArray, FloatArray, emotion_multihot7
from mien.storage.predictions import Predictions

SENTIMENT_THRESHOLD = 0.5
# where valid cannot choose: no utterance with, or none without, the emotion
FALLBACK_THRESHOLD = 0.5
# the paper's constants (section 4.2): 0.4 for F1, 0.2 for weighted accuracy
PAPER_F1_THRESHOLD = 0.4
PAPER_WEIGHTED_ACCURACY_THRESHOLD = 0.2
# How many resamples of the valid videos vote on a threshold: one best cut follows the accidents of few positives.
N_VOTES = 200
# scores closer than this are one maximum, apart only by rounding
ROUNDING = 1e-12


class ChosenOn(StrEnum):
    """What chose the thresholds. Test is not in the list."""

    VALID = "valid"
    PAPER = "paper"  # constants printed in the paper
    NOTHING = "nothing"  # constants


class Point(StrEnum):
    """An operating point: one threshold per emotion, chosen for one metric."""

    WEIGHTED_ACCURACY = "weighted_accuracy"
    WEIGHTED_F1 = "weighted_f1"


POINT_SCORES: dict[str, Callable[[Confusion], FloatArray]] = {
    Point.WEIGHTED_ACCURACY: weighted_accuracy,
    Point.WEIGHTED_F1: weighted_f1,
}


@dataclass(frozen=True, slots=True)
class Decisions:
    """Every threshold of a system; an output counts as present where probability >= threshold."""

    sentiment: float = SENTIMENT_THRESHOLD
    # output name -> threshold, for the six emotions and `none`; empty without an emotion head
    weighted_accuracy: Mapping[str, float] = field(default_factory=dict)
    weighted_f1: Mapping[str, float] = field(default_factory=dict)
    # the point that decides for the columns of F1; weighted accuracy and counts always use `weighted_accuracy`
    f1_columns_at: Point = Point.WEIGHTED_ACCURACY
    chosen_on: ChosenOn = ChosenOn.NOTHING
    notes: tuple[str, ...] = ()

    def at(self, point: Point) -> FloatArray:
        """The thresholds of one operating point (7,) in the order of `EMOTION_OUTPUTS`.

        Raises DataError if an output has none.
        """
        thresholds = self.weighted_accuracy if point is Point.WEIGHTED_ACCURACY else self.weighted_f1
        missing = [name for name in EMOTION_OUTPUTS if name not in thresholds]
        if missing:
            raise DataError(
                f"Expected a {point.value} threshold for {', '.join(missing)}, but got none; "
                "fit the decisions on predictions that have an emotion head"
            )
        return np.array([thresholds[name] for name in EMOTION_OUTPUTS], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """What decisions.json holds; `from_json` reads it back exactly."""
        return {
            "chosen_on": self.chosen_on.value,
            "rule": "present where probability >= threshold",
            "sentiment": self.sentiment,
            "emotion": {
                Point.WEIGHTED_ACCURACY.value: dict(self.weighted_accuracy),
                Point.WEIGHTED_F1.value: dict(self.weighted_f1),
            },
            "f1_columns_at": self.f1_columns_at.value,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Decisions:
        """Rebuild from `to_json`'s dictionary. Raises DataError when a part is missing or no number in [0, 1]."""
        try:
            points = [
                {str(name): float(value) for name, value in facts["emotion"][point.value].items()} for point in Point
            ]
            decisions = cls(
                sentiment=float(facts["sentiment"]),
                weighted_accuracy=points[0],
                weighted_f1=points[1],
                f1_columns_at=Point(facts["f1_columns_at"]),
                chosen_on=ChosenOn(facts["chosen_on"]),
                notes=tuple(facts.get("notes", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"Expected thresholds as decisions.json has them, but got {type(error).__name__} {error}; "
                "fit the decisions again on the valid split"
            ) from None
        wrong = [
            value for value in (decisions.sentiment, *points[0].values(), *points[1].values()) if not 0 <= value <= 1
        ]
        if wrong:
            raise DataError(f"Expected thresholds in [0, 1], but got {wrong[0]}; fit the decisions again on valid")
        return decisions


def constant_decisions(weighted_accuracy: float, weighted_f1: float, **facts: Any) -> Decisions:
    """The same pair of thresholds for every emotion; `facts` are further fields of `Decisions`."""
    return Decisions(
        weighted_accuracy=dict.fromkeys(EMOTION_OUTPUTS, weighted_accuracy),
        weighted_f1=dict.fromkeys(EMOTION_OUTPUTS, weighted_f1),
        **facts,
    )


# the paper's two operating points of one model: the columns of F1 have their own threshold
PAPER_DECISIONS = constant_decisions(
    PAPER_WEIGHTED_ACCURACY_THRESHOLD,
    PAPER_F1_THRESHOLD,
    f1_columns_at=Point.WEIGHTED_F1,
    chosen_on=ChosenOn.PAPER,
)


def fit_decisions(valid: Predictions) -> Decisions:
    """Choose, on valid, for each emotion (and `none`) the threshold that maximises weighted accuracy.

    The threshold is the median over resamples of the valid videos of the best cut in each, see `voted_thresholds`. A
    second operating point maximises weighted F1; under `clean` it serves one extra number only. Sentiment stays at 0.5,
    which is the larger output of the paper's two-way softmax.

    Args:
        valid: predictions for the valid split. Nothing here can tell which split they are of: never give it test.

    Returns:
        Thresholds for all seven outputs, none if the predictions have no emotion head. Where valid has only one class
        of an emotion, its threshold is 0.5 and a note says so.

    Raises:
        DataError: the rows are unusable, see `checked`.
    """
    valid = checked(valid, "the predictions on valid")
    if valid.emotion_probabilities is None:
        return Decisions(chosen_on=ChosenOn.VALID)
    labels, scored = emotion_multihot7(valid.emotions)
    draws = voting_draws(valid.video_id[scored])
    by_accuracy: dict[str, float] = {}
    by_f1: dict[str, float] = {}
    notes = []
    for column, name in enumerate(EMOTION_OUTPUTS):
        present = labels[scored, column]
        probability = valid.emotion_probabilities[scored, column]
        if present.all() or not present.any():
            by_accuracy[name] = by_f1[name] = FALLBACK_THRESHOLD
            notes.append(
                f"the thresholds of {name} are {FALLBACK_THRESHOLD}: valid has {int(present.sum())} utterances with it "
                f"and {int((~present).sum())} without, which cannot choose"
            )
            continue
        voted = voted_thresholds(present, probability, draws, POINT_SCORES)
        by_accuracy[name], by_f1[name] = voted[Point.WEIGHTED_ACCURACY], voted[Point.WEIGHTED_F1]
    return Decisions(weighted_accuracy=by_accuracy, weighted_f1=by_f1, chosen_on=ChosenOn.VALID, notes=tuple(notes))


def voting_draws(video_id: NDArray[Any]) -> NDArray[Any]:
    """How often each of `N_VOTES` resamples drew each row's video, from the names of the videos (utterance,).

    Returns (vote, utterance), for `voted_thresholds`.
    """
    names, video = np.unique(video_id.astype(str), return_inverse=True)
    return video_weights(max(len(names), 1), N_VOTES)[:, video]


def voted_thresholds(
    target: BoolArray,
    probability: FloatArray,
    draws: NDArray[Any],
    scores: Mapping[str, Callable[[Confusion], FloatArray]],
) -> dict[str, float]:
    """The median of the best cuts of many resamples; those that drew only one class have no vote.

    Args:
        target: (utterance,) True where present; both classes occur.
        probability: (utterance,) in [0, 1].
        draws: (vote, utterance) how often each resample drew the utterance's video.
        scores: name -> function of counts, applied to all cuts of a resample at once.

    Returns:
        Name -> threshold.
    """
    positives = draws @ target
    cuts = [
        every_cut(target, probability, weights)
        for weights, n_present in zip(draws, positives, strict=True)
        if 0 < n_present < weights.sum()
    ]
    cuts = cuts or [every_cut(target, probability)]
    return {
        name: float(np.median([_best_cut(thresholds, score(confusion)) for thresholds, confusion in cuts]))
        for name, score in scores.items()
    }


def best_threshold(
    target: BoolArray,
    probability: FloatArray,
    score: Callable[[Confusion], FloatArray],
    weights: NDArray[Any] | None = None,
) -> float:
    """The cut with the highest score; of several equal maxima the middle one, of an even number the upper middle.

    The middle, because the ends of a flat top are the cuts that one utterance more would have ruled out; the upper one,
    because a system that says nothing about an emotion should not claim it.

    Args:
        target: (utterance,) True where present; at least one row.
        probability: (utterance,) in [0, 1].
        score: a function of counts, applied to all cuts at once.
        weights: (utterance,) how often each row counts, default once.
    """
    thresholds, confusion = every_cut(target, probability, weights)
    return _best_cut(thresholds, score(confusion))


def _best_cut(thresholds: FloatArray, scores: FloatArray) -> float:
    maxima = np.flatnonzero(scores >= np.nanmax(scores) - ROUNDING)
    return float(thresholds[maxima[len(maxima) // 2]])


def every_cut(
    target: BoolArray, probability: FloatArray, weights: NDArray[Any] | None = None
) -> tuple[FloatArray, Confusion]:
    """All thresholds that decide differently, ascending, and their counts; O(n log n).

    Candidates are the midpoints between neighbouring distinct probabilities, with 0 below the lowest (everything is
    present) and 1 above the highest (everything is absent; left out if some probability is 1, for which >= 1 holds).

    Args:
        target: (utterance,) True where present; at least one row.
        probability: (utterance,) in [0, 1].
        weights: (utterance,) how often each row counts, default once; rows that count zero times offer no cut.

    Returns:
        Thresholds (cut,) and counts of shape (cut,).
    """
    if weights is None:
        weights = np.ones(len(target))
    drawn = weights > 0
    values, group = np.unique(probability[drawn], return_inverse=True)
    present = np.bincount(group.reshape(-1), weights=(target * weights)[drawn], minlength=len(values))
    absent = np.bincount(group.reshape(-1), weights=(~target * weights)[drawn], minlength=len(values))
    # at cut k the values k, k + 1, ... are called present
    fn = np.concatenate([[0.0], np.cumsum(present)])
    tn = np.concatenate([[0.0], np.cumsum(absent)])
    confusion = Confusion(tp=fn[-1] - fn, fp=tn[-1] - tn, fn=fn, tn=tn)
    lower, upper = np.concatenate([[0.0], values]), np.concatenate([values, [1.0]])
    middle = (lower + upper) / 2
    # between neighbouring floats the midpoint may round onto the lower one, which would then count as present
    middle[1:] = np.where(middle[1:] > lower[1:], middle[1:], upper[1:])
    if values[-1] == 1:
        return middle[:-1], confusion.take(slice(0, -1))
    return middle, confusion
