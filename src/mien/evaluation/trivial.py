"""Constant predictor: the trivial baseline that is shown beside every result.

For a class, it predicts what is more frequent in the train split: present or absent. For an intensity, it predicts the
median of the train split, because no other constant has a smaller absolute error on that split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.decisions import constant_decisions
from mien.evaluation.scores import Scores, score_at
from mien.schema import FloatArray
from mien.storage.predictions import Predictions
from mien.tasks import EMOTION, EMOTION_INTENSITY, SENTIMENT, SENTIMENT_INTENSITY, TASKS, HasLabels, targets_of

# task -> key of its constants in run.json, the file that describes a run; the key of any other task is its name
KEYS = {
    SENTIMENT: "sentiment_positive",
    EMOTION: "emotions",
    SENTIMENT_INTENSITY: "sentiment_median",
    EMOTION_INTENSITY: "emotion_medians",
}
# tasks whose constant is stored in run.json as one value, not as a list
SINGLE = (SENTIMENT, SENTIMENT_INTENSITY)


@dataclass(frozen=True, slots=True)
class TrainMajority:
    """Constant prediction for every task, computed from the labels of the train split."""

    # task -> one constant per output. For an intensity it is the median. For a class it is 1 if at least half of the
    # utterances have the class, and otherwise 0.
    constants: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for task, values in self.constants.items():
            outputs = TASKS[task].outputs
            if len(values) != len(outputs):
                raise DataError(
                    f"Expected the majority of {len(outputs)} outputs of {task}, but got {len(values)}; "
                    f"give {', '.join(outputs)}"
                )

    @classmethod
    def from_labels(cls, labelled: HasLabels) -> TrainMajority:
        """Compute the constants from the labels of the train split; a sentiment score >= 0 is positive.

        If exactly half of the utterances have a class, the constant is 1 (present). If a task has no labels, its
        constants are: positive for sentiment, absent for emotions, and 0 for intensities.
        """
        constants = {}
        for task, row in TASKS.items():
            targets, scored = targets_of(task, labelled)
            known = targets[scored]
            if row.predicts_degrees:
                values: FloatArray = np.median(known, axis=0) if len(known) else np.zeros(len(row.outputs))
            else:
                minimum = 1 if row.decision == "voted" else 0
                values = 1.0 * (2 * known.sum(axis=0) >= max(len(known), minimum))
            constants[task] = tuple(values.tolist())
        return cls(constants)

    def to_json(self) -> dict[str, Any]:
        """Return the constants as a dictionary, which is stored in run.json. `from_json` restores the constants."""
        facts = {}
        for task, values in self.constants.items():
            stored = [value if TASKS[task].predicts_degrees else bool(value) for value in values]
            facts[KEYS.get(task, task)] = stored[0] if task in SINGLE else stored
        return facts

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> TrainMajority:
        """Build the constants from a dictionary that `to_json` returned.

        If the dictionary has no entry for a task, the constants of this task are 0.
        """
        constants = {}
        for task, row in TASKS.items():
            value = facts.get(KEYS.get(task, task), [0.0] * len(row.outputs))
            constants[task] = tuple(map(float, value if isinstance(value, list) else [value]))
        return cls(constants)


def constant_predictions(predictions: Predictions, majority: TrainMajority) -> Predictions:
    """Return predictions in which every utterance gets the same constant values.

    Args:
        predictions: Predictions with the utterances, gold labels and tasks to use.
        majority: Constants of every task.

    Returns:
        Predictions with the same rows and gold labels, and the same constants in every row.
    """
    n_rows = len(predictions.index)
    outputs = {task: np.tile(np.array(majority.constants[task]), (n_rows, 1)) for task in predictions.outputs}
    return dataclasses.replace(predictions, outputs=outputs)


def score_trivial(predictions: Predictions, majority: TrainMajority) -> Scores:
    """Compute the scores of predictions that are the same for every utterance.

    Args:
        predictions: Validated predictions; only their utterances, gold labels and tasks are used.
        majority: Constants of every task, which are the predictions to score.

    Returns:
        Scores under the same keys as those of a system.
    """
    # probabilities are exactly 0 or 1, so every threshold in (0, 1) gives the same decisions
    return score_at(constant_predictions(predictions, majority), constant_decisions(0.5, 0.5))
