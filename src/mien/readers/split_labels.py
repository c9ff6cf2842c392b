"""Labels of the utterances in pickles that have one dictionary per split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from mien.errors import UsageError
from mien.labels import PAPER_SPACES, LabelSpace, paper_labels, require_distinct
from mien.readers.fields import LABEL_COLUMNS
from mien.readers.label_columns import LabelColumns, LabelOption
from mien.readers.rules import emotion_labels, sentiment_label
from mien.readers.split_arrays import SplitArrays
from mien.readers.table_rows import TableRow
from mien.schema import EMOTION, EMOTIONS, SENTIMENT, FloatArray

LABELS = "labels"
# number of labels of an utterance -> what they are
COLUMNS = {1: LABEL_COLUMNS[:1], 6: LABEL_COLUMNS[1:], 7: LABEL_COLUMNS}


@dataclass(frozen=True, slots=True)
class RowLabels:
    """Labels of one utterance."""

    # name of a label space -> labels (column,)
    values: dict[str, FloatArray] = field(default_factory=dict)
    # rule for invalid data -> how often it was applied
    applied: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class LabelledSplits:
    """Labels of all utterances of a pickle."""

    spaces: tuple[LabelSpace, ...]
    # name of a split -> labels of each of its utterances
    rows: Mapping[str, list[RowLabels]]
    # label space of the user's own -> its keys
    own_keys: Mapping[str, str]
    # whether the labels of the paper include the sentiment, and the six emotions
    has_sentiment: bool
    has_emotions: bool

    def mapping(self, key: str) -> dict[str, str]:
        """Return which key was read for which labels; `key` is the one of the labels of the paper."""
        names = {space.name for space in self.spaces}
        found = {SENTIMENT: key} if self.has_sentiment and SENTIMENT in names else {}
        if self.has_emotions and EMOTION in names:
            found["emotions"] = key
        return {**found, **self.own_keys}


def read_labels(
    splits: Sequence[SplitArrays],
    scores: Mapping[str, FloatArray] | None,
    options: Sequence[LabelOption],
    own_space: LabelSpace | None = None,
) -> LabelledSplits:
    """Read the labels of all splits.

    Args:
        splits: The splits.
        scores: Name of a split -> labels (utterance, column), where `COLUMNS` tells what the columns are. If it is
            None, only the labels of the user's own are read.
        options: Label spaces of the user's own; a column is a key of the splits.
        own_space: Label space of the sentiment, if it is not the score in [-3, 3].

    Returns:
        The labels.

    Raises:
        DataError: A key is missing or has no value per utterance, or a value is not one of its label space.
        UsageError: Two label spaces have the same name.
    """
    own = [option.label_columns(partial(_key_cells, splits, option.columns)) for option in options]
    paper: tuple[LabelSpace, ...] = (own_space,) if own_space else PAPER_SPACES
    columns = {name for each in (scores or {}).values() for name in COLUMNS[each.shape[1]]}
    has_sentiment, has_emotions = SENTIMENT in columns, EMOTIONS[0] in columns
    if own:
        replaced = {each.space.name for each in own}
        known = {name for name, is_there in ((SENTIMENT, has_sentiment), (EMOTION, has_emotions)) if is_there}
        paper = tuple(space for space in paper if space.name in known - replaced)
    rows: dict[str, list[RowLabels]] = {}
    for split in splits:
        rows[split.name] = [RowLabels() for _ in range(split.n_rows)]
        if paper and scores is not None:
            rows[split.name] = [_paper_labels(each, paper) for each in scores[split.name]]
        for each in own:
            add_own_labels([row.values for row in rows[split.name]], each, _key_cells([split], each.columns))
    own_keys = {each.space.name: ", ".join(each.columns) for each in own}
    return LabelledSplits(with_own_spaces(paper, own), rows, own_keys, has_sentiment, has_emotions)


def with_own_spaces(paper: Sequence[LabelSpace], own: Sequence[LabelColumns]) -> tuple[LabelSpace, ...]:
    """Return the paper's label spaces and those of the user. Raise UsageError if two have columns of one name."""
    try:
        return require_distinct([*paper, *(each.space for each in own)])
    except ValueError as error:
        raise UsageError(f"{error} with --label") from None


def add_own_labels(labels: Sequence[dict[str, FloatArray]], own: LabelColumns, rows: Iterable[TableRow]) -> None:
    """Add the labels of one label space of the user to those of each utterance, where they are not missing."""
    for row_labels, row in zip(labels, rows, strict=True):
        if (values := own.read(row)) is not None:
            row_labels[own.space.name] = values


def label_matrix(split: SplitArrays) -> FloatArray:
    """Return the labels of a split, numbers (utterance, column), where `COLUMNS` tells what the columns are.

    Raises:
        DataError: The key is missing, or has another number of labels per utterance.
    """
    labels = split.array(LABELS)
    n_columns = labels.size // split.n_rows if split.n_rows else 1
    fits = labels.size == split.n_rows * n_columns and n_columns in COLUMNS
    if not fits or (n_columns > 1 and labels.shape[-1] != n_columns) or labels.dtype.kind not in "fiu":
        got = f"{labels.dtype} of {labels.shape}"
        remedy = f"files with other labels (IEMOCAP) are not read, only {', '.join(LABEL_COLUMNS)} in one array"
        raise split.refuse(LABELS, "one sentiment score per utterance", got, remedy)
    return labels.reshape(split.n_rows, n_columns)


def _paper_labels(values: FloatArray, spaces: Sequence[LabelSpace]) -> RowLabels:
    """Return the labels of one utterance, of which `COLUMNS` tells what they are."""
    by_space = {space.name: space for space in spaces}
    by_column = dict(zip(COLUMNS[len(values)], map(float, values), strict=True))
    sentiment, emotions, applied = None, None, Counter[str]()
    if SENTIMENT in by_space and SENTIMENT in by_column:
        sentiment = sentiment_label(by_column[SENTIMENT], applied, by_space[SENTIMENT].bounds)
    if EMOTION in by_space and EMOTIONS[0] in by_column:
        emotions = emotion_labels(np.array([by_column[name] for name in EMOTIONS]), applied)
    return RowLabels(paper_labels(sentiment, emotions), applied)


def _key_cells(splits: Sequence[SplitArrays], columns: Sequence[str]) -> Iterator[TableRow]:
    """Yield the values of some keys as the row of a table, for each utterance."""
    for split in splits:
        texts = [split.texts(column) for column in columns]
        for row in range(split.n_rows):
            yield TableRow(split.path, row, {column: each[row] for column, each in zip(columns, texts, strict=True)})
