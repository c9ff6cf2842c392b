"""Types and helpers that all readers share.

An opened data set lists the split of every video and yields the videos one at a time. `group` groups rows by video; the
rows may be in any order.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mien.errors import DataError
from mien.labels import PAPER_SPACES, LabelSpace
from mien.limits import read_limited
from mien.readers.rules import ID_NUMBER_READ, ROW_REPEATED, VIDEO_EMPTY, note_text
from mien.readers.splits import same_split
from mien.readers.transcripts import SharedTranscripts
from mien.schema import FeatureSpace, Modality, SentimentValues, Utterance, Video, in_start_order
from mien.storage.video_ids import LONGEST_ID, UNAMBIGUOUS, numbered_ids, split_ids

if TYPE_CHECKING:
    from mien.readers.label_columns import LabelOption

# a video, and for each rule (see `readers.rules`) the number of times that the reader applied it to this video
Described = tuple[Video, Counter[str]]


class Unit(StrEnum):
    """What the user states about the ids of a data set (`mien import --unit`)."""

    VIDEO = "video"  # an id such as "talk_3" is that of a video with the number of an utterance
    UTTERANCE = "utterance"  # each utterance is a video of its own, without context
    ID = "id"  # each id is that of a video, whatever it looks like


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
    # whether the format says that each id is that of a video, even if the ids differ only in a number at their end
    ids_are_videos: bool = False
    # video id -> media file, of a reader that reads the names of media files and not their content
    recordings: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """Options that a user can set when a data set is opened."""

    # mien's field name -> the data set's column, key or root name
    mapping: Mapping[str, str] = field(default_factory=dict)
    # whether to keep word vectors where the data set has them
    words: bool = True
    # labels of the user's own, of readers with `takes_labels` only
    labels: tuple[LabelOption, ...] = ()
    # what the ids stand for; None: ids of videos, except those in an unambiguous notation such as "talk[3]"
    unit: Unit | None = None
    # whether a table must have transcripts; False if speech recognition adds those that are missing
    needs_text: bool = True


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
    # rule for invalid data -> how often it was applied to this row; counted only if the row is kept
    applied: Counter[str] | None = None


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
    unit: Unit | None = None,
) -> Groups:
    """Group rows by video and order the utterances of each video.

    A row that repeats an earlier row of its video exactly (same index, times, transcript, speaker and labels) is
    dropped and counted. If the rows have neither an index nor times, repeated rows are kept, because a speaker may
    repeat a phrase.

    If the video ids are ids of utterances in an unambiguous notation, such as ``talk[3]``, the number in brackets is
    read as the number of the utterance, and counted.

    Args:
        rows: All rows of the data set, in the order in which they are stored.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
        path: File to name in the error message when there is no row.
        numbered: Whether the data set gives every utterance an index. If False, the utterances of each video are
            numbered in stored order.
        order: Function that sorts the utterances of a video. The default sorts by start time.
        unit: What the ids stand for, as the user states it.

    Returns:
        The rows grouped by video. The rows of each video are in the order of its utterances.

    Raises:
        DataError: A video is in two splits or folds, two different utterances of a video have the same index, or there
            is no row.
    """
    groups, shared = Groups(), SharedTranscripts(notes)
    first_rows: dict[tuple[Any, ...], Row] = {}
    rows = list(rows)
    if unit is Unit.UTTERANCE:
        rows, numbered = _separate_rows(rows, numbered), True
    elif unit is not Unit.ID and (parts := _utterance_ids(rows, unit)):
        rows, numbered = _joined_rows(rows, parts, numbered), True
    for row in rows:
        split = groups.splits.setdefault(row.video_id, row.split)
        _require_one_part(row, "split", split, split if same_split(split, row.split) else row.split)
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
        if row.applied:
            notes.update(row.applied)
        video_rows = groups.rows.setdefault(row.video_id, [])
        if not numbered:
            row.utterance.index = len(video_rows)
        video_rows.append(row)
        shared.see(row.utterance.transcript, split)
        note_text(row.utterance.transcript, notes)
    if not groups.rows:
        raise DataError(f"Expected at least one row with an utterance in {path}, but got none; check the file")
    for video_id, video_rows in groups.rows.items():
        by_index = {row.utterance.index: row for row in video_rows}
        ordered = order([row.utterance for row in video_rows])
        groups.rows[video_id] = [by_index[utterance.index] for utterance in ordered]
    return groups


class _Numbering:
    """Numbers the rows of each video in stored order. A repeated row gets the number of the first, to be dropped."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._n_rows: Counter[str] = Counter()

    def number(self, row: Row, video_id: str) -> int:
        key = _repetition_key(row, numbered=False)
        if key not in self._numbers:
            self._numbers[key] = self._n_rows[video_id]
            self._n_rows[video_id] += 1
        return self._numbers[key]


