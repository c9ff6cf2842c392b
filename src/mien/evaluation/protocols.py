"""The three protocols: who chooses the epoch and the thresholds. Only `clean` is a headline (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from mien.errors import UsageError
from mien.evaluation.decisions import PAPER_DECISIONS, ChosenOn, Decisions, Point
from mien.evaluation.intensity import best_over_epochs, score_emotion_intensity, score_sentiment_intensity
from mien.evaluation.rows import checked, require_same_utterances
from mien.evaluation.scores import N_EMOTIONS, Scores, counts_of, note_undefined, score_at, score_sentiment
from mien.metrics.calibration import calibration_error
from mien.metrics.confusion import Confusion, count, macro_f1, positive_f1, weighted_accuracy, weighted_f1
from mien.metrics.ranking import roc_auc
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, NO_EMOTION, BoolArray, FloatArray, emotion_multihot7
from mien.storage.predictions import Predictions

# the released code's 16 thresholds: .10, .15 to .25 by .01, .30, .35, .40, .50
RELEASED_THRESHOLDS = (0.10, *(number / 100 for number in range(15, 26)), 0.30, 0.35, 0.40, 0.50)
UPPER_BOUND = (
    "upper bound, not a result: every number is the best over epochs and thresholds chosen on the scored split itself, "
    "each metric for itself"
)
DECISION_METRICS: dict[str, Callable[[Confusion], FloatArray]] = {
    "weighted_accuracy": weighted_accuracy,
    "weighted_f1": weighted_f1,
    "macro_f1": macro_f1,
    "positive_f1": positive_f1,
}


class Needs(StrEnum):
    """What a protocol is a function of."""

    DECISIONS = "decisions"  # function(predictions, decisions)
    PREDICTIONS = "predictions"  # function(predictions)
    EPOCHS = "epochs"  # function(predictions by epoch)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One row of the table `PROTOCOLS`."""

    function: Callable[..., Scores]
    needs: Needs
    epoch_chosen_by: str
    thresholds_chosen_by: str
    upper_bound: bool = False


def clean(predictions: Predictions, decisions: Decisions) -> Scores:
    """Score with thresholds that were chosen on valid and frozen: the headline protocol.

    Args:
        predictions: of the epoch chosen on valid, for the split to score.
        decisions: from `fit_decisions` on valid.

    Raises:
        UsageError: the thresholds were not chosen on valid.
        DataError: the rows are unusable.
    """
    if decisions.chosen_on is not ChosenOn.VALID:
        raise UsageError(
            f"Expected thresholds chosen on valid under the protocol clean, but got thresholds chosen on "
            f"{decisions.chosen_on.value}; fit them on valid, or use the protocol fixed"
        )
    scores = score_at(checked(predictions), decisions)
    if predictions.emotion_probabilities is not None:
        scores.notes.extend(decisions.notes)
    return scores


def fixed(predictions: Predictions) -> Scores:
    """Score with the paper's constants: 0.4 for the columns of F1, 0.2 for weighted accuracy (paper, section 4.2).

    Args:
        predictions: of the epoch chosen on valid, for the split to score.

    Raises:
        DataError: the rows are unusable.
    """
    return score_at(checked(predictions), PAPER_DECISIONS)


def released(predictions_by_epoch: Mapping[int, Predictions]) -> Scores:
    """The best of all epochs and 16 thresholds on the scored split itself, each metric for itself: an upper bound.

    Sentiment metrics take their best epoch, the means over emotions their best pair of epoch and threshold (one
    threshold for all emotions), the rows of single emotions a pair of their own. ROC AUC and calibration error take
    their best epoch. `chosen` in each part says what was picked.

    Args:
        predictions_by_epoch: epoch -> predictions for the same utterances.

    Raises:
        UsageError: there is no epoch.
        DataError: rows are unusable, or differ between the epochs.
    """
    if not predictions_by_epoch:
        raise UsageError(
            "Expected predictions of at least one epoch under the protocol released, but got none; train first"
        )
    epochs = sorted(predictions_by_epoch)
    names = [f"epoch {epoch}" for epoch in epochs]
    rows = [checked(predictions_by_epoch[epoch], name) for epoch, name in zip(epochs, names, strict=True)]
    require_same_utterances(rows, names)
    notes: list[str] = [UPPER_BOUND]
    by_epoch = [score_sentiment(row, PAPER_DECISIONS, notes if row is rows[0] else []) for row in rows]
    scores = Scores(notes=notes)
    parts = [part for part in by_epoch if part is not None]
    if len(parts) == len(rows):
        scores.sentiment = _best_sentiment(epochs, parts)
    probabilities = [row.emotion_probabilities for row in rows if row.emotion_probabilities is not None]
    if len(probabilities) == len(rows):
        labels, scored = emotion_multihot7(rows[0].emotions)
        scores.emotion = _best_emotion(epochs, labels[scored], [part[scored] for part in probabilities])
        note_undefined({**scores.emotion["per_emotion"], NO_EMOTION: scores.emotion["no_emotion"]}, scores.notes)
    scores.sentiment_intensity = _best_intensity(score_sentiment_intensity, epochs, rows, scores.notes)
    scores.emotion_intensity = _best_intensity(score_emotion_intensity, epochs, rows, scores.notes)
    return scores


