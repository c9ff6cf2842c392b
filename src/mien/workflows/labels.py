"""Which tasks the labels of a split can teach, choose and score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.schema import EMOTIONS, INTENSITIES, FloatArray, SentimentValues, Task, graded_emotions
from mien.tables import Dataset


@dataclass(frozen=True)
class Labels:
    """The labels of one split. N = its utterances; none where the Dataset has no such split."""

    sentiment: FloatArray  # (N,) NaN where missing
    emotions: FloatArray  # (N, 6) NaN rows where missing
    values: SentimentValues

    def labelled(self, task: Task) -> bool:
        """Whether any utterance has what the task is about."""
        of_sentiment = task in (Task.SENTIMENT, Task.SENTIMENT_INTENSITY)
        return not np.isnan(self.sentiment if of_sentiment else self.emotions).all()

    def admits(self, task: Task) -> bool:
        """Whether the task can be learned from them: an intensity cannot from classes."""
        if task not in INTENSITIES or not self.labelled(task):
            return self.labelled(task)
        if task is Task.SENTIMENT_INTENSITY:
            return self.values is SentimentValues.INTENSITY
        return graded_emotions(self.emotions)


def labels_of(dataset: Dataset, split: str) -> Labels:
    """The labels of one split, without reading any feature."""
    rows = dataset.table(["split", "sentiment", *EMOTIONS])
    here = np.array([name == split for name in rows["split"].to_pylist()], dtype=bool)
    columns = [rows[name].to_numpy().astype(np.float64)[here] for name in ("sentiment", *EMOTIONS)]
    return Labels(columns[0], np.stack(columns[1:], axis=1), dataset.facts.sentiment_values)
