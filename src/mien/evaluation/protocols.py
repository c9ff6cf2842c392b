"""Three scoring protocols, which differ in how the epoch and the thresholds are chosen (docs/protocol.md).

The scores under `clean` are the headline scores. Those under `released` are only upper bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from mien.errors import UsageError
from mien.evaluation.decisions import DECISION_METRICS, ChosenOn, Decisions, OperatingPoint, paper_decisions
from mien.evaluation.measures import Scores, counts_of, mean_of_defined
from mien.evaluation.rows import classes_of, require_same_utterances, validated_predictions
from mien.evaluation.scores import ACCURACY_AT_F1_THRESHOLD, AT_F1_THRESHOLD, nested_rows, note_undefined, score_at
from mien.metrics import METRICS
from mien.metrics.calibration_error import calibration_error
from mien.metrics.confusion import Confusion, count_decisions
from mien.metrics.ranking import roc_auc
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.task_kinds import PRESENCE, VOTED
from mien.tasks import Task

# the 16 thresholds of the released code: .10, .15 to .25 by .01, .30, .35, .40, .50
RELEASED_THRESHOLDS = (0.10, *(number / 100 for number in range(15, 26)), 0.30, 0.35, 0.40, 0.50)
UPPER_BOUND = (
    "upper bound, not a result: every number is the best over epochs and thresholds chosen on the scored split itself, "
    "each metric for itself"
)
LOWER_IS_BETTER = frozenset(name for name, metric in METRICS.items() if not metric.higher_is_better)


class ProtocolInput(StrEnum):
    """Arguments that the function of a protocol takes."""

    DECISIONS = "decisions"  # function(predictions, decisions)
    PREDICTIONS = "predictions"  # function(predictions)
    EPOCHS = "epochs"  # function(predictions by epoch)


@dataclass(frozen=True, slots=True)
class Protocol:
    """Definition of one scoring protocol: its scoring function, and how the epoch and the thresholds are chosen.

    `PROTOCOLS` has one entry per protocol.
    """

    function: Callable[..., Scores]
    needs: ProtocolInput
    epoch_chosen_by: str
    thresholds_chosen_by: str
    upper_bound: bool = False


def clean(predictions: Predictions, decisions: Decisions) -> Scores:
    """Score with thresholds that were chosen on the valid split: the protocol of the headline scores.

    Args:
        predictions: Predictions for the split to score, from the epoch chosen on the valid split.
        decisions: Thresholds that `fit_decisions` chose on the valid split.

    Returns:
        Scores of every predicted task.

    Raises:
        UsageError: The thresholds were not chosen on the valid split.
        DataError: The predictions are unusable, see `validated_predictions`.
    """
    if decisions.chosen_on is not ChosenOn.VALID:
        raise UsageError(
            f"Expected thresholds chosen on valid under the protocol clean, but got thresholds chosen on "
            f"{decisions.chosen_on.value}; fit them on valid, or use the protocol fixed"
        )
    scores = score_at(validated_predictions(predictions), decisions)
    if any(task.row.decision == VOTED for task in predictions.predicted_tasks):
        scores.notes.extend(decisions.notes)
    return scores


def fixed(predictions: Predictions) -> Scores:
    """Score with the constant thresholds of the paper (section 4.2).

    They are 0.4 for the F1 scores, and 0.2 for weighted accuracy and for the reported counts of decisions.

    Args:
        predictions: Predictions for the split to score, from the epoch chosen on the valid split.

    Returns:
        Scores of every predicted task.

    Raises:
        DataError: The predictions are unusable, see `validated_predictions`.
    """
    return score_at(validated_predictions(predictions), paper_decisions(predictions.tasks))


def released(predictions_by_epoch: Mapping[int, Predictions]) -> Scores:
    """Compute the best value of each score over all epochs and 16 thresholds on the scored split: an upper bound.

    The choice is made separately for each score:

    - Scores of sentiment and of intensities, ROC AUC and calibration error are taken from their best epoch.
    - A mean over emotions is taken from its best pair of epoch and threshold, with one threshold for all emotions.
    - Any other score of a single emotion is taken from its best pair of epoch and threshold for this emotion.

    The choices are listed under ``chosen`` in the entry of every task. Those of the ROC AUC and the calibration error
    of single emotions are not listed.

    Args:
        predictions_by_epoch: Epoch -> predictions for the same utterances.

    Returns:
        Scores of every task that all epochs predict.

    Raises:
        UsageError: There is no epoch.
        DataError: The predictions are unusable, or the epochs differ in utterances or gold labels.
    """
    if not predictions_by_epoch:
        raise UsageError(
            "Expected predictions of at least one epoch under the protocol released, but got none; train first"
        )
    epochs = sorted(predictions_by_epoch)
    names = [f"epoch {epoch}" for epoch in epochs]
    rows = [validated_predictions(predictions_by_epoch[epoch], name) for epoch, name in zip(epochs, names, strict=True)]
    require_same_utterances(rows, names)
    scores = Scores({}, [UPPER_BOUND])
    for task in (task for task in rows[0].predicted_tasks if all(task.name in row.outputs for row in rows)):
        best = _best_presence if task.kind == PRESENCE else _best_part
        scores.parts[task.name] = best(task, epochs, rows, scores.notes)
    return scores


PROTOCOLS: dict[str, Protocol] = {
    "clean": Protocol(clean, ProtocolInput.DECISIONS, "valid", "valid, per emotion, then frozen"),
    "fixed": Protocol(fixed, ProtocolInput.PREDICTIONS, "valid", "the paper: 0.4 for F1, 0.2 for weighted accuracy"),
    "released": Protocol(
        released,
        ProtocolInput.EPOCHS,
        "the scored split itself, per metric",
        "the scored split itself, best of 16, per metric",
        upper_bound=True,
    ),
}


def _best_part(task: Task, epochs: Sequence[int], rows: Sequence[Predictions], notes: list[str]) -> dict[str, Any]:
    """Find the best value of every score of one task over all epochs.

    Args:
        task: Task to score, whose scores do not depend on a choice of thresholds.
        epochs: Epoch numbers.
        rows: Predictions of each epoch.
        notes: List to which the messages about the scores of the first epoch are appended.

    Returns:
        Name of a score -> best value. The entry ``chosen`` has the epoch of each score.
    """
    by_epoch = [
        score_at(dataclasses.replace(row, outputs={task.name: row.outputs[task.name]}), paper_decisions(row.tasks))
        for row in rows
    ]
    notes += by_epoch[0].notes
    parts = [scores.parts[task.name] for scores in by_epoch]
    for part in parts:
        part.pop("confusion", None)  # belongs to one epoch
    best = _best_scores(epochs, parts)
    if "accuracy_has0" in best["chosen"]:
        position = epochs.index(best["chosen"]["accuracy_has0"]["epoch"])
        best |= {key: value for key, value in parts[position].items() if key.startswith("n_predicted")}
    return best


def _best_scores(epochs: Sequence[int], parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the best value of every score over all epochs, and its epoch under ``chosen``.

    Args:
        epochs: Epoch numbers.
        parts: Scores of each epoch, with the same keys.
    """
    best, chosen = dict(parts[0]), {}
    for key, first in parts[0].items():
        if isinstance(first, dict):
            best[key] = {name: _best_scores(epochs, [part[key][name] for part in parts]) for name in first}
        elif isinstance(first, float) and key != "threshold":
            sign = -1 if key.partition("_mean")[0] in LOWER_IS_BETTER else 1
            position = _argbest(sign * np.array([part[key] for part in parts]))
            best[key], chosen[key] = float(parts[position][key]), {"epoch": epochs[position]}
    return best | {"chosen": chosen}


