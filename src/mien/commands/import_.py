"""`mien import`: converts a published data set on disk to a Dataset, with one or several reading processes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import UnknownNameError, UsageError
from mien.pretrained import sha256_of
from mien.readers import READERS, open_reader
from mien.readers.base import ReaderOptions, SourceDataSet, Unit, collect_notes, read_in_order
from mien.readers.label_columns import parse_labels
from mien.readers.rules import ID_NUMBERED, LABEL_CLAMPED, UTTERANCE_SEPARATE, add_note
from mien.readers.splits import assign_splits
from mien.schema import LANGUAGES, MODALITY_ALIASES, FeatureSpace, Level, Modality, Video
from mien.storage.dataset import Dataset, DatasetFacts, row_groups, write_dataset_groups
from mien.storage.label_alarms import ScaleCheck, store_alarms
from mien.storage.video_ids import numbered_ids

if TYPE_CHECKING:
    from mien.features.text.base import TextExtractor

NO_TEXT_NOTE = "utterances without a text vector (no known word): text missing"

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import, other than the reader, the files to read and the folder to write."""

    # text extractor, NAME or NAME:PATH; None keeps the text features of the data set, if any
    text: str | None = None
    # field of mien -> column, key or root name in the data set
    mapping: Mapping[str, str] = field(default_factory=dict)
    # split of the data set -> train, valid, test or none
    rename_splits: Mapping[str, str] = field(default_factory=dict)
    # split to create -> share of the train videos for it
    carve: Mapping[str, float] = field(default_factory=dict)
    carve_seed: int = 0
    # word vectors: None: where the data set has them; True: from the text extractor, too; False: none
    words: bool | None = None
    # name of the Dataset; defaults to the name of the target folder
    name: str | None = None
    # labels of other kinds, of readers that take them: NAME=COLUMN:KIND[:LOW..HIGH|a,b,c]
    labels: tuple[str, ...] = ()
    # video, utterance or id: what the ids of the data set stand for, see `mien.readers.base.Unit`; None: ids of videos
    unit: str | None = None
    # code of the language of the words, such as "en"; empty if it is not known
    language: str = ""
    # number of processes that read videos; more than one needs a reader that reads single videos
    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"Expected at least one worker, but got {self.workers}; change --workers")
        if self.unit is not None and self.unit not in tuple(Unit):
            raise UnknownNameError("a unit", self.unit, Unit)


def import_dataset(
    reader: str,
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    options: ImportOptions | None = None,
    advance: Advance | None = None,
) -> Dataset:
    """Import a data set and write it as a Dataset.

    Dropped and corrected values are counted in ``dataset.facts.origin["notes"]``. If the labels seem to be on another
    scale than the one assumed, messages are stored in ``dataset.facts.origin["alarms"]``. An existing Dataset at `out`
    is replaced only when the import succeeds.

    Args:
        reader: Name of the reader.
        paths: Files of the data set, or a single one.
        out: Dataset folder to write.
        options: Text features, mapping, splits and workers; None uses the defaults.
        advance: Called with the number of finished videos and the number of all videos.

    Returns:
        The opened Dataset.

    Raises:
        UnknownNameError: There is no such reader or text extractor.
        UsageError: The options do not fit the reader or the data set.
        DataError: A file is damaged, or the data of a video are invalid.
        WorkerError: A reading process was killed.
        WriteError: The folder cannot be written or replaced.
    """
    options = options or ImportOptions()
    files = [paths] if isinstance(paths, (str, Path)) else paths
    extractor = _load_extractor(options)
    unit = None if options.unit is None else Unit(options.unit)
    mapping = _field_names(reader, options.mapping)
    labels = parse_labels(options.labels)
    source = open_reader(reader, files, ReaderOptions(mapping, options.words is not False, labels, unit))
    if source.ids_are_videos and unit is None:
        unit = Unit.ID
    if options.workers > 1 and source.reader is None:
        raise UsageError(
            f"Expected one worker for the reader {reader!r}, whose files are read as a whole, but got "
            f"{options.workers}; leave --workers out"
        )
    roles = assign_splits(source.splits, options.rename_splits, options.carve, options.carve_seed, source.notes)
    origin: dict[str, Any] = {
        "source": reader,
        "files": {path.name: sha256_of(path) for path in source.files},
        # the names of these files were read, and not their content
        **({"recordings": len(source.recordings)} if source.recordings else {}),
        "mapping": dict(source.mapping),
        "rename_splits": dict(options.rename_splits),
        "carve": dict(options.carve),
        "carve_seed": options.carve_seed,
        **({"unit": unit.value} if unit is not None else {}),
        **({LANGUAGES: [_language_code(options.language)]} if options.language else {}),
        # filled while videos are read; the card is written after the last video
        "notes": source.notes,
    }
    facts = DatasetFacts(
        options.name or Path(out).resolve().name,
        _dataset_spaces(source, extractor, options.words is True),
        source.sentiment_values,
        origin,
        source.licence_note,
        label_spaces=source.label_spaces,
        extra_columns=source.extra_columns,
    )
    options = dataclasses.replace(options, unit=unit)
    groups = _video_groups(source, roles, extractor, options, advance or (lambda _done, _total: None))
    return write_dataset_groups(Path(out), _checked_groups(groups, source, origin), facts)


def _language_code(language: str) -> str:
    from mien.media.languages import parse_language  # most imports need nothing of `media`

    return parse_language(language)


