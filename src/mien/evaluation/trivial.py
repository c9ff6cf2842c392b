"""The constant predictor that stands beside every result: what one gets for saying the same thing always.

The more frequent class of train, and of intensities the median of train, which no constant beats in absolute error.
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

# key in the card of a Run; every other task stands under its name
KEYS = {
    SENTIMENT: "sentiment_positive",
    EMOTION: "emotions",
    SENTIMENT_INTENSITY: "sentiment_median",
    EMOTION_INTENSITY: "emotion_medians",
}
# these stand in the card as one value, not as a list of one
SINGLE = (SENTIMENT, SENTIMENT_INTENSITY)


@dataclass(frozen=True, slots=True)
class TrainMajority:
    """What a predictor that has learned nothing says of every task."""

    # task -> (output,): 1 for a class that most train utterances have, 0 for another, the median of degrees
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
        """Count the labels of the train split; classes of sentiment are those under `has0`. A tie counts as present.

        For labels that are missing throughout: positive, absent and 0.
        """
        constants = {}
        for task, row in TASKS.items():
            targets, scored = targets_of(task, labelled)
            known = targets[scored]
            if row.predicts_degrees:
                values: FloatArray = np.median(known, axis=0) if len(known) else np.zeros(len(row.outputs))
            else:
                fewest = 1 if row.decision == "voted" else 0
                values = 1.0 * (2 * known.sum(axis=0) >= max(len(known), fewest))
            constants[task] = tuple(values.tolist())
        return cls(constants)

    def to_json(self) -> dict[str, Any]:
        """What a Run's card holds; `from_json` reads it back."""
        facts = {}
        for task, values in self.constants.items():
            told = [value if TASKS[task].predicts_degrees else bool(value) for value in values]
            facts[KEYS.get(task, task)] = told[0] if task in SINGLE else told
        return facts

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> TrainMajority:
        """Rebuild from `to_json`'s dictionary; what runs of earlier versions do not name is 0."""
        constants = {}
        for task, row in TASKS.items():
            value = facts.get(KEYS.get(task, task), [0.0] * len(row.outputs))
            constants[task] = tuple(map(float, value if isinstance(value, list) else [value]))
        return cls(constants)


def constant_predictions(predictions: Predictions, majority: TrainMajority) -> Predictions:
    """The same rows and gold labels with the majority as prediction, for the tasks that `predictions` has."""
    n_rows = len(predictions.index)
    outputs = {task: np.tile(np.array(majority.constants[task]), (n_rows, 1)) for task in predictions.outputs}
    return dataclasses.replace(predictions, outputs=outputs)


def score_trivial(predictions: Predictions, majority: TrainMajority) -> Scores:
    """The scores of the constant predictor on `checked` predictions' rows, with the keys of every result."""
    # any threshold inside (0, 1) decides the same for probabilities of exactly 0 and 1
    return score_at(constant_predictions(predictions, majority), constant_decisions(0.5, 0.5))
