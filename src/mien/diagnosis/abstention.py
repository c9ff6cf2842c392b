"""Abstention: accuracy when only confident answers are kept, and risk-coverage curves.

Answers with a confidence below a cut (a minimum confidence) are withheld; the cuts are chosen on valid. Confidence is
the distance of a probability from the output's threshold, in calibrated logits. Cuts are chosen for each output
separately, so an utterance may get an answer for one emotion and none for another.

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
    """Accuracy at every coverage (share of answers that are kept), for one output or the mean of several outputs.

    `model` and `oracle` are accuracies (coverage,) at the coverages of `GRID`, computed as 1 - risk (see
    `risk_coverage`). For `model`, the most confident answers are kept. For `oracle`, wrong answers are dropped before
    right ones. In a mean of several outputs, the risk gives both classes of an output the same total weight.
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
        The lowest confidence of a kept answer, or 0 for a coverage of 1. All answers with this confidence are kept.
    """
    if coverage >= 1:
        return 0.0
    n_kept = max(math.ceil(coverage * len(confidence)), 1)
    return float(np.sort(confidence)[len(confidence) - n_kept])


def abstain(
    valid: Predictions, scored: Predictions, decisions: Decisions, scalings: Mapping[str, PlattScaling]
) -> tuple[dict[str, Any], list[CoverageCurve]]:
    """Score the answers that are kept at cuts chosen on valid, and compute risk-coverage curves and their areas.

    If all answers are kept, the scores equal those of the protocol clean.

    Args:
        valid: Validated predictions for valid, with labels for every task; the cuts are chosen on them.
        scored: Validated predictions for the split to score, with labels for every task.
        decisions: Decision thresholds of the run.
        scalings: Output -> scaling from `fit_scalings` on valid.

    Returns:
        Task -> its entry under ``abstention`` in the JSON of a diagnosis; and one curve per task.
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
    """Gold classes, decisions and confidences of one output on the scored split, and a confidence cut per coverage."""

    present: BoolArray
    predicted: BoolArray
    confidence: FloatArray
    cuts: tuple[float, ...]  # in the order of `COVERAGES`

    @classmethod
    def of(cls, valid: LabelledOutputs, scored: LabelledOutputs, threshold: float, scaling: PlattScaling) -> _Answers:
        """Make the decisions for the scored split, and choose the confidence cuts on valid."""
        valid_confidence = scaling.distance(valid.probability, threshold)
        return cls(
            present=scored.present,
            predicted=scored.probability >= threshold,
            confidence=scaling.distance(scored.probability, threshold),
            cuts=tuple(confidence_threshold(valid_confidence, coverage) for coverage in COVERAGES),
        )

    def at_cuts(self, scores_of: Callable[[BoolArray], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Apply the cut of every coverage to the answers, and score the answers that are kept.

        Args:
            scores_of: Function that takes a mask (utterance,), True for kept answers, and returns their scores by name.

        Returns:
            Wanted coverage in per cent -> the cut, the share of answers that are kept, and the scores of these answers.
        """
        rows = {}
        for coverage, cut in zip(COVERAGES, self.cuts, strict=True):
            answered = self.confidence >= cut
            rows[f"{100 * coverage:.0f}"] = {"cut": cut, "coverage": float(answered.mean()), **scores_of(answered)}
        return rows

    def risks(self, weight: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Return the `risk_coverage` of the model's confidence and the `oracle_risk`, both (utterance,).

        `weight` (utterance,) is the weight of each answer in the risk; None weights all answers equally.
        """
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
    """Compute the risk (weighted share of errors) of the k most confident answers, for k = 1, 2, ... up to all.

    Answers of equal confidence share their errors evenly, so the result does not depend on the order of the rows.

    Args:
        wrong: True where the decision is an error, (utterance,).
        confidence: Confidence of each answer, (utterance,).
        weight: Positive weight of each answer in the risk, (utterance,). With 1 / P on the P present and 1 / N on the
            N absent cases, the risk of all answers is 1 - weighted accuracy. If `weight` is None, all answers have the
            same weight, so the risk is the error rate.

    Returns:
        Risks (utterance,) of the 1, 2, ... most confident answers.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    # np.unique sorts in ascending order, so negation puts the most confident answers first
    _, group, size = np.unique(-np.asarray(confidence, dtype=np.float64), return_inverse=True, return_counts=True)
    errors = np.bincount(group, weights=share * wrong, minlength=len(size)) / size
    shares = np.bincount(group, weights=share, minlength=len(size)) / size
    return quotient(np.cumsum(np.repeat(errors, size)), np.cumsum(np.repeat(shares, size)))


def oracle_risk(wrong: BoolArray, weight: FloatArray | None = None) -> FloatArray:
    """Compute the `risk_coverage` of an oracle that gives right answers first, then wrong ones by ascending weight.

    No other order of the same answers gives a smaller area under the curve.

    Args:
        wrong: True where the decision is an error, (utterance,).
        weight: Positive weight of each answer in the risk, (utterance,); None weights all answers equally.

    Returns:
        Risks (utterance,) of the 1, 2, ... first answers.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    return risk_coverage(wrong, -(share * wrong), weight)


def area_under_risk(risk: FloatArray) -> float:
    """Return the area under a risk-coverage curve, which is the mean risk; NaN without answers.

    A smaller area is better. Random abstention has the same risk at every coverage, so its area is the risk of all
    answers.
    """
    return float(risk.mean()) if risk.size else float("nan")


def class_weights(present: BoolArray) -> FloatArray:
    """Return the weights of weighted accuracy: 1 / P for each of P present cases, 1 / N for each of N absent ones."""
    n_present = int(present.sum())
    return np.where(present, 1 / max(n_present, 1), 1 / max(len(present) - n_present, 1))
