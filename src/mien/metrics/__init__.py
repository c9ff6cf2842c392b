"""Arrays to numbers: scores, intervals, tests of significance. No files, no thresholds, no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from mien.metrics.calibration import Bins, ReliabilityBins, brier, calibration_error, equal_count_edges, reliability
from mien.metrics.confusion import (
    Confusion,
    accuracy,
    count,
    count_per_video,
    macro_f1,
    negative_f1,
    positive_f1,
    weighted_accuracy,
    weighted_f1,
)
from mien.metrics.grades import GradeRule, grade_accuracy, grades
from mien.metrics.ranking import concordance_index, roc_auc
from mien.metrics.regression import (
    Moments,
    mean_absolute_error,
    mean_absolute_error_of,
    moments_per_video,
    pearson,
    pearson_of,
)
from mien.metrics.significance import (
    Interval,
    McNemar,
    PairedBootstrap,
    PairedTTest,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_t_test,
    paired_video_bootstrap,
    percentile_interval,
    video_bootstrap,
    video_weights,
)


class Kind(StrEnum):
    """What a metric is a function of."""

    DECISION = "decision"  # function(Confusion)
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
    "roc_auc": Metric(roc_auc, True, Kind.PROBABILITY),
    "calibration_error": Metric(calibration_error, False, Kind.PROBABILITY),
    "brier": Metric(brier, False, Kind.PROBABILITY),
    "mean_absolute_error": Metric(mean_absolute_error, False, Kind.INTENSITY),
    "pearson": Metric(pearson, True, Kind.INTENSITY),
    "concordance_index": Metric(concordance_index, True, Kind.INTENSITY),
    **{
        f"accuracy{n}_{rule}": Metric(partial(grade_accuracy, rule=rule, n_grades=n), True, Kind.INTENSITY)
        for n in (7, 5)
        for rule in GradeRule
    },
}

__all__ = [
    "METRICS",
    "Bins",
    "Confusion",
    "GradeRule",
    "Interval",
    "Kind",
    "McNemar",
    "Metric",
    "Moments",
    "PairedBootstrap",
    "PairedTTest",
    "ReliabilityBins",
    "accuracy",
    "brier",
    "calibration_error",
    "concordance_index",
    "count",
    "count_per_video",
    "equal_count_edges",
    "grade_accuracy",
    "grades",
    "holm",
    "macro_f1",
    "mcnemar",
    "mean_absolute_error",
    "mean_absolute_error_of",
    "moments_per_video",
    "negative_f1",
    "paired_bootstrap",
    "paired_t_test",
    "paired_video_bootstrap",
    "pearson",
    "pearson_of",
    "percentile_interval",
    "positive_f1",
    "reliability",
    "roc_auc",
    "video_bootstrap",
    "video_weights",
    "weighted_accuracy",
    "weighted_f1",
]