PROTOCOLS: dict[str, Protocol] = {
    "clean": Protocol(clean, Needs.DECISIONS, "valid", "valid, per emotion, then frozen"),
    "fixed": Protocol(fixed, Needs.PREDICTIONS, "valid", "the paper: 0.4 for F1, 0.2 for weighted accuracy"),
    "released": Protocol(
        released,
        Needs.EPOCHS,
        "the scored split itself, per metric",
        "the scored split itself, best of 16, per metric",
        upper_bound=True,
    ),
}


def _best_intensity(
    score: Callable[[Predictions, list[str]], dict[str, Any] | None],
    epochs: list[int],
    rows: list[Predictions],
    notes: list[str],
) -> dict[str, Any] | None:
    parts = [score(row, notes if row is rows[0] else []) for row in rows]
    given = [part for part in parts if part is not None]
    return best_over_epochs(epochs, given) if len(given) == len(rows) else None


def _best_sentiment(epochs: list[int], parts: list[dict[str, Any]]) -> dict[str, Any]:
    best = dict(parts[0])
    chosen = {}
    for key, first in parts[0].items():
        if not isinstance(first, float) or key == "threshold":
            continue
        sign = -1 if key == "calibration_error" else 1
        values = np.array([part[key] for part in parts])
        at = _argbest(sign * values)
        best[key] = float(values[at])
        chosen[key] = {"epoch": epochs[at]}
    if "accuracy_has0" in chosen:
        at = epochs.index(chosen["accuracy_has0"]["epoch"])
        best |= {key: value for key, value in parts[at].items() if key.startswith("n_predicted")}
    return best | {"chosen": chosen}


def _best_emotion(epochs: list[int], labels: BoolArray, probabilities: list[FloatArray]) -> dict[str, Any]:
    grid = np.array(RELEASED_THRESHOLDS)[:, None]
    sweeps = [count(labels[:, None, :], part[:, None, :] >= grid) for part in probabilities]
    confusion = Confusion(*(np.stack(cells) for cells in zip(*sweeps, strict=True)))  # each (epoch, threshold, output)
    part: dict[str, Any] = {"n_scored": len(labels)}
    chosen: dict[str, dict[str, float]] = {}
    values = {metric: function(confusion) for metric, function in DECISION_METRICS.items()}
    for metric, swept in values.items():
        for n_outputs, suffix in ((N_EMOTIONS, "mean6"), (len(EMOTION_OUTPUTS), "mean7")):
            means = _mean_of_defined_outputs(swept[..., :n_outputs])
            epoch, threshold = np.unravel_index(_argbest(means), means.shape)
            key = f"{metric}_{suffix}"
            part[key] = float(means[epoch, threshold])
            chosen[key] = {"epoch": epochs[epoch], "threshold": RELEASED_THRESHOLDS[threshold]}
    part["weighted_f1_at_f1_threshold_mean6"] = part["weighted_f1_mean6"]
    by_output = {
        name: _best_output(
            epochs,
            labels[:, column],
            [part_of_epoch[:, column] for part_of_epoch in probabilities],
            {metric: swept[..., column] for metric, swept in values.items()},
            confusion.take((..., column)),
        )
        for column, name in enumerate(EMOTION_OUTPUTS)
    }
    return part | {
        "per_emotion": {name: by_output[name] for name in EMOTIONS},
        "no_emotion": by_output[NO_EMOTION],
        "chosen": chosen,
    }


def _best_output(
    epochs: list[int],
    present: BoolArray,
    probabilities: list[FloatArray],
    values: dict[str, FloatArray],
    confusion: Confusion,
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    chosen: dict[str, dict[str, float]] = {}
    at: dict[str, tuple[Any, ...]] = {}
    for metric, swept in values.items():
        at[metric] = np.unravel_index(_argbest(swept), swept.shape)
        row[metric] = float(swept[at[metric]])
        chosen[metric] = {"epoch": epochs[at[metric][0]], "threshold": RELEASED_THRESHOLDS[at[metric][1]]}
    curves = np.array([roc_auc(present, part) for part in probabilities])
    errors = np.array([calibration_error(present, part) for part in probabilities])
    main, second = at[Point.WEIGHTED_ACCURACY], at[Point.WEIGHTED_F1]
    return row | {
        "threshold": chosen[Point.WEIGHTED_ACCURACY]["threshold"],
        "roc_auc": float(curves[_argbest(curves)]),
        "calibration_error": float(errors[_argbest(-errors)]),
        "weighted_f1_at_f1_threshold": row["weighted_f1"],
        "f1_threshold": chosen[Point.WEIGHTED_F1]["threshold"],
        **counts_of(confusion.take(main)),
        "n_predicted_positive_at_f1_threshold": int(confusion.predicted_positives[second]),
        "chosen": chosen,
    }


def _mean_of_defined_outputs(values: FloatArray) -> FloatArray:
    """Mean over the outputs (..., output) that have a score; which have one depends on the labels alone."""
    defined = ~np.isnan(values[0, 0])
    if not defined.any():
        return np.full(values.shape[:-1], np.nan)
    mean: FloatArray = values[..., defined].mean(axis=-1)
    return mean


def _argbest(values: FloatArray) -> int:
    """Flat position of the largest defined value, the first of equals; 0 if none is defined."""
    return int(np.argmax(np.where(np.isnan(values), -np.inf, values)))
