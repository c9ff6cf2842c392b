"""`mien extract`: a folder of raw videos with a table of labels -> a Dataset.

One function extracts a recording (`extract_recording`), here or on a cluster's worker. What it makes is kept here,
beside the Dataset, under a name made of the file's content, its utterances and the recipe, so that a killed or repeated
extraction goes on where it stopped and a changed recipe starts anew.

At word level the words of given transcripts get their times from the words recognised in the same stretch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mien.engine.cluster import require_visible_paths
from mien.engine.jobs import EngineConfig, run_jobs
from mien.engine.threads import limit_numpy_threads, limit_torch_threads
from mien.errors import DataError, EngineError, MissingExtraError, MissingWeightsError, UsageError, WriteError
from mien.media.recognition import Recognizer, Speech, SpeechSettings, load_recognizer, recognize
from mien.media.word_times import timed_words, words_inside
from mien.pretrained import sha256_of
from mien.readers import open_reader
from mien.readers.base import ReaderOptions, assign_splits
from mien.schema import Clip, FeatureSpace, Level, Modality, Utterance, Video
from mien.storage import columns
from mien.storage.dataset import CARD, Dataset, DatasetFacts, write_dataset
from mien.storage.files import atomic_file, remove_partial, require_replaceable
from mien.storage.runs import require_spaces
from mien.version import __version__
from mien.video.featurise import LoadedExtractors, featurise, load_extractors

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".wav", ".mp3", ".m4a", ".flac", ".ogg")
# minilm describes whole sentences only
DEFAULT_EXTRACTORS = {
    Level.UTTERANCE: {Modality.TEXT: "minilm", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
    Level.WORD: {Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
}
NOTES_KEY = b"mien.notes"
# These concern every video: going on with the next one would fail in the same way.
FATAL = (EngineError, MissingExtraError, MissingWeightsError, UsageError, WriteError)
Advance = Callable[[int, int], None]
# a video with its features, and what was missing or made up in it
Extracted = tuple[Video, Counter[str]]


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
    engine: EngineConfig = field(default_factory=EngineConfig)


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
    require_replaceable(out, CARD)
    source = open_reader("table", [Path(labels)], ReaderOptions(request.mapping))
    roles = assign_splits(source.splits, request.rename_splits, request.carve)
    files = find_videos(Path(os.path.abspath(folder)))
    context = ExtractionContext(load_extractors(names, request.level), request.speech)
    cache = FeatureCache(cache_beside(out), context)
    # half-written videos of killed processes; `write_dataset` removes half a Dataset
    remove_partial(cache.folder, ".*.partial-*")
    labelled = list(source.videos)
    jobs, reasons = _jobs(labelled, files, cache)

    def progress(n_waiting: int) -> None:
        if advance is not None and n_waiting < len(labelled):
            advance(len(labelled) - n_waiting, len(labelled))

    reasons |= _extract_missing(jobs, cache, names, request.engine, progress)
    failed = {video.id: reasons[video.id] for video in labelled if video.id in reasons}
    facts = DatasetFacts(
        request.name or out.resolve().name,
        context.extractors.spaces,
        source.sentiment_values,
        {
            "source": "extract",
            "files": {path.name: sha256_of(path) for path in source.files},
            "mapping": dict(source.mapping),
            "extractors": {str(modality): name for modality, name in names.items()},
            "level": request.level,
            "rename_splits": dict(request.rename_splits),
            "carve": dict(request.carve),
            "failed": failed,
            "notes": source.notes,
        },
    )
    videos = _extracted([job for job in jobs if job.labelled.id not in failed], cache, roles, source.notes)
    try:
        dataset = write_dataset(out, videos, facts)
    except DataError as error:
        if not failed:
            raise
        told = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise DataError(f"Expected at least one readable video in {folder}, but got: {told}") from error
    return Extraction(dataset, failed)


@dataclass(frozen=True)
class ExtractionJob:
    """A video whose features are wanted."""

    labelled: Video
    recording: Path
    # where the features are kept, there or not
    features: Path


@dataclass(frozen=True)
class ExtractionOutcome:
    """What came of it: the features or the reason why not."""

    job: ExtractionJob
    extracted: Extracted | None = None
    failure: str = ""


def extract_recording(job: ExtractionJob, context: ExtractionContext) -> ExtractionOutcome:
    """Extract the features of one recording. Raises `FATAL`."""
    require_visible_paths(job.recording)
    try:
        return ExtractionOutcome(job, _extract(job.labelled, job.recording, context))
    except FATAL:
        raise
    except Exception as error:
        return ExtractionOutcome(job, failure=_why_failed(error))


@dataclass
class ExtractionContext:
    """What every recording needs; recognition is loaded when a transcript or a word's time is first missing."""

    extractors: LoadedExtractors
    speech: SpeechSettings
    recognizer: Recognizer | None = None

    def needs_speech(self, labelled: Video) -> bool:
        """Whether a transcript or the times of words are missing."""
        return self.extractors.need_word_times or not all(each.transcript for each in labelled.utterances)

    def recognize(self, path: Path, notes: Counter[str]) -> Speech:
        """Everything said in a file."""
        self.recognizer = self.recognizer or load_recognizer(self.speech)
        return recognize(path, self.recognizer, notes=notes)


