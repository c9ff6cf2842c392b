"""Turns the predictions of a system for one utterance into classes, labels and values by name."""

from __future__ import annotations

from collections.abc import Mapping

from mien.evaluation.counts import decided_class
from mien.evaluation.decisions import Decisions, OperatingPoint
from mien.schema import FloatArray
from mien.storage.predictions import Predictions
from mien.tasks import Task, class_probabilities, output_name
from mien.video.analysis import POSITIVE, Answer


def answers_of_row(predictions: Predictions, row: int, decisions: Decisions) -> dict[str, Answer]:
    """Return the predicted class of one utterance, for each task whose classes exclude each other."""
    answers = {}
    for task in predictions.predicted_tasks:
        if task.classes:
            values = predictions.outputs[task.name][row : row + 1]
            label = task.classes[decided_class(task, values, decisions)[0]]
            answers[task.name] = Answer(label, _class_probabilities(task, values[0]))
    return answers


def _class_probabilities(task: Task, values: FloatArray) -> dict[str, float]:
    return dict(zip(task.classes, map(float, class_probabilities(task, values)), strict=True))


def outputs_of_row(predictions: Predictions, row: int) -> dict[str, dict[str, float]]:
    """Return the values of one utterance by task and output, for tasks without classes that exclude each other.

    The output that stands for "none of them" is left out.
    """
    return {
        task.name: {
            name: float(predictions.outputs[task.name][row, column])
            for column, name in enumerate(task.outputs[: task.n_own_outputs])
        }
        for task in predictions.predicted_tasks
        if not task.classes
    }


def _probabilities_of_row(predictions: Predictions, row: int) -> dict[str, float]:
    """Return all probabilities of one utterance by name of the class. Of sentiment, only "positive" is named."""
    named: dict[str, float] = {}
    for task in predictions.predicted_tasks:
        values = predictions.outputs[task.name][row]
        if task.classes:
            probabilities = _class_probabilities(task, values)
            if task.space.is_paper:
                named[task.name] = probabilities[POSITIVE]
            else:
                named |= {f"{task.name} {name}": value for name, value in probabilities.items()}
        elif not task.predicts_degrees:
            named |= {
                output_name(task, name): float(values[c]) for c, name in enumerate(task.outputs[: task.n_own_outputs])
            }
    return named


def probability_changes(predictions: Predictions, without: Predictions, row: int) -> dict[str, float]:
    """Return the probability of each class of one utterance minus that without a modality."""
    others = _probabilities_of_row(without, row)
    return {name: value - others[name] for name, value in _probabilities_of_row(predictions, row).items()}


def label_thresholds(task: Task, decisions: Decisions) -> dict[str, float]:
    """Return the thresholds chosen for weighted F1, by label. Few predicted probabilities reach these thresholds."""
    thresholds: list[float] = decisions.at(task, OperatingPoint.WEIGHTED_F1).tolist()
    return dict(zip(task.outputs[: task.n_own_outputs], thresholds, strict=False))


def present_labels(task: Task, probabilities: Mapping[str, float], decisions: Decisions) -> tuple[str, ...]:
    """Return the labels of a task whose probabilities are at or above their thresholds.

    Args:
        task: Task with several labels, each of which is present or absent.
        probabilities: Label -> probability.
        decisions: Thresholds of the run.
    """
    return tuple(name for name, cut in label_thresholds(task, decisions).items() if probabilities[name] >= cut)
