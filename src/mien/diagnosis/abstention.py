"""Abstention: accuracy when only confident decisions are kept, and risk-coverage curves.

A decision is withheld if its confidence is below a threshold, called cut, which is chosen on the valid split. The
confidence is the distance of the probability from the output's decision threshold, in calibrated logits. Each output
has its own cuts. For one utterance, the decision on one emotion may thus be kept and the decision on another withheld.

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

from mien.diagnosis.calibration import LabelledOutputs, PlattScaling, classes_in, decides_by_output, labelled_outputs
from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import Headline, headlines
from mien.evaluation.measures import mean_of_defined
from mien.evaluation.rows import gold_class, most_probable_class
from mien.evaluation.scores import rows_key
from mien.metrics.confusion import accuracy, count_decisions, quotient, weighted_accuracy
from mien.schema import EMOTION, SENTIMENT, BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.task_kinds import BINARY
from mien.tasks import Task, class_probabilities, output_name

# shares of the decisions to keep
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
# coverages at which curves are drawn
GRID = tuple(number / 100 for number in range(1, 101))


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """Accuracy of the kept decisions at each coverage, for one output or as a mean over several outputs.

    The coverage is the share of decisions that are kept; the others are withheld. `model` and `oracle` are accuracies
    (coverage,) at the coverages in `GRID`, computed as 1 - risk (see `risk_coverage`). For `model`, the least confident
    decisions are withheld first. For `oracle`, the wrong decisions are withheld first. In a mean over several outputs,
    both classes of an output have the same total weight.
    """

    name: str
    model: FloatArray
    oracle: FloatArray
    random: float  # accuracy of random abstention, the same at every coverage
    # (coverage reached, accuracy) at the cuts chosen on the valid split, in the order of `COVERAGES`
    kept: tuple[tuple[float, float], ...]


def confidence_threshold(confidence: FloatArray, coverage: float) -> float:
    """Choose the confidence threshold that keeps a share of the decisions.

    Args:
        confidence: Confidence >= 0 of each decision, (utterance,).
        coverage: Share of the decisions to keep, in [0, 1].

    Returns:
        The lowest confidence of a kept decision, or 0 if the coverage is 1. All decisions with exactly this confidence
        are kept.
    """
    if coverage >= 1:
        return 0.0
    n_kept = max(math.ceil(coverage * len(confidence)), 1)
    return float(np.sort(confidence)[len(confidence) - n_kept])


def abstain(
    valid: Predictions, scored: Predictions, decisions: Decisions, scalings: Mapping[str, PlattScaling]
) -> tuple[dict[str, Any], list[CoverageCurve]]:
    """Score the decisions that are kept at each coverage, and compute risk-coverage curves and their areas.

    The coverage is the share of decisions that are kept; the least confident decisions are withheld. The confidence
    thresholds are chosen on the valid split. If all decisions are kept, the scores equal those of the
    protocol clean.

    Args:
        valid: Validated predictions for the valid split, with labels for every task.
        scored: Validated predictions for the split to score, with labels for every task.
        decisions: Decision thresholds of the run.
        scalings: Output -> Platt scaling that `fit_scalings` fitted on the valid split.

    Returns:
        Two values: the entry ``abstention`` in the JSON of a diagnosis (scores and areas by task), and one curve per
        task.
    """
    on_valid, on_scored = labelled_outputs(valid), labelled_outputs(scored)
    part: dict[str, Any] = {SENTIMENT: None, EMOTION: None}
    curves = []
    for task in classes_in(scored):
        if not decides_by_output(task):
            part[task.name], curve = _classes_part(task, valid, scored)
            curves.append(curve)
            continue
        answers = {}
        for column, output in enumerate(task.outputs[: task.n_own_outputs]):
            name = output_name(task, output)
            threshold = float(decisions.at(task)[column])
            answers[output] = _Answers.of(on_valid[name], on_scored[name], threshold, scalings[name])
        part[task.name], curve = (
            _single_output_part(task, *answers.values())
            if task.kind == BINARY
            else _mean_of_outputs_part(task, answers)
        )
        curves.append(curve)
    return part, curves


@dataclass(frozen=True, slots=True)
class _Answers:
    """Decisions of one output on the scored split, with gold classes, confidences and confidence thresholds."""

    present: BoolArray
    predicted: BoolArray
    confidence: FloatArray
    cuts: tuple[float, ...]  # confidence threshold for each coverage in `COVERAGES`

    @classmethod
    def of(cls, valid: LabelledOutputs, scored: LabelledOutputs, threshold: float, scaling: PlattScaling) -> _Answers:
        """Make the decisions for the scored split, and choose the confidence thresholds on the valid split."""
        valid_confidence = scaling.distance(valid.probability, threshold)
        return cls(
            present=scored.present,
            predicted=scored.probability >= threshold,
            confidence=scaling.distance(scored.probability, threshold),
            cuts=tuple(confidence_threshold(valid_confidence, coverage) for coverage in COVERAGES),
        )

    def at_cuts(self, scores_of: Callable[[BoolArray], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Keep the most confident decisions at each coverage in `COVERAGES`, and score them.

        A decision is kept if its confidence reaches the threshold of the coverage.

        Args:
            scores_of: Function that takes a mask (utterance,), True for kept decisions, and returns their scores by
                name.

        Returns:
            Coverage aimed at, in per cent, such as "80" -> the confidence threshold (`cut`), the share of decisions
            actually kept (`coverage`), and the scores of the kept decisions.
        """
        rows = {}
        for coverage, cut in zip(COVERAGES, self.cuts, strict=True):
            answered = self.confidence >= cut
            rows[f"{100 * coverage:.0f}"] = {"cut": cut, "coverage": float(answered.mean()), **scores_of(answered)}
        return rows

    def risks(self, weight: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Return the risks of the model and of the oracle, both (utterance,); see `risk_coverage` and `oracle_risk`.

        `weight` (utterance,) is the weight of each decision. If it is None, all decisions have the same weight.
        """
        wrong = self.present != self.predicted
        return risk_coverage(wrong, self.confidence, weight), oracle_risk(wrong, weight)


def kept_headline(task: Task) -> tuple[str, Headline]:
    """Return the path and the description of the headline score by which the kept decisions of a task are scored."""
    found = headlines(task)
    path = next(iter(found)) if decides_by_output(task) else f"{task.name}.accuracy"
    return path, found[path]


def _classes_part(task: Task, valid: Predictions, scored: Predictions) -> tuple[dict[str, Any], CoverageCurve]:
    """Return the entry and the curve of a task with several classes. The confidence is the highest probability."""
    confidences, rights = [], []
    for predictions in (valid, scored):
        gold, labelled = gold_class(task, predictions)
        values = predictions.outputs[task.name][labelled]
        confidences.append(class_probabilities(task, values).max(axis=1))
        rights.append(gold[labelled] == most_probable_class(task, values))
    cuts = tuple(confidence_threshold(confidences[0], coverage) for coverage in COVERAGES)
    answers = _Answers(np.ones_like(rights[1]), rights[1], confidences[1], cuts)

    def scores_of(answered: BoolArray) -> dict[str, Any]:
        right = accuracy(count_decisions(answers.present, answers.predicted, answered))
        return {"n_kept": int(answered.sum()), score: float(right)}

    score = kept_headline(task)[0].split(".")[1]
    at_cuts = answers.at_cuts(scores_of)
    risk, oracle = answers.risks(None)
    points = tuple((row["coverage"], row[score]) for row in at_cuts.values())
    return {"kept": at_cuts, "area": _mean_areas(risk, oracle)}, _coverage_curve(
        f"{task.name} accuracy", risk, oracle, points
    )


def _single_output_part(task: Task, answers: _Answers) -> tuple[dict[str, Any], CoverageCurve]:
    def scores_of(answered: BoolArray) -> dict[str, Any]:
        right = accuracy(count_decisions(answers.present, answers.predicted, answered))
        return {"n_kept": int(answered.sum()), "accuracy_has0": float(right)}

    at_cuts = answers.at_cuts(scores_of)
    risk, oracle = answers.risks(None)
    points = tuple((row["coverage"], row["accuracy_has0"]) for row in at_cuts.values())
    curve = _coverage_curve(f"{task.name} accuracy (has0)", risk, oracle, points)
    return {"kept": at_cuts, "area": _mean_areas(risk, oracle)}, curve


def _mean_of_outputs_part(task: Task, answers: Mapping[str, _Answers]) -> tuple[dict[str, Any], CoverageCurve]:
    by_output = {name: _class_weighted_part(each) for name, each in answers.items()}
    path, headline = kept_headline(task)
    score = path.split(".")[1]
    at_cuts = {}
    for key in next(iter(by_output.values()))["kept"]:
        rows = [row["kept"][key] for row in by_output.values()]
        scores = np.array([row["weighted_accuracy"] for row in rows])
        at_cuts[key] = {
            "coverage": float(np.mean([row["coverage"] for row in rows])),
            score: float(mean_of_defined(scores)),
            "n_emotions" if task.space.is_six_emotions else "n_outputs": int(np.sum(~np.isnan(scores))),
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
    """Compute the risk of the k most confident decisions, for every k from 1 to their total number.

    The risk is the weighted share of errors. Decisions of equal confidence share their errors evenly, so the result
    does not depend on the order of the utterances.

    Args:
        wrong: True where the decision is an error, (utterance,).
        confidence: Confidence of each decision, (utterance,).
        weight: Positive weight of each decision, (utterance,). With the weights of `class_weights`, the risk of all
            decisions is 1 - weighted accuracy. If None, all decisions have the same weight, and the risk is the error
            rate.

    Returns:
        Risks (utterance,). Element k - 1 is the risk of the k most confident decisions.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    # np.unique sorts in ascending order, so negation puts the most confident answers first
    _, group, size = np.unique(-np.asarray(confidence, dtype=np.float64), return_inverse=True, return_counts=True)
    errors = np.bincount(group, weights=share * wrong, minlength=len(size)) / size
    shares = np.bincount(group, weights=share, minlength=len(size)) / size
    return quotient(np.cumsum(np.repeat(errors, size)), np.cumsum(np.repeat(shares, size)))


def oracle_risk(wrong: BoolArray, weight: FloatArray | None = None) -> FloatArray:
    """Compute the risks of an oracle that keeps right decisions first, then wrong ones by ascending weight.

    The risk is defined in `risk_coverage`. No other order of the decisions gives a smaller area under the curve.

    Args:
        wrong: True where the decision is an error, (utterance,).
        weight: Positive weight of each decision, (utterance,). If None, all decisions have the same weight.

    Returns:
        Risks (utterance,). Element k - 1 is the risk of the first k decisions that the oracle keeps.
    """
    share = np.ones(len(wrong)) if weight is None else np.asarray(weight, dtype=np.float64)
    return risk_coverage(wrong, -(share * wrong), weight)


def area_under_risk(risk: FloatArray) -> float:
    """Return the area under a risk-coverage curve, which is the mean of the risks; NaN if there are no risks.

    A smaller area is better. If decisions are withheld at random, the risk is the same at every coverage, so the area
    is the risk of all decisions.
    """
    return float(risk.mean()) if risk.size else float("nan")


def class_weights(present: BoolArray) -> FloatArray:
    """Return the weight of each utterance in weighted accuracy, (utterance,).

    If the class is present in P utterances and absent in N, their weights are 1 / P and 1 / N.
    """
    n_present = int(present.sum())
    return np.where(present, 1 / max(n_present, 1), 1 / max(len(present) - n_present, 1))
