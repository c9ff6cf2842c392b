"""Computational sequences (.csd, HDF5) of CMU-MultimodalSDK: read video by video, each in the role its name says."""

from __future__ import annotations

import json
import re
from collections import Counter
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
from mien.readers.input_files import HDF5_MAGIC, AnyArray, wrong_format
from mien.readers.rules import SEQUENCE_UNUSED, add_note
from mien.schema import EMOTIONS, FloatArray, Modality

# entries of aligned files: "GdFP_p4eQX0[3]". Ids hold any character, so that only the last bracket counts
ENTRY = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)
READ_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError)
# 100 rows a second of 74 values: ten hours of one video. More is a damaged header
LARGEST_ENTRY_BYTES = 1 << 31
DIMENSION_NAMES = "dimension names"
# rows of a long video are read in pieces of about this size
BLOCK_BYTES = 16 << 20
METADATA_BYTES = 128 << 10

LABELS = "labels"
WORDS = "words"
# role -> root names seen, normalised; docs/formats.md lists them as they are written
KNOWN_ROOTS: dict[str, tuple[str, ...]] = {
    LABELS: ("alllabels", "sentimentlabels", "emotionlabels"),
    WORDS: ("words", "timestampedwords", "cmumoseitimestampedwords"),
    Modality.TEXT.value: ("glovevectors", "timestampedwordvectors", "cmumoseitimestampedwordvectors"),
    Modality.ACOUSTIC.value: ("covarep",),
    Modality.VISUAL.value: ("facet", "openface"),
}
# the order of "All Labels" by its documentation, when the file does not name its columns; not the order of EMOTIONS
LABEL_COLUMNS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
VERSION = re.compile(r"[ _-]*v?\d+([._]\d+)*$")


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
class SequenceRows:
    """The rows of one video. n rows."""

    intervals: FloatArray  # (n, 2) seconds
    features: AnyArray  # (n, feature)
    numbers: NDArray[np.int64]  # (n,) the row's number in its file