def load_context(
    names: Mapping[Modality, str], level: Level, speech: SpeechSettings, expected: Mapping[Modality, FeatureSpace]
) -> ExtractionContext:
    """Load the extractors on a worker. Raises FeatureSpaceError where they are not those of whoever sent the job."""
    context = ExtractionContext(load_extractors(names, level), speech)
    require_spaces(expected, context.extractors.spaces)
    return context


@dataclass(frozen=True)
class FeatureCache:
    """The features of single videos, kept for a later call."""

    folder: Path
    context: ExtractionContext

    def path_of(self, labelled: Video, recording: Path) -> Path:
        """Where a video is kept: the name changes with everything that changes its features."""
        facts = {
            "mien": __version__,
            "file": sha256_of(recording),
            "spaces": {str(modality): space.fingerprint for modality, space in self.context.extractors.spaces.items()},
            "speech": dataclasses.asdict(self.context.speech) if self.context.needs_speech(labelled) else None,
            "utterances": [
                (u.index, u.start_s, u.end_s, u.transcript, u.sentiment, u.emotions) for u in labelled.utterances
            ],
            "video": labelled.id,
        }
        text = json.dumps(facts, sort_keys=True, default=lambda emotions: emotions.tolist())
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        return self.folder / f"{key}.parquet"

    def write(self, path: Path, extracted: Extracted) -> None:
        """Keep a video. Raises WriteError."""
        video, notes = extracted
        table = columns.videos_to_table([video], self.context.extractors.spaces)
        with atomic_file(path) as aside:
            pq.write_table(table.replace_schema_metadata({NOTES_KEY: json.dumps(notes)}), aside)

    def read(self, path: Path) -> Extracted | None:
        """What an earlier call kept of a video; None if it kept nothing, or something that cannot be read."""
        try:
            table = pq.read_table(path)
            notes = Counter(json.loads(table.schema.metadata[NOTES_KEY]))
            return columns.to_video(table, self.context.extractors.spaces), notes
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
            return None


def _jobs(
    labelled: Sequence[Video], files: Mapping[str, list[Path]], cache: FeatureCache
) -> tuple[list[ExtractionJob], dict[str, str]]:
    """A job for every video that has its file; why the others have none."""
    jobs, reasons = [], {}
    for video in labelled:
        try:
            recording = _only_file(video.id, files)
            jobs.append(ExtractionJob(video, recording, cache.path_of(video, recording)))
        except (DataError, OSError) as error:
            reasons[video.id] = _why_failed(error)
    return jobs, reasons


