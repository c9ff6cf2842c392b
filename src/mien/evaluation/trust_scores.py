"""The scores that a diagnosis holds side by side: the two headline accuracies, and calibration errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import MEAN6_WEIGHTED_ACCURACY, count_videos, headline_values
from mien.evaluation.recalibration import SENTIMENT, PlattScaling, cases_of
from mien.evaluation.rows import video_numbers
from mien.metrics import calibration_error
from mien.metrics.calibration import resampled_calibration_error
from mien.schema import EMOTIONS, FloatArray
from mien.tables import Predictions

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
