"""Which threshold for which purpose: one per output and objective, chosen on valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mien.evaluation.decisions import FALLBACK_THRESHOLD, Decisions, Point, voted_thresholds, voting_draws
from mien.evaluation.protocols import DECISION_METRICS
from mien.evaluation.recalibration import PlattScaling, cases_of
from mien.evaluation.rows import checked
from mien.metrics import count
from mien.tables import Predictions

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
