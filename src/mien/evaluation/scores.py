"""Computation of the scores of every task, which form the task's entry in a result.

Most scores are computed from counts per video, so the same code serves the split and bootstrap resamples of its videos.
ROC AUC, calibration error and concordance index are computed from the predictions of all utterances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mien.evaluation.class_scores import CLASS_SCORER, LEVEL_SCORER, SENTIMENT_SCORER
from mien.evaluation.counts import (
    F1_COLUMNS,
    GRADES,
    SIMS_ABOVE_0,
    SIMS_CLASSES,
    TaskCounts,
    count_videos,
    is_scored_as_sims,
    score_classes,
)
from mien.evaluation.decisions import Decisions, OperatingPoint
from mien.evaluation.measures import Measure, Scorer, Scores, counts_of, mean_of_defined, split_counts
from mien.evaluation.rows import classes_of
from mien.metrics.calibration_error import calibration_error
from mien.metrics.ranking import concordance_index, roc_auc
from mien.schema import EMOTIONS, NO_EMOTION, FloatArray
from mien.storage.predictions import Predictions
from mien.task_kinds import PRESENCE
from mien.tasks import Task, labels_of

CLASSES_ONLY = "the scores of {part} are left out: the labels are classes, which have no degrees"


def score_at(predictions: Predictions, decisions: Decisions) -> Scores:
    """Score predictions with the given thresholds.

    Args:
        predictions: Validated predictions (`validated_predictions`).
        decisions: Thresholds of every predicted task.

    Returns:
        Scores of every predicted task; docs/protocol.md explains each key. An undefined score is NaN, and a message in
        `notes` gives the reason.

    Raises:
        DataError: A predicted task has no thresholds.
    """
    counts = count_videos(predictions, decisions)
    scores = Scores({})
    for task in predictions.predicted_tasks:
        part = SCORERS[task.row.scores].part
        scores.parts[task.name] = part(predictions, task, decisions, counts[task.name], scores.notes)
    return scores


def rows_key(task: Task) -> str:
    """Return the key under which a task's entry in a result contains the scores of each output."""
    return "per_emotion" if task.space.is_six_emotions else "per_output"


