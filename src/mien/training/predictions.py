"""What a system says, beside the gold labels of the columns it was said about."""

from __future__ import annotations

import numpy as np

from mien.models import Probabilities
from mien.schema import SentimentValues
from mien.tables import Predictions, SplitColumns


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
