"""`mien extract`: a folder of raw videos with a table of labels -> a Dataset.

Every video's features are kept beside the Dataset under a name made of the file's content, its utterances and the
recipe, so that a killed or repeated extraction goes on where it stopped and a changed recipe starts anew.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from mien.errors import DataError, MienError, UsageError
from mien.media import Recognizer, load_recognizer, recognize
from mien.schema import Clip, FeatureSpace, Modality, TimedWord, Utterance, Video
from mien.sources import open_source
from mien.sources.intake import Intake, SourceOptions
from mien.sources.roles import assign_roles
from mien.tables import Dataset, DatasetFacts, columns, write_dataset
from mien.tables.files import sha256_of, written_aside
from mien.workflows.featurise import Extractors, featurise, load_extractors

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".wav", ".mp3", ".m4a", ".flac", ".ogg")
DEFAULT_EXTRACTORS = {Modality.TEXT: "minilm", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"}
MISSING_KEY = b"mien.missing"
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class ExtractRequest:
    """What a user may say beside videos, labels and target."""

    # modality -> extractor
    extractors: Mapping[Modality, str] = field(default_factory=lambda: dict(DEFAULT_EXTRACTORS))
    # as in `mien import table`
    mapping: Mapping[str, str] = field(default_factory=dict)
    rename_splits: Mapping[str, str] = field(default_factory=dict)
    carve: Mapping[str, float] = field(default_factory=dict)
    name: str | None = None


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
    whose name without suffix is its video_id. Raises DataError if no video could be read, and what concerns all of
    them.
    """
    request = request or ExtractRequest()
    out = Path(out)
    intake = open_source("table", [Path(labels)], SourceOptions(request.mapping))
    roles = assign_roles(intake.splits, request.rename_splits, request.carve)
    extractors = load_extractors(request.extractors)
    files = find_videos(Path(folder))
    failed: dict[str, str] = {}
    videos = _extracted(intake, roles, files, _Bench(extractors, cache_beside(out)), failed)
    facts = DatasetFacts(
        request.name or out.resolve().name,
        {modality: extractors.spaces[modality] for modality in Modality if modality in extractors.spaces},
        intake.sentiment_values,
        {
            "source": "extract",
            "extractors": {str(modality): name for modality, name in request.extractors.items()},
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


def find_videos(folder: Path) -> dict[str, Path]:
    """Name without suffix -> file, for every media file of a folder. Raises UsageError if two have one name."""
    if not folder.is_dir():
        raise DataError(f"Expected a folder of videos at {folder}, but got none; check the path")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            if path.stem in found:
                raise UsageError(f"Expected one file per video, but got {found[path.stem].name} and {path.name}")
            found[path.stem] = path
    return found


def cache_beside(out: Path) -> Path:
    """Folder of the per-video files of a Dataset."""
    return out.with_name(f".{out.name}.videos")


@dataclass
class _Bench:
    """What every video needs; recognition is loaded when a transcript is first missing."""

    extractors: Extractors
    cache: Path
    recognizer: Recognizer | None = None

    @property
    def spaces(self) -> dict[Modality, FeatureSpace]:
        return self.extractors.spaces


def _extracted(
    intake: Intake,
    roles: Mapping[str, str | None],
    files: Mapping[str, Path],
    bench: _Bench,
    failed: dict[str, str],
) -> Iterator[Video]:
    for labelled in intake.videos:
        if labelled.id not in files:
            failed[labelled.id] = "no file of this name in the folder"
            continue
        try:
            video = _one(labelled, files[labelled.id], bench, intake.notes)
        except MienError as error:
            failed[labelled.id] = str(error)
            continue
        video.split = roles.get(video.id)
        yield video


def _one(labelled: Video, path: Path, bench: _Bench, notes: Counter[str]) -> Video:
    kept = bench.cache / f"{_key(labelled, path, bench.spaces)}.parquet"
    if kept.is_file():
        table = pq.read_table(kept)
        notes.update(json.loads(table.schema.metadata[MISSING_KEY]))
        return columns.to_video(table, bench.spaces)
    clips = [_clip(labelled.id, each) for each in labelled.utterances]
    if not all(clip.transcript for clip in clips):
        bench.recognizer = bench.recognizer or load_recognizer()
        clips = _with_heard_words(clips, recognize(path, bench.recognizer).words)
    found = featurise(path, labelled.id, clips, bench.extractors)
    for utterance, gold in zip(found.video.utterances, labelled.utterances, strict=True):
        utterance.sentiment, utterance.emotions = gold.sentiment, gold.emotions
    missing = Counter(
        f"{modality} missing: {_kind(reason)}"
        for reasons in found.missing.values()
        for modality, reason in reasons.items()
    )
    notes.update(missing)
    table = columns.to_table([found.video], bench.spaces)
    with written_aside(kept) as aside:
        pq.write_table(table.replace_schema_metadata({MISSING_KEY: json.dumps(missing)}), aside)
    return found.video


def _kind(reason: str) -> str:
    """A reason without its numbers, so that like ones are counted together."""
    return "".join("#" if character.isdigit() else character for character in reason)


def _clip(video_id: str, utterance: Utterance) -> Clip:
    if utterance.start_s is None or utterance.end_s is None:
        raise DataError(
            f"Expected start and end of utterance {utterance.index} of {video_id}, but got none; add them to the labels"
        )
    return Clip(utterance.index, utterance.start_s, utterance.end_s, utterance.transcript)


def _with_heard_words(clips: Sequence[Clip], words: Sequence[TimedWord]) -> list[Clip]:
    """Clips without text take the words whose middle they hold."""
    heard = []
    for clip in clips:
        inside = tuple(w for w in words if clip.start_s <= (w.start_s + w.end_s) / 2 < clip.end_s)
        text = clip.transcript or " ".join(word.text.strip() for word in inside)
        heard.append(Clip(clip.index, clip.start_s, clip.end_s, text, inside))
    return heard


def _key(labelled: Video, path: Path, spaces: Mapping[Modality, FeatureSpace]) -> str:
    facts = {
        "file": sha256_of(path),
        "spaces": {str(modality): space.fingerprint for modality, space in spaces.items()},
        "utterances": [
            (
                u.index,
                u.start_s,
                u.end_s,
                u.transcript,
                u.sentiment,
                None if u.emotions is None else u.emotions.tolist(),
            )
            for u in labelled.utterances
        ],
        "video": labelled.id,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _counted(videos: Iterator[Video], total: int, advance: Advance | None) -> Iterator[Video]:
    for done, video in enumerate(videos, start=1):
        yield video
        if advance is not None:
            advance(done, total)


def _listed(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in failed.items())
