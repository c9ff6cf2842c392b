"""Predictions to decisions to a result. Thresholds and protocols live only here (docs/protocol.md)."""

from mien.evaluation.cases import Answer, Case, Cases, Ratio, SingleRuns, find_cases
from mien.evaluation.compare import Comparison, MetricComparison, SeedRun, compare
from mien.evaluation.decisions import PAPER_DECISIONS, ChosenOn, Decisions, Point, fit_decisions
from mien.evaluation.protocols import PROTOCOLS, Needs, Protocol, clean, fixed, released
from mien.evaluation.result import Bootstrap, Result, RunIdentity, evaluate_predictions
from mien.evaluation.suite import (
    SUITE_RESAMPLES,
    SettingScores,
    compare_with_reference,
    fixed_scores,
    intervals_of_means,
    score_setting,
)
from mien.evaluation.summary import summarize, summarize_json
from mien.evaluation.trivial import TrainMajority, constant_predictions

__all__ = [
    "PAPER_DECISIONS",
    "PROTOCOLS",
    "SUITE_RESAMPLES",
    "Answer",
    "Bootstrap",
    "Case",
    "Cases",
    "ChosenOn",
    "Comparison",
    "Decisions",
    "MetricComparison",
    "Needs",
    "Point",
    "Protocol",
    "Ratio",
    "Result",
    "RunIdentity",
    "SeedRun",
    "SettingScores",
    "SingleRuns",
    "TrainMajority",
    "clean",
    "compare",
    "compare_with_reference",
    "constant_predictions",
    "evaluate_predictions",
    "find_cases",
    "fit_decisions",
    "fixed",
    "fixed_scores",
    "intervals_of_means",
    "released",
    "score_setting",
    "summarize",
    "summarize_json",
]
