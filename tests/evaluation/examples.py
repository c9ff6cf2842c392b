"""Small predictions with known properties, shared by the tests of this folder."""

import dataclasses

import numpy as np
from tests.labelled import labels_of

from mien.evaluation.rows import select_rows
from mien.schema import emotion_multihot7
from mien.storage.predictions import Predictions

PREVALENCE = np.array([0.23, 0.17, 0.08, 0.53, 0.26, 0.10])


def gold(seed=0, n_videos=31, n_missing=7):
    """Videos of 3 to 11 utterances with both labels, some of them missing, and no predictions yet."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 12, n_videos)
    n_rows = int(lengths.sum())
    # thirds, as in CMU-MOSEI; about a fifth is exactly zero
    sentiment = np.where(rng.random(n_rows) < 0.2, 0.0, rng.integers(-9, 10, n_rows) / 3)
    emotions = np.where(rng.random((n_rows, 6)) < PREVALENCE, rng.integers(1, 10, (n_rows, 6)) / 3, 0.0)
    emotions[:2] = [[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]  # every output occurs and does not
    sentiment[rng.choice(n_rows, n_missing, replace=False)] = np.nan
    emotions[2 + rng.choice(n_rows - 2, n_missing, replace=False)] = np.nan
    return Predictions(
        video_id=np.array(
            [f"video{number}" for number, length in enumerate(lengths) for _ in range(length)], dtype=object
        ),
        index=np.concatenate([np.arange(length) for length in lengths]),
        labels=labels_of(sentiment, emotions),
        outputs={},
    )


def predicted(rows, seed=0, skill=1.0):
    """`rows` with probabilities that lean towards the gold label the more the higher `skill` is."""
    rng = np.random.default_rng(seed + 1000)
    labels, _ = emotion_multihot7(rows.emotions)
    positive = np.nan_to_num(rows.sentiment) >= 0
    lean = skill * np.column_stack([positive - 0.5, labels])
    logits = lean - np.array([0.0, 1.2, 1.5, 2.2, 0.1, 1.1, 2.0, 0.9]) + rng.normal(size=lean.shape)
    probability = 1 / (1 + np.exp(-logits))
    said = {"sentiment": probability[:, :1], "emotion": probability[:, 1:]}
    return dataclasses.replace(rows, outputs={**rows.outputs, **said})


def rated(rows, seed=0, skill=1.0):
    """`rows` with intensities: the gold ones, shrunk by a half and blurred the more the lower `skill` is."""
    rng = np.random.default_rng(seed + 2000)
    blur = rng.normal(size=(len(rows.index), 7)) / skill
    degrees = np.nan_to_num(np.column_stack([rows.sentiment, rows.emotions])) / 2 + 0.5 * blur
    said = {"sentiment_intensity": np.clip(degrees[:, :1], -3, 3), "emotion_intensity": np.clip(degrees[:, 1:], 0, 3)}
    return dataclasses.replace(rows, outputs={**rows.outputs, **said})


def without_tasks(predictions, *tasks):
    """The same predictions, but of fewer tasks."""
    kept = {task: values for task, values in predictions.outputs.items() if task not in tasks}
    return dataclasses.replace(predictions, outputs=kept)


def reordered(predictions, order):
    """The same rows in another order."""
    return select_rows(predictions, order)
