"""A small split with labels of both tasks, and what a training of it needs."""

from __future__ import annotations

import numpy as np
from tests.labelled import labels_of, tasks_named

from mien.schema import Modality
from mien.storage.split_columns import SplitColumns

BOTH = tasks_named(("sentiment", "emotion"))
N_FEATURES = 3


def small_split(n_videos, seed=0):
    """Videos of 1 to 5 utterances; the first feature shows the sentiment, the others are noise."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, n_videos)
    n = int(lengths.sum())
    sentiment = rng.choice([-1.0, 1.0], size=n)
    features = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
    features[:, 0] += 2 * sentiment
    return SplitColumns(
        video_ids=[f"v{number}" for number in range(n_videos)],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        index=np.arange(n),
        features={Modality.TEXT: features},
        present={Modality.TEXT: np.ones(n, bool)},
        labels=labels_of(sentiment, rng.choice([0.0, 1.0], size=(n, 6))),
    )
