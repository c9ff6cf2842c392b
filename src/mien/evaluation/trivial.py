"""Constant predictor: the trivial baseline that is shown beside every result.

For a class, it predicts what is more frequent in the train split: present or absent. For an intensity, it predicts the
median of the train split, because no other constant has a smaller absolute error on that split.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.decisions import constant_decisions
from mien.evaluation.measures import Scores
from mien.evaluation.scores import score_at
from mien.schema import EMOTION, SENTIMENT, BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.task_kinds import BINARY, DEGREES, PRESENCE, SCORE, VOTED
from mien.tasks import PAPER_TASKS, HasLabels, Task, targets_of

# (label space, kind) of a task of the paper -> key of its constants in run.json, the file that describes a run; the key
# of any other task is its name
KEYS = {
    (SENTIMENT, BINARY): "sentiment_positive",
    (EMOTION, PRESENCE): "emotions",
    (SENTIMENT, SCORE): "sentiment_median",
    (EMOTION, DEGREES): "emotion_medians",
}


@dataclass(frozen=True, slots=True)
class TrainMajority:
    """Constant prediction for every task, computed from the labels of the train split."""

    # Task -> one constant per output. For an intensity it is the median. For a class that is present or absent, it is 1
    # if at least half of the utterances have the class, and otherwise 0. Of several classes or levels that exclude each
    # other, the most frequent one gets the probability 1.
    constants: Mapping[str, tuple[float, ...]]
    tasks: Mapping[str, Task] = field(default_factory=lambda: PAPER_TASKS)

    def __post_init__(self) -> None:
        for task, values in self.constants.items():
            outputs = self.tasks[task].outputs
            if len(values) != len(outputs):
                raise DataError(
                    f"Expected the majority of {len(outputs)} outputs of {task}, but got {len(values)}; "
                    f"give {', '.join(outputs)}"
                )

    @classmethod
    def from_labels(cls, labelled: HasLabels, tasks: Mapping[str, Task] = PAPER_TASKS) -> TrainMajority:
        """Compute the constants from the labels of the train split; a sentiment score >= 0 is positive.

        If exactly half of the utterances have a class, the constant is 1 (present). If a task has no labels, its
        constants are: positive for sentiment, absent for emotions, the first of several classes, and 0 for intensities.

        Args:
            labelled: Object with the labels of the train split.
            tasks: All tasks of the run's label spaces.

        Returns:
            The constants of all tasks.
        """
        constants = {}
        for name, task in tasks.items():
            targets, scored = targets_of(task, labelled)
            known = targets[scored]
            if task.predicts_degrees:
                values: FloatArray = np.median(known, axis=0) if len(known) else np.zeros(len(task.outputs))
            elif task.classes and task.kind != BINARY:
                values = _most_frequent(known, task)
            else:
                minimum = 1 if task.row.decision == VOTED else 0
                values = 1.0 * (2 * known.sum(axis=0) >= max(len(known), minimum))
            constants[name] = tuple(values.tolist())
        return cls(constants, tasks)

    def to_json(self) -> dict[str, Any]:
        """Return the constants as a dictionary, which is stored in run.json. `from_json` restores the constants."""
        facts = {}
        for name, values in self.constants.items():
            task = self.tasks[name]
            stored = [value if task.predicts_degrees else bool(value) for value in values]
            facts[_key_of(task)] = stored[0] if len(stored) == 1 else stored
        return facts

    @classmethod
    def from_json(cls, facts: Mapping[str, Any], tasks: Mapping[str, Task] = PAPER_TASKS) -> TrainMajority:
        """Build the constants from a dictionary that `to_json` returned.

        Args:
            facts: The dictionary. If it has no entry for a task, the constants of this task are 0.
            tasks: All tasks of the run's label spaces.

        Returns:
            The constants of all tasks.

        Raises:
            DataError: A task has another number of outputs.
            ValueError: A constant is not a finite number, or it is the probability of a class and not in [0, 1].
        """
        constants = {}
        for name, task in tasks.items():
            value = facts.get(_key_of(task), [0.0] * len(task.outputs))
            values = tuple(map(float, value if isinstance(value, list) else [value]))
            if not all(math.isfinite(each) and (task.predicts_degrees or 0 <= each <= 1) for each in values):
                raise ValueError(f"the majority {values} of {name}")
            constants[name] = values
        return cls(constants, tasks)


def _key_of(task: Task) -> str:
    """Return the key of a task's constants in run.json."""
    return KEYS.get((task.space.name, task.kind), task.name)


def _most_frequent(targets: BoolArray | FloatArray, task: Task) -> FloatArray:
    """Return the predictions that give probability 1 to the most frequent class or level, (output,)."""
    names = np.arange(len(task.classes))
    chosen = targets.sum(axis=1) if task.cuts else targets.argmax(axis=1)
    most_frequent = np.bincount(chosen.astype(np.int64), minlength=len(names)).argmax()
    return 1.0 * (names[:-1] < most_frequent) if task.cuts else 1.0 * (names == most_frequent)


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
    return score_at(constant_predictions(predictions, majority), constant_decisions(0.5, 0.5, predictions.tasks))
