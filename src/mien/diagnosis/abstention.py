"""Answering only when sure: how much better the kept answers are, at cuts chosen on valid.

Confidence is the distance from the output's threshold in calibrated logits; every output has cuts of its own, so an
utterance may get an answer for one emotion and none for another.

What a system gains by keeping its less confident answers to itself: the risk-coverage curve and its area.

Sources: R. El-Yaniv and Y. Wiener, "On the foundations of noise-free selective classification", JMLR 2010 (curve);
Y. Geifman, G. Uziel and R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019
(area, and the oracle it is held against).
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

# shares of the answers that are kept
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
# of the curves that are drawn
GRID = tuple(number / 100 for number in range(1, 101))


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """What one output, or the mean of several, is right about when it gives the most confident answers only.

    Accuracies (coverage,) at the shares of `GRID`: 1 - risk; of several outputs the class-weighted one.
    """

    name: str
    model: FloatArray
    oracle: FloatArray
    random: float  # the same at every coverage
    # (coverage reached, accuracy) at the cuts chosen on valid, in the order of `COVERAGES`
    kept: tuple[tuple[float, float], ...]


def confidence_threshold(confidence: FloatArray, coverage: float) -> float:
    """The confidence that this share of the utterances (utterance,) reaches; ties all reach it. 0 for a share of 1."""
    if coverage >= 1:
        return 0.0
    n_kept = max(math.ceil(coverage * len(confidence)), 1)
    return float(np.sort(confidence)[len(confidence) - n_kept])


def abstain(
    valid: Predictions, scored: Predictions, decisions: Decisions, scalings: Mapping[str, PlattScaling]
) -> tuple[dict[str, Any], list[CoverageCurve]]:
    """The table at the cuts chosen on valid, areas under the risk-coverage curves, and the curves.

    Args:
        valid: predictions for valid, which choose the cuts; both splits have labels for every head.
        scored: predictions for the split to score, `checked` like those for valid.
        decisions: the run's thresholds; with all answers kept the scores are those of the protocol clean.
        scalings: from `fit_scalings` on valid.
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
        part[task], curve = _one_output(*answers.values()) if task == SENTIMENT else _several_outputs(task, answers)
        curves.append(curve)
    return part, curves


