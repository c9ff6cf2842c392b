"""From rows in any order to videos: numbering, repeated rows, splits, order. Shared by all sources that read rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mien.errors import DataError
from mien.schema import Utterance, Video, in_start_order
from mien.sources.rules import ROW_REPEATED, VIDEO_EMPTY, TranscriptWatch, require_same_split


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance as it stands in its source, without features."""

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
    numbered: bool,
    order: Callable[[list[Utterance]], list[Utterance]] = in_start_order,
) -> Groups:
    """Group rows by video and put each video's utterances in order.

    With ``numbered`` the utterances carry their source's own index; without, they are numbered here by stored order.
    An exact repetition (same index, times, text and labels) is left out and counted; without indices only rows with
    times can be told apart from a phrase said twice.

    Raises DataError for a video in two splits, one index with two contents, and when there is no row.
    """
    groups, watch = Groups(), TranscriptWatch(notes)
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        require_same_split(row.video_id, groups.splits.setdefault(row.video_id, row.split), row.split)
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
    for video_id, of_video in groups.rows.items():
        by_index = {row.utterance.index: row for row in of_video}
        ordered = order([row.utterance for row in of_video])
        groups.rows[video_id] = [by_index[utterance.index] for utterance in ordered]
    return groups


def present_videos(videos: Iterable[Video], notes: Counter[str]) -> Iterator[Video]:
    """Leave out, and count, the videos without an utterance."""
    for video in videos:
        if video.utterances:
            yield video
        else:
            notes[VIDEO_EMPTY] += 1


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
