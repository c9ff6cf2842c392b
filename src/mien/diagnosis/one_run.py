"""May this run's answers be trusted, and when? What is chosen on valid and scored elsewhere, of one run.

Which threshold for which purpose: one per output and objective, chosen on valid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.diagnosis.abstention import CoverageCurve, abstain
from mien.diagnosis.calibration import PlattScaling, calibration_part, cases_of, fit_scalings
from mien.errors import DataError
from mien.evaluation.decisions import FALLBACK_THRESHOLD, Decisions, Point, voted_thresholds, voting_draws
from mien.evaluation.protocols import DECISION_METRICS
from mien.evaluation.rows import checked
from mien.evaluation.scores import mean_of_defined
from mien.metrics.confusion import count
from mien.schema import EMOTIONS, Task
from mien.storage.predictions import Predictions


@dataclass(frozen=True, slots=True)
class RunDiagnosis:
    """What one run is worth; `part` is the JSON of it."""

    part: dict[str, Any]
    scalings: Mapping[str, PlattScaling]
    curves: tuple[CoverageCurve, ...]
    notes: tuple[str, ...]


def with_labels_only(predictions: Predictions) -> tuple[Predictions, list[str]]:
    """The predictions without the heads of classes that no row has labels for, and a note for each of those.

    Raises DataError where nothing is left.
    """
    kept, dropped = predictions, []
    if kept.sentiment_probability is not None and np.isnan(kept.sentiment).all():
        kept = dataclasses.replace(kept, sentiment_probability=None)
        dropped.append(Task.SENTIMENT)
    if kept.emotion_probabilities is not None and np.isnan(kept.emotions).any(axis=1).all():
        kept = dataclasses.replace(kept, emotion_probabilities=None)
        dropped.append(Task.EMOTION)
    if kept.sentiment_probability is None and kept.emotion_probabilities is None:
        raise DataError(
            "Expected classes of sentiment or emotion, and labels for them, in the scored split, but got "
            "none; diagnose a run trained for sentiment or emotion on a split with labels"
        )
    return kept, [f"{task} is left out: the scored split has no labels for it" for task in dropped]


def diagnose_predictions(valid: Predictions, scored: Predictions, decisions: Decisions) -> RunDiagnosis:
    """Calibration, thresholds and abstention of one run: chosen on valid, scored on the other split.

    Args:
        valid: predictions for the valid split.
        scored: predictions for the split to score, without heads that it has no labels for (`with_labels_only`).
        decisions: the run's thresholds.

    Raises:
        DataError: rows are unusable, or valid lacks a head or its labels.
    """
    scored, valid = checked(scored), _with_heads_of(scored, checked(valid, "the predictions on valid"))
    on_valid = cases_of(valid)
    for name in cases_of(scored):
        if name not in on_valid or not len(on_valid[name].rows):
            raise DataError(
                f"Expected labelled predictions of {name} on valid, which chooses every number here, but got none; "
                "give --dataset a Dataset whose valid split has these labels"
            )
    scalings = fit_scalings(valid)
    thresholds = thresholds_part(scored, objective_thresholds(valid, decisions), scalings)
    abstention, curves = abstain(valid, scored, decisions, scalings)
    part = {
        "calibration": calibration_part(scored, scalings),
        "thresholds": thresholds,
        "thresholds_mean6": _means(thresholds),
        "abstention": abstention,
    }
    notes = [f"{name} is not recalibrated: {each.reason}" for name, each in scalings.items() if each.reason]
    notes += [
        f"the calibration of {name} has the slope 0: on valid its probabilities do not order anything"
        for name, each in scalings.items()
        if each.slope == 0
    ]
    return RunDiagnosis(part, scalings, tuple(curves), tuple(notes))


def _with_heads_of(scored: Predictions, valid: Predictions) -> Predictions:
    if scored.sentiment_probability is None:
        valid = dataclasses.replace(valid, sentiment_probability=None)
    if scored.emotion_probabilities is None:
        valid = dataclasses.replace(valid, emotion_probabilities=None)
    return valid


def _means(thresholds: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any] | None:
    """Scores over the six emotions, those that are undefined left out; None without that head."""
    rows = [thresholds[name] for name in EMOTIONS if name in thresholds]
    if not rows:
        return None
    return {
        objective: {
            key: mean_of_defined(np.array([row[objective][key] for row in rows])) for key in ("score", "score_at_half")
        }
        for objective in rows[0]
    }


# what every threshold is held against
HALF = 0.5


def objective_thresholds(valid: Predictions, decisions: Decisions) -> dict[str, dict[str, float]]:
    """Output -> objective -> threshold, each the median of many votes (`voted_thresholds`).

    For weighted accuracy and weighted F1 of emotions these are the run's own `decisions`. Where valid has only one
    class of an output, its threshold is 0.5.

    Args:
        valid: predictions for the valid split. Nothing here can tell which split they are of: never give it test.
        decisions: what the run froze.

    Raises:
        DataError: the rows are unusable, see `checked`.
    """
    valid = checked(valid, "the predictions on valid")
    chosen = {}
    for name, cases in cases_of(valid).items():
        draws = voting_draws(valid.video_id[cases.rows])
        undecided = cases.present.all() or not cases.present.any()
        if undecided:
            chosen[name] = dict.fromkeys(DECISION_METRICS, FALLBACK_THRESHOLD)
        else:
            chosen[name] = voted_thresholds(cases.present, cases.probability, draws, DECISION_METRICS)
        own = {Point.WEIGHTED_ACCURACY: decisions.weighted_accuracy, Point.WEIGHTED_F1: decisions.weighted_f1}
        chosen[name] |= {point.value: each[name] for point, each in own.items() if name in each}
    return chosen


def thresholds_part(
    scored: Predictions, thresholds: Mapping[str, Mapping[str, float]], scalings: Mapping[str, PlattScaling]
) -> dict[str, Any]:
    """Per output and objective: the threshold, where calibration moves it to, and its score beside that of 0.5.

    `scored` are `checked` predictions; each objective is scored by itself, not by the others.
    """
    part: dict[str, Any] = {}
    for name, cases in cases_of(scored).items():
        part[name] = {}
        for objective, threshold in thresholds[name].items():
            score = DECISION_METRICS[objective]
            part[name][objective] = {
                "threshold": threshold,
                "calibrated_threshold": float(scalings[name].apply(np.asarray(threshold))),
                "score": float(score(count(cases.present, cases.probability >= threshold))),
                "score_at_half": float(score(count(cases.present, cases.probability >= HALF))),
            }
    return part
