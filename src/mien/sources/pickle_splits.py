"""What the two pickle formats share: a dictionary of splits, each a dictionary of aligned arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.schema import SPLITS, FeatureSpace, FloatArray, Level, Modality
from mien.sources.npz_files import as_text
from mien.sources.pooling import POOLING

KEYS = {Modality.TEXT: "text", Modality.ACOUSTIC: "audio", Modality.VISUAL: "vision"}


@dataclass(frozen=True, slots=True)
class SplitArrays:
    """One split of a pickle. N utterances."""

    path: Path
    name: str
    values: Mapping[str, Any]
    n_rows: int
    # modality -> (N, row, feature)
    features: Mapping[Modality, FloatArray]

    @property
    def is_aligned(self) -> bool:
        """Whether the streams have the same number of rows, so that row i is one word in all of them."""
        return len({stream.shape[1] for stream in self.features.values()}) == 1

    def where(self, row: int) -> str:
        """The place, for messages."""
        return f"row {row} of {self.name!r} in {self.path}"

    def array(self, key: str) -> NDArray[Any]:
        """A required array with one row per utterance. Raises DataError when it is missing or has other rows."""
        if key not in self.values:
            raise DataError(
                f"Expected {key!r} in {self.name!r} of {self.path}, but got {', '.join(map(str, self.values))}; "
                "check that this is the file the source reads"
            )
        values = _as_array(self.path, self.name, key, self.values[key])
        if not values.ndim or len(values) != self.n_rows:
            raise DataError(
                f"Expected {self.n_rows} rows in {key!r} of {self.name!r} in {self.path}, but got shape "
                f"{values.shape}; every array needs one row per utterance"
            )
        return values

    def texts(self, key: str) -> list[str]:
        """A column of text (N,)."""
        values = self.array(key)
        if values.dtype.kind == "O":
            return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
        return as_text(values)


def open_splits(path: Path, loaded: object) -> list[SplitArrays]:
    """The splits that a pickle holds. Raises DataError when there is none or the streams do not fit one another."""
    if not isinstance(loaded, dict) or not any(isinstance(loaded.get(name), dict) for name in SPLITS):
        got = f"the keys {', '.join(map(str, list(loaded)[:8]))}" if isinstance(loaded, dict) else type(loaded).__name__
        raise DataError(
            f"Expected a dictionary with {', '.join(SPLITS)} in {path}, but got {got}; "
            "check that this is the file the source reads"
        )
    splits = [_split(path, name, loaded[name]) for name in SPLITS if isinstance(loaded.get(name), dict)]
    for split in splits:
        for modality, stream in split.features.items():
            first = splits[0].features.get(modality)
            if first is None or first.shape[2] != stream.shape[2]:
                raise DataError(
                    f"Expected {KEYS[modality]!r} of {split.name!r} in {path} to be as wide as in {splits[0].name!r}, "
                    f"but got {stream.shape}; the splits must come from one extractor"
                )
    return splits


def spaces(source: str, splits: Sequence[SplitArrays], keep_words: bool) -> dict[Modality, FeatureSpace]:
    """The feature spaces, named after the source. Rows of aligned streams are words, others are frames."""
    level = Level.WORD if keep_words else Level.UTTERANCE
    made = {}
    for modality, stream in splits[0].features.items():
        rows = "words" if splits[0].is_aligned else "frames"
        recipe = {"source": source, "key": KEYS[modality], "rows": rows, "pooling": POOLING}
        made[modality] = FeatureSpace(modality, f"{source}-{modality}", stream.shape[2], level=level, recipe=recipe)
    return made


def _as_array(path: Path, name: str, key: str, value: object) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(
            f"Expected one array in {key!r} of {name!r} in {path}, but got rows of different shapes; "
            "check that this is the file the source reads"
        ) from None


def _split(path: Path, name: str, values: Mapping[str, Any]) -> SplitArrays:
    features = {modality: _as_array(path, name, key, values[key]) for modality, key in KEYS.items() if key in values}
    if not features:
        raise DataError(
            f"Expected {' or '.join(map(repr, KEYS.values()))} in {name!r} of {path}, but got "
            f"{', '.join(map(str, values)) or 'nothing'}; check that this is the file the source reads"
        )
    n_rows = len(next(iter(features.values()))) if next(iter(features.values())).ndim else 0
    for modality, stream in features.items():
        if stream.ndim != 3 or len(stream) != n_rows or not stream.shape[2] or stream.dtype.kind not in "fiu":
            raise DataError(
                f"Expected numbers of shape ({n_rows}, row, feature) in {KEYS[modality]!r} of {name!r} in {path}, but "
                f"got {stream.dtype} of {stream.shape}; check that this is the file the source reads"
            )
    return SplitArrays(path, name, values, n_rows, features)