def _field_names(reader: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping in which other names of a modality, such as "audio", are replaced by the field of the reader.

    A name that is itself a field of the reader is kept.
    """
    fields = READERS[reader].fields if reader in READERS else {}
    aliases = {name: str(modality) for name, modality in MODALITY_ALIASES.items()}
    named: dict[str, str] = {}
    names: dict[str, str] = {}
    for given, column in mapping.items():
        field = aliases[given] if given not in fields and aliases.get(given) in fields else given
        if field in named:
            raise UsageError(
                f"Expected one --map for the field {field}, but got {names[field]}={named[field]} and "
                f"{given}={column}; leave one of them out"
            )
        names[field] = given
        named[field] = column
    return named


def _load_extractor(options: ImportOptions) -> TextExtractor | None:
    if options.text is None:
        return None
    # imported here, because the module imports the extractors of all modalities
    from mien.features.extractors import load_text_extractor

    extractor = load_text_extractor(options.text)
    if options.words and extractor.word_vectors is None:
        raise UsageError(f"Expected a text extractor with word vectors for --words, but got {options.text}; use glove")
    return extractor


def _dataset_spaces(
    source: SourceDataSet, extractor: TextExtractor | None, words: bool
) -> dict[Modality, FeatureSpace]:
    """Return the feature spaces of the Dataset, in the order of the modalities.

    Args:
        source: The data set that is imported.
        extractor: Extractor whose text features replace those of the data set; None keeps the features of the data set.
        words: Whether to store the extractor's vectors of words.
    """
    if extractor is None:
        spaces = dict(source.spaces)
    else:
        # Drop the data set's words in every modality: they differ from the words of the new text features.
        spaces = {m: dataclasses.replace(space, level=Level.UTTERANCE) for m, space in source.spaces.items()}
        level = Level.WORD if words else Level.UTTERANCE
        spaces[Modality.TEXT] = dataclasses.replace(extractor.space, level=level)
    return {modality: spaces[modality] for modality in Modality if modality in spaces}


def _video_groups(
    source: SourceDataSet,
    roles: Mapping[str, str | None],
    extractor: TextExtractor | None,
    options: ImportOptions,
    advance: Advance,
) -> Iterator[list[Video]]:
    """Add splits and text features to the videos, and yield groups of videos, one per row group of the Parquet file.

    The splits come from `roles`, by video id. The counter `source.notes`, of how often each rule for invalid data was
    applied, is updated in place.
    """
    videos, notes = source.videos, source.notes
    if options.workers > 1 and source.reader is not None:
        described = read_in_order(source.reader, list(source.splits), source.files, options.workers)
        videos = collect_notes(described, source.splits, notes)
    videos = _with_roles(videos, roles)
    if options.unit == Unit.UTTERANCE:
        videos = _separate_utterances(videos)
    n_done = 0
    n_utterances: dict[str, int] = {}
    for group in row_groups(videos):
        n_utterances |= {video.id: len(video.utterances) for video in group}
        if extractor is not None:
            _add_text_features(group, extractor, options.words is True, notes)
        n_done += len(group)
        advance(min(n_done, len(source.splits)), len(source.splits))
        yield group
    if n_done < len(source.splits):  # the remaining videos have no utterances
        advance(len(source.splits), len(source.splits))
    if options.unit == Unit.UTTERANCE:
        add_note(notes, UTTERANCE_SEPARATE, n_done)
    elif options.unit != Unit.ID and (found := numbered_ids(n_utterances)):
        notes[ID_NUMBERED] = len(found.parts)


def _checked_groups(
    groups: Iterable[list[Video]], source: SourceDataSet, origin: dict[str, Any]
) -> Iterator[list[Video]]:
    """Yield the groups of videos, and check the scale of their labels.

    After the last group, alarms are counted in `source.notes`, and their messages stored in `origin` under "alarms".
    """
    check = ScaleCheck(source.label_spaces, source.sentiment_values)
    for group in groups:
        check.add_utterances([utterance for video in group for utterance in video.utterances])
        yield group
    notes = source.notes
    store_alarms(check, notes[LABEL_CLAMPED], notes, origin)
    # sorted, so that the order does not depend on which video was read first
    sorted_notes = sorted(notes.items())
    notes.clear()
    notes.update(dict(sorted_notes))


def _with_roles(videos: Iterator[Video], roles: Mapping[str, str | None]) -> Iterator[Video]:
    for video in videos:
        video.split = roles.get(video.id)
        yield video


def _separate_utterances(videos: Iterator[Video]) -> Iterator[Video]:
    """Yield a video for each utterance, with the number of the utterance in its id, unless the reader has done so."""
    for video in videos:
        for utterance in video.utterances:
            number = f"[{utterance.index}]"
            is_separate = len(video.utterances) == 1 and video.id.endswith(number)
            name = video.id if is_separate else f"{video.id}{number}"
            yield dataclasses.replace(video, id=name, utterances=[utterance])


def _add_text_features(videos: Sequence[Video], extractor: TextExtractor, words: bool, notes: Counter[str]) -> None:
    """Replace the text features of the videos in place by features that the extractor computes from the transcripts.

    The word vectors of all modalities are removed. If `words` is True, word vectors from the extractor are added for
    text. The utterances without text features are counted in `notes`.
    """
    utterances = [utterance for video in videos for utterance in video.utterances]
    vectors, present = extractor.utterance_vectors([utterance.transcript for utterance in utterances])
    for utterance, vector, has_vector in zip(utterances, vectors, present, strict=True):
        utterance.features.pop(Modality.TEXT, None)
        utterance.words.clear()
        utterance.word_present.clear()
        if has_vector:
            utterance.features[Modality.TEXT] = vector
        else:
            notes[NO_TEXT_NOTE] += 1
        if words and has_vector and extractor.word_vectors is not None:
            utterance.words[Modality.TEXT] = extractor.word_vectors(utterance.transcript)
