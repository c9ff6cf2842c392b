"""What every reader hands over: each video's split, known beforehand, and the videos one at a time.

Readers whose files hold rows in any order turn them into videos here. The importer asks here which split a video plays
in: the data set's own names, renamed and carved on request, whole videos only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mien.errors import DataError, UsageError
from mien.readers.rules import ROW_REPEATED, TRANSCRIPT_SHARED, VIDEO_EMPTY
from mien.schema import SPLITS, FeatureSpace, Modality, SentimentValues, Utterance, Video, in_start_order

# a video and how often each rule was applied to it
Described = tuple[Video, Counter[str]]


@dataclass(slots=True)
class SourceDataSet:
    """An opened data set. `notes` is complete once `videos` is exhausted."""

    # video id -> the data set's own split name, or None
    splits: Mapping[str, str | None]
    spaces: Mapping[Modality, FeatureSpace]
    # each video once, utterances in start order, `Video.split` unset (the importer decides roles)
    videos: Iterator[Video]
    # where a video can be read by itself: the same videos, so that several processes may share the work
    reader: VideoReader | None = None
    sentiment_values: SentimentValues = SentimentValues.INTENSITY
    # rule applied -> how often; the texts are documented in docs/formats.md
    notes: Counter[str] = field(default_factory=Counter)
    # field -> column that was read for it
    mapping: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    licence_note: str = ""


@dataclass(frozen=True, slots=True)
class ReaderEntry:
    """One line of the table of readers: how it opens a data set and what a user must know about it."""

    open: Callable[[Sequence[Path], ReaderOptions], SourceDataSet]
    description: str
    needs: str
    # where the format comes from
    origin: str
    # field that `ReaderOptions.mapping` may set -> names tried for it, in this order; of a generator: values it takes,
    # the default first
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # False: a generator, which makes its videos instead of reading them
    takes_files: bool = True


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """What a user may say about a data set beside its files."""

    # mien's field name -> the data set's column, key or root name
    mapping: Mapping[str, str] = field(default_factory=dict)
    # keep word vectors where the data set has them
    words: bool = True


class VideoReader(Protocol):
    """Reads the videos of a data set one at a time and in any order. It can be sent to another process."""

    def opened(self) -> AbstractContextManager[Callable[[str], Described]]:
        """Give a function, good until the block ends: video id -> the video and the rules applied to it."""
        ...  # a protocol has no body


def read_in_order(reader: VideoReader, ids: Iterable[str]) -> Iterator[Described]:
    """Each video in the order of `ids`, with the rules applied to it."""
    with reader.opened() as read:
        for video_id in ids:
            yield read(video_id)


def collect_notes(
    described: Iterable[Described], splits: Mapping[str, str | None], notes: Counter[str]
) -> Iterator[Video]:
    """The videos that have an utterance; what was done to them, and what they share, is added to `notes`."""
    watch = SharedTranscripts(notes)
    for video, applied in described:
        notes.update(applied)
        for utterance in video.utterances:
            watch.see(utterance.transcript, splits[video.id])
        if video.utterances:
            yield video
        else:
            notes[VIDEO_EMPTY] += 1


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance as it stands in its data set, without features."""

    video_id: str
    split: str | None
    utterance: Utterance
    # for messages: "line 3 of train.csv"
    where: str
    # where its features are
    place: Any = None


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows by video. N videos in order of first appearance."""

    splits: dict[str, str | None] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def videos(self, attach: Callable[[Row], None] | None = None) -> Iterator[Video]:
        """Each video once; `attach` gives an utterance its features when its turn comes. Rows passed are let go."""
        for video_id in list(self.rows):
            rows = self.rows.pop(video_id)
            if attach is not None:
                for row in rows:
                    attach(row)
            yield Video(video_id, [row.utterance for row in rows])


def group(
    rows: Iterable[Row],
    notes: Counter[str],
    path: Path,
    numbered: bool,
    order: Callable[[list[Utterance]], list[Utterance]] = in_start_order,
) -> Groups:
    """Group rows by video and put each video's utterances in order.

    With ``numbered`` the utterances carry the data set's own index; without, they are numbered here by stored order.
    An exact repetition (same index, times, text and labels) is left out and counted; without indices only rows with
    times can be told apart from a phrase said twice.

    Raises DataError for a video in two splits, one index with two contents, and when there is no row in `path`.
    """
    groups, watch = Groups(), SharedTranscripts(notes)
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        first = groups.splits.setdefault(row.video_id, row.split)
        if first != row.split:
            names = " and ".join(repr(name) if name is not None else "no split" for name in (first, row.split))
            raise DataError(
                f"Expected every video in one split, but got video {row.video_id!r} in {names}; "
                "split by video, because the utterances of a video are each other's context"
            )
        earlier = seen.setdefault(_key(row, numbered), row)
        if earlier is not row and _content(earlier) == _content(row):
            notes[ROW_REPEATED] += 1
            continue
        if earlier is not row:
            raise DataError(
                f"Expected one utterance {row.utterance.index} in video {row.video_id!r}, but got two that differ, in "
                f"{earlier.where} and {row.where}; give each utterance of a video its own index"
            )
        of_video = groups.rows.setdefault(row.video_id, [])
        if not numbered:
            row.utterance.index = len(of_video)
        of_video.append(row)
        watch.see(row.utterance.transcript, row.split)
    if not groups.rows:
        raise DataError(f"Expected at least one row with an utterance in {path}, but got none; check the file")
    for video_id, of_video in groups.rows.items():
        by_index = {row.utterance.index: row for row in of_video}
        ordered = order([row.utterance for row in of_video])
        groups.rows[video_id] = [by_index[utterance.index] for utterance in ordered]
    return groups


class SharedTranscripts:
    """Counts the texts (stripped, lower case) that occur in more than one split.

    Keeps eight bytes per text instead of the text, so that a corpus can stream past.
    """

    def __init__(self, notes: Counter[str]) -> None:
        self._notes = notes
        self._split_of: dict[bytes, str] = {}
        self._shared: set[bytes] = set()

    def see(self, transcript: str, split: str | None) -> None:
        """Take note of one utterance's text."""
        text = transcript.strip().lower()
        if not text or split is None:
            return
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if self._split_of.setdefault(key, split) != split and key not in self._shared:
            self._shared.add(key)
            self._notes[TRANSCRIPT_SHARED] += 1


