"""Alarms about labels that seem to be on another scale, such as 0 and 1 or one to five stars taken as -3 to 3.

An alarm changes no value. It says what was found, what is assumed, and how to state the scale of the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.labels import LabelKind, LabelSpace
from mien.schema import EMOTION, SENTIMENT, FloatArray, SentimentValues, Utterance
from mien.storage.split_columns import stack_labels

# Texts under which alarms are counted in the notes of an import, like the rules of `mien.readers.rules`. Nothing is
# changed.
SCALE_ZERO_ONE = "scores that are only 0 and 1: scale doubtful"
SCALE_NO_NEGATIVE = "no score below the neutral value: scale doubtful"
SCALE_WITHIN_ONE = "no score beyond 1 in a wider range: scale doubtful"
SCALE_CLAMPED = "many labels outside their range: scale doubtful"
SCALE_ONE_CLASS = "labels of one class only: labels doubtful"
ALARMS = frozenset((SCALE_ZERO_ONE, SCALE_NO_NEGATIVE, SCALE_WITHIN_ONE, SCALE_CLAMPED, SCALE_ONE_CLASS))
# with fewer labels, one class or one half of the scale can occur by chance
LEAST_LABELS = 10
# share of all label values, above which clamping is no longer a matter of a few wrong cells
MANY_CLAMPED = 0.01
# sources that take --label; "arrays" has another option for two classes
LABEL_READERS = ("table", "extract", "arrays", "mmsa", "mult")
ARRAYS = "arrays"
# synthetic data, which has no file to correct
PLANTED = "planted"
SENTIMENT_CLASS = "sentiment_class"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A doubt about the labels of one label space.

    Attributes:
        rule: One of `ALARMS`.
        space: Name of the label space.
        n_labels: Number of labels to which it applies.
        found: What was found, and what is assumed.
    """

    rule: str
    space: str
    n_labels: int
    found: str

    def text(self, origin: Mapping[str, Any]) -> str:
        """Return the whole message, with a remedy for the reader that imported the data.

        Args:
            origin: Origin of the Dataset, of which "source" (the reader) and "mapping" are used.
        """
        return f"{self.space}: {self.found}; {remedy(self, origin)}"


@dataclass(slots=True)
class _LabelTally:
    """Running statistics of the labels of one label space."""

    n_labels: int = 0
    n_below: int = 0  # below the neutral value
    n_zero_or_one: int = 0
    n_at_end: int = 0  # values at an end of the range to which values outside are moved
    low: float = np.inf
    high: float = -np.inf
    classes: set[int] = field(default_factory=set)

    def add_scores(self, values: FloatArray, neutral: float) -> None:
        """Update with scores (utterance,); at least one. `neutral` is NaN if there is no neutral value."""
        self.n_below += int((values < neutral).sum())
        self.n_zero_or_one += int(np.isin(values, (0, 1)).sum())
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))


class ScaleCheck:
    """Collects the labels of a data set piece by piece, and raises alarms about their scale.

    Args:
        spaces: Label spaces to check.
        sentiment_values: Whether the scores of the label space `sentiment` are intensities or stand for classes.
    """

    def __init__(
        self, spaces: Iterable[LabelSpace], sentiment_values: SentimentValues = SentimentValues.INTENSITY
    ) -> None:
        self._spaces = tuple(spaces)
        self._sentiment_values = sentiment_values
        self._tallies = {space.name: _LabelTally() for space in self._spaces}
        self._n_values = 0

    def add(self, labels: Mapping[str, FloatArray]) -> None:
        """Add the labels of some utterances: name of a label space -> labels (utterance, column), NaN where missing."""
        for space in self._spaces:
            if space.name not in labels:
                continue
            rows = labels[space.name]
            known = rows[~np.isnan(rows).any(axis=1)]
            self._n_values += known.size
            if not len(known):
                continue
            values, tally = known[:, 0], self._tallies[space.name]
            if space.is_graded:
                # 0 is the usual degree of an absent label, and no sign of clamping
                ends = space.bounds if space.kind is LabelKind.SCORE else space.bounds[1:]
                tally.n_at_end += int(np.isin(known, ends).sum())
            tally.n_labels += len(values)
            if space.kind is LabelKind.SCORE:
                tally.add_scores(values, space.neutral if isinstance(space.neutral, float) else np.nan)
            elif space.kind is LabelKind.MULTILABEL:
                # two classes: nothing is present, and something is
                tally.classes.update(np.unique((known > 0).any(axis=1)).astype(int).tolist())
            else:
                levels = np.digitize(values, space.cuts) if space.kind is LabelKind.ORDINAL else values
                tally.classes.update(np.unique(levels).astype(int).tolist())

    def add_utterances(self, utterances: Sequence[Utterance]) -> None:
        """Add the labels of some utterances."""
        self.add({space.name: stack_labels(utterances, space) for space in self._spaces})

    def alarms(self, n_clamped: int = 0) -> list[Alarm]:
        """Return the alarms about all labels added so far.

        Args:
            n_clamped: Number of label values that were moved to an end of their range.
        """
        found: list[Alarm] = []
        for space in self._spaces:
            tally = self._tallies[space.name]
            if tally.n_labels < LEAST_LABELS:
                continue
            if space.kind is not LabelKind.SCORE:
                # a multilabel may have something present in every utterance
                if tally.classes == {0} or (len(tally.classes) == 1 and space.kind is not LabelKind.MULTILABEL):
                    found.append(_one_class(space, tally))
            elif space.neutral is not None:
                graded = not (space.is_paper and space.name == SENTIMENT) or (
                    self._sentiment_values is SentimentValues.INTENSITY
                )
                found += _score_alarms(space, tally, graded=graded)
        if self._n_values >= LEAST_LABELS and n_clamped > MANY_CLAMPED * self._n_values:
            text = (
                f"{n_clamped:,} of {self._n_values:,} label values lay outside of their range and were moved to its end"
            )
            # `n_clamped` counts all label spaces together. The values that were moved lie at an end of a range.
            name = max(self._tallies, key=lambda name: self._tallies[name].n_at_end)
            found.append(Alarm(SCALE_CLAMPED, name, n_clamped, text))
        return found


