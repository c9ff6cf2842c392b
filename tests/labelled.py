"""Labels of the paper's two label spaces, for tests."""

from __future__ import annotations

import dataclasses

import numpy as np

from mien.tasks import PAPER_TASKS

# the tasks of the paper by name
SENTIMENT, EMOTION, SENTIMENT_INTENSITY, EMOTION_INTENSITY = PAPER_TASKS.values()


def labels_of(sentiment, emotions):
    """Labels of several utterances: sentiment (utterance,) and emotions (utterance, 6)."""
    return {"sentiment": np.asarray(sentiment, dtype=np.float64)[:, None], "emotion": np.asarray(emotions)}


def relabelled(rows, sentiment=None, emotions=None, **facts):
    """The same rows with other labels."""
    return dataclasses.replace(
        rows,
        labels=labels_of(
            rows.sentiment if sentiment is None else sentiment, rows.emotions if emotions is None else emotions
        ),
        **facts,
    )


def tasks_named(names):
    """Tasks of the paper by their names."""
    return tuple(PAPER_TASKS[name] for name in names)
