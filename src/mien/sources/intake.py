"""What every source hands over: splits known beforehand, videos one at a time, and the rules it had to apply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mien.schema import FeatureSpace, Modality, SentimentValues, Video
from mien.sources.rows import present_videos
from mien.sources.rules import TranscriptWatch

ReadVideo = Callable[[str], tuple[Video, Counter[str]]]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a user may say about a source beside its files."""

    # mien's field name -> the source's column, key or root name
    mapping: Mapping[str, str] = field(default_factory=dict)
    # keep word vectors where the source has them
    words: bool = True


class VideoReader(Protocol):
    """Reads the videos of a source one at a time and in any order. It can be sent to another process."""

    def opened(self) -> AbstractContextManager[ReadVideo]:
        """Give a function, good until the block ends: video id -> the video and the rules applied to it."""
        ...  # a protocol has no body


@dataclass(slots=True)
class Intake:
    """An opened source. `notes` is complete once `videos` is exhausted."""

    name: str
    # video id -> the source's own split name, or None
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
class SourceEntry:
    """One line of the table of sources: how it is opened and what a user must know about it."""

    open: Callable[[Sequence[Path], SourceOptions], Intake]
    description: str
    needs: str
    # where the format comes from
    origin: str
    # field that `SourceOptions.mapping` may set -> names tried for it, in this order; of a generator: values it takes,
    # the default first
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # False: a generator, which makes its videos instead of reading them
    takes_files: bool = True


def read_in_order(reader: VideoReader, splits: Mapping[str, str | None], notes: Counter[str]) -> Iterator[Video]:
    """Every video of `splits` in its order, what was done to it counted in `notes`."""
    watch = TranscriptWatch(notes)

    def read() -> Iterator[Video]:
        with reader.opened() as read_one:
            for video_id, split in splits.items():
                video, applied = read_one(video_id)
                notes.update(applied)
                for utterance in video.utterances:
                    watch.see(utterance.transcript, split)
                yield video

    return present_videos(read(), notes)
