"""Alarms about labels that seem to be on another scale, such as 0 and 1 or one to five stars taken as -3 to 3.

An alarm changes no value. It says what was found, what is assumed, and how to state the scale of the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.labels import LabelKind, LabelSpace
from mien.readers.rules import (
    LABEL_CLAMPED,
    SCALE_CLAMPED,
    SCALE_NO_NEGATIVE,
    SCALE_ONE_CLASS,
    SCALE_WITHIN_ONE,
    SCALE_ZERO_ONE,
)
from mien.schema import SENTIMENT, FloatArray, SentimentValues

# with fewer labels, one class or one half of the scale can occur by chance
LEAST_LABELS = 10
# share of all label values, above which clamping is no longer a matter of a few wrong cells
MANY_CLAMPED = 0.01
# sources whose labels come from a CSV, which takes --label; and the reader with an array of classes
TABLES, ARRAYS = ("table", "extract"), "arrays"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A doubt about the labels of one label space.

    Attributes:
        rule: Text of the rule, see `readers.rules`.
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
    n_above: int = 0
    n_zero_or_one: int = 0
    n_whole: int = 0
    low: float = np.inf
    high: float = -np.inf
    classes: set[int] = field(default_factory=set)


class ScaleCheck:
    """Collects the labels of a data set piece by piece, and raises alarms about their scale.

    Args:
        spaces: Label spaces to check. Those of the kind multilabel are ignored.
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
            if not len(known) or space.kind is LabelKind.MULTILABEL:
                continue
            values, tally = known[:, 0], self._tallies[space.name]
            tally.n_labels += len(values)
            if space.kind is not LabelKind.SCORE:
                levels = np.digitize(values, space.cuts) if space.kind is LabelKind.ORDINAL else values
                tally.classes.update(np.unique(levels).astype(int).tolist())
                continue
            neutral = space.neutral if isinstance(space.neutral, float) else np.nan
            tally.n_below += int((values < neutral).sum())
            tally.n_above += int((values > neutral).sum())
            tally.n_zero_or_one += int(np.isin(values, (0, 1)).sum())
            tally.n_whole += int((values == np.round(values)).sum())
            tally.low, tally.high = min(tally.low, float(values.min())), max(tally.high, float(values.max()))

    def alarms(self, notes: Mapping[str, int] | None = None) -> list[Alarm]:
        """Return the alarms about all labels added so far.

        Args:
            notes: How often each rule for invalid data was applied, of which the number of clamped labels is used.
        """
        found: list[Alarm] = []
        for space in self._spaces:
            tally = self._tallies[space.name]
            if tally.n_labels < LEAST_LABELS:
                continue
            if space.kind is not LabelKind.SCORE:
                if len(tally.classes) == 1:
                    found.append(_one_class(space, tally))
            elif space.neutral is not None:
                graded = not (space.is_paper and space.name == SENTIMENT) or (
                    self._sentiment_values is SentimentValues.INTENSITY
                )
                found += _score_alarms(space, tally, graded=graded)
        n_clamped = (notes or {}).get(LABEL_CLAMPED, 0)
        if self._n_values >= LEAST_LABELS and n_clamped > MANY_CLAMPED * self._n_values:
            text = (
                f"{n_clamped:,} of {self._n_values:,} label values lay outside of their range and were moved to its end"
            )
            name = next((name for name, tally in self._tallies.items() if tally.n_labels), self._spaces[0].name)
            found.append(Alarm(SCALE_CLAMPED, name, n_clamped, text))
        return found


def count_alarms(alarms: Iterable[Alarm], notes: Counter[str]) -> None:
    """Count alarms like the rules for invalid data.

    Args:
        alarms: Alarms about the labels of a data set.
        notes: Counter: text of a rule -> number. It is updated in place.
    """
    for alarm in alarms:
        notes[alarm.rule] += alarm.n_labels


def remedy(alarm: Alarm, origin: Mapping[str, Any]) -> str:
    """Return how to state the scale of the labels, with the options of the reader that imported the data.

    Args:
        alarm: The alarm.
        origin: Origin of the Dataset, of which "source" (the reader) and "mapping" are used.
    """
    name = alarm.space
    mapping = origin.get("mapping")
    column = mapping.get(name, name) if isinstance(mapping, Mapping) else name
    if alarm.rule == SCALE_ONE_CLASS:
        return "check that these are the labels you mean"
    if origin.get("source") in TABLES:
        forms = {
            SCALE_ZERO_ONE: f"--label {name}={column}:classes:0,1 reads them as two classes",
            SCALE_WITHIN_ONE: f"--label {name}={column}:score:-1..0..1 reads them as scores from -1 to 1",
        }
        scale = (
            f"state the scale with --label {name}={column}:score:LOW..NEUTRAL..HIGH (stars: score:1..3..5) or "
            f"--label {name}={column}:ordinal:LOW..HIGH"
        )
        return forms.get(alarm.rule, scale)
    if alarm.rule == SCALE_ZERO_ONE:
        if origin.get("source") == ARRAYS:
            return f"--map sentiment_class={column} reads them as two classes"
        return "for two classes, write features and labels to one .npz: mien import arrays --map sentiment_class=NAME"
    if alarm.rule == SCALE_WITHIN_ONE:
        return "if their range is [-1, 1], multiply them by 3 in the file, or do not compare 5 and 7 classes"
    return "if they have another scale, subtract the neutral value in the file and scale them to [-3, 3]"


def _score_alarms(space: LabelSpace, tally: _LabelTally, *, graded: bool) -> list[Alarm]:
    """Return the alarms about the scores of a label space with a neutral value.

    If `graded` is False, the scores stand for classes, and only the alarm about a single class can apply.
    """
    low, high = space.bounds
    n, values = f"{tally.n_labels:,}", f"{tally.low:g} to {tally.high:g}"
    assumed = f"they are taken as scores from {low:g} to {high:g}"
    if not graded:
        return [_one_class(space, tally)] if tally.low == tally.high else []
    if tally.n_zero_or_one == tally.n_labels:
        text = f"all {n} scores are 0 or 1; {assumed}, of which 0 is neutral and counts as positive (has0)"
        return [Alarm(SCALE_ZERO_ONE, space.name, tally.n_labels, text)]
    if not tally.n_below:
        text = f"none of {n} scores is below the neutral {space.neutral:g} ({values}); {assumed}: one class only (has0)"
        return [Alarm(SCALE_NO_NEGATIVE, space.name, tally.n_labels, text)]
    if tally.n_below == tally.n_labels:
        return [_one_class(space, tally)]
    # -1, 0 and 1 alone are signs, which are the same on every scale
    if tally.low >= -1 and tally.high <= 1 < high and tally.n_whole < tally.n_labels:
        text = f"none of {n} scores is beyond 1 ({values}); {assumed}, whose 5 and 7 classes do not fit scores up to 1"
        return [Alarm(SCALE_WITHIN_ONE, space.name, tally.n_labels, text)]
    return []


def _one_class(space: LabelSpace, tally: _LabelTally) -> Alarm:
    found = f"all {tally.n_labels:,} labels are of one class; systems cannot be told apart on them"
    return Alarm(SCALE_ONE_CLASS, space.name, tally.n_labels, found)
