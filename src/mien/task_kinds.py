"""Kinds of prediction tasks: `TASK_KINDS` names the activation, loss, metrics and decision rule of each.

These names are keys of tables of functions in other files: `models.heads.ACTIVATIONS`, `training.losses.LOSSES`,
`training.validation.ORDERINGS`, `evaluation.counts.COUNTERS`, `evaluation.scores.SCORERS` and
`evaluation.decisions.RULES`. A task (`mien.tasks`) is a label space and a kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mien.labels import INTENSITY, LabelKind, LabelSpace

# names of the levels of a score with a neutral value
LEVELS = ("negative", "neutral", "positive")
# how predictions become decisions
HALF, VOTED, MOST_PROBABLE, NO_DECISION = "half", "voted", "most_probable", "none"


class Cut(NamedTuple):
    """A cut point of a score. A score reaches it if it is at least `value`, or, if `strict`, above `value`."""

    value: float
    strict: bool = False


def _no_cuts(_space: LabelSpace) -> tuple[Cut, ...]:
    return ()


def _no_classes(_space: LabelSpace) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class TaskKind:
    """One kind of task: which label spaces it can be learned from, and what is done with them."""

    # kinds of label spaces from which it can be learned
    learned_from: tuple[LabelKind, ...]
    # names of the outputs in column order; one number is predicted for each
    outputs: Callable[[LabelSpace], tuple[str, ...]]
    # how labels become targets: a name in `TARGETS`
    target: str
    # how logits become predictions: a name in `models.heads.ACTIVATIONS`
    activation: str
    # a name in `training.losses.LOSSES`
    loss: str
    # metric of the ranking of valid utterances, which chooses the epoch: a name in `training.validation.ORDERINGS`
    ordering: str
    # which metrics a result contains: a name in `evaluation.scores.SCORERS`
    scores: str
    # how predictions become decisions: HALF (threshold 0.5), VOTED (thresholds chosen on valid), MOST_PROBABLE (one of
    # several classes) or NO_DECISION (intensities)
    decision: str
    # cut points of a score or ordinal; output k is the probability that the label reaches cut point k
    cuts: Callable[[LabelSpace], tuple[Cut, ...]] = _no_cuts
    # names of classes that exclude each other, in the order of their indices; empty if there are none
    classes: Callable[[LabelSpace], tuple[str, ...]] = _no_classes
    # width of the output layer per output
    logits_per_output: int = 1
    # a score needs a neutral value
    needs_neutral: bool = False
    # needs labels that are intensities; a data set whose labels are only classes cannot train the task
    needs_degrees: bool = False
    # first prediction of an untrained output layer, as a fraction of the upper end of the range; None: not prescribed
    first_share: float | None = None

    def suits(self, space: LabelSpace) -> bool:
        """Return whether tasks of this kind can be learned from labels of a space."""
        lacks_neutral = self.needs_neutral and space.kind is LabelKind.SCORE and space.neutral is None
        return space.kind in self.learned_from and not lacks_neutral


def _positive(_space: LabelSpace) -> tuple[str, ...]:
    return ("positive",)


def _names(space: LabelSpace) -> tuple[str, ...]:
    return space.names


def _names_and_none(space: LabelSpace) -> tuple[str, ...]:
    return space.names if space.neutral is None else (*space.names, str(space.neutral))


def _score_name(space: LabelSpace) -> tuple[str, ...]:
    return (space.name,)


def _two_classes(_space: LabelSpace) -> tuple[str, ...]:
    return LEVELS[0], LEVELS[-1]


def _levels(space: LabelSpace) -> tuple[str, ...]:
    return LEVELS if space.kind is LabelKind.SCORE else space.names


def _at_least_levels(space: LabelSpace) -> tuple[str, ...]:
    return tuple(f"at_least_{name}" for name in _levels(space)[1:])


def _at_neutral(space: LabelSpace) -> tuple[Cut, ...]:
    return (Cut(_neutral_of(space)),)


def _level_cuts(space: LabelSpace) -> tuple[Cut, ...]:
    if space.kind is LabelKind.SCORE:
        return Cut(_neutral_of(space)), Cut(_neutral_of(space), strict=True)
    return tuple(map(Cut, space.cuts))


def _neutral_of(space: LabelSpace) -> float:
    assert isinstance(space.neutral, float), "`TaskKind.suits` refuses other spaces"
    return space.neutral


BINARY, ORDINAL, CLASSES, PRESENCE, SCORE, DEGREES = "binary", "ordinal", "classes", "presence", "score", "degrees"
TASK_KINDS: dict[str, TaskKind] = {
    # P(score >= neutral): the paper's two classes of sentiment
    BINARY: TaskKind(
        learned_from=(LabelKind.SCORE,),
        outputs=_positive,
        target="reached",
        activation="softmax_positive",
        loss="cross_entropy",
        ordering="roc_auc",
        scores="sentiment",
        decision=HALF,
        cuts=_at_neutral,
        classes=_two_classes,
        logits_per_output=2,
        needs_neutral=True,
    ),
    # ordered levels: the probability that the label reaches each cut point. A score has the levels negative, neutral
    # and positive, and the cut points >= neutral and > neutral
    ORDINAL: TaskKind(
        learned_from=(LabelKind.ORDINAL, LabelKind.SCORE),
        outputs=_at_least_levels,
        target="reached",
        activation="cumulative",
        loss="level_likelihood",
        ordering="roc_auc",
        scores="levels",
        decision=HALF,
        cuts=_level_cuts,
        classes=_levels,
        needs_neutral=True,
        needs_degrees=True,
    ),
    # exactly one of several classes
    CLASSES: TaskKind(
        learned_from=(LabelKind.CLASSES,),
        outputs=_names,
        target="one_of",
        activation="softmax",
        loss="class_cross_entropy",
        ordering="roc_auc",
        scores="classes",
        decision=MOST_PROBABLE,
        classes=_names,
    ),
    # whether each of several labels is present and, for emotions, whether none is
    PRESENCE: TaskKind(
        learned_from=(LabelKind.MULTILABEL,),
        outputs=_names_and_none,
        target="present",
        activation="sigmoid",
        loss="binary_cross_entropy",
        ordering="roc_auc",
        scores="presence",
        decision=VOTED,
    ),
    # the score itself
    SCORE: TaskKind(
        learned_from=(LabelKind.SCORE,),
        outputs=_score_name,
        target="degrees",
        activation="bounded_tanh",
        # the absolute error is also the reported metric
        loss="absolute_error",
        ordering="concordance",
        scores="score",
        decision=NO_DECISION,
        needs_degrees=True,
    ),
    # the degree of each label
    DEGREES: TaskKind(
        learned_from=(LabelKind.MULTILABEL,),
        outputs=_names,
        target="degrees",
        activation="bounded_sigmoid",
        # Most intensities are zero, so a network that always predicts zero minimises the absolute error. The squared
        # error is smallest at the expected intensity.
        loss="squared_error",
        ordering="concordance",
        scores="degrees",
        decision=NO_DECISION,
        needs_degrees=True,
        # close to the mean of CMU-MOSEI's train labels
        first_share=0.1,
    ),
}


def default_kinds(space: LabelSpace) -> dict[str, str]:
    """Return the names of the tasks of a label space with their default kinds, the main task first."""
    name, degrees = space.name, space.name + INTENSITY
    match space.kind:
        case LabelKind.SCORE:
            return {name: SCORE} if space.neutral is None else {name: BINARY, degrees: SCORE}
        case LabelKind.MULTILABEL:
            return {name: PRESENCE} | ({degrees: DEGREES} if space.high is not None else {})
        case LabelKind.ORDINAL:
            return {name: ORDINAL}
        case LabelKind.CLASSES:
            return {name: CLASSES}
