"""Turns the predictions of a system for one utterance into classes, labels and values by name; describes the system."""

from __future__ import annotations

from collections.abc import Mapping

from mien.evaluation.counts import decided_class
from mien.evaluation.decisions import HALF, Decisions, OperatingPoint
from mien.schema import EMOTION, SENTIMENT, FloatArray, Modality
from mien.storage.predictions import Predictions
from mien.storage.runs import Run
from mien.task_kinds import VOTED
from mien.tasks import Task, class_probabilities, output_name
from mien.video.analysis import POSITIVE, Answer, ModelFacts

WORDS_ONLY = "It hears words only: voice and face are measured beside it and have no say in the prediction."
EXPRESSED = "A probability is about what annotators would read into the words, not about what the person feels inside."
THRESHOLDS_CHOSEN = (
    "Thresholds were chosen on validation videos for weighted F1, which names an emotion only when sure."
)
MOST_PROBABLE = "No thresholds were chosen: of several classes, the most probable one is named."


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


def model_facts(run: Run, decisions: Decisions) -> ModelFacts:
    """Describe a model for the reports.

    Args:
        run: Finished run.
        decisions: Its thresholds.

    Returns:
        The description.
    """
    tasks = {task.name: task for task in run.learned_tasks}
    sentiment, emotion = tasks.get(SENTIMENT), tasks.get(EMOTION)
    only_words = tuple(run.inputs) == (Modality.TEXT,)
    return ModelFacts(
        name=f"{run.folder.name} ({run.model})",
        inputs=tuple(map(str, run.inputs)),
        tasks=tuple(run.tasks),
        sentiment_threshold=float(decisions.at(sentiment)[0]) if sentiment and sentiment.has_thresholds else HALF,
        thresholds=label_thresholds(emotion, decisions) if emotion and emotion.row.decision == VOTED else {},
        ranges={task.name: task.range for task in tasks.values() if task.predicts_degrees},
        protocol=THRESHOLDS_CHOSEN if any(task.row.decision == VOTED for task in tasks.values()) else MOST_PROBABLE,
        caveats=(WORDS_ONLY, EXPRESSED) if only_words else (EXPRESSED,),
        facts={"Trained on": str(run.dataset["name"]), "Features": ", ".join(s.name for s in run.spaces.values())},
    )