def _key(row: Row, numbered: bool) -> tuple[Any, ...]:
    if numbered:
        return (row.video_id, row.utterance.index)
    if row.utterance.start_s is None:
        # without times and numbers nothing tells a repeated row from a phrase said twice
        return (id(row),)
    return (row.video_id, *_content(row))


def _content(row: Row) -> tuple[Any, ...]:
    utterance = row.utterance
    emotions = None if utterance.emotions is None else tuple(utterance.emotions.tolist())
    return (utterance.start_s, utterance.end_s, utterance.transcript, utterance.sentiment, emotions)


# `--rename-split test=none` leaves a split out of training and scoring; `none=train` puts videos without a split to use
NO_SPLIT = "none"


def assign_splits(
    splits: Mapping[str, str | None], renames: Mapping[str, str], carves: Mapping[str, float], seed: int = 0
) -> dict[str, str | None]:
    """Video id -> role, after `renames` (own name -> role) and `carves` (role -> share of the train videos).

    Carving takes whole videos from train at random, the same ones for a seed whatever the order of the ids. Raises
    UsageError on a rename or carve that makes no sense, DataError when there is nothing to carve from.
    """
    _check_renames(renames, {split or NO_SPLIT for split in splits.values()})
    roles = {video: renames.get(split or NO_SPLIT, split) for video, split in splits.items()}
    roles = {video: None if role == NO_SPLIT else role for video, role in roles.items()}
    for role, share in carves.items():
        train = sorted(video for video, its_role in roles.items() if its_role == "train")
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
