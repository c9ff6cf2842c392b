"""The constant predictor that stands beside every result: what one gets for saying the same thing always."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.evaluation.decisions import constant_decisions
from mien.evaluation.scores import Scores, score_at
from mien.schema import EMOTION_OUTPUTS, FloatArray, emotion_multihot7, sentiment_classes
from mien.tables import Predictions

# any threshold inside (0, 1) decides the same for probabilities of exactly 0 and 1
TRIVIAL_DECISIONS = constant_decisions(0.5, 0.5)


@dataclass(frozen=True, slots=True)
class TrainMajority:
    """The more frequent class of every output on the train split; a tie counts as positive or present."""

    sentiment_positive: bool
    emotions: tuple[bool, ...]  # (7,) in the order of EMOTION_OUTPUTS: whether most train utterances have it

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
            The majorities; for labels that are missing throughout, positive and absent.
        """
        positive, scored = sentiment_classes(sentiment)
        labels, labelled = emotion_multihot7(emotions)
        present = labels[labelled]
        majority = 2 * present.sum(axis=0) >= max(len(present), 1)
        return cls(bool(2 * positive.sum() >= scored.sum()), tuple(bool(output) for output in majority))


def constant_predictions(predictions: Predictions, majority: TrainMajority) -> Predictions:
    """The same rows and gold labels with the majority as prediction, for the heads that `predictions` has."""
    n_rows = len(predictions.index)
    sentiment, emotions = predictions.sentiment_probability, predictions.emotion_probabilities
    return dataclasses.replace(
        predictions,
        sentiment_probability=None if sentiment is None else np.full(n_rows, float(majority.sentiment_positive)),
        emotion_probabilities=None if emotions is None else np.tile(np.array(majority.emotions, float), (n_rows, 1)),
    )


def score_trivial(predictions: Predictions, majority: TrainMajority) -> Scores:
    """The scores of the constant predictor on `checked` predictions' rows, with the keys of every result."""
    return score_at(constant_predictions(predictions, majority), TRIVIAL_DECISIONS)
