"""Label spaces: what the labels of a data set mean, such as scores in [-3, 3], or exactly one of four classes.

The card of a Dataset lists its label spaces, and the tasks of a system follow from them (`mien.tasks`). CMU-MOSEI has
the two built-in spaces `SENTIMENT_SPACE` and `EMOTION_SPACE`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from mien.schema import EMOTION, EMOTION_RANGE, EMOTIONS, NO_EMOTION, SENTIMENT, SENTIMENT_RANGE, FloatArray

# ending of the name of a task that predicts intensities; no label space may have such a name
INTENSITY = "_intensity"
SPACE_NAME = re.compile(r"[a-z][a-z0-9_]*")
MOST_CLASSES = 10_000
# names of other columns of a Dataset or of `utterances.csv`
OTHER_COLUMNS = frozenset(
    (
        *("video_id", "index", "start_s", "end_s", "transcript", "split", "speaker", "fold"),
        *("text", "acoustic", "visual", "text_words", "acoustic_words", "visual_words"),
        *("labels", "missing", "missing_reasons", "sentiment_probability"),
    )
)
# these, and names of other keys in the JSON files of a run or a result
RESERVED = OTHER_COLUMNS | {
    *("run", "model", "inputs", "tasks", "seed", "dataset", "protocol", "upper_bound", "n_videos", "n_utterances"),
    *("n_runs", "trivial", "intervals", "operating_points", "conventions", "notes", "label_spaces", "task_kinds"),
    *("chosen_on", "rule", "f1_columns_at", "columns", "thresholds", "warning", "emotions", "sentiment_positive"),
    *("sentiment_median", "emotion_medians", "chosen", "outputs"),
}


class LabelKind(StrEnum):
    """Kind of a label space."""

    SCORE = "score"  # one number in [low, high]
    ORDINAL = "ordinal"  # one number, which cut points divide into ordered levels
    CLASSES = "classes"  # exactly one of several classes
    MULTILABEL = "multilabel"  # each of several labels is present or absent, or present in a degree in [0, high]


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """Description of one kind of label that a data set has.

    In arrays, a label space has one column per name in `columns`. A class is stored as the index of its name.

    Raises:
        ValueError: The fields do not fit the kind, or a name is not allowed.
    """

    name: str
    kind: LabelKind
    # classes: their names; multilabel: names of the labels; ordinal: names of the levels, from the lowest on
    names: tuple[str, ...] = ()
    # score and ordinal: smallest and largest number; multilabel: `high` is the largest degree, None without degrees
    low: float = 0.0
    high: float | None = None
    # ordinal: a number belongs to the level whose index is the number of cut points that are not above it
    cuts: tuple[float, ...] = ()
    # score: the neutral value; ordinal and classes: name of the neutral level or class; multilabel: name of the state
    # in which no label is present. None: there is no such value.
    neutral: float | str | None = None
    # where the labels come from
    origin: str = ""

    def __post_init__(self) -> None:
        if not SPACE_NAME.fullmatch(self.name) or self.name in RESERVED or self.name.endswith(INTENSITY):
            raise ValueError(
                "Expected a label name of lower-case letters, digits and underscores, which mien does not use for "
                f"something else and which does not end in {INTENSITY}, but got {self.name!r}; choose another name"
            )
        _require_names(self)
        if self.kind in (LabelKind.SCORE, LabelKind.ORDINAL):
            _require_numbers(self)
        elif self.kind is LabelKind.MULTILABEL and not (self.high is None or 0 < self.high < math.inf):
            raise ValueError(f"Expected degrees from 0 to a number above 0 for {self.name}, but got {self.high}")

    @property
    def is_paper(self) -> bool:
        """Whether the name is one of the paper's two and the labels are of the paper's kind.

        Their columns and outputs have bare names, such as ``anger``. In those of other spaces, the name comes first.
        """
        if self.kind is LabelKind.MULTILABEL:
            return self.name == EMOTION and self.names == EMOTIONS
        return self.name == SENTIMENT and self.kind is LabelKind.SCORE

    @property
    def is_six_emotions(self) -> bool:
        """Whether these are the paper's six emotions; their scores have keys of their own in a result."""
        return self.is_paper and self.name == EMOTION

    @property
    def prefix(self) -> str:
        """Beginning of the names of columns and outputs: empty for the paper's label spaces, else "NAME_"."""
        return "" if self.is_paper else f"{self.name}_"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of a Dataset that contain the labels."""
        if self.kind is LabelKind.MULTILABEL:
            return tuple(f"{self.prefix}{name}" for name in self.names)
        return (self.name,)

    @property
    def n_columns(self) -> int:
        """Number of these columns."""
        return len(self.names) if self.kind is LabelKind.MULTILABEL else 1

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest number in the columns."""
        if self.kind is LabelKind.CLASSES:
            return 0.0, float(len(self.names) - 1)
        return self.low, 1.0 if self.high is None else self.high

    @property
    def is_graded(self) -> bool:
        """Whether the labels are intensities (scores or degrees), and not classes or levels."""
        return self.kind is LabelKind.SCORE or (self.kind is LabelKind.MULTILABEL and self.high is not None)

    def describes_same(self, other: LabelSpace) -> bool:
        """Return whether labels of the other space mean the same as labels of this one; the origin may differ."""
        return asdict(self) | {"origin": ""} == asdict(other) | {"origin": ""}

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary that can be written as JSON."""
        return asdict(self) | {"kind": self.kind.value, "names": list(self.names), "cuts": list(self.cuts)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> LabelSpace:
        """Create a space from a dictionary of `to_json`.

        Raises:
            ValueError: A value is not allowed.
            KeyError: A key is missing.
        """
        high, neutral = facts["high"], facts["neutral"]
        if not (neutral is None or isinstance(neutral, str)):
            neutral = float(neutral)
        return cls(
            name=str(facts["name"]),
            kind=LabelKind(facts["kind"]),
            names=tuple(map(str, facts["names"])),
            low=float(facts["low"]),
            high=None if high is None else float(high),
            cuts=tuple(map(float, facts["cuts"])),
            neutral=neutral,
            origin=str(facts["origin"]),
        )

    def __str__(self) -> str:
        values = ", ".join(self.names) if self.names else f"{self.bounds[0]:g} to {self.bounds[1]:g}"
        return f"{self.name} ({self.kind}: {values})"


def require_distinct(spaces: Iterable[LabelSpace]) -> tuple[LabelSpace, ...]:
    """Check that label spaces can be stored in one Dataset.

    Args:
        spaces: Label spaces.

    Returns:
        The same spaces.

    Raises:
        ValueError: Two have the same name, or columns of the same name in a Dataset or in a table of predictions.
    """
    spaces = tuple(spaces)
    used = Counter(name for space in spaces for name in _names_in_tables(space))
    repeated = [name for name, count in used.items() if count > 1 or name in OTHER_COLUMNS]
    if repeated:
        raise ValueError(
            f"Expected label names that give columns of different names, but got {repeated[0]} twice; rename one"
        )
    return spaces


def _names_in_tables(space: LabelSpace) -> set[str]:
    """Return the name of a space, of its columns, and of its outputs with the name of the space."""
    return {space.name, *space.columns, *(f"{space.prefix}{name}" for name in space.names)}


def spaces_from_json(facts: Mapping[str, Any]) -> tuple[LabelSpace, ...]:
    """Return the label spaces that a card lists under `label_spaces`; the paper's two if it has no such list.

    Raises:
        ValueError: A value is not allowed.
    """
    if "label_spaces" not in facts:
        return PAPER_SPACES
    return require_distinct(LabelSpace.from_json(each) for each in facts["label_spaces"])


def paper_labels(sentiment: float | None = None, emotions: FloatArray | None = None) -> dict[str, FloatArray]:
    """Return the labels of one utterance in the paper's two label spaces.

    Args:
        sentiment: Score in [-3, 3]; None if unknown.
        emotions: Intensities (6,) in the order of `EMOTIONS`; None if unknown.

    Returns:
        Name of the label space -> labels (column,). A space without labels is left out.
    """
    labels: dict[str, FloatArray] = {}
    if sentiment is not None:
        labels[SENTIMENT] = np.array([sentiment], dtype=np.float64)
    if emotions is not None:
        labels[EMOTION] = np.asarray(emotions, dtype=np.float64)
    return labels


def labels_or_missing(labels: Mapping[str, FloatArray], space: LabelSpace, n_rows: int) -> FloatArray:
    """Return the labels (row, column) of a label space; NaN if `labels` has no entry for it."""
    found = labels.get(space.name)
    return np.full((n_rows, space.n_columns), np.nan) if found is None else found


def class_names(indices: FloatArray, names: Sequence[str]) -> list[str | None]:
    """Return the name of each class, from its index, NaN where missing (then None)."""
    return [None if np.isnan(index) else names[int(index)] for index in indices]


def class_indices(values: Sequence[str | None], names: Sequence[str]) -> FloatArray:
    """Return the index of each class name, (row,), NaN for None.

    Raises:
        ValueError: A value is none of the names.
    """
    index_of: dict[str | None, float] = {name: float(index) for index, name in enumerate(names)} | {None: np.nan}
    unknown = [value for value in values if value not in index_of]
    if unknown:
        raise ValueError(f"the class {unknown[0]!r}, which is none of {', '.join(names)}")
    return np.array([index_of[value] for value in values], dtype=np.float64)


def _require_names(space: LabelSpace) -> None:
    """Raise ValueError unless the names of classes, labels or levels fit the kind of the space."""
    fewest = {LabelKind.SCORE: 0, LabelKind.ORDINAL: 2, LabelKind.CLASSES: 2, LabelKind.MULTILABEL: 1}[space.kind]
    n, most = len(space.names), 0 if space.kind is LabelKind.SCORE else MOST_CLASSES
    if not fewest <= n <= most:
        raise ValueError(f"Expected {fewest} to {most} names for the {space.kind} {space.name}, but got {n}")
    extra = [space.neutral] if space.kind is LabelKind.MULTILABEL and space.neutral is not None else []
    names = [*space.names, *extra]
    for name in names:
        unusual = not isinstance(name, str) or not name.isprintable() or name.strip() != name or not name
        if unusual or any(sign in str(name) for sign in ".,;=|:") or names.count(name) > 1:
            raise ValueError(
                f"Expected different names, without any of . , ; = | : in them, for the {space.kind} {space.name}, but "
                f"got {name!r}; rename it"
            )
    if space.kind in (LabelKind.ORDINAL, LabelKind.CLASSES) and space.neutral not in (None, *space.names):
        raise ValueError(f"Expected {space.name} to have a neutral value among its names, but got {space.neutral!r}")


def _require_numbers(space: LabelSpace) -> None:
    """Raise ValueError unless the range, the cut points and the neutral value of a space fit together."""
    high = math.nan if space.high is None else space.high
    if not -math.inf < space.low < high < math.inf:
        raise ValueError(f"Expected a range from a lower to a higher number for {space.name}, but got {space.bounds}")
    if space.kind is LabelKind.SCORE:
        inside = space.neutral is None or (isinstance(space.neutral, float) and space.low < space.neutral < high)
        if space.cuts or not inside:
            raise ValueError(f"Expected a neutral value inside of the range of {space.name}, but got {space.neutral!r}")
        return
    rising = list(space.cuts) == sorted(set(space.cuts)) and all(space.low < cut <= high for cut in space.cuts)
    if not rising or len(space.cuts) != len(space.names) - 1:
        raise ValueError(
            f"Expected {len(space.names) - 1} rising cut points above {space.low:g} and not above {high:g} for "
            f"{space.name}, but got {list(space.cuts)}"
        )


SENTIMENT_SPACE = LabelSpace(SENTIMENT, LabelKind.SCORE, (), *SENTIMENT_RANGE, neutral=0.0)
EMOTION_SPACE = LabelSpace(EMOTION, LabelKind.MULTILABEL, EMOTIONS, *EMOTION_RANGE, neutral=NO_EMOTION)
# label spaces of every data set that names no others
PAPER_SPACES = (SENTIMENT_SPACE, EMOTION_SPACE)
