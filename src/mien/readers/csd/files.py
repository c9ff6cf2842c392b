"""One computational sequence (.csd, HDF5) of CMU-MultimodalSDK, read video by video."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mien.errors import DamagedFileError, DataError
from mien.readers.csd.chunks import read_rows
from mien.readers.files import HDF5_MAGIC, wrong_format
from mien.schema import FloatArray

AnyArray = NDArray[Any]
# entries of aligned files: "GdFP_p4eQX0[3]". Ids hold any character, so that only the last bracket counts
ENTRY = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)
READ_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError)
# 100 rows a second of 74 values: ten hours of one video. More is a damaged header
LARGEST_ENTRY_BYTES = 1 << 31
DIMENSION_NAMES = "dimension names"
# rows of a long video are read in pieces of about this size
BLOCK_BYTES = 16 << 20
METADATA_BYTES = 128 << 10


@dataclass(frozen=True, slots=True)
class Sequence:
    """What a file says about itself without its rows."""

    path: Path
    root: str
    # video id -> its entries, by number: HDF5 lists "v[10]" before "v[2]"
    entries: Mapping[str, tuple[str, ...]]
    n_features: int
    # names of the columns as the file states them, or nothing
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one video. n rows."""

    intervals: FloatArray  # (n, 2) seconds
    features: AnyArray  # (n, feature)
    numbers: NDArray[np.int64]  # (n,) the row's number in its source


def inspect(path: Path) -> Sequence:
    """Read names and widths, no rows. Raises DataError when the file is no computational sequence."""
    with _opened(path) as file:
        roots = [name for name in file if isinstance(_member(path, file, name), h5py.Group)]
        roots = [name for name in roots if "data" in file[name]]
        if len(roots) != 1:
            raise DataError(
                f"Expected one root group with 'data' in {path}, but got {', '.join(roots) or 'none'}; "
                "check that this is a computational sequence"
            )
        data = _member(path, file[roots[0]], "data")
        if not isinstance(data, h5py.Group):
            raise DataError(f"Expected a group 'data' in {path}, but got a dataset; check the file")
        entries = _entries(data)
        if not entries:
            raise DataError(f"Expected at least one video in {path}, but got none; check the file")
        first = next(iter(entries.values()))[0]
        features = _dataset(path, _member(path, data, first), first, "features")
        width = features.shape[1] if features.ndim == 2 else 0
        return Sequence(path, roots[0], entries, width, _columns(path, file[roots[0]]))


@contextmanager
def opened(sequence: Sequence) -> Iterator[SequenceReader]:
    """Open a sequence for reading. Raises DataError when the file is damaged."""
    with _opened(sequence.path) as file:
        yield SequenceReader(sequence, file[sequence.root]["data"])


