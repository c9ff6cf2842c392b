"""Computational sequences (.csd, HDF5) of CMU-MultimodalSDK: reading the rows of a video, and finding roles by name."""

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
from mien.limits import READ_ERRORS, current_limits, describe_error, require_shallow
from mien.readers.csd.chunks import read_chunked_rows
from mien.readers.fields import CSD_ROOTS, LABEL_COLUMNS, LABELS, WORDS
from mien.readers.input_files import HDF5_MAGIC, AnyArray, wrong_format
from mien.readers.rules import SEQUENCE_UNUSED, add_note, with_names
from mien.schema import EMOTIONS, FloatArray, Modality

# entries of aligned files: "GdFP_p4eQX0[3]"; only the last bracket counts, because an id may contain any character
ENTRY = re.compile(r"(.*)\[(\d{1,18})\]", re.DOTALL)
# more than ten hours of one video at 100 rows of 74 values a second; a larger size indicates a damaged header
LARGEST_ENTRY_BYTES = 1 << 31
DIMENSION_NAMES = "dimension names"
# rows of a long video are read in blocks of about this size
BLOCK_BYTES = 16 << 20
METADATA_BYTES = 128 << 10

VERSION = re.compile(r"[ _-]*v?\d+([._]\d+)*$")
DATA_SET = re.compile(r"^cmu(mosei|mosi)(?=.)")  # some root names begin with it


@dataclass(frozen=True, slots=True)
class Sequence:
    """Description of a computational sequence without its rows."""

    path: Path
    root: str
    # video id -> its entries sorted by number, because HDF5 lists "v[10]" before "v[2]"
    entries: Mapping[str, tuple[str, ...]]
    n_features: int
    # column names from the file's metadata; empty if there are none
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SequenceRows:
    """The n rows of one video in one sequence."""

    intervals: FloatArray  # (n, 2) seconds
    features: AnyArray  # (n, feature)
    numbers: NDArray[np.int64]  # (n,) index of the row in its video, or the number in the name of its entry


def inspect(path: Path) -> Sequence:
    """Read the description of a sequence: names of the root group, entries and columns, and number of features.

    Raises DataError if the file is not a computational sequence.
    """
    with _open_hdf5(path) as file:
        roots = [
            name for name in file if isinstance(_local_member(path, file, name), h5py.Group) and "data" in file[name]
        ]
        if len(roots) != 1:
            raise DataError(
                f"Expected one root group with 'data' in {path}, but got {', '.join(roots) or 'none'}; "
                "check that this is a computational sequence"
            )
        data = _local_member(path, file[roots[0]], "data")
        if not isinstance(data, h5py.Group):
            raise DataError(f"Expected a group 'data' in {path}, but got a dataset; check the file")
        entries = _entries_by_video(data)
        if not entries:
            raise DataError(f"Expected at least one video in {path}, but got none; check the file")
        width = 0
        for key in (key for keys in entries.values() for key in keys):
            features = _entry_dataset(path, _local_member(path, data, key), key, "features")
            width = features.shape[1] if features.ndim == 2 else 0
            # an entry without rows, as of a video without a face, may be stored with no columns
            if features.size:
                break
        return Sequence(path, roots[0], entries, width, _metadata_columns(path, file[roots[0]]))


@contextmanager
def open_sequence(sequence: Sequence) -> Iterator[SequenceReader]:
    """Open a sequence for reading. Raises DataError if the file is damaged."""
    with _open_hdf5(sequence.path) as file:
        yield SequenceReader(sequence, file[sequence.root]["data"])


