"""`mien extract`: a folder of raw videos with a table of labels -> a Dataset.

Every video's features are kept beside the Dataset under a name made of the file's content, its utterances and the
recipe, so that a killed or repeated extraction goes on where it stopped and a changed recipe starts anew.

At word level the words of given transcripts get their times from the words recognised in the same stretch.

`mien extract` on a cluster: workers look at the videos, this process keeps what they send.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mien.engine import Place, work_through
from mien.engine.cluster import require_seen
from mien.errors import DataError, EngineError, FeatureSpaceError, UsageError
from mien.media.recognition import SpeechSettings
from mien.pretrained import sha256_of
from mien.readers import open_reader
from mien.readers.intake import Intake, ReaderOptions, assign_roles
from mien.schema import FeatureSpace, Level, Modality, Video
from mien.storage.dataset import Dataset, DatasetFacts, write_dataset
from mien.storage.files import sweep
from mien.storage.runs import require_spaces
from mien.video.extract_video import FATAL, Bench, Made, Shelf, find_or_make, keep, make_video, why_failed
from mien.video.featurise import load_extractors

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
    intake = open_reader("table", [Path(labels)], ReaderOptions(request.mapping))
    roles = assign_roles(intake.splits, request.rename_splits, request.carve)
    files = find_videos(Path(os.path.abspath(folder)))
    extractors = load_extractors(names, request.level)
    failed: dict[str, str] = {}
    # half-written videos of killed processes; `write_dataset` removes half a Dataset
    sweep(cache_beside(out), ".*.partial-*")
    shelf = Shelf(files, cache_beside(out), Bench(extractors, request.speech))
    broken: dict[str, str] = {}
    if not request.place.is_local:
        again = open_reader("table", [Path(labels)], ReaderOptions(request.mapping))
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


# A worker may have several threads; the networks are made for one.
_ALONE = threading.Lock()


@dataclass(frozen=True)
class VideoJob:
    """A video to look at, and with what."""

    labelled: Video
    path: Path
    # where this process keeps its features
    its_features: Path
    extractors: tuple[tuple[Modality, str], ...]
    level: Level
    speech: SpeechSettings
    # what the extractors are expected to make
    spaces: Mapping[Modality, FeatureSpace]


@dataclass(frozen=True)
class VideoOutcome:
    """What came of it: the features or the reason why not."""

    video_id: str
    its_features: Path
    made: Made | None = None
    failure: str = ""


def make_elsewhere(
    videos: Sequence[Video],
    shelf: Shelf,
    names: Mapping[Modality, str],
    place: Place,
    advance: Callable[[int, int], None] | None,
) -> dict[str, str]:
    """Make and keep what is not kept yet. Returns why videos failed. Raises EngineError, WriteError."""
    jobs = []
    for labelled in videos:
        try:
            path, its_features = shelf.find(labelled)
        except Exception as error:
            if isinstance(error, FATAL):
                raise
            continue  # it will be told when its turn comes in the Dataset
        if not its_features.is_file():
            level, spaces = shelf.bench.extractors.level, shelf.bench.extractors.spaces
            jobs.append(VideoJob(labelled, path, its_features, tuple(names.items()), level, shelf.bench.speech, spaces))
    failed = {}
    done = len(videos) - len(jobs)
    if done and advance is not None:
        advance(done, len(videos))
    with closing(work_through(place, do_video, jobs, _lost)) as outcomes:
        for outcome in outcomes:
            if outcome.made is None:
                failed[outcome.video_id] = outcome.failure
            else:
                keep(outcome.made, outcome.its_features, shelf.bench)
            done += 1
            if advance is not None:
                advance(done, len(videos))
    return failed


def do_video(job: VideoJob) -> VideoOutcome:
    """Look at one video, on a worker. Raises EngineError for what would stop every video."""
    require_seen(job.path)
    with _ALONE:
        try:
            bench = _bench(job.extractors, job.level, job.speech)
            if bench.extractors.spaces != job.spaces:  # a worker may outlive the files that it has loaded
                _bench.cache_clear()
                bench = _bench(job.extractors, job.level, job.speech)
            require_spaces(job.spaces, bench.extractors.spaces)
            return VideoOutcome(job.labelled.id, job.its_features, make_video(job.labelled, job.path, bench))
        except (*FATAL, FeatureSpaceError) as error:
            raise EngineError(f"Expected a worker to be able to extract features, but got: {error}") from error
        except Exception as error:
            return VideoOutcome(job.labelled.id, job.its_features, failure=why_failed(error))


@lru_cache(maxsize=1)
def _bench(extractors: tuple[tuple[Modality, str], ...], level: Level, speech: SpeechSettings) -> Bench:
    """Loaded once per worker."""
    return Bench(load_extractors(dict(extractors), level), speech)


def _lost(job: VideoJob, reason: str) -> VideoOutcome:
    return VideoOutcome(job.labelled.id, job.its_features, failure=reason)
