"""Probabilities that mean what they say: Platt scaling of every output in logit space, fitted on valid.

Two numbers an output: calibrated logit = slope * logit + offset. The slope is not negative, so the ranking stays, and a
threshold moves by the same line without changing a decision.

The scores that a diagnosis holds side by side: the two headline accuracies, and calibration errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import MEAN6_WEIGHTED_ACCURACY, count_videos, headline_values
from mien.evaluation.rows import checked, video_numbers
from mien.metrics.calibration import Bins, brier, calibration_error, resampled_calibration_error
from mien.metrics.platt import fit_platt, logit, sigmoid
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, BoolArray, FloatArray, emotion_multihot7, sentiment_classes
from mien.storage.predictions import Predictions

SENTIMENT = "sentiment"


@dataclass(frozen=True, slots=True)
class Cases:
    """The labelled utterances of one output. N of them."""

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


def cases_of(predictions: Predictions) -> dict[str, Cases]:
    """Every output that `checked` predictions have: sentiment, the six emotions and none."""
    found = {}
    if predictions.sentiment_probability is not None:
        positive, scored = sentiment_classes(predictions.sentiment)
        rows = np.flatnonzero(scored)
        found[SENTIMENT] = Cases(rows, positive[rows], predictions.sentiment_probability[rows])
    if predictions.emotion_probabilities is not None:
        labels, scored = emotion_multihot7(predictions.emotions)
        rows = np.flatnonzero(scored)
        for column, name in enumerate(EMOTION_OUTPUTS):
            found[name] = Cases(rows, labels[rows, column], predictions.emotion_probabilities[rows, column])
    return found


def fit_scalings(valid: Predictions) -> dict[str, PlattScaling]:
    """Slope and offset of every output by maximum likelihood, with the softened targets of Platt's section 2.2.

    Args:
        valid: predictions for the valid split. Nothing here can tell which split they are of: never give it test.

    Returns:
        Output -> scaling; an output of which valid has only one class is left as it is, with the reason.

    Raises:
        DataError: the rows are unusable, see `checked`.
    """
    scalings = {}
    for name, cases in cases_of(checked(valid, "the predictions on valid")).items():
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
    sentiment, emotions = predictions.sentiment_probability, predictions.emotion_probabilities
    if sentiment is not None:
        sentiment = scalings[SENTIMENT].apply(sentiment)
    if emotions is not None:
        columns = [scalings[name].apply(emotions[:, column]) for column, name in enumerate(EMOTION_OUTPUTS)]
        emotions = np.stack(columns, axis=1)
    return dataclasses.replace(predictions, sentiment_probability=sentiment, emotion_probabilities=emotions)


def calibration_part(scored: Predictions, scalings: Mapping[str, PlattScaling]) -> dict[str, Any]:
    """Per output the two numbers, and calibration errors and Brier score before and after on `checked` predictions."""
    part = {}
    for name, cases in cases_of(scored).items():
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
        "calibration_error": calibration_error(present, probability),
        "calibration_error_equal_count": calibration_error(present, probability, bins=Bins.EQUAL_COUNT),
        "brier": brier(present, probability),
    }


ACCURACY = "sentiment.accuracy_has0"
SENTIMENT_ERROR = "sentiment.calibration_error"
MEAN6_ERROR = "emotion.calibration_error_mean6"


def trust_scores(
    rows: Predictions,
    decisions: Decisions,
    scalings: Mapping[str, PlattScaling],
    weights: NDArray[Any] | None = None,
) -> dict[str, FloatArray]:
    """Scores of one run by their path, as far as it has the heads.

    Args:
        rows: `checked` predictions.
        decisions: the run's thresholds, applied to the probabilities as they are.
        scalings: of the run; the calibration errors are those after recalibration.
        weights: (resample, video) of the rows' videos; default: the rows as they are.

    Returns:
        Path -> score: scalars, or (resample,) with weights.
    """
    values = headline_values(count_videos(rows, decisions), weights)
    found = {path: values[path] for path in (ACCURACY, MEAN6_WEIGHTED_ACCURACY) if path in values}
    video, _ = video_numbers(rows)
    errors = {}
    for name, cases in cases_of(rows).items():
        probability = scalings[name].apply(cases.probability)
        if weights is None:
            errors[name] = np.asarray(calibration_error(cases.present, probability))
        else:
            errors[name] = resampled_calibration_error(cases.present, probability, video[cases.rows], weights)
    if SENTIMENT in errors:
        found[SENTIMENT_ERROR] = errors[SENTIMENT]
    if EMOTIONS[0] in errors:
        found[MEAN6_ERROR] = np.mean([errors[name] for name in EMOTIONS], axis=0)
    return found