def _extract_missing(
    jobs: Sequence[ExtractionJob],
    cache: FeatureCache,
    names: Mapping[Modality, str],
    engine: EngineConfig,
    progress: Callable[[int], None],
) -> dict[str, str]:
    """Extract and keep what is not kept yet; `progress` is told how many wait. Returns why videos failed.

    Raises `FATAL`.
    """
    loaded = cache.context
    context: Callable[[], ExtractionContext]
    context = partial(load_context, names, loaded.extractors.level, loaded.speech, loaded.extractors.spaces)
    if engine.is_local:  # one after the other, by what is loaded already
        engine, context = EngineConfig(workers=1), partial(ExtractionContext, loaded.extractors, loaded.speech)
    missing = [job for job in jobs if cache.read(job.features) is None]
    reasons = {}
    progress(len(missing))
    with closing(run_jobs(engine, extract_recording, missing, _lost, context=context)) as outcomes:
        for done, outcome in enumerate(outcomes, start=1):
            if outcome.extracted is None:
                reasons[outcome.job.labelled.id] = outcome.failure
            else:
                cache.write(outcome.job.features, outcome.extracted)
            progress(len(missing) - done)
    return reasons


def _lost(job: ExtractionJob, reason: str) -> ExtractionOutcome:
    return ExtractionOutcome(job, failure=reason)


def _extracted(
    jobs: Sequence[ExtractionJob], cache: FeatureCache, roles: Mapping[str, str | None], notes: Counter[str]
) -> Iterator[Video]:
    """Videos with their features, as they were kept; what was missing or made up in them is added to `notes`."""
    for job in jobs:
        kept = cache.read(job.features)
        if kept is None:
            raise DataError(f"Expected {job.features} as it was written, but it was removed or altered; try again")
        video, its_notes = kept
        notes.update(its_notes)
        video.split = roles.get(video.id)
        yield video


def _extract(labelled: Video, recording: Path, context: ExtractionContext) -> Extracted:
    clips = [_clip(labelled.id, each) for each in labelled.utterances]
    notes: Counter[str] = Counter()
    # on one thread: sums on several round differently, and a worker of a cluster has one
    with limit_numpy_threads(), limit_torch_threads() if "torch" in sys.modules else nullcontext():
        if context.needs_speech(labelled):
            clips = _with_words(clips, context.recognize(recording, notes), context.extractors.level, notes)
        featurised = featurise(recording, labelled.id, clips, context.extractors)
    for utterance, gold in zip(featurised.video.utterances, labelled.utterances, strict=True):
        utterance.sentiment, utterance.emotions = gold.sentiment, gold.emotions
    notes.update(featurised.notes)
    notes.update(
        f"{modality} missing: {_kind(reason)}"
        for reasons in featurised.missing.values()
        for modality, reason in reasons.items()
    )
    return featurised.video, notes


def _why_failed(error: Exception) -> str:
    """The reason for which a video is left out. A file nobody foresaw shall not cost the hours spent on the others."""
    if isinstance(error, DataError):
        return str(error)
    return f"Expected a readable video, but got {type(error).__name__}: {error}"


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


def _only_file(video_id: str, files: Mapping[str, list[Path]]) -> Path:
    paths = files.get(video_id, [])
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "no file of this name in the folder"
        raise DataError(f"Expected one file named like the video {video_id}, but got {found}; leave exactly one there")
    return paths[0]


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
    timed = []
    for clip in clips:
        if not clip.transcript:
            words = words_inside(speech.words, clip.start_s, clip.end_s)
            text = speech.separator.join(word.text for word in words)
            timed.append(dataclasses.replace(clip, transcript=text, words=words))
        elif level is Level.WORD:
            timed.append(dataclasses.replace(clip, words=timed_words(clip, speech.words, notes)))
        else:
            timed.append(clip)
    return timed