def _separate_rows(rows: Sequence[Row], numbered: bool) -> list[Row]:
    """Return the rows with an id for each utterance: the id of its video with the number of the utterance."""
    numbering = _Numbering()
    separate = []
    for row in rows:
        if not numbered:
            row.utterance.index = numbering.number(row, row.video_id)
        separate.append(dataclasses.replace(row, video_id=f"{row.video_id}[{row.utterance.index}]"))
    return separate


def _utterance_ids(rows: Sequence[Row], unit: Unit | None) -> Mapping[str, tuple[str, int | None]]:
    """Return the parts of the video ids that are ids of utterances: id -> id of the video, number of the utterance.

    Without `unit`, these are ids in an unambiguous notation. An id that is not in this notation stays as it is; if it
    is the id of a video that other ids have with a number, no id is split.
    """
    ids = dict.fromkeys(row.video_id for row in rows)
    if unit is None:
        # nearly always no id has the notation, and the rows need not be counted
        first_ids = [name for name in ids if len(name) <= LONGEST_ID][:100]
        if not any(pattern.fullmatch(name) for pattern in UNAMBIGUOUS for name in first_ids):
            return {}
        contents = {(row.video_id, row.utterance.start_s, row.utterance.transcript) for row in rows}
        found = numbered_ids(Counter(video_id for video_id, _, _ in contents))
        parts = found.parts if found is not None and found.is_unambiguous else {}
    else:
        found = numbered_ids(dict.fromkeys(ids, 1))
        parts = split_ids(ids) if found is None else found.parts
    return {} if {video for video, _ in parts.values()} & (ids.keys() - parts.keys()) else parts


def _joined_rows(rows: Sequence[Row], parts: Mapping[str, tuple[str, int | None]], numbered: bool) -> list[Row]:
    """Return the rows with the ids of videos, and the number at the end of an id as the index of its utterance.

    An index that the rows have is kept if it is unique in each video. If neither is unique ("talk_F01" and "talk_M01"),
    or if the ids end in times, the utterances of a video are numbered in stored order.
    """
    by_index = {(parts.get(row.video_id, (row.video_id,))[0], row.utterance.index) for row in rows}
    keeps_index = numbered and len(by_index) >= len({row.video_id for row in rows})
    takes_number = len(set(parts.values())) == len(parts)
    numbering = _Numbering()
    joined = []
    for row in rows:
        video_id, number = parts.get(row.video_id, (row.video_id, None))
        applied = Counter(row.applied or ())
        if row.video_id in parts:
            applied[ID_NUMBER_READ] += 1
            if not keeps_index:
                known = number if takes_number else None
                row.utterance.index = numbering.number(row, video_id) if known is None else known
        elif not numbered:
            row.utterance.index = numbering.number(row, video_id)
        joined.append(dataclasses.replace(row, video_id=video_id, applied=applied))
    return joined


def _require_one_part(row: Row, kind: str, first: str | None, own: str | None) -> None:
    if first != own:
        names = " and ".join(repr(name) if name is not None else f"no {kind}" for name in (first, own))
        raise DataError(
            f"Expected every video in one {kind}, but got video {row.video_id!r} in {names}; "
            "split by video, because the utterances of a video are each other's context; or import them without "
            "context: --unit utterance"
        )


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
