"""The scores of predicted intensities: the `sentiment_intensity` and `emotion_intensity` parts of a result.

They rest on no threshold, so that they are the same under `clean` and `fixed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mien.metrics.grades import GradeRule, grade_accuracy
from mien.metrics.ranking import concordance_index
from mien.metrics.regression import mean_absolute_error, pearson
from mien.schema import EMOTIONS, FloatArray, SentimentValues, graded_emotions
from mien.storage.predictions import Predictions

N_GRADES = (7, 5)
ERRORS = ("mae",)  # the smaller, the better; every other score the larger
CLASSES_ONLY = "the scores of {part} are left out: the labels are classes, which have no degrees"


def sentiment_gold(predictions: Predictions) -> FloatArray | None:
    """Gold scores (utterance,), NaN where missing; None where the labels are classes."""
    return predictions.sentiment if predictions.sentiment_values is SentimentValues.INTENSITY else None


def emotion_gold(predictions: Predictions) -> FloatArray | None:
    """Gold intensities (utterance, 6), NaN where missing; None where the labels are classes."""
    return predictions.emotions if graded_emotions(predictions.emotions) else None


def score_sentiment_intensity(predictions: Predictions, notes: list[str]) -> dict[str, Any] | None:
    """The part of one result, None without that head; what must be said is added to `notes`."""
    said, gold = predictions.sentiment_intensity, sentiment_gold(predictions)
    if said is None:
        return None
    part = {"mae": None, "pearson": None, "concordance_index": None}
    part |= {f"accuracy{n}_{rule}": None for n in N_GRADES for rule in GradeRule}
    if gold is None:
        notes.append(CLASSES_ONLY.format(part="sentiment_intensity"))
        return part | {"n_scored": 0}
    accuracies = {f"accuracy{n}_{rule}": grade_accuracy(gold, said, rule, n) for n in N_GRADES for rule in GradeRule}
    _note_constant("sentiment_intensity", said[~np.isnan(gold)], notes)
    return _row(gold, said) | accuracies | {"n_scored": int((~np.isnan(gold)).sum())}


def score_emotion_intensity(predictions: Predictions, notes: list[str]) -> dict[str, Any] | None:
    """The part of one result, None without that head; what must be said is added to `notes`."""
    said, gold = predictions.emotion_intensities, emotion_gold(predictions)
    if said is None:
        return None
    if gold is None:
        notes.append(CLASSES_ONLY.format(part="emotion_intensity"))
        gold = np.full_like(said, np.nan)
    rows = {
        name: _row(gold[:, column], said[:, column]) | {"n_nonzero": int((gold[:, column] > 0).sum())}
        for column, name in enumerate(EMOTIONS)
    }
    scored = ~np.isnan(gold).any(axis=1)
    if scored.any():
        for column, name in enumerate(EMOTIONS):
            _note_constant(f"emotion_intensity of {name}", said[scored, column], notes)
    means = {
        f"{key}_mean6": _mean([row[key] for row in rows.values()]) for key in ("mae", "pearson", "concordance_index")
    }
    return means | {"n_scored": int(scored.sum()), "per_emotion": rows}


def best_over_epochs(epochs: Sequence[int], parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every score at the epoch where it is best, and under `chosen` which that was: for the upper bound only."""
    best, chosen = dict(parts[0]), {}
    for key, first in parts[0].items():
        if isinstance(first, dict):
            best[key] = {name: best_over_epochs(epochs, [part[key][name] for part in parts]) for name in first}
        elif isinstance(first, float):
            sign = -1 if key.removesuffix("_mean6") in ERRORS else 1
            values = sign * np.array([part[key] for part in parts])
            at = int(np.argmax(np.where(np.isnan(values), -np.inf, values)))
            best[key], chosen[key] = float(parts[at][key]), {"epoch": epochs[at]}
    return best | {"chosen": chosen}


def _row(gold: FloatArray, said: FloatArray) -> dict[str, float]:
    return {
        "mae": mean_absolute_error(gold, said),
        "pearson": pearson(gold, said),
        "concordance_index": concordance_index(gold, said),
    }


def _note_constant(what: str, said: FloatArray, notes: list[str]) -> None:
    if len(said) and np.ptp(said) == 0:
        notes.append(f"pearson of {what} is undefined: the same is predicted for every utterance")


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
