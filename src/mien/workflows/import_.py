"""`mien import`: a published data set on disk -> a Dataset."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mien.errors import UsageError
from mien.features import TextExtractor, load_text_extractor
from mien.schema import Level, Modality, Video
from mien.sources import open_source
from mien.sources.intake import Intake, SourceOptions
from mien.sources.roles import assign_roles
from mien.tables import Dataset, DatasetFacts, write_dataset
from mien.tables.files import sha256_of

# Texts of so many videos go to the extractor at once: enough to fill its batches, little enough for memory.
VIDEOS_PER_CHUNK = 256
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


def import_dataset(
    source: str,
    paths: Sequence[str | Path],
    out: str | Path,
    options: ImportOptions | None = None,
    advance: Advance | None = None,
) -> Dataset:
    """Read `paths` with the named source and write the Dataset folder `out`; what was dropped or mended is counted.

    The counts stand in ``dataset.facts.origin["notes"]``. `advance` is called with (videos done, videos in all).
    Raises UnknownNameError, UsageError, DataError or WriteError; an existing Dataset at `out` is then unchanged.
    """
    options = options or ImportOptions()
    extractor = load_text_extractor(options.text) if options.text else None
    if options.words and extractor is not None and extractor.word_vectors is None:
        raise UsageError(f"Expected a text extractor with word vectors for --words, but got {options.text}; use glove")
    intake = open_source(
        source, [Path(path) for path in paths], SourceOptions(options.mapping, options.words is not False)
    )
    roles = assign_roles(intake.splits, options.rename_splits, options.carve, options.carve_seed)
    spaces = dict(intake.spaces)
    if extractor is not None:
        # The source's words go, in every modality: they are not the words of the new text features.
        spaces = {modality: dataclasses.replace(space, level=Level.UTTERANCE) for modality, space in spaces.items()}
        level = Level.WORD if options.words else Level.UTTERANCE
        spaces[Modality.TEXT] = dataclasses.replace(extractor.space, level=level)
    # Filled while the videos stream by; the card is written after the last one.
    origin: dict[str, object] = {
        "source": source,
        "files": {path.name: sha256_of(path) for path in intake.files},
        "mapping": dict(intake.mapping),
        "rename_splits": dict(options.rename_splits),
        "carve": dict(options.carve),
        "carve_seed": options.carve_seed,
        "notes": intake.notes,
    }
    facts = DatasetFacts(
        options.name or Path(out).resolve().name,
        {modality: spaces[modality] for modality in Modality if modality in spaces},
        intake.sentiment_values,
        origin,
        intake.licence_note,
    )
    return write_dataset(Path(out), _prepared(intake, roles, extractor, options.words is True, advance), facts)


def _prepared(
    intake: Intake,
    roles: Mapping[str, str | None],
    extractor: TextExtractor | None,
    words: bool,
    advance: Advance | None,
) -> Iterator[Video]:
    """The source's videos with their roles and, if asked for, text features."""
    done = 0
    for chunk in _chunks(intake.videos, VIDEOS_PER_CHUNK):
        if extractor is not None:
            _add_text(chunk, extractor, words, intake.notes)
        for video in chunk:
            video.split = roles.get(video.id)
            yield video
            done += 1
            if advance is not None:
                advance(done, len(intake.splits))


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


def _chunks(videos: Iterable[Video], size: int) -> Iterator[list[Video]]:
    iterator = iter(videos)
    while chunk := list(islice(iterator, size)):
        yield chunk
