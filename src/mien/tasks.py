"""The tasks: what is predicted for every utterance. One row per task.

A row names its activation, loss, metrics and decision rule; each layer resolves these names in a table of its own
(`models.heads.ACTIVATIONS`, `training.losses.LOSSES`, `training.validation.ORDERINGS`, `evaluation.counts.COUNTERS` and
`evaluation.scores.SCORERS`, `evaluation.decisions.RULES`).
Outputs, targets, predictions and scores are mappings from the name of a task to its part.
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
    """What holds gold labels of N utterances: a split's columns, or predictions."""

    @property
    def sentiment(self) -> FloatArray:
        """Scores (N,), NaN where missing."""
        ...

    @property
    def emotions(self) -> FloatArray:
        """Intensities (N, 6) in the order of `EMOTIONS`, NaN rows where missing."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """One row of `TASKS`."""

    # the labels it is learned from: SENTIMENT (one score) or EMOTION (six intensities)
    labels: str
    # how labels become targets, a name in `TARGETS`
    target: str
    # what is predicted, one number each, in this order
    outputs: tuple[str, ...]
    # width of the output layer
    n_logits: int
    # from logits to what is predicted, in `models.heads.ACTIVATIONS`
    activation: str
    # in `training.losses.LOSSES`
    loss: str
    # how well outputs order utterances, which chooses the epoch: in `training.validation.ORDERINGS`
    ordering: str
    # the metrics of a result, in `evaluation.scores.SCORERS`
    scores: str
    # how a prediction becomes a decision: `half`, `voted` (thresholds chosen on valid), or `none`
    decision: str
    # columns of a table of predictions, one per output
    columns: tuple[str, ...]
    # its letters in names of benchmark settings and in the table of which task helps which
    letters: str
    # its output in an exported graph
    export_name: str
    # of the target `at_least`: output k is true where the label is at least cuts[k]
    cuts: tuple[float, ...] = ()
    # of predicted degrees: the least and the largest
    range: tuple[float, float] = (0.0, 1.0)
    # where a fresh output layer begins, as a share of the range; None: wherever its random weights put it
    first_share: float | None = None
    # trained only where it is asked for by name
    on_request: bool = False
    # learned from degrees, which labels that are classes do not have
    needs_degrees: bool = False
    # mean of the scores over the first n outputs -> its name in a result: {"mean6": 6, "mean7": 7}
    means: dict[str, int] = field(default_factory=dict)

    @property
    def predicts_degrees(self) -> bool:
        """Whether the outputs are degrees, about which there is nothing to decide, and not probabilities of classes."""
        return self.decision == "none"


TASKS: dict[str, Task] = {
    # P(score >= 0), the paper's two classes
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
    # the six emotions, each present or absent, and whether none is
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
        # the measure that is reported
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
        # Most intensities are zero, so that the absolute error is smallest for a network that always says zero; the
        # squared one is smallest at the expected intensity.
        loss="squared_error",
        ordering="concordance",
        scores="degrees",
        decision="none",
        columns=tuple(f"intensity_{name}" for name in EMOTIONS),
        letters="EI",
        export_name="emotion_intensities",
        range=EMOTION_RANGE,
        # about the mean of CMU-MOSEI's train labels
        first_share=0.1,
        on_request=True,
        needs_degrees=True,
        means={"mean6": len(EMOTIONS)},
    ),
}


def labels_of(task: str, labelled: HasLabels) -> FloatArray:
    """The gold labels that a task is learned from, (N, label), NaN where missing."""
    return labelled.sentiment[:, None] if TASKS[task].labels == SENTIMENT else labelled.emotions


def output_name(task: str, output: str) -> str:
    """An output's name where several tasks stand together: sentiment has one, an emotion needs no task beside it."""
    if task == SENTIMENT:
        return task
    return output if task == EMOTION else f"{task} {output}"


def targets_of(task: str, labelled: HasLabels) -> tuple[FloatArray | BoolArray, BoolArray]:
    """What the outputs of a task should be.

    Returns:
        ``(targets, scored)``: (N, output), classes or degrees; and (N,), False where the label is missing.
    """
    return TARGETS[TASKS[task].target](labels_of(task, labelled), TASKS[task])


def _at_least(labels: FloatArray, task: Task) -> tuple[BoolArray, BoolArray]:
    targets: BoolArray = labels >= np.array(task.cuts)
    return targets, ~np.isnan(labels[:, 0])


def _present_or_none(labels: FloatArray, _task: Task) -> tuple[BoolArray, BoolArray]:
    return emotion_classes(labels)


def _degrees(labels: FloatArray, _task: Task) -> tuple[FloatArray, BoolArray]:
    scored: BoolArray = np.asarray(~np.isnan(labels).any(axis=1), dtype=np.bool_)
    return np.nan_to_num(labels), scored


# labels (N, label) -> targets (N, output), and which utterances have them (N,)
TARGETS: dict[str, Callable[[FloatArray, Task], tuple[FloatArray | BoolArray, BoolArray]]] = {
    "at_least": _at_least,
    "present_or_none": _present_or_none,
    "degrees": _degrees,
}
