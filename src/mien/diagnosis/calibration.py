"""Probabilities that mean what they say, and thresholds for an objective: chosen on valid, for every output.

Platt scaling in logit space, two numbers an output: calibrated logit = slope * logit + offset. The slope is not
negative, so the ranking stays, and a threshold moves by the same line without changing a decision.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.counts import count_videos
from mien.evaluation.decisions import DECISION_METRICS, HALF, Decisions, OperatingPoint, voted_thresholds, voting_draws
from mien.evaluation.headline import headline_values, headlines
from mien.evaluation.rows import classes_of, video_numbers
from mien.evaluation.scores import means_of
from mien.metrics.calibration_error import Bins, brier, calibration_error, resampled_calibration_error
from mien.metrics.confusion import count_decisions
from mien.metrics.platt import fit_platt, logit, sigmoid
from mien.metrics.significance import percentile_interval
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.tasks import TASKS, output_name

# key of the calibration error in a diagnosis, alone or with the name of the mean behind it
ERROR = "calibration_error"


@dataclass(frozen=True, slots=True)
class LabelledOutputs:
    """The labelled utterances of one output. N of them."""

    task: str
    # of the output in the task
    column: int
    rows: NDArray[np.intp]  # (N,) their places in the predictions
    present: BoolArray  # (N,) of sentiment: positive under has0
    probability: FloatArray  # (N,)


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """calibrated logit = slope * logit + offset."""

    slope: float = 1.0
    offset: float = 0.0
    # why the output is left as it is; empty where it was fitted
    reason: str = ""

    def apply(self, probability: FloatArray) -> FloatArray:
        """Calibrated probabilities, of any shape."""
        return probability if self.reason else sigmoid(self.slope * logit(probability) + self.offset)

    def distance(self, probability: FloatArray, threshold: float) -> FloatArray:
        """How far from the threshold, in calibrated logits; never negative."""
        return np.abs(self.slope * (logit(probability) - logit(np.asarray(threshold))))


def labelled_outputs(predictions: Predictions) -> dict[str, LabelledOutputs]:
    """Every probability that `checked` predictions have: sentiment, the six emotions and none, others."""
    found = {}
    for task in classes_in(predictions):
        present, scored = classes_of(task, predictions)
        rows = np.flatnonzero(scored)
        for column, output in enumerate(TASKS[task].outputs):
            probability = predictions.outputs[task][rows, column]
            found[output_name(task, output)] = LabelledOutputs(task, column, rows, present[rows, column], probability)
    return found


def classes_in(predictions: Predictions) -> list[str]:
    """The predicted tasks whose outputs are probabilities, in the order of the table."""
    return [task for task, row in TASKS.items() if not row.predicts_degrees and task in predictions.outputs]


def fit_scalings(valid: Predictions) -> dict[str, PlattScaling]:
    """Slope and offset of every output by maximum likelihood, with the softened targets of Platt's section 2.2.

    Args:
        valid: `checked` predictions for the valid split. Nothing here can tell which split they are of: never give it
            test.

    Returns:
        Output -> scaling; an output of which valid has only one class is left as it is, with the reason.
    """
    scalings = {}
    for name, cases in labelled_outputs(valid).items():
        n_present = int(cases.present.sum())
        if 0 < n_present < len(cases.present):
            slope, offset = fit_platt(logit(cases.probability), cases.present)
            scalings[name] = PlattScaling(slope, offset)
        else:
            n_absent = len(cases.present) - n_present
            why = f"valid has {n_present} utterances with {name} and {n_absent} without, which cannot calibrate"
            scalings[name] = PlattScaling(reason=why)
    return scalings


def recalibrated(predictions: Predictions, scalings: Mapping[str, PlattScaling]) -> Predictions:
    """The same rows with calibrated probabilities; intensities stay."""
    calibrated = {
        task: np.stack(
            [
                scalings[output_name(task, output)].apply(predictions.outputs[task][:, column])
                for column, output in enumerate(TASKS[task].outputs)
            ],
            axis=1,
        )
        for task in classes_in(predictions)
    }
    return dataclasses.replace(predictions, outputs={**predictions.outputs, **calibrated})


def calibration_part(scored: Predictions, scalings: Mapping[str, PlattScaling]) -> dict[str, Any]:
    """Per output the two numbers, and calibration errors and Brier score before and after on `checked` predictions."""
    part = {}
    for name, cases in labelled_outputs(scored).items():
        scaling = scalings[name]
        part[name] = {
            "slope": scaling.slope,
            "offset": scaling.offset,
            "before": _errors(cases.present, cases.probability),
            "after": _errors(cases.present, scaling.apply(cases.probability)),
            "n_scored": len(cases.present),
            "n_present": int(cases.present.sum()),
        }
    return part


def _errors(present: BoolArray, probability: FloatArray) -> dict[str, float]:
    return {
        ERROR: calibration_error(present, probability),
        "calibration_error_equal_count": calibration_error(present, probability, bins=Bins.EQUAL_COUNT),
        "brier": brier(present, probability),
    }


def trust_scores(
    rows: Predictions,
    decisions: Decisions,
    scalings: Mapping[str, PlattScaling],
    weights: NDArray[Any] | None = None,
) -> dict[str, FloatArray]:
    """The first headline score of every task of classes, then their calibration errors.

    Args:
        rows: `checked` predictions.
        decisions: the run's thresholds, applied to the probabilities as they are.
        scalings: of the run; the calibration errors are those after recalibration.
        weights: (resample, video) of the rows' videos; default: the rows as they are.

    Returns:
        Path -> score: scalars, or (resample,) with weights.
    """
    values = headline_values(count_videos(rows, decisions), weights)
    tasks = classes_in(rows)
    found = {path: values[path] for path in (next(iter(headlines(task))) for task in tasks)}
    video, _ = video_numbers(rows)
    errors: dict[str, list[FloatArray]] = {task: [] for task in tasks}
    for name, cases in labelled_outputs(rows).items():
        probability = scalings[name].apply(cases.probability)
        if weights is None:
            error = np.asarray(calibration_error(cases.present, probability))
        else:
            error = resampled_calibration_error(cases.present, probability, video[cases.rows], weights)
        errors[cases.task].append(error)
    for task, each in errors.items():
        mean, n = next(iter(means_of(task).items()))
        found[f"{task}.{ERROR}" + (f"_{mean}" if len(each) > 1 else "")] = np.mean(each[:n], axis=0)
    return found


def mean_trust_scores(
    runs: Sequence[tuple[Predictions, Decisions, Mapping[str, PlattScaling]]], weights: NDArray[Any] | None = None
) -> dict[str, FloatArray]:
    """`trust_scores` of several runs on the same rows, averaged."""
    several = [trust_scores(*run, weights) for run in runs]
    return {path: np.mean([scores[path] for scores in several], axis=0) for path in several[0]}


def interval_of(resampled: FloatArray) -> list[float]:
    """[low, high] of a resampled score."""
    interval = percentile_interval(resampled)
    return [interval.low, interval.high]


def objective_thresholds(valid: Predictions, decisions: Decisions) -> dict[str, dict[str, float]]:
    """Output -> objective -> threshold, each the median of many votes (`voted_thresholds`).

    For weighted accuracy and weighted F1 of emotions these are the run's own `decisions`. Where valid has only one
    class of an output, its threshold is 0.5.

    Args:
        valid: `checked` predictions for the valid split. Nothing here can tell which split they are of: never give it
            test.
        decisions: what the run froze.
    """
    chosen = {}
    for name, cases in labelled_outputs(valid).items():
        draws = voting_draws(valid.video_id[cases.rows])
        chosen[name] = voted_thresholds(cases.present, cases.probability, draws, DECISION_METRICS)
        if TASKS[cases.task].decision == "voted":
            chosen[name] |= {
                point.value: float(decisions.at(cases.task, point)[cases.column]) for point in OperatingPoint
            }
    return chosen


def thresholds_part(
    scored: Predictions, thresholds: Mapping[str, Mapping[str, float]], scalings: Mapping[str, PlattScaling]
) -> dict[str, Any]:
    """Per output and objective: the threshold, where calibration moves it to, and its score beside that of 0.5.

    `scored` are `checked` predictions; each objective is scored by itself, not by the others.
    """
    part: dict[str, Any] = {}
    for name, cases in labelled_outputs(scored).items():
        part[name] = {}
        for objective, threshold in thresholds[name].items():
            score = DECISION_METRICS[objective]
            part[name][objective] = {
                "threshold": threshold,
                "calibrated_threshold": float(scalings[name].apply(np.asarray(threshold))),
                "score": float(score(count_decisions(cases.present, cases.probability >= threshold))),
                "score_at_half": float(score(count_decisions(cases.present, cases.probability >= HALF))),
            }
    return part
