"""Abstention: accuracy of the confident answers alone, at confidence cuts chosen on valid, and risk-coverage curves.

Confidence is the distance from the output's threshold in calibrated logits. Every output has its own cuts, so an
utterance may get an answer for one emotion and none for another.

Sources: R. El-Yaniv and Y. Wiener, "On the foundations of noise-free selective classification", JMLR 2010 (curve);
Y. Geifman, G. Uziel and R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019
(area, and the oracle to compare it with).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.diagnosis.calibration import LabelledOutputs, PlattScaling, classes_in, labelled_outputs
from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import headlines
from mien.evaluation.scores import mean_of_defined, means_of, rows_key
from mien.metrics.confusion import accuracy, count_decisions, quotient, weighted_accuracy
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.tasks import EMOTION, SENTIMENT, TASKS, output_name

# shares of the answers to keep
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
# coverages at which curves are drawn
GRID = tuple(number / 100 for number in range(1, 101))


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """Accuracy over coverage of one output, or of the mean of several.

    `model` and `oracle` are accuracies (coverage,) at the coverages of `GRID`: 1 - risk, class-weighted for several
    outputs.
    """

    name: str
    model: FloatArray
    oracle: FloatArray
    random: float  # accuracy of random abstention, the same at every coverage
    # (coverage reached, accuracy) at the cuts chosen on valid, in the order of `COVERAGES`
    kept: tuple[tuple[float, float], ...]


def confidence_threshold(confidence: FloatArray, coverage: float) -> float:
    """Choose the confidence cut that keeps a share of the answers.

    Args:
        confidence: Confidence >= 0 of each answer, (utterance,).
        coverage: Share of the answers to keep, in [0, 1].

    Returns:
        Lowest confidence of a kept answer; ties are all kept. 0 for a coverage of 1.
    """
    if coverage >= 1:
        return 0.0
    n_kept = max(math.ceil(coverage * len(confidence)), 1)
    return float(np.sort(confidence)[len(confidence) - n_kept])


def abstain(
    valid: Predictions, scored: Predictions, decisions: Decisions, scalings: Mapping[str, PlattScaling]
) -> tuple[dict[str, Any], list[CoverageCurve]]:
    """Score the answers that are kept at cuts chosen on valid, and compute risk-coverage curves and their areas.

    Args:
        valid: Validated predictions for valid, which choose the cuts; both splits have labels for every task.
        scored: Validated predictions for the split to score.
        decisions: Thresholds of the run; with all answers kept, scores equal those of the protocol clean.
        scalings: Output -> scaling from `fit_scalings` on valid.

    Returns:
        The part ``abstention`` of a diagnosis by task, and one curve per task.
    """
    on_valid, on_scored = labelled_outputs(valid), labelled_outputs(scored)
    part: dict[str, Any] = {SENTIMENT: None, EMOTION: None}
    curves = []
    for task in classes_in(scored):
        answers = {}
        for column, output in enumerate(TASKS[task].outputs[: next(iter(means_of(task).values()))]):
            name = output_name(task, output)
            threshold = float(decisions.at(task)[column])
            answers[output] = _Answers.of(on_valid[name], on_scored[name], threshold, scalings[name])
        part[task], curve = (
            _single_output_part(*answers.values()) if task == SENTIMENT else _mean_of_outputs_part(task, answers)
        )
        curves.append(curve)
    return part, curves


@dataclass(frozen=True, slots=True)
class _Answers:
    """Decisions of one output on the scored split, and the confidence cut of every coverage."""

    present: BoolArray
    predicted: BoolArray
    confidence: FloatArray
    cuts: tuple[float, ...]  # in the order of `COVERAGES`

    @classmethod
    def of(cls, valid: LabelledOutputs, scored: LabelledOutputs, threshold: float, scaling: PlattScaling) -> _Answers:
        """Make the decisions, and choose the cuts on valid."""
        valid_confidence = scaling.distance(valid.probability, threshold)
        return cls(
            present=scored.present,
            predicted=scored.probability >= threshold,
            confidence=scaling.distance(scored.probability, threshold),
            cuts=tuple(confidence_threshold(valid_confidence, coverage) for coverage in COVERAGES),
        )

    def at_cuts(self, scores_of: Callable[[BoolArray], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Per coverage: the cut, the share of answers that it keeps, and the scores of the answers that are kept."""
        rows = {}
        for coverage, cut in zip(COVERAGES, self.cuts, strict=True):
            answered = self.confidence >= cut
            rows[f"{100 * coverage:.0f}"] = {"cut": cut, "coverage": float(answered.mean()), **scores_of(answered)}
        return rows

    def risks(self, weight: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Risk of the system and of the oracle at every coverage, both (utterance,)."""
        wrong = self.present != self.predicted
        return risk_coverage(wrong, self.confidence, weight), oracle_risk(wrong, weight)


def _single_output_part(answers: _Answers) -> tuple[dict[str, Any], CoverageCurve]:
    def scores_of(answered: BoolArray) -> dict[str, Any]:
        right = accuracy(count_decisions(answers.present, answers.predicted, answered))
        return {"n_kept": int(answered.sum()), "accuracy_has0": float(right)}

    at_cuts = answers.at_cuts(scores_of)
    risk, oracle = answers.risks(None)
    points = tuple((row["coverage"], row["accuracy_has0"]) for row in at_cuts.values())
    curve = _coverage_curve("sentiment accuracy (has0)", risk, oracle, points)
    return {"kept": at_cuts, "area": _mean_areas(risk, oracle)}, curve


def _mean_of_outputs_part(task: str, answers: Mapping[str, _Answers]) -> tuple[dict[str, Any], CoverageCurve]:
    by_output = {name: _class_weighted_part(each) for name, each in answers.items()}
    path, headline = next(iter(headlines(task).items()))
    score = path.split(".")[1]
    at_cuts = {}
    for key in next(iter(by_output.values()))["kept"]:
        rows = [row["kept"][key] for row in by_output.values()]
        scores = np.array([row["weighted_accuracy"] for row in rows])
        at_cuts[key] = {
            "coverage": float(np.mean([row["coverage"] for row in rows])),
            score: float(mean_of_defined(scores)),
            "n_emotions" if task == EMOTION else "n_outputs": int(np.sum(~np.isnan(scores))),
        }
    with_both_classes = [each for each in answers.values() if each.present.any() and not each.present.all()]
    if with_both_classes:
        risk, oracle = np.mean([each.risks(class_weights(each.present)) for each in with_both_classes], axis=0)
    else:
        risk = oracle = np.full(len(next(iter(answers.values())).present), np.nan)
    points = tuple((row["coverage"], row[score]) for row in at_cuts.values())
    curve = _coverage_curve(headline.title, risk, oracle, points)
    return {"kept": at_cuts, "area": _mean_areas(risk, oracle), rows_key(task): by_output}, curve


def _class_weighted_part(answers: _Answers) -> dict[str, Any]:
    def scores_of(answered: BoolArray) -> dict[str, Any]:
        return {
            "weighted_accuracy": float(weighted_accuracy(count_decisions(answers.present, answers.predicted, answered)))
        }

    at_cuts = answers.at_cuts(scores_of)
    risk, oracle = answers.risks(class_weights(answers.present))
    return {"kept": at_cuts, "area": _mean_areas(risk, oracle)}


def _mean_areas(risk: FloatArray, oracle: FloatArray) -> dict[str, float]:
    return {"model": area_under_risk(risk), "random": float(risk[-1]), "oracle": area_under_risk(oracle)}


def _coverage_curve(
    name: str, risk: FloatArray, oracle: FloatArray, points: tuple[tuple[float, float], ...]
) -> CoverageCurve:
    rows = [max(math.ceil(share * len(risk)), 1) - 1 for share in GRID]
    return CoverageCurve(name, 1 - risk[rows], 1 - oracle[rows], float(1 - risk[-1]), points)


def risk_coverage(wrong: BoolArray, confidence: FloatArray, weight: FloatArray | None = None) -> FloatArray:
    """Compute the risk among the k most confident answers, for every k from 1 to the number of answers.

    Answers of equal confidence share their errors evenly, so the result does not depend on the order of the rows.

    Args:
        wrong: True where the decision is an error, (utterance,).
        confidence: Confidence of each answer, (utterance,).
        weight: Positive weight of each answer in the risk, (utterance,). With 1 / P on the P present and 1 / N on the
            N absent cases, the risk of all answers is 1 - weighted accuracy. None weights all answers equally, which
            makes the risk the error rate.

    Returns:
        Weighted share of errors among the 1, 2, ... most confident answers, (utterance,); coverage is k / n.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    # np.unique sorts in ascending order, so negation puts the most confident answers first
    _, group, size = np.unique(-np.asarray(confidence, dtype=np.float64), return_inverse=True, return_counts=True)
    errors = np.bincount(group, weights=share * wrong, minlength=len(size)) / size
    shares = np.bincount(group, weights=share, minlength=len(size)) / size
    return quotient(np.cumsum(np.repeat(errors, size)), np.cumsum(np.repeat(shares, size)))


def oracle_risk(wrong: BoolArray, weight: FloatArray | None = None) -> FloatArray:
    """Compute the `risk_coverage` of an oracle that gives wrong answers last, in ascending order of weight.

    No confidence gives a smaller area for the same answers.

    Args:
        wrong: True where the decision is an error, (utterance,).
        weight: Positive weight of each answer in the risk, (utterance,); None weights all answers equally.

    Returns:
        Risk at every coverage, (utterance,).
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    return risk_coverage(wrong, -(share * wrong), weight)


def area_under_risk(risk: FloatArray) -> float:
    """Average `risk_coverage` over all coverages; smaller is better, NaN without answers.

    The area of random abstention is the risk of all answers, because its risk is the same at every coverage.
    """
    return float(risk.mean()) if risk.size else float("nan")


def class_weights(present: BoolArray) -> FloatArray:
    """Weight each of P present cases by 1 / P and each of N absent ones by 1 / N, as weighted accuracy does."""
    n_present = int(present.sum())
    return np.where(present, 1 / max(n_present, 1), 1 / max(len(present) - n_present, 1))
