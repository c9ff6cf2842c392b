"""`mien extract`: a folder of raw videos with a table of labels -> a Dataset.

Every video's features are kept beside the Dataset under a name made of the file's content, its utterances and the
recipe, so that a killed or repeated extraction goes on where it stopped and a changed recipe starts anew.

At word level the words of given transcripts get their times from the words recognised in the same stretch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import DataError, UsageError
from mien.media import SpeechSettings
from mien.schema import Level, Modality, Video
from mien.sources import open_source
from mien.sources.intake import Intake, SourceOptions
from mien.sources.roles import assign_roles
from mien.tables import Dataset, DatasetFacts, write_dataset
from mien.tables.files import sha256_of, sweep
from mien.workflows.engine import Place
from mien.workflows.extract_elsewhere import make_elsewhere
from mien.workflows.extract_video import FATAL, Bench, Shelf, find_or_make, why_failed
from mien.workflows.featurise import load_extractors

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".wav", ".mp3", ".m4a", ".flac", ".ogg")
# minilm describes whole sentences only
DEFAULT_EXTRACTORS = {
    Level.UTTERANCE: {Modality.TEXT: "minilm", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
    Level.WORD: {Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
}
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class ExtractRequest:
    """What a user may say beside videos, labels and target."""

    # modality -> extractor; None: the level's own in `DEFAULT_EXTRACTORS`
    extractors: Mapping[Modality, str] | None = None
    # what is described: whole utterances, or every word and the utterance as the mean of its words
    level: Level = Level.UTTERANCE
    # recognition, where a text or the times of its words are missing
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    # as in `mien import table`
    mapping: Mapping[str, str] = field(default_factory=dict)
    rename_splits: Mapping[str, str] = field(default_factory=dict)
    carve: Mapping[str, float] = field(default_factory=dict)
    name: str | None = None
    place: Place = field(default_factory=Place)


@dataclass(frozen=True)
class Extraction:
    """What came of it. Videos that failed are not in the Dataset."""

    dataset: Dataset
    # video id -> why
    failed: Mapping[str, str]


def extract(
    folder: str | Path,
    labels: str | Path,
    out: str | Path,
    request: ExtractRequest | None = None,
    advance: Advance | None = None,
) -> Extraction:
    """Extract features for every labelled utterance of the videos in `folder`; a bad video never stops the rest.

    `labels` is a CSV as `mien import table` reads it; where it has no text, speech is recognised. A video is the file
    whose name without suffix is its video_id. On a cluster the workers must see `folder`; all else is read and written
    here. Raises DataError if no video could be read, and what concerns all of them.
    """
    request = request or ExtractRequest()
    out = Path(out)
    names = request.extractors if request.extractors is not None else DEFAULT_EXTRACTORS[request.level]
    if not names:
        raise UsageError("Expected at least one extractor, but got none for text, acoustic and visual; name one")
    intake = open_source("table", [Path(labels)], SourceOptions(request.mapping))
    roles = assign_roles(intake.splits, request.rename_splits, request.carve)
    files = find_videos(Path(os.path.abspath(folder)))
    extractors = load_extractors(names, request.level)
    failed: dict[str, str] = {}
    # half-written videos of killed processes; `write_dataset` removes half a Dataset
    sweep(cache_beside(out), ".*.partial-*")
    shelf = Shelf(files, cache_beside(out), Bench(extractors, request.speech))
    broken: dict[str, str] = {}
    if not request.place.is_local:
        again = open_source("table", [Path(labels)], SourceOptions(request.mapping))
        broken = make_elsewhere(list(again.videos), shelf, names, request.place, advance)
        advance = None
    videos = _extracted(intake, roles, shelf, broken, failed)
    facts = DatasetFacts(
        request.name or out.resolve().name,
        {modality: extractors.spaces[modality] for modality in Modality if modality in extractors.spaces},
        intake.sentiment_values,
        {
            "source": "extract",
            "files": {path.name: sha256_of(path) for path in intake.files},
            "mapping": dict(intake.mapping),
            "extractors": {str(modality): name for modality, name in names.items()},
            "level": request.level,
            "rename_splits": dict(request.rename_splits),
            "carve": dict(request.carve),
            "failed": failed,
            "notes": intake.notes,
        },
    )
    counted = _counted(videos, len(intake.splits), advance)
    try:
        dataset = write_dataset(out, counted, facts)
    except DataError as error:
        if not failed:
            raise
        raise DataError(f"Expected at least one readable video in {folder}, but got: {_listed(failed)}") from error
    return Extraction(dataset, failed)


def find_videos(folder: Path) -> dict[str, list[Path]]:
    """Name without suffix -> files, for every media file of a folder. Raises DataError if there is no such folder."""
    if not folder.is_dir():
        raise DataError(f"Expected a folder of videos at {folder}, but got none; check the path")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def cache_beside(out: Path) -> Path:
    """Folder of the per-video files of a Dataset."""
    out = Path(os.path.abspath(out))
    return out.with_name(f".{out.name}.videos")


def _extracted(
    intake: Intake,
    roles: Mapping[str, str | None],
    shelf: Shelf,
    broken: Mapping[str, str],
    failed: dict[str, str],
) -> Iterator[Video]:
    """Videos with their features, without those that are known as broken or turn out to be."""
    for labelled in intake.videos:
        if labelled.id in broken:
            failed[labelled.id] = broken[labelled.id]
            continue
        try:
            video, notes = find_or_make(labelled, shelf)
        except FATAL:
            raise
        except Exception as error:
            failed[labelled.id] = why_failed(error)
            continue
        intake.notes.update(notes)
        video.split = roles.get(video.id)
        yield video


def _counted(videos: Iterator[Video], total: int, advance: Advance | None) -> Iterator[Video]:
    for done, video in enumerate(videos, start=1):
        yield video
        if advance is not None:
            advance(done, total)


def _listed(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in failed.items())