def nested_rows(task: Task, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the dictionary that stores the scores of all outputs in a task's entry of a result.

    Args:
        task: The task.
        rows: Output -> its scores.

    Returns:
        The key `rows_key(task)` with `rows` as its value. For emotion, the scores of the output `none` are stored
        separately, under the key ``no_emotion``.
    """
    if not (task.space.is_six_emotions and task.kind == PRESENCE):
        return {rows_key(task): dict(rows)}
    return {"per_emotion": {name: rows[name] for name in EMOTIONS}, "no_emotion": rows[NO_EMOTION]}


def note_undefined(task: Task, rows: Mapping[str, Mapping[str, Any]], notes: list[str]) -> None:
    """Append messages to `notes` about outputs with undefined scores, and about means that leave out these outputs.

    Args:
        task: The task.
        rows: Output -> its scores and counts.
        notes: List to which the messages are appended.
    """
    undefined = [name for name, row in rows.items() if np.isnan(row["weighted_accuracy"])]
    notes += [
        f"weighted_accuracy, macro_f1 and roc_auc of {name} are undefined: {rows[name]['n_positive']} utterances "
        f"with it and {rows[name]['n_negative']} without"
        for name in undefined
    ]
    mean, n = next(iter(task.means.items()))
    excluded = [name for name in task.outputs[:n] if name in undefined]
    if excluded:
        noun = "emotions" if task.space.is_six_emotions else "outputs"
        notes.append(
            f"weighted_accuracy_{mean} is the mean over {n - len(excluded)} {noun}, without {', '.join(excluded)}"
        )


def _presence_part(
    predictions: Predictions, task: Task, decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task with present-or-absent classes: the scores of each class, and their means.

    Return the scores by key: the task's entry in a result. Messages about undefined scores are appended to `notes`.
    """
    labels, scored = classes_of(task, predictions)
    targets, probabilities = labels[scored], predictions.outputs[task.name][scored]
    values = {key: measure.of(counts) for key, measure in PRESENCE_MEASURES.items()}
    main, second = (
        split_counts(counts, OperatingPoint.WEIGHTED_ACCURACY),
        split_counts(counts, OperatingPoint.WEIGHTED_F1),
    )
    rows = {
        name: {
            **{key: float(scores[column]) for key, scores in values.items()},
            "threshold": float(decisions.at(task, OperatingPoint.WEIGHTED_ACCURACY)[..., column].mean()),
            "f1_threshold": float(decisions.at(task, OperatingPoint.WEIGHTED_F1)[..., column].mean()),
            "roc_auc": roc_auc(targets[:, column], probabilities[:, column]),
            "calibration_error": calibration_error(targets[:, column], probabilities[:, column]),
            **counts_of(main.take(column)),
            "n_predicted_positive_at_f1_threshold": int(second.predicted_positives[column]),
        }
        for column, name in enumerate(task.outputs)
    }
    if not scored.any():
        notes.append(f"the {task.name} scores are undefined: no utterance has {task.space.name} labels")
    note_undefined(task, rows, notes)
    means = task.means
    first = next(iter(means))
    part = {
        f"{key}_{mean}": float(mean_of_defined(scores[:n]))
        for key, scores in values.items()
        for mean, n in means.items()
        if key not in (AT_F1_THRESHOLD, ACCURACY_AT_F1_THRESHOLD) or mean == first
    }
    return part | {"n_scored": int(scored.sum())} | nested_rows(task, rows)


def _score_part(
    predictions: Predictions, task: Task, _decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task that predicts one intensity.

    Return the scores by key: the task's entry in a result. If the gold labels are classes, the scores are None.
    Messages about missing or undefined scores are appended to `notes`.
    """
    names = [*score_classes(task), *(SIMS_MEASURES if is_scored_as_sims(task) else ())]
    part: dict[str, Any] = dict.fromkeys(("mae", "pearson", "ccc", "concordance_index", *names))
    if not counts:
        notes.append(CLASSES_ONLY.format(part=task.name))
        return part | {"n_scored": 0}
    target, prediction = labels_of(task, predictions)[:, 0], predictions.outputs[task.name][:, 0]
    part |= {key: float(each.of(counts)[0]) for key, each in SCORE_MEASURES.items() if each.counts in counts}
    part |= {"concordance_index": concordance_index(target, prediction), "n_scored": int((~np.isnan(target)).sum())}
    _note_constant(task.name, prediction[~np.isnan(target)], notes)
    return part


def _degrees_part(
    predictions: Predictions, task: Task, _decisions: Decisions, counts: TaskCounts, notes: list[str]
) -> dict[str, Any]:
    """Compute all scores of a task that predicts several intensities: the scores of each, and their means.

    Return the scores by key: the task's entry in a result. If the gold labels are classes, the scores are NaN. Messages
    about undefined scores are appended to `notes`.
    """
    prediction, target = predictions.outputs[task.name], labels_of(task, predictions)
    undefined = np.full(prediction.shape[1], np.nan)
    if not counts:
        notes.append(CLASSES_ONLY.format(part=task.name))
        target = np.full_like(prediction, np.nan)
    values = {key: measure.of(counts) if counts else undefined for key, measure in DEGREES_MEASURES.items()}
    values["concordance_index"] = np.array(
        [concordance_index(target[:, column], prediction[:, column]) for column in range(prediction.shape[1])]
    )
    rows: dict[str, dict[str, Any]] = {
        name: {key: float(scores[column]) for key, scores in values.items()}
        | {"n_nonzero": int((target[:, column] > 0).sum())}
        for column, name in enumerate(task.outputs)
    }
    scored = ~np.isnan(target).any(axis=1)
    for column, name in enumerate(task.outputs):
        _note_constant(f"{task.name} of {name}", prediction[scored, column], notes)
    means = {
        f"{key}_{mean}": float(mean_of_defined(scores[:n]))
        for key, scores in values.items()
        for mean, n in task.means.items()
    }
    return means | {"n_scored": int(scored.sum())} | nested_rows(task, rows)


def _note_constant(name: str, prediction: FloatArray, notes: list[str]) -> None:
    """Append a message to `notes` if all predictions (utterance,) are equal.

    Pearson's correlation is undefined then.
    """
    if len(prediction) and np.ptp(prediction) == 0:
        notes.append(f"pearson of {name} is undefined: the same is predicted for every utterance")


AT_F1_THRESHOLD = "weighted_f1_at_f1_threshold"
ACCURACY_AT_F1_THRESHOLD = "weighted_accuracy_at_f1_threshold"
PRESENCE_MEASURES = {
    "weighted_accuracy": Measure(OperatingPoint.WEIGHTED_ACCURACY.value, "weighted_accuracy"),
    "weighted_f1": Measure(F1_COLUMNS, "weighted_f1"),
    "macro_f1": Measure(F1_COLUMNS, "macro_f1"),
    "positive_f1": Measure(F1_COLUMNS, "positive_f1"),
    AT_F1_THRESHOLD: Measure(OperatingPoint.WEIGHTED_F1.value, "weighted_f1"),
    ACCURACY_AT_F1_THRESHOLD: Measure(OperatingPoint.WEIGHTED_F1.value, "weighted_accuracy"),
}
DEGREES_MEASURES = {
    "mae": Measure("moments", "mae"),
    "pearson": Measure("moments", "pearson"),
    "ccc": Measure("moments", "ccc"),
}
# two classes of CH-SIMS: above 0, and not above 0
SIMS_MEASURES = {
    "accuracy2_sims": Measure(SIMS_ABOVE_0, "accuracy"),
    "weighted_f1_sims": Measure(SIMS_ABOVE_0, "weighted_f1"),
}
SCORE_MEASURES = (
    DEGREES_MEASURES | {name: Measure(name, "accuracy") for name in (*GRADES, *SIMS_CLASSES)} | SIMS_MEASURES
)

SCORERS: dict[str, Scorer] = {
    "sentiment": SENTIMENT_SCORER,
    "levels": LEVEL_SCORER,
    "classes": CLASS_SCORER,
    # classes that are each present or absent
    "presence": Scorer(
        _presence_part,
        PRESENCE_MEASURES,
        by_output=True,
        headline={
            "weighted_accuracy": ("W-Acc", "weighted accuracy"),
            AT_F1_THRESHOLD: ("F1", "weighted F1"),
            # no title: figures have room for each score at its own thresholds only
            "weighted_f1": ("F1 at W-Acc's thresholds", ""),
            ACCURACY_AT_F1_THRESHOLD: ("W-Acc at F1's thresholds", ""),
        },
        headline_by_output=("weighted_accuracy",),
    ),
    # one intensity
    "score": Scorer(
        _score_part,
        SCORE_MEASURES,
        by_output=False,
        headline={
            "mae": ("MAE", ""),
            "pearson": ("r", ""),
            "accuracy7_round": ("acc7", ""),
            "accuracy2_sims": ("acc2", ""),
            "weighted_f1_sims": ("F1 (acc2)", ""),
            "accuracy3_sims": ("acc3", ""),
            "accuracy5_sims": ("acc5", ""),
        },
    ),
    # several intensities
    "degrees": Scorer(
        _degrees_part, DEGREES_MEASURES, by_output=True, headline={"mae": ("MAE", ""), "pearson": ("r", "")}
    ),
}
