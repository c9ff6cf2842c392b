"""Arrays to numbers: scores, intervals, tests of significance. No files, no thresholds, no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mien.metrics.calibration import brier, calibration_error
from mien.metrics.confusion import accuracy, macro_f1, positive_f1, weighted_accuracy, weighted_f1
from mien.metrics.ranking import concordance_index, roc_auc
from mien.metrics.regression import mean_absolute_error, pearson

__all__ = ["METRICS", "Kind", "Metric"]


class Kind(StrEnum):
    """What a metric is a function of. The first two are sums over utterances, so they can be resampled by video."""

    DECISION = "decision"  # function(Confusion)
    MOMENTS = "moments"  # function(Moments)
    PROBABILITY = "probability"  # function(target (utterance,) bool, probability (utterance,))
    INTENSITY = "intensity"  # function(target (utterance,), prediction (utterance,))


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the table `METRICS`."""

    function: Callable[..., Any]
    higher_is_better: bool
    kind: Kind


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, True, Kind.DECISION),
    "weighted_accuracy": Metric(weighted_accuracy, True, Kind.DECISION),
    "weighted_f1": Metric(weighted_f1, True, Kind.DECISION),
    "macro_f1": Metric(macro_f1, True, Kind.DECISION),
    "positive_f1": Metric(positive_f1, True, Kind.DECISION),
    "mae": Metric(mean_absolute_error, False, Kind.MOMENTS),
    "pearson": Metric(pearson, True, Kind.MOMENTS),
    "roc_auc": Metric(roc_auc, True, Kind.PROBABILITY),
    "calibration_error": Metric(calibration_error, False, Kind.PROBABILITY),
    "brier": Metric(brier, False, Kind.PROBABILITY),
    "concordance_index": Metric(concordance_index, True, Kind.INTENSITY),
}