@dataclass(frozen=True, slots=True)
class SequenceReader:
    """Reads the rows of one video at a time from an open sequence."""

    sequence: Sequence
    data: h5py.Group

    def __contains__(self, video_id: str) -> bool:
        """Return whether the sequence has a row of a video. An entry without rows lacks the video."""
        return any(map(self._has_rows, self.sequence.entries.get(video_id, ())))

    def _has_rows(self, key: str) -> bool:
        path = self.sequence.path
        try:
            entry = _local_member(path, self.data, key)
            return any(_entry_dataset(path, entry, key, name).size for name in ("features", "intervals"))
        except (*READ_ERRORS, DataError):
            return True  # reading it tells what is wrong

    def read(self, video_id: str, kinds: str) -> SequenceRows:
        """Read all rows of a video.

        In an aligned file, a video has several entries, such as "v[0]" and "v[1]". Their rows are joined in the order
        of these numbers.

        Args:
            video_id: Id of the video, complete and without a segment number.
            kinds: Allowed kinds of numpy types for the features; "fiu" allows numbers.

        Returns:
            The rows in stored order.

        Raises:
            DataError: Shapes or types are wrong, data are stored in another file, or the file is damaged.
        """
        keys = self.sequence.entries[video_id]
        blocks = [(key, *part) for key in keys for part in self._read_blocks(key, kinds)]
        intervals = np.concatenate([each for _, each, _ in blocks])
        features = np.concatenate([each for _, _, each in blocks])
        numbers = np.arange(len(intervals), dtype=np.int64)
        matches = [ENTRY.fullmatch(key) for key, _, _ in blocks]
        if all(len(each) == 1 for _, each, _ in blocks) and all(matches):
            numbers = np.array([int(match[2]) for match in matches if match], dtype=np.int64)
        return SequenceRows(intervals, features, numbers)

    def blocks(self, video_id: str, kinds: str) -> Iterator[tuple[FloatArray, AnyArray]]:
        """Read the rows of a video in blocks, so that a long video need not fit in memory.

        Args:
            video_id: Id of the video, complete and without a segment number.
            kinds: Allowed kinds of numpy types for the features; "fiu" allows numbers.

        Yields:
            ``(intervals, features)`` of n rows: start and end in seconds (n, 2), and features (n, feature). A block has
            at most about `BLOCK_BYTES`. If the video has several entries, they are one block.

        Raises:
            DataError: As in `read`.
        """
        keys = self.sequence.entries[video_id]
        if len(keys) == 1:
            yield from self._read_blocks(keys[0], kinds, BLOCK_BYTES)
        else:
            rows = self.read(video_id, kinds)
            yield rows.intervals, rows.features

    def _read_blocks(
        self, key: str, kinds: str, max_bytes: int = LARGEST_ENTRY_BYTES
    ) -> Iterator[tuple[FloatArray, AnyArray]]:
        """Yield the rows of an entry in blocks of at most `max_bytes`.

        A block has at least one row, or one HDF5 chunk if the rows are stored in chunks. Without rows, there is none.
        """
        features, intervals = self._entry_datasets(key, kinds)
        n_rows = max(1, max_bytes // (features.dtype.itemsize * max(1, self.sequence.n_features)))
        if features.chunks is not None:
            # a block has whole chunks, because a divided chunk would be decompressed twice
            n_rows = max(1, n_rows // features.chunks[0]) * features.chunks[0]
        try:
            times_s = intervals[()].astype(np.float64, copy=False)
            for start in range(0, len(times_s), n_rows):
                yield times_s[start : start + n_rows], read_chunked_rows(features, start, start + n_rows)
        except READ_ERRORS as error:
            raise _damaged_hdf5(self.sequence.path, f"{error} at video {key!r}") from None

    def _entry_datasets(self, key: str, kinds: str) -> tuple[h5py.Dataset, h5py.Dataset]:
        """Open the features and intervals of an entry and check their shapes and types, unless both are empty."""
        path = self.sequence.path
        try:
            entry = _local_member(path, self.data, key)
            features, intervals = (_entry_dataset(path, entry, key, name) for name in ("features", "intervals"))
            if not (features.size or intervals.size):
                return features, intervals
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
            raise _damaged_hdf5(path, f"{error} at video {key!r}") from None


@contextmanager
def _open_hdf5(path: Path) -> Iterator[h5py.File]:
    with open(path, "rb") as handle:
        if handle.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            raise wrong_format(path, "an HDF5 file (.csd)", "csd")
    try:
        with h5py.File(path, "r") as file:
            # each video is looked up once: limit the metadata cache, which by default grows to tens of megabytes a file
            cache = file.id.get_mdc_config()
            cache.set_initial_size, cache.initial_size = True, METADATA_BYTES
            cache.min_size = cache.max_size = METADATA_BYTES
            file.id.set_mdc_config(cache)
            yield file
    except READ_ERRORS as error:
        raise _damaged_hdf5(path, describe_error(error)) from None


def _local_member(path: Path, group: h5py.Group, name: str) -> Any:
    """Get a member of a group. Raises DataError if it is a link to another place."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DataError(
            f"Expected {name!r} to lie in {path} itself, but got a link to another place; "
            "store the data in the file (the link was not followed)"
        )
    return group[name]


def _entry_dataset(path: Path, entry: Any, key: str, name: str) -> h5py.Dataset:
    if not isinstance(entry, h5py.Group) or name not in entry:
        raise DataError(
            f"Expected features and intervals of video {key!r} in {path}, but got no {name}; the file was altered: "
            "download it again"
        )
    dataset = _local_member(path, entry, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise DataError(f"Expected rows in {name} of video {key!r} in {path}, but got none; download the file again")
    if dataset.external or dataset.is_virtual:
        raise DataError(
            f"Expected {name} of video {key!r} to lie in {path} itself, but got data kept in another file; "
            "store the data in the file (the other file was not opened)"
        )
    largest = min(LARGEST_ENTRY_BYTES, current_limits().largest_unpacked(dataset.id.get_storage_size()))
    if dataset.size * dataset.dtype.itemsize > largest:
        raise DataError(
            f"Expected at most {largest >> 20} MiB in {name} of video {key!r} in {path}, but got shape "
            f"{dataset.shape}; the file is damaged: download it again (--limit unpacked_ratio=N allows more)"
        )
    return dataset


def _entries_by_video(data: h5py.Group) -> dict[str, tuple[str, ...]]:
    numbered: dict[str, list[tuple[int, str]]] = {}
    for key in data:
        match = ENTRY.fullmatch(key)
        video_id, number = (match[1], int(match[2])) if match else (key, -1)
        numbered.setdefault(video_id, []).append((number, key))
    return {video_id: tuple(key for _, key in sorted(numbered[video_id])) for video_id in sorted(numbered)}


def _metadata_columns(path: Path, root: h5py.Group) -> tuple[str, ...]:
    """Read the column names from the metadata; empty if they are absent or not a list of texts."""
    metadata = _local_member(path, root, "metadata") if "metadata" in root else None
    if not isinstance(metadata, h5py.Group) or DIMENSION_NAMES not in metadata:
        return ()
    try:
        raw = _local_member(path, metadata, DIMENSION_NAMES)[0]
        names = json.loads(raw)
        require_shallow(names)
    except READ_ERRORS:
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _damaged_hdf5(path: Path, error: object) -> DamagedFileError:
    return DamagedFileError(
        f"Expected a readable HDF5 file in {path}, but got {error}; it was cut or altered: copy or download it again"
    )


@dataclass(frozen=True, slots=True)
class Roles:
    """The sequences to read for each role: the labels, the words, and the features of each modality."""

    # the first one defines the utterances; a second one adds emotions
    labels: tuple[Sequence, ...]
    # "words" and modalities -> sequence
    streams: Mapping[str, Sequence]

    @property
    def mapping(self) -> dict[str, str]:
        """Role -> name of the root group of its sequence."""
        labels = {LABELS: " + ".join(sequence.root for sequence in self.labels)}
        return labels | {role: sequence.root for role, sequence in self.streams.items()}


def normalised(root: str) -> str:
    """Convert a root name to lower case, and remove blanks, hyphens, underscores, the version and the data set.

    For example, "FACET 4.2" and "CMU_MOSI_FACET" become "facet".
    """
    return DATA_SET.sub("", re.sub(r"[\s_-]+", "", VERSION.sub("", root.lower())))


def match_sequences(sequences: list[Sequence], mapping: Mapping[str, str], notes: Counter[str]) -> Roles:
    """Find the sequence for each role: labels, words, text, acoustic and visual.

    Args:
        sequences: All sequences of the data set.
        mapping: Role -> name of the root group to use; other roles use the known names (`CSD_ROOTS`).
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The sequences by role; roles without a sequence are left out.

    Raises:
        DataError: A role has two sequences, a sequence in `mapping` is missing, there are no labels, or there are
            neither text vectors nor words.
    """
    of_role = {role: _sequences_of_role(role, sequences, mapping) for role in CSD_ROOTS}
    used = [id(sequence) for matches in of_role.values() for sequence in matches]
    for role, matches in of_role.items():
        names = {normalised(sequence.root) for sequence in matches}
        is_pair = role == LABELS and len(matches) == 2 and names == {"sentimentlabels", "emotionlabels"}
        if len(matches) > 1 and not is_pair:
            raise DataError(
                f"Expected one sequence of {role}, but got "
                f"{', '.join(f'{each.root!r} in {each.path}' for each in matches)}; "
                f"choose one with --map {role}=ROOT, or leave a file out"
            )
    all_names = ", ".join(repr(sequence.root) for sequence in sequences)
    if not of_role[LABELS]:
        raise DataError(
            f"Expected a sequence of labels such as 'All Labels', but got {all_names}; add its file, or name it with "
            "--map labels=ROOT"
        )
    if not of_role[Modality.TEXT] and not of_role[WORDS]:
        raise DataError(
            f"Expected text vectors or words to align to, but got {all_names}; add such a file, or name it with "
            "--map text=ROOT or --map words=ROOT"
        )
    unused = [sequence.root for sequence in sequences if id(sequence) not in used]
    add_note(notes, with_names(SEQUENCE_UNUSED, unused), len(unused))
    # "Sentiment Labels" comes first, because its rows define the utterances
    labels = sorted(of_role[LABELS], key=lambda sequence: normalised(sequence.root) == "emotionlabels")
    return Roles(tuple(labels), {role: matches[0] for role, matches in of_role.items() if matches and role != LABELS})


def label_columns(sequence: Sequence) -> tuple[str, ...]:
    """Return the names of the columns of a label sequence.

    If the file has no known column names, they follow from the number of columns.

    Raises:
        DataError: The file has no known column names and the number of columns is not 7, 6 or 1.
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


def _sequences_of_role(role: str, sequences: list[Sequence], mapping: Mapping[str, str]) -> list[Sequence]:
    if role not in mapping:
        mapped = set(mapping.values())
        known = CSD_ROOTS[role]
        return [each for each in sequences if normalised(each.root) in known and each.root not in mapped]
    exact = [each for each in sequences if each.root == mapping[role]]
    matches = exact or [each for each in sequences if normalised(each.root) == normalised(mapping[role])]
    if not matches:
        raise DataError(
            f"Expected a sequence {mapping[role]!r} for the role {role!r}, but got "
            f"{', '.join(repr(each.root) for each in sequences)}; name one of these with --map {role}=ROOT"
        )
    return matches
