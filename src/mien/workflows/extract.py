"""`mien extract`: a folder of raw videos with a table of labels -> a Dataset.

Every video's features are kept beside the Dataset under a name made of the file's content, its utterances and the
recipe, so that a killed or repeated extraction goes on where it stopped and a changed recipe starts anew.

At word level the words of given transcripts get their times from the words recognised in the same stretch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mien.errors import DataError, MissingExtraError, MissingWeightsError, UsageError, WriteError
from mien.media import Recognizer, Speech, SpeechSettings, load_recognizer, recognize, timed_words
from mien.media.word_times import heard_inside
from mien.schema import Clip, Level, Modality, Utterance, Video
from mien.sources import open_source
from mien.sources.intake import Intake, SourceOptions
from mien.sources.roles import assign_roles
from mien.tables import Dataset, DatasetFacts, columns, write_dataset
from mien.tables.files import sha256_of, sweep, written_aside
from mien.version import __version__
from mien.workflows.featurise import Extractors, featurise, load_extractors

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".wav", ".mp3", ".m4a", ".flac", ".ogg")
# minilm describes whole sentences only
DEFAULT_EXTRACTORS = {
    Level.UTTERANCE: {Modality.TEXT: "minilm", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
    Level.WORD: {Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
}
NOTES_KEY = b"mien.notes"
# These concern every video: going on with the next one would fail in the same way.
FATAL = (MissingExtraError, MissingWeightsError, UsageError, WriteError)
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
    names = request.extractors if request.extractors is not None else DEFAULT_EXTRACTORS[request.level]
    if not names:
        raise UsageError("Expected at least one extractor, but got none for text, acoustic and visual; name one")
    intake = open_source("table", [Path(labels)], SourceOptions(request.mapping))
    roles = assign_roles(intake.splits, request.rename_splits, request.carve)
    files = find_videos(Path(folder))
    extractors = load_extractors(names, request.level)
    failed: dict[str, str] = {}
    # half-written videos of killed processes; `write_dataset` removes half a Dataset
    sweep(cache_beside(out), ".*.partial-*")
    videos = _extracted(intake, roles, files, _Bench(extractors, request.speech, cache_beside(out)), failed)
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


@dataclass
class _Bench:
    """What every video needs; recognition is loaded when a transcript or a word's time is first missing."""

    extractors: Extractors
    speech: SpeechSettings
    cache: Path
    recognizer: Recognizer | None = None

    def hear(self, path: Path, notes: Counter[str]) -> Speech:
        """Everything said in a file."""
        self.recognizer = self.recognizer or load_recognizer(self.speech)
        return recognize(path, self.recognizer, notes=notes)


def _extracted(
    intake: Intake,
    roles: Mapping[str, str | None],
    files: Mapping[str, list[Path]],
    bench: _Bench,
    failed: dict[str, str],
) -> Iterator[Video]:
    for labelled in intake.videos:
        try:
            video, notes = _one(labelled, _only_file(labelled.id, files), bench)
        except FATAL:
            raise
        except DataError as error:
            failed[labelled.id] = str(error)
            continue
        except Exception as error:  # a file nobody foresaw shall not cost the hours spent on the others
            failed[labelled.id] = f"Expected a readable video, but got {type(error).__name__}: {error}"
            continue
        intake.notes.update(notes)
        video.split = roles.get(video.id)
        yield video


def _only_file(video_id: str, files: Mapping[str, list[Path]]) -> Path:
    paths = files.get(video_id, [])
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "no file of this name in the folder"
        raise DataError(f"Expected one file named like the video {video_id}, but got {found}; leave exactly one there")
    return paths[0]


def _one(labelled: Video, path: Path, bench: _Bench) -> tuple[Video, Counter[str]]:
    """One video with its features, from the cache if they are there, and what was missing or made up in it."""
    spaces = bench.extractors.spaces
    hear = bench.extractors.need_word_times or not all(each.transcript for each in labelled.utterances)
    kept = bench.cache / f"{_key(labelled, path, bench, hear)}.parquet"
    if (found := _kept(kept, bench)) is not None:
        return found
    clips = [_clip(labelled.id, each) for each in labelled.utterances]
    notes: Counter[str] = Counter()
    if hear:
        clips = _with_words(clips, bench.hear(path, notes), bench.extractors.level, notes)
    featurised = featurise(path, labelled.id, clips, bench.extractors)
    for utterance, gold in zip(featurised.video.utterances, labelled.utterances, strict=True):
        utterance.sentiment, utterance.emotions = gold.sentiment, gold.emotions
    notes.update(featurised.notes)
    notes.update(
        f"{modality} missing: {_kind(reason)}"
        for reasons in featurised.missing.values()
        for modality, reason in reasons.items()
    )
    table = columns.to_table([featurised.video], spaces)
    with written_aside(kept) as aside:
        pq.write_table(table.replace_schema_metadata({NOTES_KEY: json.dumps(notes)}), aside)
    return featurised.video, notes


def _kept(path: Path, bench: _Bench) -> tuple[Video, Counter[str]] | None:
    """What an earlier run kept of a video; None if it kept nothing, or something that cannot be read."""
    try:
        table = pq.read_table(path)
        notes = Counter(json.loads(table.schema.metadata[NOTES_KEY]))
        return columns.to_video(table, bench.extractors.spaces), notes
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def _kind(reason: str) -> str:
    """A reason without its numbers, so that like ones are counted together."""
    return "".join("#" if character.isdigit() else character for character in reason)


def _clip(video_id: str, utterance: Utterance) -> Clip:
    start_s, end_s = utterance.start_s, utterance.end_s
    if start_s is None or end_s is None or start_s < 0:
        raise DataError(
            f"Expected start and end in seconds of utterance {utterance.index} of {video_id}, but got {start_s} and "
            f"{end_s}; correct the labels"
        )
    return Clip(utterance.index, start_s, end_s, utterance.transcript)


def _with_words(clips: Sequence[Clip], speech: Speech, level: Level, notes: Counter[str]) -> list[Clip]:
    """Clips without text take the words whose middle they hold; at word level the others' words get their times."""
    told = []
    for clip in clips:
        if not clip.transcript:
            words = heard_inside(speech.words, clip.start_s, clip.end_s)
            text = speech.separator.join(word.text for word in words)
            told.append(dataclasses.replace(clip, transcript=text, words=words))
        elif level is Level.WORD:
            told.append(dataclasses.replace(clip, words=timed_words(clip, speech.words, notes)))
        else:
            told.append(clip)
    return told


def _key(labelled: Video, path: Path, bench: _Bench, hear: bool) -> str:
    """Name of what is kept of a video: it changes with everything that changes its features."""
    facts = {
        "mien": __version__,
        "file": sha256_of(path),
        "spaces": {str(modality): space.fingerprint for modality, space in bench.extractors.spaces.items()},
        "speech": dataclasses.asdict(bench.speech) if hear else None,
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
