"""Probabilities beside the gold labels of the columns they were predicted for."""

from __future__ import annotations

import numpy as np

from mien.schema import FloatArray, SentimentValues
from mien.tables import Predictions, SplitColumns


def to_predictions(
    columns: SplitColumns,
    sentiment: FloatArray | None,
    emotions: FloatArray | None,
    sentiment_values: SentimentValues,
) -> Predictions:
    """Predictions of the columns' utterances, in their order. `sentiment` is (N,), `emotions` (N, 7)."""
    return Predictions(
        video_id=np.repeat(np.array(columns.video_ids, dtype=object), columns.lengths),
        index=columns.index,
        sentiment=columns.sentiment,
        emotions=columns.emotions,
        sentiment_probability=sentiment,
        emotion_probabilities=emotions,
        sentiment_values=sentiment_values,
    )