def inspect(path: Path) -> Sequence:
    """Read names and widths, no rows. Raises DataError when the file is no computational sequence."""
    with _opened(path) as file:
        roots = [name for name in file if isinstance(_member(path, file, name), h5py.Group) and "data" in file[name]]
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
def open_sequence(sequence: Sequence) -> Iterator[SequenceReader]:
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

    def read(self, video_id: str, kinds: str) -> SequenceRows:
        """All rows of a video, entries of aligned files joined in the order of their numbers.

        Args:
            video_id: a whole id, never a prefix.
            kinds: the kinds of numpy type that are admitted, "fiu" for numbers.

        Raises:
            DataError: shapes or types do not fit, a link leaves the file, or the data are damaged.
        """
        keys = self.sequence.entries[video_id]
        parts = [part for key in keys for part in self._parts(key, kinds)]
        intervals = np.concatenate([each for each, _ in parts])
        features = np.concatenate([each for _, each in parts])
        numbers = np.arange(len(intervals), dtype=np.int64)
        matches = [ENTRY.fullmatch(key) for key in keys]
        if all(len(each) == 1 for each, _ in parts) and all(matches):
            numbers = np.array([int(match[2]) for match in matches if match], dtype=np.int64)
        return SequenceRows(intervals, features, numbers)

    def blocks(self, video_id: str, kinds: str) -> Iterator[tuple[FloatArray, AnyArray]]:
        """The rows of a video as `read` gives them, in one piece or, from a long entry, in pieces of `BLOCK_BYTES`.

        Yields:
            ``(intervals, features)``: (n, 2) in seconds and (n, feature).
        """
        keys = self.sequence.entries[video_id]
        if len(keys) == 1:
            yield from self._parts(keys[0], kinds, BLOCK_BYTES)
        else:
            rows = self.read(video_id, kinds)
            yield rows.intervals, rows.features

    def _parts(
        self, key: str, kinds: str, most_bytes: int = LARGEST_ENTRY_BYTES
    ) -> Iterator[tuple[FloatArray, AnyArray]]:
        """The rows of an entry in parts of at most so many bytes, but at least one row."""
        features, intervals = self._datasets(key, kinds)
        n_rows = max(1, most_bytes // (features.dtype.itemsize * max(1, self.sequence.n_features)))
        if features.chunks is not None:
            # whole chunks: a chunk cut in two would be decompressed twice
            n_rows = max(1, n_rows // features.chunks[0]) * features.chunks[0]
        try:
            times_s = intervals[()].astype(np.float64, copy=False)
            for start in range(0, max(1, len(times_s)), n_rows):
                yield times_s[start : start + n_rows], read_rows(features, start, start + n_rows)
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


@dataclass(frozen=True, slots=True)
class Roles:
    """The sequences to read."""

    labels: tuple[Sequence, ...]
    # "words" and modalities -> sequence
    streams: Mapping[str, Sequence]

    @property
    def mapping(self) -> dict[str, str]:
        """Role -> root name."""
        labels = {LABELS: " + ".join(sequence.root for sequence in self.labels)}
        return labels | {role: sequence.root for role, sequence in self.streams.items()}


def normalised(root: str) -> str:
    """A root name without case, blanks, underscores and version: "FACET 4.2" and "facet_4.1" are "facet"."""
    return re.sub(r"[\s_-]+", "", VERSION.sub("", root.lower()))


def match_sequences(sequences: list[Sequence], mapping: Mapping[str, str], notes: Counter[str]) -> Roles:
    """Find each role's sequence. Raises DataError when a role has two, or labels or words have none."""
    of_role = {role: _candidates(role, sequences, mapping) for role in KNOWN_ROOTS}
    used = [id(sequence) for found in of_role.values() for sequence in found]
    for role, found in of_role.items():
        names = {normalised(sequence.root) for sequence in found}
        is_pair = role == LABELS and len(found) == 2 and names == {"sentimentlabels", "emotionlabels"}
        if len(found) > 1 and not is_pair:
            raise DataError(
                f"Expected one sequence of {role}, but got "
                f"{', '.join(f'{each.root!r} in {each.path}' for each in found)}; "
                f"choose one with --map {role}=ROOT, or leave a file out"
            )
    have = ", ".join(repr(sequence.root) for sequence in sequences)
    if not of_role[LABELS]:
        raise DataError(
            f"Expected a sequence of labels such as 'All Labels', but got {have}; add its file, or name it with "
            "--map labels=ROOT"
        )
    if not of_role[Modality.TEXT] and not of_role[WORDS]:
        raise DataError(
            f"Expected text vectors or words to align to, but got {have}; add such a file, or name it with "
            "--map text=ROOT or --map words=ROOT"
        )
    add_note(notes, SEQUENCE_UNUSED, sum(id(sequence) not in used for sequence in sequences))
    # "Sentiment Labels" leads, its rows number the utterances
    labels = sorted(of_role[LABELS], key=lambda sequence: normalised(sequence.root) == "emotionlabels")
    return Roles(tuple(labels), {role: found[0] for role, found in of_role.items() if found and role != LABELS})


def label_columns(sequence: Sequence) -> tuple[str, ...]:
    """What each column of a label sequence holds, by the names in the file, else by its width.

    Raises DataError when neither tells.
    """
    named = tuple(name.strip().lower() for name in sequence.columns)
    if len(named) == sequence.n_features and any(
        set(named) == set(columns) for columns in (LABEL_COLUMNS, EMOTIONS, LABEL_COLUMNS[:1])
    ):
        return named
    by_width = {len(LABEL_COLUMNS): LABEL_COLUMNS, len(EMOTIONS): LABEL_COLUMNS[1:], 1: LABEL_COLUMNS[:1]}
    if sequence.n_features not in by_width:
        raise DataError(
            f"Expected 7 columns ({', '.join(LABEL_COLUMNS)}), 6 or 1 in {sequence.root!r} of {sequence.path}, but got "
            f"{sequence.n_features}; name the sequence of labels with --map labels=ROOT"
        )
    return by_width[sequence.n_features]


def _candidates(role: str, sequences: list[Sequence], mapping: Mapping[str, str]) -> list[Sequence]:
    if role not in mapping:
        mapped = set(mapping.values())
        known = KNOWN_ROOTS[role]
        return [each for each in sequences if normalised(each.root) in known and each.root not in mapped]
    exact = [each for each in sequences if each.root == mapping[role]]
    found = exact or [each for each in sequences if normalised(each.root) == normalised(mapping[role])]
    if not found:
        raise DataError(
            f"Expected a sequence {mapping[role]!r} for the role {role!r}, but got "
            f"{', '.join(repr(each.root) for each in sequences)}; name one of these with --map {role}=ROOT"
        )
    return found
