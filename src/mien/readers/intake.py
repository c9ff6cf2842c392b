"""What every source hands over: splits known beforehand, videos one at a time, and the rules it had to apply.

Which split a video plays in: the source's own names, renamed and carved on request. Whole videos only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from mien.errors import DataError, UsageError
from mien.readers.rules import TranscriptWatch, present_videos
from mien.schema import SPLITS, FeatureSpace, Modality, SentimentValues, Video

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


# `--rename-split test=none` leaves a split out of training and scoring; `none=train` puts videos without a split to use
NO_SPLIT = "none"


def assign_roles(
    splits: Mapping[str, str | None], renames: Mapping[str, str], carves: Mapping[str, float], seed: int = 0
) -> dict[str, str | None]:
    """Video id -> role, after `renames` (source name -> role) and `carves` (role -> share of the train videos).

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
                f"Expected --rename-split to name a split of the source ({', '.join(sorted(own_names))}), "
                f"but got {old!r}; check its spelling"
            )
        if new not in (*SPLITS, NO_SPLIT):
            raise UsageError(f"Expected a split to become one of {', '.join(SPLITS)}, none, but got {new!r}")
    targets = [renames.get(name, name) for name in own_names]
    for role in SPLITS:
        if targets.count(role) > 1:
            merged = sorted(name for name in own_names if renames.get(name, name) == role)
            raise UsageError(
                f"Expected one source split per role, but got {' and '.join(merged)} for {role}; "
                f"rename the other one too, for example --rename-split {role}=none"
            )


def _check_carve(role: str, share: float, taken: set[str | None], n_train: int) -> None:
    if role not in ("valid", "test") or not 0 < share < 1:
        raise UsageError(f"Expected --carve valid=SHARE or test=SHARE with 0 < SHARE < 1, but got {role}={share:g}")
    if role in taken:
        raise UsageError(
            f"Expected no {role} split before carving one, but the source has it; "
            f"give the old one another role first, for example --rename-split {role}=test"
        )
    if n_train < 2:
        raise DataError(f"Expected at least two train videos to carve {role} from, but got {n_train}")
