"""The constant predictor that stands beside every result: what one gets for saying the same thing always.

The more frequent class of train, and of intensities the median of train, which no constant beats in absolute error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.decisions import constant_decisions
from mien.evaluation.scores import Scores, score_at
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, FloatArray, emotion_multihot7, sentiment_classes
from mien.storage.predictions import Predictions

# any threshold inside (0, 1) decides the same for probabilities of exactly 0 and 1
TRIVIAL_DECISIONS = constant_decisions(0.5, 0.5)


@dataclass(frozen=True, slots=True)
class TrainMajority:
    """The more frequent class of every output on train, a tie counting as positive or present, and the medians."""

    sentiment_positive: bool
    emotions: tuple[bool, ...]  # (7,) in the order of EMOTION_OUTPUTS: whether most train utterances have it
    sentiment_median: float = 0.0
    emotion_medians: tuple[float, ...] = (0.0,) * len(EMOTIONS)

    def __post_init__(self) -> None:
        if len(self.emotions) != len(EMOTION_OUTPUTS):
            raise DataError(
                f"Expected the majority of {len(EMOTION_OUTPUTS)} outputs, but got {len(self.emotions)}; "
                f"give {', '.join(EMOTION_OUTPUTS)}"
            )

    @classmethod
    def from_labels(cls, sentiment: FloatArray, emotions: FloatArray) -> TrainMajority:
        """Count the labels of the train split.

        Args:
            sentiment: (utterance,) gold scores, NaN where missing; classes under `has0`.
            emotions: (utterance, 6) gold intensities, NaN rows where missing.

        Returns:
            The majorities and medians; for labels that are missing throughout, positive, absent and 0.
        """
        positive, scored = sentiment_classes(sentiment)
        labels, labelled = emotion_multihot7(emotions)
        present = labels[labelled]
        majority = 2 * present.sum(axis=0) >= max(len(present), 1)
        known = sentiment[~np.isnan(sentiment)]
        medians = np.median(emotions[labelled], axis=0) if labelled.any() else np.zeros(len(EMOTIONS))
        return cls(
            bool(2 * positive.sum() >= scored.sum()),
            tuple(bool(output) for output in majority),
            float(np.median(known)) if known.size else 0.0,
            tuple(medians.tolist()),
        )

    def to_json(self) -> dict[str, Any]:
        """What a Run's card holds; `from_json` reads it back."""
        return {
            "sentiment_positive": self.sentiment_positive,
            "emotions": list(self.emotions),
            "sentiment_median": self.sentiment_median,
            "emotion_medians": list(self.emotion_medians),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> TrainMajority:
        """Rebuild from `to_json`'s dictionary; runs from before the intensities have no medians, and need none."""
        return cls(
            facts["sentiment_positive"],
            tuple(facts["emotions"]),
            float(facts.get("sentiment_median", 0.0)),
            tuple(facts.get("emotion_medians", (0.0,) * len(EMOTIONS))),
        )


def constant_predictions(predictions: Predictions, majority: TrainMajority) -> Predictions:
    """The same rows and gold labels with the majority as prediction, for the heads that `predictions` has."""
    n_rows = len(predictions.index)
    sentiment, emotions = predictions.sentiment_probability, predictions.emotion_probabilities
    return dataclasses.replace(
        predictions,
        sentiment_probability=None if sentiment is None else np.full(n_rows, float(majority.sentiment_positive)),
        emotion_probabilities=None if emotions is None else np.tile(np.array(majority.emotions, float), (n_rows, 1)),
        sentiment_intensity=None
        if predictions.sentiment_intensity is None
        else np.full(n_rows, majority.sentiment_median),
        emotion_intensities=None
        if predictions.emotion_intensities is None
        else np.tile(np.array(majority.emotion_medians), (n_rows, 1)),
    )


def score_trivial(predictions: Predictions, majority: TrainMajority) -> Scores:
    """The scores of the constant predictor on `checked` predictions' rows, with the keys of every result."""
    return score_at(constant_predictions(predictions, majority), TRIVIAL_DECISIONS)