def _best_presence(task: Task, epochs: Sequence[int], rows: Sequence[Predictions], notes: list[str]) -> dict[str, Any]:
    """Find the best value of every score of a task with present-or-absent classes, over all epochs and thresholds.

    Args:
        task: Task to score.
        epochs: Epoch numbers.
        rows: Predictions of each epoch.
        notes: List to which messages about undefined scores are appended.

    Returns:
        Name of a score -> best value. The entry ``chosen`` has the epoch and the threshold of each score that depends
        on a threshold.
    """
    targets, scored = classes_of(task, rows[0])
    labels = targets[scored]
    probabilities = np.stack([row.outputs[task.name][scored] for row in rows])
    grid = np.array(RELEASED_THRESHOLDS)[:, None]
    sweeps = [count_decisions(labels[:, None, :], epoch[:, None, :] >= grid) for epoch in probabilities]
    confusion = Confusion(*(np.stack(cells) for cells in zip(*sweeps, strict=True)))  # each (epoch, threshold, output)
    part: dict[str, Any] = {"n_scored": len(labels)}
    chosen: dict[str, dict[str, float]] = {}
    for metric, function in DECISION_METRICS.items():
        swept = function(confusion)
        for mean, n_outputs in task.means.items():
            scores = swept[..., :n_outputs]
            key = f"{metric}_{mean}"
            _, part[key], chosen[key] = _best_pair(epochs, mean_of_defined(scores, ~np.isnan(scores[0, 0])))
    first = next(iter(task.means))
    part[f"{AT_F1_THRESHOLD}_{first}"] = part[f"weighted_f1_{first}"]
    part[f"{ACCURACY_AT_F1_THRESHOLD}_{first}"] = part[f"weighted_accuracy_{first}"]
    by_output = {
        name: _best_output(epochs, labels[:, column], probabilities[..., column], confusion.take((..., column)))
        for column, name in enumerate(task.outputs)
    }
    note_undefined(task, by_output, notes)
    return part | nested_rows(task, by_output) | {"chosen": chosen}


