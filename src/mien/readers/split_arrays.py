"""Splits in the pickles of the readers `mmsa` and `mult`: dictionaries of arrays with one row per utterance."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.readers.base import Groups, Row, SourceDataSet
from mien.readers.input_files import AnyArray, as_text
from mien.readers.rules import KEY_UNREAD, SPLIT_UNREAD, with_names, without_absurd
from mien.readers.splits import split_role
from mien.schema import SPLITS, FeatureSpace, FloatArray, Level, Modality

KEYS = {Modality.TEXT: "text", Modality.ACOUSTIC: "audio", Modality.VISUAL: "vision"}
# how rows become an utterance vector, for the recipe of a feature space
POOLING = "mean of the valid rows, non-finite values left out"
NUMBERS = (int, float, np.number, np.bool_)
TEXTS = (str, bytes, int, float, np.generic, type(None))
# a whole number in a text has at most this many digits, so that it fits 64 bits
INDEX_DIGITS = 18
NUMBER_BITS = 64
SHOWN_CHARACTERS = 80
SHOWN_KEYS = 12
WRONG_FILE = "check that this is the file the reader expects"


def split_keys(path: Path, keys: Iterable[object], others: Collection[object] = ()) -> list[str]:
    """Find the splits among the keys of a pickle. A key that is train, valid or test is preferred to another name.

    Args:
        path: The pickle, for error messages.
        keys: Keys that could be names of splits.
        others: Those of the keys that are splits by their content, whatever their names.

    Returns:
        The keys of the train, valid and test split, in this order; fewer if some are missing. If some are missing, keys
        in `others` with unknown names follow, so that the user can say with --rename-split what they are.

    Raises:
        DataError: Two keys are other names of one split.
    """
    found: list[str] = []
    for role in SPLITS:
        names = [key for key in keys if isinstance(key, str) and split_role(key) == role]
        if len(names) > 1 and role not in names:
            raise DataError(
                f"Expected one key for {role!r} in {path}, but got {_shown_keys(names)}; rename or remove all but one"
            )
        found += [role] if role in names else names
    if len(found) < len(SPLITS):
        found += [key for key in others if isinstance(key, str) and split_role(key) is None]
    return found


def open_splits(path: Path, loaded: object, known: Collection[str], notes: Counter[str]) -> list[SplitArrays]:
    """Check the splits of one pickle: a dictionary of train, valid and test, each a dictionary of aligned arrays.

    The keys of the pickle and of its splits that are not read are counted in `notes`, with their names.

    Args:
        path: The pickle.
        loaded: Its content.
        known: Keys of a split that the reader reads or, as documented, leaves out.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The splits in the file, in the order train, valid, test.

    Raises:
        DataError: The pickle has no split, or its streams have wrong shapes.
    """
    parts = {key: part for key, part in loaded.items() if isinstance(part, dict)} if isinstance(loaded, dict) else {}
    with_streams = [
        key
        for key, part in parts.items()
        if any(isinstance(part.get(stream), list | np.ndarray) for stream in KEYS.values())
    ]
    keys = split_keys(path, parts, with_streams)
    if not isinstance(loaded, dict) or not keys:
        got = f"the keys {_shown_keys(loaded)}" if isinstance(loaded, dict) else type(loaded).__name__
        raise DataError(f"Expected a dictionary with {', '.join(SPLITS)} in {path}, but got {got}; {WRONG_FILE}")
    splits = [_checked_split(path, key, loaded[key], notes) for key in keys]
    for split in splits:
        for modality, stream in split.features.items():
            first = splits[0].features.get(modality)
            if first is None or first.shape[2] != stream.shape[2]:
                raise DataError(
                    f"Expected {KEYS[modality]!r} of {split.name!r} in {path} to be as wide as in {splits[0].name!r}, "
                    f"but got {stream.shape}; the splits must come from one extractor"
                )
    unread_splits = [key for key in with_streams if key not in keys]
    if unread_splits:
        notes[with_names(SPLIT_UNREAD, unread_splits)] += len(unread_splits)
    unread = [key for key in loaded if key not in keys and key not in unread_splits]
    unread += dict.fromkeys(key for split in splits for key in split.values if key not in known)
    if unread:
        notes[with_names(KEY_UNREAD, unread, known)] += len(unread)
    return splits


@dataclass(frozen=True, slots=True)
class SplitArrays:
    """One split of a pickle with N utterances."""

    path: Path
    # the key of the split in the file
    name: str
    values: Mapping[str, Any]
    n_rows: int
    # modality -> (N, row, feature)
    features: Mapping[Modality, FloatArray]

    @property
    def role(self) -> str:
        """The split of mien that this one is: train, valid or test."""
        return split_role(self.name) or self.name

    @property
    def is_aligned(self) -> bool:
        """Whether all modalities have the same number of rows, so that row i is the same word in each of them."""
        return len({stream.shape[1] for stream in self.features.values()}) == 1

    def where(self, row: int) -> str:
        """Return a text for error messages that names a row, the split and the file."""
        return f"row {row} of {self.name!r} in {self.path}"

    def array(self, key: str) -> AnyArray:
        """Return the array of a key. Raises DataError if it is missing or does not have one row per utterance."""
        if key not in self.values:
            raise DataError(
                f"Expected {key!r} in {self.name!r} of {self.path}, but got {_shown_keys(self.values)}; {WRONG_FILE}"
            )
        values = _as_array(self.path, self.name, key, self.values[key])
        if not values.ndim or len(values) != self.n_rows:
            got = f"shape {values.shape}"
            raise self.refuse(key, f"{self.n_rows} rows", got, "every array needs one row per utterance")
        return values

    def text_rows(self, key: str) -> list[list[str]]:
        """Return the texts in an array as one list per utterance. All lists have the same length.

        Args:
            key: Key of an array of texts, bytes (UTF-8) or numbers. A missing value (None or NaN) is an empty text.

        Returns:
            The texts of each utterance.

        Raises:
            DataError: The array is missing, has another number of rows, or holds a value of another kind.
        """
        array = self.array(key)
        if array.dtype.kind in "Of":
            values = array.reshape(-1).tolist()
            wrong = [value for value in values if not _is_text_like(value)]
            if wrong:
                raise self.refuse(key, f"texts or numbers below 2 ** {NUMBER_BITS}", type(wrong[0]).__name__)
            array = np.empty(len(values), dtype=object)
            array[:] = ["" if is_missing(value) else value for value in values]
        texts = as_text(array)
        n_columns = len(texts) // self.n_rows if self.n_rows else 0
        return [texts[row * n_columns : (row + 1) * n_columns] for row in range(self.n_rows)]

    def texts(self, key: str) -> list[str]:
        """Return the texts in an array that has one text per utterance.

        Raises DataError for the reasons of `text_rows`, or if an utterance has more or fewer texts than one.
        """
        rows = self.text_rows(key)
        if any(len(row) != 1 for row in rows):
            raise self.refuse(key, "one text per utterance", f"shape {self.array(key).shape}")
        return [row[0] for row in rows]

    def refuse(self, key: str, expected: str, got: str, remedy: str = WRONG_FILE) -> DataError:
        """Create the error for an invalid array.

        Args:
            key: Key of the array.
            expected: Description of a valid array.
            got: Description of the array that was found.
            remedy: Advice to the user on what to do.

        Returns:
            The error to raise.
        """
        return DataError(f"Expected {expected} in {key!r} of {self.name!r} in {self.path}, but got {got}; {remedy}")


def _is_text_like(value: object) -> bool:
    return isinstance(value, TEXTS) and not (isinstance(value, int) and value.bit_length() > NUMBER_BITS)


def is_missing(value: object) -> bool:
    """Return whether a value of a pickle stands for a missing text: None or NaN."""
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))


def shown(key: object) -> str:
    """Format a key or text of a pickle for a message, shortened and with control characters escaped."""
    return repr(key[:SHOWN_CHARACTERS] if isinstance(key, str | bytes) else key)


def _shown_keys(keys: Iterable[object]) -> str:
    first = itertools.islice(keys, SHOWN_KEYS)
    return ", ".join(shown(key)[1:-1] if isinstance(key, str) else shown(key) for key in first)


def source_from_splits(
    reader: str,
    splits: Sequence[SplitArrays],
    keep_words: bool,
    groups: Groups,
    attach: Callable[[Row], None],
    notes: Counter[str],
    mapping: Mapping[str, str],
) -> SourceDataSet:
    """Create the opened data set from its splits. The names of its feature spaces begin with the name of the reader.

    Args:
        reader: Name of the reader.
        splits: The splits of the pickle. If their modalities are aligned, a row is a word, otherwise a frame.
        keep_words: Whether `attach` stores the vectors of words.
        groups: The rows (utterances) of all splits, grouped by video.
        attach: Function that adds the features to the utterance of a row.
        notes: Counter: text of a rule for invalid data -> how often it was applied.
        mapping: Field -> key in the pickle that was read for it. The keys of the modalities are added.

    Returns:
        The opened data set.
    """
    first = splits[0]
    level = Level.WORD if keep_words else Level.UTTERANCE
    spaces = {}
    for modality, stream in first.features.items():
        rows = "words" if first.is_aligned else "frames"
        recipe = {"source": reader, "key": KEYS[modality], "rows": rows, "pooling": POOLING}
        spaces[modality] = FeatureSpace(modality, f"{reader}-{modality}", stream.shape[2], level=level, recipe=recipe)
    return SourceDataSet(
        splits=groups.splits,
        spaces=spaces,
        videos=groups.videos(attach),
        notes=notes,
        mapping={**mapping, **{modality.value: KEYS[modality] for modality in first.features}},
        files=(first.path,),
    )


def _as_array(path: Path, name: str, key: str, value: object) -> AnyArray:
    if isinstance(value, np.ndarray):
        return value
    try:
        # An array of numpy's text type would give every text the memory of the longest one.
        return np.array(value, dtype=None if _holds_numbers(value) else object)
    except ValueError:
        raise DataError(
            f"Expected one array in {key!r} of {name!r} in {path}, but got rows of different shapes; {WRONG_FILE}"
        ) from None


def _holds_numbers(value: object) -> bool:
    """Return whether a value is a number, a numeric array, or nested lists or tuples of only these."""
    if isinstance(value, list | tuple):
        return all(issubclass(kind, NUMBERS) for kind in set(map(type, value))) or all(map(_holds_numbers, value))
    return value.dtype.kind in "biuf" if isinstance(value, np.ndarray) else isinstance(value, NUMBERS)


def _checked_split(path: Path, name: str, values: Mapping[str, Any], notes: Counter[str]) -> SplitArrays:
    features = {modality: _as_array(path, name, key, values[key]) for modality, key in KEYS.items() if key in values}
    if not features:
        raise DataError(
            f"Expected {' or '.join(map(repr, KEYS.values()))} in {name!r} of {path}, but got "
            f"{_shown_keys(values) or 'nothing'}; {WRONG_FILE}"
        )
    n_rows = len(next(iter(features.values()))) if next(iter(features.values())).ndim else 0
    for modality, stream in features.items():
        if stream.ndim != 3 or len(stream) != n_rows or not stream.shape[2] or stream.dtype.kind not in "fiu":
            raise DataError(
                f"Expected numbers of shape ({n_rows}, row, feature) in {KEYS[modality]!r} of {name!r} in {path}, but "
                f"got {stream.dtype} of {stream.shape}; {WRONG_FILE}"
            )
    return SplitArrays(path, name, values, n_rows, {m: without_absurd(each, notes) for m, each in features.items()})
