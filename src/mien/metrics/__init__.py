"""Scores, intervals and significance tests on arrays. No code here reads files, chooses thresholds or uses torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mien.metrics.calibration_error import brier, calibration_error
from mien.metrics.classes import accuracy_of_classes, log_loss, macro_f1_of_classes, weighted_f1_of_classes
from mien.metrics.confusion import accuracy, macro_f1, positive_f1, weighted_accuracy, weighted_f1
from mien.metrics.ranking import concordance_index, roc_auc
from mien.metrics.regression import concordance_correlation, mean_absolute_error, pearson

__all__ = ["METRICS", "Metric", "MetricInput"]


class MetricInput(StrEnum):
    """Kind of arguments that the function of a metric takes: counts, sums, probabilities or intensities.

    Metrics of the kinds `DECISION` and `CLASSES` (counts of decisions) and `MOMENTS` (sums of values) can be computed
    for many bootstrap resamples of the videos at once, because counts and sums of videos can be added.
    """

    DECISION = "decision"  # function(Confusion)
    CLASSES = "classes"  # function(Confusion (..., class)) of classes that exclude each other
    MOMENTS = "moments"  # function(Moments)
    PROBABILITY = "probability"  # function(target (utterance,) bool, probability (utterance,))
    INTENSITY = "intensity"  # function(target (utterance,), prediction (utterance,))


@dataclass(frozen=True, slots=True)
class Metric:
    """Definition of one metric: its function, the kind of its arguments, and whether a higher value is better."""

    function: Callable[..., Any]
    higher_is_better: bool
    kind: MetricInput


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, True, MetricInput.DECISION),
    "weighted_accuracy": Metric(weighted_accuracy, True, MetricInput.DECISION),
    "weighted_f1": Metric(weighted_f1, True, MetricInput.DECISION),
    "macro_f1": Metric(macro_f1, True, MetricInput.DECISION),
    "positive_f1": Metric(positive_f1, True, MetricInput.DECISION),
    "accuracy_of_classes": Metric(accuracy_of_classes, True, MetricInput.CLASSES),
    "weighted_f1_of_classes": Metric(weighted_f1_of_classes, True, MetricInput.CLASSES),
    "macro_f1_of_classes": Metric(macro_f1_of_classes, True, MetricInput.CLASSES),
    "mae": Metric(mean_absolute_error, False, MetricInput.MOMENTS),
    "pearson": Metric(pearson, True, MetricInput.MOMENTS),
    "ccc": Metric(concordance_correlation, True, MetricInput.MOMENTS),
    "roc_auc": Metric(roc_auc, True, MetricInput.PROBABILITY),
    "calibration_error": Metric(calibration_error, False, MetricInput.PROBABILITY),
    "log_loss": Metric(log_loss, False, MetricInput.PROBABILITY),
    "brier": Metric(brier, False, MetricInput.PROBABILITY),
    "concordance_index": Metric(concordance_index, True, MetricInput.INTENSITY),
}
