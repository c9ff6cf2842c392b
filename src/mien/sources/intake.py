"""What every source hands over: splits known beforehand, videos one at a time, and the rules it had to apply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mien.schema import FeatureSpace, Modality, SentimentValues, Video


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a user may say about a source beside its files."""

    # mien's field name -> the source's column, key or root name
    mapping: Mapping[str, str] = field(default_factory=dict)
    # keep word vectors where the source has them
    words: bool = True


@dataclass(slots=True)
class Intake:
    """An opened source. `notes` is complete once `videos` is exhausted."""

    name: str
    # video id -> the source's own split name, or None
    splits: Mapping[str, str | None]
    spaces: Mapping[Modality, FeatureSpace]
    # each video once, utterances in start order, `Video.split` unset (the importer decides roles)
    videos: Iterator[Video]
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