@dataclass(frozen=True, slots=True)
class SequenceReader:
    """An open sequence; one video is in memory at a time."""

    sequence: Sequence
    data: h5py.Group

    def __contains__(self, video_id: str) -> bool:
        return video_id in self.sequence.entries

    def read(self, video_id: str, kinds: str) -> Rows:
        """All rows of a video, entries of aligned files joined in the order of their numbers.

        Args:
            video_id: a whole id, never a prefix.
            kinds: the kinds of numpy type that are admitted, "fiu" for numbers.

        Raises:
            DataError: shapes or types do not fit, a link leaves the file, or the data are damaged.
        """
        keys = self.sequence.entries[video_id]
        parts = [self._read_entry(key, kinds) for key in keys]
        intervals, features = parts[0]
        if len(parts) > 1:
            intervals = np.concatenate([each for each, _ in parts])
            features = np.concatenate([each for _, each in parts])
        numbers = np.arange(len(intervals), dtype=np.int64)
        matches = [ENTRY.fullmatch(key) for key in keys]
        if all(len(each) == 1 for each, _ in parts) and all(matches):
            numbers = np.array([int(match[2]) for match in matches if match], dtype=np.int64)
        return Rows(intervals, features, numbers)

    def blocks(self, video_id: str, kinds: str) -> Iterator[tuple[FloatArray, AnyArray]]:
        """The rows of a video as `read` gives them, in one piece or, from a long video, in pieces of `BLOCK_BYTES`.

        Yields:
            ``(intervals, features)``: (n, 2) in seconds and (n, feature).
        """
        keys = self.sequence.entries[video_id]
        if len(keys) > 1:
            rows = self.read(video_id, kinds)
            yield rows.intervals, rows.features
            return
        features, intervals = self._datasets(keys[0], kinds)
        n_rows = max(1, BLOCK_BYTES // max(1, features.dtype.itemsize * self.sequence.n_features))
        if features.chunks is not None:
            # whole chunks: a chunk cut in two would be decompressed twice
            n_rows = max(1, n_rows // features.chunks[0]) * features.chunks[0]
        path = self.sequence.path
        try:
            times_s = read_rows(intervals, 0, len(intervals)).astype(np.float64, copy=False)
            for start in range(0, len(times_s), n_rows):
                yield times_s[start : start + n_rows], read_rows(features, start, start + n_rows)
        except READ_ERRORS as error:
            raise _damaged(path, f"{error} at video {keys[0]!r}") from None

    def _read_entry(self, key: str, kinds: str) -> tuple[FloatArray, AnyArray]:
        features, intervals = self._datasets(key, kinds)
        try:
            times_s = read_rows(intervals, 0, len(intervals)).astype(np.float64, copy=False)
            return times_s, read_rows(features, 0, len(features))
        except READ_ERRORS as error:
            raise _damaged(self.sequence.path, f"{error} at video {key!r}") from None

    def _datasets(self, key: str, kinds: str) -> tuple[h5py.Dataset, h5py.Dataset]:
        """Features and intervals, not yet read."""
        path = self.sequence.path
        try:
            entry = _member(path, self.data, key)
            features, intervals = (_dataset(path, entry, key, name) for name in ("features", "intervals"))
            shape = (len(intervals), self.sequence.n_features) if intervals.ndim else ()
            if features.shape != shape or intervals.shape[1:] != (2,):
                raise DataError(
                    f"Expected features (n, {self.sequence.n_features}) and intervals (n, 2) of video {key!r} in "
                    f"{path}, but got {features.shape} and {intervals.shape}; the file was altered: download it again"
                )
            if features.dtype.kind not in kinds or intervals.dtype.kind not in "fiu":
                raise DataError(
                    f"Expected {'text' if 'S' in kinds else 'numbers'} as features and numbers as intervals of video "
                    f"{key!r} in {path}, but got {features.dtype} and {intervals.dtype}; map the role to another "
                    "sequence with --map"
                )
            return features, intervals
        except READ_ERRORS as error:
            raise _damaged(path, f"{error} at video {key!r}") from None


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with open(path, "rb") as handle:
        if handle.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            raise wrong_format(path, "an HDF5 file (.csd)", "csd")
    try:
        file = h5py.File(path, "r")
    except READ_ERRORS as error:
        raise _damaged(path, error) from None
    with file:
        # each video is looked up once: what HDF5 remembers of the others, tens of megabytes a file, serves nobody
        cache = file.id.get_mdc_config()
        cache.set_initial_size, cache.initial_size = True, METADATA_BYTES
        cache.min_size = cache.max_size = METADATA_BYTES
        file.id.set_mdc_config(cache)
        yield file


def _member(path: Path, group: h5py.Group, name: str) -> Any:
    """A member of a group that lies in this file. Raises DataError for links that lead elsewhere."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DataError(
            f"Expected {name!r} to lie in {path} itself, but got a link to another place; "
            "store the data in the file (the link was not followed)"
        )
    return group[name]


def _dataset(path: Path, entry: Any, key: str, name: str) -> h5py.Dataset:
    if not isinstance(entry, h5py.Group) or name not in entry:
        raise DataError(
            f"Expected features and intervals of video {key!r} in {path}, but got no {name}; the file was altered: "
            "download it again"
        )
    dataset = _member(path, entry, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise DataError(f"Expected rows in {name} of video {key!r} in {path}, but got none; download the file again")
    if dataset.external or dataset.is_virtual:
        raise DataError(
            f"Expected {name} of video {key!r} to lie in {path} itself, but got data kept in another file; "
            "store the data in the file (the other file was not opened)"
        )
    if dataset.size * dataset.dtype.itemsize > LARGEST_ENTRY_BYTES:
        raise DataError(
            f"Expected at most {LARGEST_ENTRY_BYTES >> 20} MiB in {name} of video {key!r} in {path}, but got shape "
            f"{dataset.shape}; the file is damaged: download it again"
        )
    return dataset


def _entries(data: h5py.Group) -> dict[str, tuple[str, ...]]:
    numbered: dict[str, list[tuple[int, str]]] = {}
    for key in data:
        match = ENTRY.fullmatch(key)
        video_id, number = (match[1], int(match[2])) if match else (key, -1)
        numbered.setdefault(video_id, []).append((number, key))
    return {video_id: tuple(key for _, key in sorted(numbered[video_id])) for video_id in sorted(numbered)}


def _columns(path: Path, root: h5py.Group) -> tuple[str, ...]:
    """The metadata's names of the columns; nothing where they are absent or not a list of text."""
    metadata = _member(path, root, "metadata") if "metadata" in root else None
    if not isinstance(metadata, h5py.Group) or DIMENSION_NAMES not in metadata:
        return ()
    try:
        raw = _member(path, metadata, DIMENSION_NAMES)[0]
        names = json.loads(raw)
    except READ_ERRORS:
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _damaged(path: Path, error: object) -> DamagedFileError:
    return DamagedFileError(
        f"Expected a readable HDF5 file in {path}, but got {error}; it was cut or altered: copy or download it again"
    )