@dataclass(frozen=True, slots=True)
class _Answers:
    """One output's decisions on the scored split, and the confidence cut of every coverage."""

    present: BoolArray
    predicted: BoolArray
    confidence: FloatArray
    cuts: tuple[float, ...]  # in the order of `COVERAGES`

    @classmethod
    def of(cls, valid: LabelledOutputs, scored: LabelledOutputs, threshold: float, scaling: PlattScaling) -> _Answers:
        """Decide, and choose the cuts on valid."""
        sure = scaling.distance(valid.probability, threshold)
        return cls(
            present=scored.present,
            predicted=scored.probability >= threshold,
            confidence=scaling.distance(scored.probability, threshold),
            cuts=tuple(confidence_threshold(sure, coverage) for coverage in COVERAGES),
        )

    def kept(self, told_of: Callable[[BoolArray], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Per coverage the cut, the share that it really keeps, and what is told of the answers that are given."""
        rows = {}
        for coverage, cut in zip(COVERAGES, self.cuts, strict=True):
            given = self.confidence >= cut
            rows[f"{100 * coverage:.0f}"] = {"cut": cut, "coverage": float(given.mean()), **told_of(given)}
        return rows

    def risks(self, weight: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Risk at every coverage, of the system and of the oracle."""
        wrong = self.present != self.predicted
        return risk_coverage(wrong, self.confidence, weight), oracle_risk(wrong, weight)


def _one_output(answers: _Answers) -> tuple[dict[str, Any], CoverageCurve]:
    def told_of(given: BoolArray) -> dict[str, Any]:
        right = accuracy(count_decisions(answers.present, answers.predicted, given))
        return {"n_kept": int(given.sum()), "accuracy_has0": float(right)}

    kept = answers.kept(told_of)
    risk, oracle = answers.risks(None)
    points = tuple((row["coverage"], row["accuracy_has0"]) for row in kept.values())
    curve = _curve("sentiment accuracy (has0)", risk, oracle, points)
    return {"kept": kept, "area": _mean_areas(risk, oracle)}, curve


def _several_outputs(task: str, answers: Mapping[str, _Answers]) -> tuple[dict[str, Any], CoverageCurve]:
    by_output = {name: _by_class(each) for name, each in answers.items()}
    path, headline = next(iter(headlines(task).items()))
    score = path.split(".")[1]
    kept = {}
    for key in next(iter(by_output.values()))["kept"]:
        rows = [row["kept"][key] for row in by_output.values()]
        scores = np.array([row["weighted_accuracy"] for row in rows])
        kept[key] = {
            "coverage": float(np.mean([row["coverage"] for row in rows])),
            score: float(mean_of_defined(scores)),
            "n_emotions" if task == EMOTION else "n_outputs": int(np.sum(~np.isnan(scores))),
        }
    two_classes = [each for each in answers.values() if each.present.any() and not each.present.all()]
    if two_classes:
        risk, oracle = np.mean([each.risks(class_weights(each.present)) for each in two_classes], axis=0)
    else:
        risk = oracle = np.full(len(next(iter(answers.values())).present), np.nan)
    points = tuple((row["coverage"], row[score]) for row in kept.values())
    curve = _curve(headline.title, risk, oracle, points)
    return {"kept": kept, "area": _mean_areas(risk, oracle), rows_key(task): by_output}, curve


def _by_class(answers: _Answers) -> dict[str, Any]:
    def told_of(given: BoolArray) -> dict[str, Any]:
        return {
            "weighted_accuracy": float(weighted_accuracy(count_decisions(answers.present, answers.predicted, given)))
        }

    kept = answers.kept(told_of)
    risk, oracle = answers.risks(class_weights(answers.present))
    return {"kept": kept, "area": _mean_areas(risk, oracle)}


def _mean_areas(risk: FloatArray, oracle: FloatArray) -> dict[str, float]:
    return {"model": area_under_risk(risk), "random": float(risk[-1]), "oracle": area_under_risk(oracle)}


def _curve(name: str, risk: FloatArray, oracle: FloatArray, points: tuple[tuple[float, float], ...]) -> CoverageCurve:
    places = [max(math.ceil(share * len(risk)), 1) - 1 for share in GRID]
    return CoverageCurve(name, 1 - risk[places], 1 - oracle[places], float(1 - risk[-1]), points)


def risk_coverage(wrong: BoolArray, confidence: FloatArray, weight: FloatArray | None = None) -> FloatArray:
    """The risk among the k most confident answers, for every k from 1 to the number of answers.

    Answers of equal confidence share their errors evenly, so the order of the rows decides nothing.

    Args:
        wrong: (utterance,) True where the decision is an error.
        confidence: (utterance,) larger is surer.
        weight: (utterance,) positive share of each answer in the risk; with 1 / P on the present and 1 / N on the
            absent cases the risk of all answers is 1 - weighted accuracy. Default: 1, the risk is the error rate.

    Returns:
        (utterance,): the weighted share of errors among the 1, 2, ... most confident answers; coverage is k / n.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    # unique values ascend, so that of the negated confidence the surest comes first
    _, group, size = np.unique(-np.asarray(confidence, dtype=np.float64), return_inverse=True, return_counts=True)
    errors = np.bincount(group, weights=share * wrong, minlength=len(size)) / size
    shares = np.bincount(group, weights=share, minlength=len(size)) / size
    return quotient(np.cumsum(np.repeat(errors, size)), np.cumsum(np.repeat(shares, size)))


def oracle_risk(wrong: BoolArray, weight: FloatArray | None = None) -> FloatArray:
    """`risk_coverage` of a system that knows which of its answers are wrong: it gives those last, the heaviest last.

    No confidence can have a smaller area with the same answers.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    return risk_coverage(wrong, -(share * wrong), weight)


def area_under_risk(risk: FloatArray) -> float:
    """Mean of `risk_coverage` over all coverages, smaller is better; NaN where nothing is scored.

    Random abstention has the risk of all answers at every coverage, and so as its area.
    """
    return float(risk.mean()) if risk.size else float("nan")


def class_weights(present: BoolArray) -> FloatArray:
    """1 / P on present and 1 / N on absent cases (utterance,): both classes weigh the same, as in weighted accuracy."""
    n_present = int(present.sum())
    return np.where(present, 1 / max(n_present, 1), 1 / max(len(present) - n_present, 1))
