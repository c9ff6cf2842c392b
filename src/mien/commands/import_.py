"""`mien import`: a published data set on disk becomes a Dataset, its videos read by one process or side by side."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import UsageError, WorkerError
from mien.pretrained import sha256_of
from mien.readers import open_reader
from mien.readers.base import Described, ReaderOptions, SourceDataSet, VideoReader, assign_splits, collect_notes
from mien.schema import FeatureSpace, Level, Modality, Video
from mien.storage.dataset import Dataset, DatasetFacts, row_groups, write_dataset_groups

if TYPE_CHECKING:
    from mien.features.text.base import TextExtractor

NO_TEXT_NOTE = "utterances without a text vector (no known word): text missing"

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class ImportOptions:
    """What a user may say beside reader, files and target."""

    # text extractor, NAME or NAME:PATH; None keeps the data set's own text features, if any
    text: str | None = None
    # mien's field -> the data set's column, key or root name
    mapping: Mapping[str, str] = field(default_factory=dict)
    # split of the data set -> train, valid, test or none
    rename_splits: Mapping[str, str] = field(default_factory=dict)
    # new role -> share of the train videos
    carve: Mapping[str, float] = field(default_factory=dict)
    carve_seed: int = 0
    # word vectors: None = where the data set has them, True = from the text extractor too, False = none
    words: bool | None = None
    # defaults to the name of the target folder
    name: str | None = None
    # processes that read videos side by side, where the reader takes them one by one
    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"Expected at least one worker, but got {self.workers}; change --workers")


def import_dataset(
    reader: str,
    paths: Sequence[str | Path],
    out: str | Path,
    options: ImportOptions | None = None,
    advance: Advance | None = None,
) -> Dataset:
    """Read `paths` with the named reader and write the Dataset folder `out`; what was dropped or mended is counted.

    The counts stand in ``dataset.facts.origin["notes"]``. `advance` is called with (videos done, videos in all). In a
    script, call it with several workers below ``if __name__ == "__main__":`` alone, as Python asks of all processes.
    Raises UnknownNameError, UsageError, DataError, WorkerError or WriteError; an existing Dataset at `out` is then
    unchanged, and so it is when the import is killed.
    """
    options = options or ImportOptions()
    extractor = _load_extractor(options)
    source = open_reader(reader, paths, ReaderOptions(options.mapping, options.words is not False))
    if options.workers > 1 and source.reader is None:
        raise UsageError(
            f"Expected one worker for the reader {reader!r}, whose files are read as a whole, but got "
            f"{options.workers}; leave --workers out"
        )
    roles = assign_splits(source.splits, options.rename_splits, options.carve, options.carve_seed)
    facts = DatasetFacts(
        options.name or Path(out).resolve().name,
        _spaces(source, extractor, options.words is True),
        source.sentiment_values,
        {
            "source": reader,
            "files": {path.name: sha256_of(path) for path in source.files},
            "mapping": dict(source.mapping),
            "rename_splits": dict(options.rename_splits),
            "carve": dict(options.carve),
            "carve_seed": options.carve_seed,
            # filled while the videos stream by; the card is written after the last one
            "notes": source.notes,
        },
        source.licence_note,
    )
    groups = _groups(source, roles, extractor, options, advance or (lambda _done, _total: None))
    return write_dataset_groups(Path(out), groups, facts)


def _load_extractor(options: ImportOptions) -> TextExtractor | None:
    if options.text is None:
        return None
    # loaded here, because the extractors of all modalities come along
    from mien.features.extractors import load_text_extractor

    extractor = load_text_extractor(options.text)
    if options.words and extractor.word_vectors is None:
        raise UsageError(f"Expected a text extractor with word vectors for --words, but got {options.text}; use glove")
    return extractor


def _spaces(source: SourceDataSet, extractor: TextExtractor | None, words: bool) -> dict[Modality, FeatureSpace]:
    """The feature spaces of the Dataset, in the order of the modalities."""
    if extractor is None:
        spaces = dict(source.spaces)
    else:
        # The data set's words go, in every modality: they are not the words of the new text features.
        spaces = {m: dataclasses.replace(space, level=Level.UTTERANCE) for m, space in source.spaces.items()}
        level = Level.WORD if words else Level.UTTERANCE
        spaces[Modality.TEXT] = dataclasses.replace(extractor.space, level=level)
    return {modality: spaces[modality] for modality in Modality if modality in spaces}


def _groups(
    source: SourceDataSet,
    roles: Mapping[str, str | None],
    extractor: TextExtractor | None,
    options: ImportOptions,
    advance: Advance,
) -> Iterator[list[Video]]:
    """The videos with role and text features, in groups that become groups of rows."""
    videos, notes = source.videos, source.notes
    if options.workers > 1 and source.reader is not None:
        described = read_side_by_side(source.reader, list(source.splits), options.workers)
        videos = collect_notes(described, source.splits, notes)
    n_done = 0
    for group in row_groups(videos):
        for video in group:
            video.split = roles.get(video.id)
        if extractor is not None:
            _add_text(group, extractor, options.words is True, notes)
        n_done += len(group)
        advance(n_done, len(source.splits))
        yield group
    if n_done < len(source.splits):  # the others have no utterance
        advance(len(source.splits), len(source.splits))
    # in one order, whichever video came first
    in_order = sorted(notes.items())
    notes.clear()
    notes.update(dict(in_order))


def _add_text(videos: Sequence[Video], extractor: TextExtractor, words: bool, notes: Counter[str]) -> None:
    utterances = [utterance for video in videos for utterance in video.utterances]
    vectors, present = extractor.utterance_vectors([utterance.transcript for utterance in utterances])
    for utterance, vector, here in zip(utterances, vectors, present, strict=True):
        utterance.features.pop(Modality.TEXT, None)
        utterance.words.clear()
        utterance.word_present.clear()
        if here:
            utterance.features[Modality.TEXT] = vector
        else:
            notes[NO_TEXT_NOTE] += 1
        if words and here and extractor.word_vectors is not None:
            utterance.words[Modality.TEXT] = extractor.word_vectors(utterance.transcript)


# videos per process that are read, or being read, before their turn: bounds the memory
AHEAD = 3


def read_side_by_side(reader: VideoReader, ids: Sequence[str], workers: int) -> Iterator[Described]:
    """Each video with the rules applied to it, in the order of `ids`, read by so many processes.

    Raises what the reader raises, at the video's turn, and WorkerError when a process is killed.
    """
    # spawned: HDF5 does not outlive a fork
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _open, (reader,))
    waiting: deque[Future[Described]] = deque()
    try:
        for video_id in ids:
            waiting.append(pool.submit(_read, video_id))
            if len(waiting) == AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise WorkerError(
            f"Expected {workers} processes to read side by side, but one was killed, perhaps for want of memory; "
            "repeat the command with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


# what a reading process has open; it ends with the process
_held = ExitStack()
_readers: list[Callable[[str], Described]] = []


def _open(reader: VideoReader) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _readers.append(_held.enter_context(reader.opened()))


def _read(video_id: str) -> Described:
    return _readers[0](video_id)


def _end_with_parent() -> None:
    """A killed parent says no farewell, and its pool's processes would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
