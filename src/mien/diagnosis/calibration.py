"""Calibration of probabilities, and decision thresholds per objective, both chosen on the valid split.

Platt scaling in logit space has two numbers per output: calibrated logit = slope * logit + offset. The slope is not
negative, so calibration does not change the ranking of utterances. If thresholds are mapped by the same formula,
decisions do not change either. An objective is the metric that a threshold maximises.
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
from mien.metrics.calibration_error import Bins, brier, calibration_error, resampled_calibration_error
from mien.metrics.confusion import count_decisions
from mien.metrics.platt import fit_platt, logit, sigmoid
from mien.metrics.significance import percentile_interval
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.task_kinds import BINARY, VOTED
from mien.tasks import Task, output_name

# key of the calibration error in a diagnosis; for tasks with several outputs the name of the mean is appended
ERROR = "calibration_error"


@dataclass(frozen=True, slots=True)
class LabelledOutputs:
    """Gold classes and predicted probabilities of one output, for the N utterances with a label."""

    task: Task
    # column of the output among those of the task
    column: int
    rows: NDArray[np.intp]  # (N,) row numbers in the predictions
    present: BoolArray  # (N,) gold class; for sentiment: score >= 0 (has0)
    probability: FloatArray  # (N,)


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """Platt scaling of one output: calibrated logit = slope * logit + offset."""

    slope: float = 1.0
    offset: float = 0.0
    # why nothing was fitted and probabilities stay unchanged; empty where it was fitted
    reason: str = ""

    def apply(self, probability: FloatArray) -> FloatArray:
        """Return calibrated probabilities, in the shape of the input."""
        return probability if self.reason else sigmoid(self.slope * logit(probability) + self.offset)

    def distance(self, probability: FloatArray, threshold: float) -> FloatArray:
        """Compute the distance of probabilities from a threshold, in calibrated logits.

        Args:
            probability: Uncalibrated probabilities, of any shape.
            threshold: Uncalibrated threshold in [0, 1].

        Returns:
            Distances >= 0, in the shape of `probability`.
        """
        return np.abs(self.slope * (logit(probability) - logit(np.asarray(threshold))))


def labelled_outputs(predictions: Predictions) -> dict[str, LabelledOutputs]:
    """Return the gold classes and probabilities of the labelled utterances, by name of the output.

    Outputs that are intensities are left out. The predictions must be validated.
    """
    outputs = {}
    for task in classes_in(predictions):
        present, scored = classes_of(task, predictions)
        rows = np.flatnonzero(scored)
        for column, output in enumerate(task.outputs):
            probability = predictions.outputs[task.name][rows, column]
            outputs[output_name(task, output)] = LabelledOutputs(task, column, rows, present[rows, column], probability)
    return outputs


def classes_in(predictions: Predictions) -> list[Task]:
    """List the predicted tasks whose outputs are class probabilities, in their order."""
    return [task for task in predictions.predicted_tasks if not task.predicts_degrees]


def decides_by_output(task: Task) -> bool:
    """Return whether every output of a task is a decision of its own, so that each may have its own threshold."""
    return task.kind == BINARY or task.row.decision == VOTED


def fit_scalings(valid: Predictions) -> dict[str, PlattScaling]:
    """Fit Platt scaling of every output by maximum likelihood, with the softened targets of Platt (1999, section 2.2).

    Args:
        valid: Validated predictions for the valid split. The split is not checked: never pass the test split.

    Returns:
        Output -> scaling. If only one class of an output (present or absent) occurs in the valid split, the scaling
        changes nothing, and its `reason` says why.
    """
    scalings = {}
    for name, cases in labelled_outputs(valid).items():
        n_present = int(cases.present.sum())
        if 0 < n_present < len(cases.present):
            slope, offset = fit_platt(logit(cases.probability), cases.present)
            scalings[name] = PlattScaling(slope, offset)
        else:
            n_absent = len(cases.present) - n_present
            reason = f"valid has {n_present} utterances with {name} and {n_absent} without, which cannot calibrate"
            scalings[name] = PlattScaling(reason=reason)
    return scalings


def recalibrated(predictions: Predictions, scalings: Mapping[str, PlattScaling]) -> Predictions:
    """Calibrate the probabilities of predictions; intensities stay unchanged.

    Args:
        predictions: Predictions to calibrate.
        scalings: Output -> scaling, for every output that is a class probability.

    Returns:
        Predictions for the same rows, with calibrated probabilities.
    """
    calibrated = {
        task.name: np.stack(
            [
                scalings[output_name(task, output)].apply(predictions.outputs[task.name][:, column])
                for column, output in enumerate(task.outputs)
            ],
            axis=1,
        )
        for task in classes_in(predictions)
    }
    return dataclasses.replace(predictions, outputs={**predictions.outputs, **calibrated})


def calibration_part(scored: Predictions, scalings: Mapping[str, PlattScaling]) -> dict[str, Any]:
    """Measure calibration errors and Brier score of every output before and after calibration.

    Args:
        scored: Validated predictions for the scored split.
        scalings: Output -> scaling, fitted on the valid split.

    Returns:
        Output -> slope and offset of the scaling, calibration errors and Brier score ``before`` and ``after``
        calibration, number of scored utterances, and number of utterances where the class is present.
    """
    part = {}
    for name, cases in labelled_outputs(scored).items():
        scaling = scalings[name]
        part[name] = {
            "slope": scaling.slope,
            "offset": scaling.offset,
            "before": _calibration_errors(cases.present, cases.probability),
            "after": _calibration_errors(cases.present, scaling.apply(cases.probability)),
            "n_scored": len(cases.present),
            "n_present": int(cases.present.sum()),
        }
    return part


def _calibration_errors(present: BoolArray, probability: FloatArray) -> dict[str, float]:
    return {
        ERROR: calibration_error(present, probability),
        "calibration_error_equal_count": calibration_error(present, probability, bins=Bins.EQUAL_COUNT),
        "brier": brier(present, probability),
    }


def trust_scores(
    rows: Predictions, decisions: Decisions, scalings: Mapping[str, PlattScaling], weights: NDArray[Any] | None = None
) -> dict[str, FloatArray]:
    """Compute the first headline score and the calibration error of every task that predicts classes.

    The calibration error is computed from calibrated probabilities.

    Args:
        rows: Validated predictions.
        decisions: Thresholds of the run, applied to uncalibrated probabilities.
        scalings: Output -> scaling of the run.
        weights: How many times each bootstrap resample contains each video, (resample, video). If None, the predictions
            are scored without resampling.

    Returns:
        Path of a score -> its value: a scalar, or an array (resample,) if there are weights.
    """
    values = headline_values(count_videos(rows, decisions), weights, rows.tasks)
    tasks = classes_in(rows)
    scores = {path: values[path] for path in (next(iter(headlines(task))) for task in tasks)}
    video, _ = video_numbers(rows)
    errors: dict[str, list[FloatArray]] = {task.name: [] for task in tasks}
    for name, cases in labelled_outputs(rows).items():
        probability = scalings[name].apply(cases.probability)
        if weights is None:
            error = np.asarray(calibration_error(cases.present, probability))
        else:
            error = resampled_calibration_error(cases.present, probability, video[cases.rows], weights)
        errors[cases.task.name].append(error)
    for name, each in errors.items():
        mean, n = next(iter(rows.tasks[name].means.items()))
        scores[f"{name}.{ERROR}" + (f"_{mean}" if len(each) > 1 else "")] = np.mean(each[:n], axis=0)
    return scores


def mean_trust_scores(
    runs: Sequence[tuple[Predictions, Decisions, Mapping[str, PlattScaling]]], weights: NDArray[Any] | None = None
) -> dict[str, FloatArray]:
    """Average the `trust_scores` of several runs on the same rows.

    Args:
        runs: Arguments of `trust_scores` for each run: predictions, decisions, scalings.
        weights: How many times each bootstrap resample contains each video, (resample, video). If None, the predictions
            are scored without resampling.

    Returns:
        Path of a score -> its mean over the runs: a scalar, or an array (resample,) if there are weights.
    """
    run_scores = [trust_scores(*run, weights) for run in runs]
    return {path: np.mean([scores[path] for scores in run_scores], axis=0) for path in run_scores[0]}


def interval_of(resampled: FloatArray) -> list[float]:
    """Return the 95 % interval [low, high] of a score, from its values in bootstrap resamples, (resample,)."""
    interval = percentile_interval(resampled)
    return [interval.low, interval.high]


def _deciding_outputs(predictions: Predictions) -> dict[str, LabelledOutputs]:
    """Return the `labelled_outputs` that are decisions of their own."""
    return {name: cases for name, cases in labelled_outputs(predictions).items() if decides_by_output(cases.task)}


def objective_thresholds(valid: Predictions, decisions: Decisions) -> dict[str, dict[str, float]]:
    """For every output and every metric, choose the threshold that maximises the metric, with `voted_thresholds`.

    The thresholds of emotions for weighted accuracy and weighted F1 are not chosen anew: they are those of `decisions`.
    If only one class of an output (present or absent) occurs in the valid split, a chosen threshold is 0.5.

    Args:
        valid: Validated predictions for the valid split. The split is not checked: never pass the test split.
        decisions: Thresholds stored with the run.

    Returns:
        Nested dictionary: output, then metric, then threshold in [0, 1].
    """
    chosen = {}
    for name, cases in _deciding_outputs(valid).items():
        draws = voting_draws(valid.video_id[cases.rows])
        chosen[name] = voted_thresholds(cases.present, cases.probability, draws, DECISION_METRICS)
        if cases.task.row.decision == VOTED:
            chosen[name] |= {
                point.value: float(decisions.at(cases.task, point)[cases.column]) for point in OperatingPoint
            }
    return chosen


def thresholds_part(
    scored: Predictions, thresholds: Mapping[str, Mapping[str, float]], scalings: Mapping[str, PlattScaling]
) -> dict[str, Any]:
    """Score each threshold of every output by the metric that it was chosen to maximise.

    Args:
        scored: Validated predictions for the scored split.
        thresholds: Nested dictionary from `objective_thresholds`: output, then metric, then threshold.
        scalings: Output -> Platt scaling, fitted on the valid split.

    Returns:
        Nested dictionary: output, then metric, then an entry with the threshold, the calibrated threshold, and the
        value of the metric at this threshold and at 0.5.
    """
    part: dict[str, Any] = {}
    for name, cases in _deciding_outputs(scored).items():
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
