"""Labels of the paper's two label spaces, for tests."""

from __future__ import annotations

import dataclasses

import numpy as np

from mien.labels import SENTIMENT_SPACE, LabelKind, LabelSpace
from mien.tasks import PAPER_TASKS, tasks_of

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


AROUSAL = LabelSpace("arousal", LabelKind.SCORE, low=-1.0, high=1.0)
TOPIC = LabelSpace("topic", LabelKind.CLASSES, ("art", "sport", "war", "weather"), neutral="weather")
ACTS = LabelSpace("acts", LabelKind.MULTILABEL, ("ask", "tell", "joke"))
HURT = LabelSpace("hurt", LabelKind.MULTILABEL, ("body", "mind"), high=2.0)
EFFORT = LabelSpace("effort", LabelKind.ORDINAL, ("low", "middle", "high"), 0.0, 2.0, (0.5, 1.5))
OWN_SPACES = (AROUSAL, TOPIC, ACTS, HURT, EFFORT)
# tasks of label spaces of a user's own, and sentiment in three levels
OF_EVERY_KIND = (
    *tasks_of(OWN_SPACES).values(),
    tasks_of([SENTIMENT_SPACE], {"sentiment": "ordinal"})["sentiment"],
)


def random_labels(space, n, seed=0):
    """Labels (n, column) of a label space, all values of which occur if n is large enough."""
    rng = np.random.default_rng(seed)
    low, high = space.bounds
    shape = (n, len(space.columns))
    if space.kind is LabelKind.SCORE:
        return np.round(rng.uniform(low, high, shape), 1) + 0.0
    if space.kind is LabelKind.MULTILABEL:
        return np.where(rng.random(shape) < 0.4, rng.integers(1, int(high) + 1, shape), 0.0).astype(float)
    return rng.integers(int(low), int(high) + 1, shape).astype(float)
