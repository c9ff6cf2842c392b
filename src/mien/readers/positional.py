"""Pickles of conv-emotion: a list of parts without names, most of them dictionaries by dialogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.readers.input_files import as_text
from mien.readers.rules import MOST_MALFORMED, VECTOR_MALFORMED, add_note, parts_without_absurd
from mien.readers.split_arrays import NUMBERS, is_missing, shown
from mien.schema import FeatureSpace, FloatArray, Modality

TRAIN, TEST = "trainVid", "testVid"


@dataclass(frozen=True, slots=True)
class PositionalFile:
    """A pickle of conv-emotion and what it must contain. Its methods raise DataError if it contains something else."""

    path: Path
    # names of the parts, in the order in which the file has them
    names: tuple[str, ...]
    # type of the ids of dialogues
    id_type: type
    # remedy in the messages
    wrong_file: str

    @property
    def by_dialogue(self) -> tuple[str, ...]:
        """Names of the parts that are dictionaries by dialogue."""
        return tuple(name for name in self.names if name not in (TRAIN, TEST))

    def parts(self, loaded: object) -> dict[str, Any]:
        """Return the parts by name, after checking their number and types."""
        if not isinstance(loaded, list | tuple) or len(loaded) != len(self.names):
            got = f"{len(loaded)} parts" if isinstance(loaded, list | tuple) else type(loaded).__name__
            raise self.refuse(f"{len(self.names)} parts ({', '.join(self.names)})", got)
        parts = dict(zip(self.names, loaded, strict=True))
        for name, part in parts.items():
            expected = list | tuple if name in (TRAIN, TEST) else dict
            ids = part if isinstance(part, expected) else [part]
            if not isinstance(part, expected) or not all(isinstance(each, self.id_type) for each in ids):
                kind = "a list" if name in (TRAIN, TEST) else "a dictionary"
                raise self.refuse(f"{kind} of ids of dialogues as {name}", type(part).__name__)
        return parts

    def with_whole_vectors(self, parts: Mapping[str, Any], names: Iterable[str], notes: Counter[str]) -> dict[str, Any]:
        """Replace vectors of features that are missing or malformed by NaN, if there are only a few.

        Args:
            parts: The parts by name.
            names: Names of the parts that have one vector per utterance.
            notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

        Returns:
            The parts; in one with malformed vectors, these are NaN. If more than `MOST_MALFORMED` of the vectors of a
            part are malformed, it is unchanged.
        """
        n_rows = {name: len(rows) for name, rows in parts[self.by_dialogue[0]].items() if hasattr(rows, "__len__")}
        whole = dict(parts)
        for part in names:
            lists = {
                name: list(rows) if hasattr(rows := parts[part].get(name), "__len__") and len(rows) == n else [None] * n
                for name, n in n_rows.items()
            }
            lengths = Counter(length for rows in lists.values() for row in rows if (length := _vector_length(row)))
            n_malformed = sum(n_rows.values()) - max(lengths.values(), default=0)
            if 0 < n_malformed <= max(1, MOST_MALFORMED * sum(n_rows.values())) and lengths:
                width = max(lengths, key=lambda length: lengths[length])
                add_note(notes, VECTOR_MALFORMED, n_malformed)
                missing = np.full(width, np.nan)
                whole[part] = {
                    name: [row if _vector_length(row) == width else missing for row in rows]
                    for name, rows in lists.items()
                }
        return whole

    def splits(self, parts: Mapping[str, Any]) -> dict[Any, str]:
        """Return train or test for each dialogue that is in one of them."""
        both = set(parts[TRAIN]) & set(parts[TEST])
        if both:
            raise self.refuse(f"every dialogue in one of {TRAIN} and {TEST}", f"{shown(min(both))} in both")
        return dict.fromkeys(parts[TRAIN], "train") | dict.fromkeys(parts[TEST], "test")

    def dialogue(self, name: Any, parts: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """Return the values of one dialogue by part, and their number, which is the same in all parts."""
        values = {part: parts[part].get(name) for part in self.by_dialogue}
        first = values[self.by_dialogue[0]]
        n = len(first) if isinstance(first, list | tuple | np.ndarray) else 0
        for part, each in values.items():
            if not isinstance(each, list | tuple | np.ndarray) or len(each) != n or not n:
                got = f"{len(each)} values" if isinstance(each, list | tuple | np.ndarray) else type(each).__name__
                raise DataError(
                    f"Expected one value per utterance in {part} of {self.where(name)}, but got {got}; "
                    f"{self.wrong_file}"
                )
        return values, n

    def where(self, name: object) -> str:
        """Return a text for error messages that names a dialogue and the file."""
        return f"dialogue {shown(name)} of {self.path}"

    def matrix(self, values: Any, n_rows: int, where: str, n_axes: int) -> FloatArray:
        """Convert the numbers of a dialogue to an array with a row per utterance, and one or two axes."""
        try:
            array = np.asarray(values)
            if array.dtype.kind == "O":
                array = np.asarray(list(values), dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0, dtype=object)
        if array.ndim != n_axes or len(array) != n_rows or not array.size or array.dtype.kind not in "fiu":
            shape = f"({n_rows}, feature)" if n_axes == 2 else f"({n_rows},)"
            got = f"{array.dtype} of {array.shape}" if array.size else "rows of different lengths or kinds"
            raise DataError(f"Expected numbers of shape {shape} in {where}, but got {got}; {self.wrong_file}")
        return array

    def classes(self, values: Any, n_rows: int, where: str, n_classes: int) -> list[int]:
        """Convert the class numbers of a dialogue, one per utterance."""
        classes = self.matrix(values, n_rows, where, 1)
        unknown = classes[~np.isin(classes, range(n_classes))]
        if unknown.size:
            raise DataError(
                f"Expected classes 0 to {n_classes - 1} in {where}, but got {unknown[0]:g}; {self.wrong_file}"
            )
        return [int(number) for number in classes]

    def spaces(
        self, source: str, keys: Mapping[Modality, str], features: Collection[Mapping[Modality, FloatArray]]
    ) -> dict[Modality, FeatureSpace]:
        """Return the feature spaces, after checking that all dialogues have vectors of one length."""
        spaces: dict[Modality, FeatureSpace] = {}
        for modality, part in keys.items():
            sizes = sorted({each[modality].shape[1] for each in features})
            if len(sizes) > 1:
                raise self.refuse(f"features of one length in {part}", f"{sizes[0]} and {sizes[1]}", "of")
            if sizes:
                recipe = {"source": source, "key": part}
                spaces[modality] = FeatureSpace(modality, f"{source}-{modality}", sizes[0], recipe=recipe)
        return spaces

    def refuse(self, expected: str, got: str, relation: str = "in") -> DataError:
        """Create the error for a file that contains something else."""
        return DataError(f"Expected {expected} {relation} {self.path}, but got {got}; {self.wrong_file}")


def _vector_length(row: object) -> int:
    """Return the number of values of a vector of numbers; 0 for everything else."""
    if isinstance(row, np.ndarray):
        return len(row) if row.ndim == 1 and row.dtype.kind in "fiu" else 0
    is_vector = isinstance(row, list | tuple) and all(issubclass(kind, NUMBERS) for kind in set(map(type, row)))
    return len(row) if is_vector and isinstance(row, list | tuple) else 0


def usual_features(
    features: Sequence[Mapping[Modality, FloatArray]], notes: Counter[str]
) -> list[dict[Modality, FloatArray]]:
    """Apply `without_absurd` to the features of all dialogues together.

    Args:
        features: For each dialogue: modality -> (utterance, feature).
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The features of each dialogue, with NaN in place of absurd values.
    """
    parts = {
        modality: parts_without_absurd([each[modality] for each in features], notes)
        for modality in (features[0] if features else ())
    }
    return [{modality: each[number] for modality, each in parts.items()} for number in range(len(features))]


def texts(values: Sequence[Any]) -> list[str]:
    """Return the texts of a dialogue; a missing one (None or NaN) is empty."""
    array = np.empty(len(values), dtype=object)
    array[:] = ["" if is_missing(value) else value for value in values]
    return as_text(array)