def store_alarms(check: ScaleCheck, n_clamped: int, notes: Counter[str], origin: dict[str, Any]) -> None:
    """Count the alarms about the labels of a data set, and store their messages under "alarms" if there are any.

    Args:
        check: The check to which all labels were added.
        n_clamped: Number of label values that were moved to an end of their range.
        notes: Counter: text of a rule -> how often it was applied. It is updated in place.
        origin: Origin of the Dataset. It is updated in place.
    """
    alarms = check.alarms(n_clamped)
    for alarm in alarms:
        notes[alarm.rule] += alarm.n_labels
    if alarms:
        origin["alarms"] = [alarm.text(origin) for alarm in alarms]


def remedy(alarm: Alarm, origin: Mapping[str, Any]) -> str:
    """Return how to state the scale of the labels, with the options of the reader that imported the data.

    Args:
        alarm: The alarm.
        origin: Origin of the Dataset, of which "source" (the reader) and "mapping" are used.
    """
    if alarm.rule == SCALE_ONE_CLASS:
        return "check that these are the labels you mean"
    source = origin.get("source")
    if source == PLANTED:
        return "they are signs, made without a degree; only the scores of two classes have a meaning"
    mapping = origin.get("mapping")
    mapping = mapping if isinstance(mapping, Mapping) else {}
    column = mapping.get(alarm.space, alarm.space)
    # one array or key with all six emotions, or with the sentiment and the emotions, has no columns to name
    in_one = ("emotions" in mapping and alarm.space == EMOTION) or mapping.get("emotions") == column
    if source == ARRAYS and alarm.rule == SCALE_ZERO_ONE:
        return f"--map {SENTIMENT_CLASS}={column} reads them as two classes"
    if source in LABEL_READERS and not in_one:
        return _label_remedy(alarm, column)
    texts = {
        SCALE_ZERO_ONE: "for two classes, write features and labels to one .npz: mien import arrays "
        f"--map {SENTIMENT_CLASS}=NAME",
        SCALE_WITHIN_ONE: "if their range is [-1, 1], multiply them by 3 in the file, or leave 5 and 7 classes out",
    }
    usual = "if they have another scale, subtract the neutral value in the file and scale them to [-3, 3]"
    if alarm.space == EMOTION:
        usual = "if they have another scale, scale them to [0, 3] in the file"
    return texts.get(alarm.rule, usual)


def _label_remedy(alarm: Alarm, column: str) -> str:
    """Return the remedy for labels whose kind and range the user can state."""
    option = f"--label {alarm.space}={column}"
    if alarm.space == EMOTION:
        return f"state the scale with --label {EMOTION}=LABEL=COLUMN,LABEL=COLUMN,...:multilabel:0..HIGH"
    texts = {
        SCALE_ZERO_ONE: f"{option}:classes:0,1 reads them as two classes",
        SCALE_WITHIN_ONE: f"{option}:score:-1..0..1 reads them as scores from -1 to 1",
    }
    usual = (
        f"state the scale with {option}:score:LOW..NEUTRAL..HIGH (stars: score:1..3..5) or {option}:ordinal:LOW..HIGH"
    )
    return texts.get(alarm.rule, usual)


def _score_alarms(space: LabelSpace, tally: _LabelTally, *, graded: bool) -> list[Alarm]:
    """Return the alarms about the scores of a label space with a neutral value.

    If `graded` is False, the scores stand for classes, and only the alarm about a single class can apply.
    """
    low, high = space.bounds
    n, values = f"{tally.n_labels:,}", f"{tally.low:g} to {tally.high:g}"
    assumed = f"they are taken as scores from {low:g} to {high:g}"
    rule, text = "", ""
    if tally.low == tally.high or (graded and tally.n_below == tally.n_labels):
        return [_one_class(space, tally)]
    if graded and not tally.n_below and tally.n_zero_or_one == tally.n_labels:
        rule = SCALE_ZERO_ONE
        text = f"all {n} scores are 0 or 1; {assumed}, of which 0 is neutral and counts as positive (has0)"
    elif graded and not tally.n_below:
        rule = SCALE_NO_NEGATIVE
        text = f"none of {n} scores is below the neutral {space.neutral:g} ({values}); {assumed}: one class only (has0)"
    elif graded and tally.low >= -1 and tally.high <= 1 < high:
        rule = SCALE_WITHIN_ONE
        text = f"none of {n} scores is beyond 1 ({values}); {assumed}, whose 5 and 7 classes do not fit scores up to 1"
    return [Alarm(rule, space.name, tally.n_labels, text)] if rule else []


def _one_class(space: LabelSpace, tally: _LabelTally) -> Alarm:
    found = f"all {tally.n_labels:,} labels are of one class; systems cannot be told apart on them"
    return Alarm(SCALE_ONE_CLASS, space.name, tally.n_labels, found)