def _best_output(
    epochs: Sequence[int], present: BoolArray, probabilities: FloatArray, confusion: Confusion
) -> dict[str, Any]:
    """Find the best value of every score of one class over all epochs and thresholds.

    Args:
        epochs: Epoch numbers.
        present: True where the class is present, (utterance,).
        probabilities: Probability of the class, (epoch, utterance).
        confusion: Confusion counts of the decisions, (epoch, threshold).

    Returns:
        Name of a score -> best value. The entry ``chosen`` has the epoch and the threshold of each score that depends
        on a threshold.
    """
    row: dict[str, Any] = {}
    chosen: dict[str, dict[str, float]] = {}
    positions: dict[str, tuple[int, ...]] = {}
    for metric, function in DECISION_METRICS.items():
        positions[metric], row[metric], chosen[metric] = _best_pair(epochs, function(confusion))
    auc_by_epoch = np.array([roc_auc(present, part) for part in probabilities])
    error_by_epoch = np.array([calibration_error(present, part) for part in probabilities])
    main, second = positions[OperatingPoint.WEIGHTED_ACCURACY], positions[OperatingPoint.WEIGHTED_F1]
    return row | {
        "threshold": chosen[OperatingPoint.WEIGHTED_ACCURACY]["threshold"],
        "roc_auc": float(auc_by_epoch[_argbest(auc_by_epoch)]),
        "calibration_error": float(error_by_epoch[_argbest(-error_by_epoch)]),
        AT_F1_THRESHOLD: row["weighted_f1"],
        ACCURACY_AT_F1_THRESHOLD: row["weighted_accuracy"],
        "f1_threshold": chosen[OperatingPoint.WEIGHTED_F1]["threshold"],
        **counts_of(confusion.take(main)),
        "n_predicted_positive_at_f1_threshold": int(confusion.predicted_positives[second]),
        "chosen": chosen,
    }


def _best_pair(epochs: Sequence[int], swept: FloatArray) -> tuple[tuple[int, ...], float, dict[str, float]]:
    """Find the pair of epoch and threshold with the highest score.

    Args:
        epochs: Epoch numbers.
        swept: Scores of one metric, (epoch, threshold).

    Returns:
        The indices of the highest score in `swept`, its value, and a dictionary with its epoch and threshold.
    """
    position = tuple(map(int, np.unravel_index(_argbest(swept), swept.shape)))
    return (
        position,
        float(swept[position]),
        {"epoch": epochs[position[0]], "threshold": RELEASED_THRESHOLDS[position[1]]},
    )


def _argbest(values: FloatArray) -> int:
    """Return the index of the largest value in the flattened array.

    If several values are the largest, the index of the first is returned. NaN is ignored. If all values are NaN, the
    index is 0.
    """
    return int(np.argmax(np.where(np.isnan(values), -np.inf, values)))
