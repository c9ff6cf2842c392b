"""The prediction tasks. Each task is one entry (row) of `TASKS`.

An entry names the activation, loss, metrics and decision rule of its task. These names are keys of tables of functions
in other files: `models.heads.ACTIVATIONS`, `training.losses.LOSSES`, `training.validation.ORDERINGS`,
`evaluation.counts.COUNTERS`, `evaluation.scores.SCORERS` and `evaluation.decisions.RULES`.
Outputs, targets, predictions and scores are mappings with task names as keys. A task predicts either classes or
intensities; in identifiers, intensities are called degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mien.schema import EMOTION_OUTPUTS, EMOTION_RANGE, EMOTIONS, SENTIMENT_RANGE, BoolArray, FloatArray
from mien.schema import emotion_multihot7 as emotion_classes

SENTIMENT = "sentiment"
EMOTION = "emotion"
SENTIMENT_INTENSITY = "sentiment_intensity"
EMOTION_INTENSITY = "emotion_intensity"


class HasLabels(Protocol):
    """An object with the gold labels of N utterances, such as `SplitColumns` or `Predictions`."""

    @property
    def sentiment(self) -> FloatArray:
        """Sentiment scores (N,), NaN where missing."""
        ...

    @property
    def emotions(self) -> FloatArray:
        """Emotion intensities (N, 6) in the order of `EMOTIONS`. The row of an utterance without labels is NaN."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """Definition of one prediction task: its labels, outputs, activation, loss, metrics and decision rule."""

    # labels to learn from: SENTIMENT (one score) or EMOTION (six intensities)
    labels: str
    # how labels become targets: a name in `TARGETS`
    target: str
    # names of the outputs in column order; one number is predicted for each
    outputs: tuple[str, ...]
    # width of the output layer
    n_logits: int
    # how logits become predictions: a name in `models.heads.ACTIVATIONS`
    activation: str
    # a name in `training.losses.LOSSES`
    loss: str
    # metric of the ranking of valid utterances, which chooses the epoch: a name in `training.validation.ORDERINGS`
    ordering: str
    # which metrics a result contains: a name in `evaluation.scores.SCORERS`
    scores: str
    # how predictions become decisions: `half` (threshold 0.5), `voted` (thresholds chosen on valid) or `none`
    decision: str
    # columns of the Predictions table, one per output
    columns: tuple[str, ...]
    # abbreviation in names of benchmark settings and in the table of task combinations
    letters: str
    # name of the output in an exported graph
    export_name: str
    # only for the target `at_least`: output k is true where the label is at least cuts[k]
    cuts: tuple[float, ...] = ()
    # only for intensities: the smallest and the largest prediction
    range: tuple[float, float] = (0.0, 1.0)
    # first prediction of an untrained output layer, as a fraction of the upper end of the range; None: not prescribed
    first_share: float | None = None
    # trained only if requested by name
    on_request: bool = False
    # needs labels that are intensities; a data set whose labels are only classes cannot train the task
    needs_degrees: bool = False
    # name of a mean in a result -> how many outputs, counted from the first, it averages: {"mean6": 6, "mean7": 7}
    means: dict[str, int] = field(default_factory=dict)

    @property
    def predicts_degrees(self) -> bool:
        """Whether the outputs are intensities, which need no threshold. Otherwise they are probabilities of classes."""
        return self.decision == "none"


TASKS: dict[str, Task] = {
    # P(score >= 0): the paper's two classes
    SENTIMENT: Task(
        labels=SENTIMENT,
        target="at_least",
        outputs=("positive",),
        n_logits=2,
        activation="softmax",
        loss="cross_entropy",
        ordering="roc_auc",
        scores="sentiment",
        decision="half",
        columns=("probability_positive",),
        letters="S",
        export_name="sentiment_probability",
        cuts=(0.0,),
    ),
    # whether each of the six emotions is present, and whether none is
    EMOTION: Task(
        labels=EMOTION,
        target="present_or_none",
        outputs=EMOTION_OUTPUTS,
        n_logits=len(EMOTION_OUTPUTS),
        activation="sigmoid",
        loss="binary_cross_entropy",
        ordering="roc_auc",
        scores="presence",
        decision="voted",
        columns=tuple(f"probability_{name}" for name in EMOTION_OUTPUTS),
        letters="E",
        export_name="emotion_probabilities",
        means={"mean6": len(EMOTIONS), "mean7": len(EMOTION_OUTPUTS)},
    ),
    SENTIMENT_INTENSITY: Task(
        labels=SENTIMENT,
        target="degrees",
        outputs=(SENTIMENT,),
        n_logits=1,
        activation="bounded_tanh",
        # the absolute error is also the reported metric
        loss="absolute_error",
        ordering="concordance",
        scores="score",
        decision="none",
        columns=("intensity_sentiment",),
        letters="SI",
        export_name="sentiment_intensity",
        range=SENTIMENT_RANGE,
        on_request=True,
        needs_degrees=True,
    ),
    EMOTION_INTENSITY: Task(
        labels=EMOTION,
        target="degrees",
        outputs=EMOTIONS,
        n_logits=len(EMOTIONS),
        activation="bounded_sigmoid",
        # Most intensities are zero, so a network that always predicts zero minimises the absolute error. The squared
        # error is smallest at the expected intensity.
        loss="squared_error",
        ordering="concordance",
        scores="degrees",
        decision="none",
        columns=tuple(f"intensity_{name}" for name in EMOTIONS),
        letters="EI",
        export_name="emotion_intensities",
        range=EMOTION_RANGE,
        # close to the mean of CMU-MOSEI's train labels
        first_share=0.1,
        on_request=True,
        needs_degrees=True,
        means={"mean6": len(EMOTIONS)},
    ),
}


def labels_of(task: str, labelled: HasLabels) -> FloatArray:
    """Return the gold labels from which a task is learned.

    Args:
        task: Name in `TASKS`.
        labelled: Object with the gold labels of N utterances.

    Returns:
        Sentiment scores (N, 1) or emotion intensities (N, 6), depending on the task. Missing labels are NaN.
    """
    return labelled.sentiment[:, None] if TASKS[task].labels == SENTIMENT else labelled.emotions


def output_name(task: str, output: str) -> str:
    """Return a unique name for an output of a task: no output of another task has the same name.

    Args:
        task: Name in `TASKS`.
        output: Name of an output of the task.

    Returns:
        For the task `SENTIMENT`, which has only one output, the name of the task (``sentiment``). For `EMOTION`, the
        name of the output (``anger``). For any other task, both names (``emotion_intensity anger``).
    """
    if task == SENTIMENT:
        return task
    return output if task == EMOTION else f"{task} {output}"


def targets_of(task: str, labelled: HasLabels) -> tuple[FloatArray | BoolArray, BoolArray]:
    """Compute the targets of a task from the gold labels.

    Args:
        task: Name in `TASKS`.
        labelled: Object with the gold labels of N utterances.

    Returns:
        ``(targets, scored)``. `targets` (N, output) contains booleans if the task predicts classes, and floats if it
        predicts intensities. `scored` (N,) is True for utterances that have a label.
    """
    return TARGETS[TASKS[task].target](labels_of(task, labelled), TASKS[task])


def _at_least(labels: FloatArray, task: Task) -> tuple[BoolArray, BoolArray]:
    """Turn labels into binary targets by comparing them with the thresholds in `task.cuts`.

    Returns:
        Targets (N, threshold), True where the label is at least the threshold; and a mask (N,), True where an utterance
        has a label.
    """
    targets: BoolArray = labels >= np.array(task.cuts)
    return targets, ~np.isnan(labels[:, 0])


def _present_or_none(labels: FloatArray, _task: Task) -> tuple[BoolArray, BoolArray]:
    """Turn emotion intensities into the six emotion classes and the class "none".

    Returns:
        Booleans (N, 7), True where the class is present; and a mask (N,), True where an utterance has labels.
    """
    return emotion_classes(labels)


def _degrees(labels: FloatArray, _task: Task) -> tuple[FloatArray, BoolArray]:
    """Return the intensities themselves as targets.

    Returns:
        Intensities (N, label), in which missing values are replaced by zero; and a mask (N,), True where an utterance
        has labels.
    """
    scored: BoolArray = np.asarray(~np.isnan(labels).any(axis=1), dtype=np.bool_)
    return np.nan_to_num(labels), scored


# name of a target -> function(labels (N, label), task), which returns (targets (N, output), mask of labelled rows (N,))
TARGETS: dict[str, Callable[[FloatArray, Task], tuple[FloatArray | BoolArray, BoolArray]]] = {
    "at_least": _at_least,
    "present_or_none": _present_or_none,
    "degrees": _degrees,
}
