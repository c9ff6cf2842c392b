"""`mien import`: a published data set on disk -> a Dataset.

The videos of a source read in their order by one process or by several.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
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
from mien.readers import open_source
from mien.readers.intake import Intake, ReadVideo, SourceOptions, VideoReader, assign_roles
from mien.readers.rules import VIDEO_EMPTY, TranscriptWatch, count
from mien.schema import Level, Modality, Video
from mien.storage.dataset import Dataset, DatasetFacts, write_dataset_tables
from mien.storage.groups import BYTES_PER_GROUP, ROWS_PER_GROUP, row_groups, to_table
from mien.storage.parts import Parts, parts_of
from mien.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

    from mien.features.text.base import TextExtractor

NO_TEXT_NOTE = "utterances without a text vector (no known word): text missing"

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class ImportOptions:
    """What a user may say beside source, files and target."""

    # text extractor, NAME or NAME:PATH; None keeps the source's own text features, if any
    text: str | None = None
    # mien's field -> the source's column, key or root name
    mapping: Mapping[str, str] = field(default_factory=dict)
    # source split -> train, valid, test or none
    rename_splits: Mapping[str, str] = field(default_factory=dict)
    # new role -> share of the train videos
    carve: Mapping[str, float] = field(default_factory=dict)
    carve_seed: int = 0
    # word vectors: None = where the source has them, True = from the text extractor too, False = none
    words: bool | None = None
    # defaults to the name of the target folder
    name: str | None = None
    # processes that read videos side by side, where the source's can be read one by one
    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"Expected at least one worker, but got {self.workers}; change --workers")


def import_dataset(
    source: str,
    paths: Sequence[str | Path],
    out: str | Path,
    options: ImportOptions | None = None,
    advance: Advance | None = None,
) -> Dataset:
    """Read `paths` with the named source and write the Dataset folder `out`; what was dropped or mended is counted.

    The counts stand in ``dataset.facts.origin["notes"]``. `advance` is called with (videos done, videos in all). When
    it is killed, the same call goes on after the last group of rows that it finished and ends in the same bytes. In a
    script, call it with several workers below ``if __name__ == "__main__":`` alone, as Python asks of all processes.
    Raises UnknownNameError, UsageError, DataError, WorkerError or WriteError; an existing Dataset at `out` is then
    unchanged.
    """
    options = options or ImportOptions()
    extractor = _load_extractor(options)
    intake = open_source(
        source, [Path(path) for path in paths], SourceOptions(options.mapping, options.words is not False)
    )
    if options.workers > 1 and intake.reader is None:
        raise UsageError(
            f"Expected one worker for the source {source!r}, whose files are read as a whole, but got "
            f"{options.workers}; leave --workers out"
        )
    roles = assign_roles(intake.splits, options.rename_splits, options.carve, options.carve_seed)
    spaces = dict(intake.spaces)
    if extractor is not None:
        # The source's words go, in every modality: they are not the words of the new text features.
        spaces = {modality: dataclasses.replace(space, level=Level.UTTERANCE) for modality, space in spaces.items()}
        level = Level.WORD if options.words else Level.UTTERANCE
        spaces[Modality.TEXT] = dataclasses.replace(extractor.space, level=level)
    origin: dict[str, object] = {
        "source": source,
        "files": {path.name: sha256_of(path) for path in intake.files},
        "mapping": dict(intake.mapping),
        "rename_splits": dict(options.rename_splits),
        "carve": dict(options.carve),
        "carve_seed": options.carve_seed,
    }
    facts = DatasetFacts(
        options.name or Path(out).resolve().name,
        {modality: spaces[modality] for modality in Modality if modality in spaces},
        intake.sentiment_values,
        # the notes are filled while the videos stream by; the card is written after the last one
        {**origin, "notes": intake.notes},
        intake.licence_note,
    )
    job = _Job(intake, roles, facts, extractor, options, advance or (lambda _done, _total: None))
    with parts_of(Path(out), _fingerprint(origin, facts, options)) as parts:
        return write_dataset_tables(Path(out), _tables(job, parts), facts)


@dataclass(frozen=True)
class _Job:
    """One import as it was asked for."""

    intake: Intake
    roles: Mapping[str, str | None]
    facts: DatasetFacts
    extractor: TextExtractor | None
    options: ImportOptions
    advance: Advance


def _load_extractor(options: ImportOptions) -> TextExtractor | None:
    if options.text is None:
        return None
    # loaded here, because the extractors of all modalities come along
    from mien.features import load_text_extractor

    extractor = load_text_extractor(options.text)
    if options.words and extractor.word_vectors is None:
        raise UsageError(f"Expected a text extractor with word vectors for --words, but got {options.text}; use glove")
    return extractor


def _fingerprint(origin: Mapping[str, object], facts: DatasetFacts, options: ImportOptions) -> str:
    """Of everything that changes a row of the table or where its groups end."""
    spaces = {modality: [space.fingerprint, space.level] for modality, space in facts.spaces.items()}
    made_from = {
        "mien": __version__,
        "groups": [ROWS_PER_GROUP, BYTES_PER_GROUP],
        "origin": origin,
        "spaces": spaces,
        "sentiment_values": facts.sentiment_values,
        "words": options.words,
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _tables(job: _Job, parts: Parts) -> Iterator[pa.Table]:
    """The groups of rows that an earlier import finished, then the others, each kept as soon as it is finished."""
    intake, notes = job.intake, job.intake.notes
    # where videos are read one by one, nobody else has seen all their texts
    watch = TranscriptWatch(notes) if intake.reader is not None else None
    last: str | None = None
    for table, applied in parts.kept():
        notes.update(applied)
        last = table["video_id"][-1].as_py()
        _see(watch, table, intake.splits)
        yield table
    state = _Reading()
    for group in row_groups(_videos_after(last, job, state)):
        for video in group:
            video.split = job.roles.get(video.id)
        if job.extractor is not None:
            _add_text(group, job.extractor, job.options.words is True, state.applied)
            job.advance(state.n_read, len(intake.splits))
        table = to_table(group, job.facts.spaces)
        parts.keep(table, state.applied)
        notes.update(state.applied)
        state.applied.clear()
        _see(watch, table, intake.splits)
        yield table
    notes.update(state.applied)
    # in one order, wherever the work was cut
    in_order = sorted(notes.items())
    notes.clear()
    notes.update(dict(in_order))


@dataclass
class _Reading:
    """How far the reading is."""

    n_read: int = 0
    # rules applied to what was read since the last part
    applied: Counter[str] = field(default_factory=Counter)


def _videos_after(last: str | None, job: _Job, state: _Reading) -> Iterator[Video]:
    """The source's videos after the one of this id, or all."""
    intake, waiting = job.intake, last is not None
    ids = list(intake.splits)
    if intake.reader is None:
        # counted in the intake's own notes
        described: Iterator[Described] = ((video, Counter()) for video in intake.videos)
    else:
        state.n_read = 0 if last is None else ids.index(last) + 1
        waiting = False
        described = read_videos(intake.reader, ids[state.n_read :], job.options.workers)
    for video, applied in described:
        state.n_read += 1
        state.applied.update(applied)
        count(state.applied, VIDEO_EMPTY, intake.reader is not None and not video.utterances)
        # with an extractor a video is not done once it is read
        if job.extractor is None:
            job.advance(state.n_read, len(ids))
        if not waiting:
            yield video
        waiting = waiting and video.id != last


def _see(watch: TranscriptWatch | None, table: pa.Table, splits: Mapping[str, str | None]) -> None:
    if watch is not None:
        facts = table.select(["video_id", "transcript"]).to_pydict()
        for video_id, transcript in zip(facts["video_id"], facts["transcript"], strict=True):
            watch.see(transcript, splits[video_id])


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


Described = tuple[Video, Counter[str]]
# videos per process that are read, or being read, before their turn: bounds the memory
AHEAD = 3


def read_videos(reader: VideoReader, ids: Sequence[str], workers: int) -> Iterator[Described]:
    """Each video with the rules applied to it, in the order of `ids`, whoever reads it.

    Raises what the reader raises, at the video's turn, and WorkerError when a process is killed.
    """
    if workers == 1:
        with reader.opened() as read:
            for video_id in ids:
                yield read(video_id)
        return
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
            "repeat the command with fewer --workers: it goes on where it stopped"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


# what a reading process has open; it ends with the process
_held = ExitStack()
_readers: list[ReadVideo] = []


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
