"""What a system says, beside the gold labels of the columns it was said about, or of one video alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mien.errors import UsageError
from mien.models.batch import Reads
from mien.models.classical.base import Probabilities
from mien.schema import FloatArray, SentimentValues
from mien.storage.predictions import Predictions
from mien.storage.split_columns import SplitColumns


@dataclass(frozen=True, slots=True)
class VideoPrediction:
    """What a system says about the utterances of one video, and what it looked at. None without the task's head."""

    # (utterance,) of the positive class (has0)
    sentiment_probability: FloatArray | None
    # (utterance, 7) in the order of EMOTION_OUTPUTS
    emotion_probabilities: FloatArray | None
    # (utterance,), from -3 to 3
    sentiment_intensity: FloatArray | None = None
    # (utterance, 6) from 0 to 3, in the order of EMOTIONS
    emotion_intensities: FloatArray | None = None
    # "text->visual": weights (utterance, context), see `mien.models.Outputs`
    attention: Mapping[str, FloatArray] = field(default_factory=dict)
    # weights inside each utterance (utterance,), by name
    fusion: Mapping[str, FloatArray] = field(default_factory=dict)


def to_predictions(columns: SplitColumns, said: Probabilities, sentiment_values: SentimentValues) -> Predictions:
    """Predictions of the columns' utterances, in their order."""
    return Predictions(
        video_id=np.repeat(np.array(columns.video_ids, dtype=object), columns.lengths),
        index=columns.index,
        sentiment=columns.sentiment,
        emotions=columns.emotions,
        sentiment_probability=said.sentiment,
        emotion_probabilities=said.emotions,
        sentiment_values=sentiment_values,
        sentiment_intensity=said.sentiment_intensity,
        emotion_intensities=said.emotion_intensities,
    )


def require_vectors(reads: Reads) -> None:
    """Raise UsageError for a system of words or transcripts: vectors of whole utterances tell it nothing."""
    if reads in (Reads.WORDS, Reads.TRANSCRIPTS):
        columns = "columns(split, words=True)" if reads is Reads.WORDS else "columns(split)"
        raise UsageError(
            f"Expected a system that reads one vector per utterance, but got one that reads {reads.value}; "
            f"give it a Dataset's columns: predict(dataset.{columns})"
        )
