"""Types and helpers that all readers share.

An opened data set lists the split of every video and yields the videos one at a time. `group` groups rows by video; the
rows may be in any order. `assign_splits` renames the splits of a data set, and can move some whole videos from train to
a new split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mien.errors import DataError, UsageError
from mien.labels import PAPER_SPACES, LabelSpace
from mien.limits import read_limited
from mien.readers.label_columns import LabelOption
from mien.readers.rules import ROW_REPEATED, TRANSCRIPT_SHARED, VIDEO_EMPTY
from mien.schema import SPLITS, FeatureSpace, Modality, SentimentValues, Utterance, Video, in_start_order

# a video, and for each rule (see `readers.rules`) the number of times that the reader applied it to this video
Described = tuple[Video, Counter[str]]


@dataclass(slots=True)
class SourceDataSet:
    """A data set that a reader has opened.

    `notes` counts how often each rule for invalid data was applied. It is complete once all `videos` have been read.
    """

    # video id -> name of its split in the data set; None if the video has no split
    splits: Mapping[str, str | None]
    spaces: Mapping[Modality, FeatureSpace]
    # each video once, utterances in start order; `Video.split` is unset, because the importer sets it
    videos: Iterator[Video]
    # Reads the same videos by id, so that several processes can share the work. None if the format does not allow this.
    reader: VideoReader | None = None
    sentiment_values: SentimentValues = SentimentValues.INTENSITY
    # rule -> number of times that it was applied; docs/formats.md documents the texts
    notes: Counter[str] = field(default_factory=Counter)
    # field -> column that was read for it
    mapping: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    licence_note: str = ""
    label_spaces: tuple[LabelSpace, ...] = PAPER_SPACES
    # names in `schema.EXTRA_COLUMNS` for which the data set has values
    extra_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReaderEntry:
    """Entry of the table of readers: the function that opens data sets of one format, and a description for users."""

    open: Callable[[Sequence[Path], ReaderOptions], SourceDataSet]
    description: str
    needs: str
    # software or publication that the format comes from
    origin: str
    # For each field that `ReaderOptions.mapping` may set: names to look for in the file, in this order. A generator has
    # options instead: option -> its values, the default first.
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # False for a generator, which makes its videos instead of reading files
    takes_files: bool = True
    # whether the user may name columns with labels of other kinds
    takes_labels: bool = False


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """Options that a user can set when a data set is opened."""

    # mien's field name -> the data set's column, key or root name
    mapping: Mapping[str, str] = field(default_factory=dict)
    # whether to keep word vectors where the data set has them
    words: bool = True
    # labels of the user's own, of readers with `takes_labels` only
    labels: tuple[LabelOption, ...] = ()


class VideoReader(Protocol):
    """Interface of objects that read the videos of a data set one at a time, in any order, and that can be pickled."""

    def opened(self) -> AbstractContextManager[Callable[[str], Described]]:
        """Open the files of the data set, as a context manager that closes them at the end.

        Returns:
            Context manager that yields a function. The function takes a video id. It returns the video, and a counter
            of how often each rule for invalid data (see `mien.readers.rules`) was applied to it.
        """
        ...


def read_in_order(
    reader: VideoReader, ids: Sequence[str], paths: Sequence[Path], workers: int = 1
) -> Iterator[Described]:
    """Read videos in child processes with limited memory and time, see `read_limited`.

    Args:
        reader: Reader of single videos; each process opens the files itself.
        ids: Video ids.
        paths: Files of the data set.
        workers: Number of processes. Each of them reads at most one video ahead.

    Yields:
        Each video, in the order of `ids`, and a counter of how often each rule for invalid data (see
        `mien.readers.rules`) was applied to it.

    Raises:
        DamagedFileError: A file is damaged, or reading it exceeds a limit.
        WorkerError: A process was killed.
        MienError: The reader could not read a video. Its error is raised in place of this video.
    """
    shares = [ids[first::workers] for first in range(workers)]
    parts = [read_limited("videos", paths, partial(_read_videos, reader, share)) for share in shares]
    try:
        for number in range(len(ids)):
            yield next(parts[number % workers])
    finally:
        for part in parts:
            part.close()


def _read_videos(reader: VideoReader, ids: Sequence[str]) -> Iterator[Described]:
    with reader.opened() as read:
        yield from map(read, ids)


def collect_notes(
    described: Iterable[Described], splits: Mapping[str, str | None], notes: Counter[str]
) -> Iterator[Video]:
    """Yield the videos that have utterances, and add up the counts of the rules applied to invalid data.

    Args:
        described: Each video, and a counter of how often each rule for invalid data was applied to it.
        splits: Video id -> name of its split in the data set; None if the video has no split.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
            It also counts the videos without utterances, and the transcripts that occur in more than one split.

    Yields:
        Each video that has at least one utterance.
    """
    shared = SharedTranscripts(notes)
    for video, applied in described:
        notes.update(applied)
        for utterance in video.utterances:
            shared.see(utterance.transcript, splits[video.id])
        if video.utterances:
            yield video
        else:
            notes[VIDEO_EMPTY] += 1


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance and its video id, as read from a data set, before the features are attached."""

    video_id: str
    split: str | None
    utterance: Utterance
    # location in the data set, for error messages: "line 3 of train.csv"
    where: str
    # where the features of the utterance are, in a form that the reader chooses
    place: Any = None
    fold: str | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows of a data set grouped by video. The videos are in the order in which they first occur in the rows."""

    splits: dict[str, str | None] = field(default_factory=dict)
    folds: dict[str, str | None] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def videos(self, attach: Callable[[Row], None] | None = None) -> Iterator[Video]:
        """Yield each video, and remove its rows from `rows` to free memory.

        Args:
            attach: Function that adds the features to the utterance of a row. If None, no features are added.

        Yields:
            Each video once.
        """
        for video_id in list(self.rows):
            rows = self.rows.pop(video_id)
            if attach is not None:
                for row in rows:
                    attach(row)
            yield Video(video_id, [row.utterance for row in rows], fold=self.folds[video_id])


def group(
    rows: Iterable[Row],
    notes: Counter[str],
    path: Path,
    numbered: bool,
    order: Callable[[list[Utterance]], list[Utterance]] = in_start_order,
) -> Groups:
    """Group rows by video and order the utterances of each video.

    A row that repeats an earlier row of its video exactly (same index, times, transcript, speaker and labels) is
    dropped and counted. If the rows have neither an index nor times, repeated rows are kept, because a speaker may
    repeat a phrase.

    Args:
        rows: All rows of the data set, in the order in which they are stored.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
        path: File to name in the error message when there is no row.
        numbered: Whether the data set gives every utterance an index. If False, the utterances of each video are
            numbered in stored order.
        order: Function that sorts the utterances of a video. The default sorts by start time.

    Returns:
        The rows grouped by video. The rows of each video are in the order of its utterances.

    Raises:
        DataError: A video is in two splits or folds, two different utterances of a video have the same index, or there
            is no row.
    """
    groups, shared = Groups(), SharedTranscripts(notes)
    first_rows: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        _require_one_part(row, "split", groups.splits.setdefault(row.video_id, row.split), row.split)
        _require_one_part(row, "fold", groups.folds.setdefault(row.video_id, row.fold), row.fold)
        first_row = first_rows.setdefault(_repetition_key(row, numbered), row)
        if first_row is not row and _utterance_content(first_row) == _utterance_content(row):
            notes[ROW_REPEATED] += 1
            continue
        if first_row is not row:
            raise DataError(
                f"Expected one utterance {row.utterance.index} in video {row.video_id!r}, but got two that differ, in "
                f"{first_row.where} and {row.where}; give each utterance of a video its own index"
            )
        video_rows = groups.rows.setdefault(row.video_id, [])
        if not numbered:
            row.utterance.index = len(video_rows)
        video_rows.append(row)
        shared.see(row.utterance.transcript, row.split)
    if not groups.rows:
        raise DataError(f"Expected at least one row with an utterance in {path}, but got none; check the file")
    for video_id, video_rows in groups.rows.items():
        by_index = {row.utterance.index: row for row in video_rows}
        ordered = order([row.utterance for row in video_rows])
        groups.rows[video_id] = [by_index[utterance.index] for utterance in ordered]
    return groups


def _require_one_part(row: Row, kind: str, first: str | None, own: str | None) -> None:
    if first != own:
        names = " and ".join(repr(name) if name is not None else f"no {kind}" for name in (first, own))
        raise DataError(
            f"Expected every video in one {kind}, but got video {row.video_id!r} in {names}; "
            "split by video, because the utterances of a video are each other's context"
        )


class SharedTranscripts:
    """Counts the transcripts that occur in more than one split, ignoring case and surrounding blanks.

    To save memory on a large data set, a hash of eight bytes per transcript is stored instead of the text.
    """

    def __init__(self, notes: Counter[str]) -> None:
        self._notes = notes
        self._split_of: dict[bytes, str] = {}
        self._shared: set[bytes] = set()

    def see(self, transcript: str, split: str | None) -> None:
        """Record the transcript of one utterance. A transcript that occurs in more than one split is counted once.

        Args:
            transcript: Text of the utterance; a blank text is ignored.
            split: Split of the utterance's video. If it is None, the transcript is ignored.
        """
        text = transcript.strip().lower()
        if not text or split is None:
            return
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if self._split_of.setdefault(key, split) != split and key not in self._shared:
            self._shared.add(key)
            self._notes[TRANSCRIPT_SHARED] += 1


def _repetition_key(row: Row, numbered: bool) -> tuple[Any, ...]:
    if numbered:
        return (row.video_id, row.utterance.index)
    if row.utterance.start_s is None:
        # without index and times, a repeated row cannot be distinguished from a repeated phrase
        return (id(row),)
    return (row.video_id, *_utterance_content(row))


def _utterance_content(row: Row) -> tuple[Any, ...]:
    utterance = row.utterance
    labels = {name: tuple(values.tolist()) for name, values in sorted(utterance.labels.items())}
    content = (utterance.start_s, utterance.end_s, utterance.transcript, utterance.speaker)
    return (*content, tuple(labels.items()))


# `--rename-split test=none` excludes a split from training and scoring; `none=train` trains on videos without a split
NO_SPLIT = "none"


def assign_splits(
    splits: Mapping[str, str | None], renames: Mapping[str, str], carves: Mapping[str, float], seed: int = 0
) -> dict[str, str | None]:
    """Assign each video to the train, valid or test split.

    First, the splits of the data set are renamed. Then new splits are carved: randomly chosen videos move from train to
    the new split. The choice depends on the seed and not on the order of the ids.

    Args:
        splits: Video id -> name of its split in the data set; None if the video has no split.
        renames: Name of a split in the data set -> train, valid, test or none. As a key, "none" stands for the videos
            without a split. As a value, it removes the videos from all splits.
        carves: Split to create (valid or test) -> share of the train videos that it takes, between 0 and 1.
        seed: Seed of the random choice.

    Returns:
        Video id -> train, valid or test, or None if the video is in no split.

    Raises:
        UsageError: An entry of `renames` or `carves` is invalid.
        DataError: There are fewer than two train videos to carve from.
    """
    _check_renames(renames, {split or NO_SPLIT for split in splits.values()})
    roles = {video: renames.get(split or NO_SPLIT, split) for video, split in splits.items()}
    roles = {video: None if role == NO_SPLIT else role for video, role in roles.items()}
    for role, share in carves.items():
        train = sorted(video for video, video_role in roles.items() if video_role == "train")
        _check_carve(role, share, set(roles.values()), len(train))
        n_carved = min(max(1, round(share * len(train))), len(train) - 1)
        for number in np.random.default_rng(seed).permutation(len(train))[:n_carved]:
            roles[train[number]] = role
    return roles


def _check_renames(renames: Mapping[str, str], own_names: set[str]) -> None:
    for old, new in renames.items():
        if old not in own_names:
            raise UsageError(
                f"Expected --rename-split to name a split of the data set ({', '.join(sorted(own_names))}), "
                f"but got {old!r}; check its spelling"
            )
        if new not in (*SPLITS, NO_SPLIT):
            raise UsageError(f"Expected a split to become one of {', '.join(SPLITS)}, none, but got {new!r}")
    targets = [renames.get(name, name) for name in own_names]
    for role in SPLITS:
        if targets.count(role) > 1:
            merged = sorted(name for name in own_names if renames.get(name, name) == role)
            raise UsageError(
                f"Expected one split of the data set per role, but got {' and '.join(merged)} for {role}; "
                f"rename the other one too, for example --rename-split {role}=none"
            )


def _check_carve(role: str, share: float, taken: set[str | None], n_train: int) -> None:
    if role not in ("valid", "test") or not 0 < share < 1:
        raise UsageError(f"Expected --carve valid=SHARE or test=SHARE with 0 < SHARE < 1, but got {role}={share:g}")
    if role in taken:
        raise UsageError(
            f"Expected no {role} split before carving one, but the data set has it; "
            f"give the old one another role first, for example --rename-split {role}=test"
        )
    if n_train < 2:
        raise DataError(f"Expected at least two train videos to carve {role} from, but got {n_train}")
