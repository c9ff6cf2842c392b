"""`mien extract`: extract features from a folder of videos and write them, with their labels, as a Dataset."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mien.commands.extras import require_extra, require_recording_extras
from mien.engine.cluster import require_visible_paths
from mien.engine.jobs import EngineConfig, run_jobs
from mien.engine.threads import limit_numpy_threads, limit_torch_threads
from mien.errors import DataError, EngineError, MissingExtraError, MissingWeightsError, UsageError, WriteError
from mien.features.extractors import require_extractor
from mien.media.recognition import SpeechSettings
from mien.media.speech_models import find_speech_model
from mien.pretrained import sha256_of
from mien.readers import open_reader
from mien.readers.base import ReaderOptions, SourceDataSet, Unit
from mien.readers.label_columns import parse_labels
from mien.readers.rules import LABEL_CLAMPED, add_note
from mien.readers.splits import assign_splits
from mien.recordings import find_videos, only_file_of
from mien.schema import Level, Modality, Video
from mien.storage.dataset import DATASET_FOLDER, Dataset, DatasetFacts, write_dataset
from mien.storage.files import refuse_links, remove_partial
from mien.storage.folders import require_creatable, require_replaceable
from mien.storage.label_alarms import ScaleCheck, store_alarms
from mien.video.feature_cache import (
    VOICE,
    Extracted,
    ExtractionContext,
    FeatureCache,
    cache_beside,
    load_context,
    needs_speech,
)
from mien.video.featurise import featurise, load_extractors
from mien.video.inputs import find_video_folder, refuse_address, why_unreadable
from mien.video.labelled_clips import WHOLE_FILE, is_whole_file, labelled_clips, with_recognized_words
from mien.video.languages import record_languages
from mien.video.progress import Advance, ProgressMeter, RecordingProgress, Stage

DEFAULT_EXTRACTORS = {  # minilm has no vectors of single words
    Level.UTTERANCE: {Modality.TEXT: "minilm", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
    Level.WORD: {Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "covarep-like-74", Modality.VISUAL: "face"},
}
FATAL = (EngineError, MissingExtraError, MissingWeightsError, UsageError, WriteError)  # every video would raise these


@dataclass(frozen=True)
class ExtractRequest:
    """Options of an extraction. `reader`, `mapping`, `rename_splits`, `carve` and `labels` apply to the labels."""

    extractors: Mapping[Modality, str] | None = None  # modality -> extractor name; None selects the defaults
    level: Level = Level.UTTERANCE  # with WORD, words get vectors, and utterances get their mean
    speech: SpeechSettings = field(default_factory=SpeechSettings)  # used where a transcript or word times are missing
    mapping: Mapping[str, str] = field(default_factory=dict)  # field of mien -> column of the label table
    rename_splits: Mapping[str, str] = field(default_factory=dict)  # split name in the labels -> new name
    carve: Mapping[str, float] = field(default_factory=dict)  # split to create -> share of the train videos for it
    reader: str = "table"  # name of the reader of the labels
    labels: tuple[str, ...] = ()  # labels of other kinds: NAME=COLUMN:KIND[:LOW..HIGH|a,b,c]
    name: str | None = None  # name of the Dataset; None uses the name of its folder
    engine: EngineConfig = field(default_factory=EngineConfig)


@dataclass(frozen=True)
class Extraction:
    """Result of an extraction: the Dataset of the videos that succeeded, and why the others failed."""

    dataset: Dataset
    failed: Mapping[str, str]  # video id -> reason


def extract(
    folder: str | Path,
    labels: str | Path | None,
    out: str | Path,
    request: ExtractRequest | None = None,
    advance: Advance | None = None,
) -> Extraction:
    """Extract the features of every labelled utterance into a Dataset. A video that fails does not stop the others.

    Args:
        folder: Folder with one media file per video, named VIDEO_ID.SUFFIX. Cluster workers need it at the same path.
        labels: File that `request.reader` reads, for example a table; None: in the folder, or the names of its files.
            Speech is recognised where there is no transcript. A single utterance without times is the whole file.
        out: Folder of the Dataset. A hidden folder beside it caches the features of each video for repeated calls.
        request: Further options; None uses the defaults.
        advance: Called with the progress of the videos whose features are not cached; `str()` of it is a line of text.

    Returns:
        The Dataset, and the reason for each video that failed.

    Raises:
        MienError: The labels or all videos are unreadable, an extractor, an optional package or the speech model is
            missing, or the Dataset cannot be written. All this is checked before the extractors are loaded. Later
            errors that affect every video (`FATAL`) are raised too.
    """
    request, out = request or ExtractRequest(), Path(out)
    names = request.extractors if request.extractors is not None else DEFAULT_EXTRACTORS[request.level]
    given = _require_inputs(folder, labels, out, names, request)
    source = given.source
    roles = assign_splits(source.splits, request.rename_splits, request.carve, notes=source.notes)
    if advance is not None:
        advance(RecordingProgress("", {Stage.LOADING: None}))
    context = ExtractionContext(load_extractors(names, request.level), request.speech)
    cache = FeatureCache(cache_beside(out), context, source.label_spaces)
    refuse_links(cache.folder.parent, cache.folder.name)
    remove_partial(cache.folder, ".*.partial-*")  # left by killed processes
    if not source.recordings:  # else the reader knows that each file is one utterance
        add_note(source.notes, WHOLE_FILE, sum(map(is_whole_file, given.labelled)))
    jobs, reasons = _plan_jobs(given, cache)
    reasons |= _extract_missing(jobs, cache, names, request.engine, advance)
    if advance is not None:
        advance(RecordingProgress("", {Stage.WRITING: None}, share=1.0))
    failed = {video.id: reasons[video.id] for video in given.labelled if video.id in reasons}
    origin: dict[str, Any] = {
        "source": "extract",
        **({"reader": request.reader} if request.reader != "table" else {}),
        "files": {path.name: sha256_of(path) for path in source.files},
        "mapping": dict(source.mapping),
        "extractors": {str(modality): name for modality, name in names.items()},
        "level": request.level,
        "rename_splits": dict(request.rename_splits),
        "carve": dict(request.carve),
        "failed": failed,
        "notes": source.notes,
    }
    store_alarms(_check_of(given.labelled, source), source.notes[LABEL_CLAMPED], source.notes, origin)
    facts = DatasetFacts(
        request.name or out.resolve().name,
        context.extractors.spaces,
        source.sentiment_values,
        origin,
        source.licence_note,
        label_spaces=source.label_spaces,
        extra_columns=source.extra_columns,
    )
    videos = _read_extracted([job for job in jobs if job.labelled.id not in failed], cache, roles, source.notes)
    try:
        dataset = write_dataset(out, _and_then(videos, partial(record_languages, origin, request.speech)), facts)
    except DataError as error:
        if not failed:
            raise
        raise _nothing_readable(folder, failed) from error
    return Extraction(dataset, failed)


@dataclass(frozen=True)
class LabelledRecordings:
    """The labelled videos of an extraction, and their media files."""

    source: SourceDataSet
    labelled: Sequence[Video]
    files: Mapping[str, Path]  # video id -> media file
    failed: Mapping[str, str]  # video id -> reason why the video has no readable media file


def _require_inputs(
    folder: str | Path,
    labels: str | Path | None,
    out: Path,
    names: Mapping[Modality, str],
    request: ExtractRequest,
) -> LabelledRecordings:
    """Open the labels, find the media files, and check all that can be checked before the extractors are loaded."""
    if not names:
        raise UsageError("Expected at least one extractor, but got none for text, acoustic and visual; name one")
    for modality, name in names.items():
        require_extractor(modality, name)
    require_extra(request.engine.engine)
    require_recording_extras(names.values(), recognizes=False)
    require_creatable(require_replaceable(out, DATASET_FOLDER).parent)
    place = find_video_folder(folder)
    if labels is not None:
        refuse_address(labels)
    source, by_name = _open_labels(place, labels, request)
    labelled = list(source.videos)
    files, failed = _media_files_of(labelled, by_name)
    if failed and not files:
        raise _nothing_readable(folder, failed)
    word_times = request.level is Level.WORD and not names.keys() <= {Modality.TEXT}
    if any(needs_speech(video, word_times=word_times) for video in labelled):
        require_recording_extras((), recognizes=True)
        find_speech_model(request.speech.speech_model, trust_model=request.speech.trust_model)
    return LabelledRecordings(source, labelled, files, failed)


def _media_files_of(
    labelled: Sequence[Video], by_name: Mapping[str, list[Path]]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the media file of each video that has exactly one readable file, and the reasons for the other videos."""
    files, failed = {}, {}
    for video in labelled:
        try:
            path = only_file_of(video.id, by_name)
        except DataError as error:
            failed[video.id] = str(error)
            continue
        if reason := why_unreadable(path):
            failed[video.id] = reason
        else:
            files[video.id] = path
    return files, failed


def _nothing_readable(folder: str | Path, failed: Mapping[str, str]) -> DataError:
    details = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
    return DataError(f"Expected at least one readable video in {folder}, but got: {details}")


def _open_labels(
    folder: Path, labels: str | Path | None, request: ExtractRequest
) -> tuple[SourceDataSet, Mapping[str, list[Path]]]:
    """Open the labels, and find the media files: name that a video id may be -> files."""
    # Unit.ID: a recording is found by its id
    options = ReaderOptions(request.mapping, labels=parse_labels(request.labels), unit=Unit.ID, needs_text=False)
    source = open_reader(request.reader, [folder if labels is None else Path(labels)], options)
    if labels is None and source.recordings:
        return source, {video: [path] for video, path in source.recordings.items()}
    return source, find_videos(folder)


def _check_of(labelled: Sequence[Video], source: SourceDataSet) -> ScaleCheck:
    """Return a check of the scale of all labels."""
    check = ScaleCheck(source.label_spaces, source.sentiment_values)
    check.add_utterances([utterance for video in labelled for utterance in video.utterances])
    return check


@dataclass(frozen=True)
class ExtractionJob:
    """A labelled video, its media file, and the file to which its features are written."""

    labelled: Video
    recording: Path
    features: Path  # file of the cached features, which need not exist yet


@dataclass(frozen=True)
class ExtractionOutcome:
    """Result of an extraction job: the video with its features, or the reason why the extraction failed."""

    job: ExtractionJob
    extracted: Extracted | None = None
    failure: str = ""


def extract_recording(job: ExtractionJob, context: ExtractionContext) -> ExtractionOutcome:
    """Extract the features of one recording. An error is raised only if it would affect every video (`FATAL`).

    Args:
        job: The recording, which must exist on this machine, and its labelled utterances.
        context: Loaded extractors.

    Returns:
        The features, or the reason why the recording failed. The features do not depend on the number of cores.
    """
    require_visible_paths(job.recording)
    try:
        return ExtractionOutcome(job, _extract_features(job.labelled, job.recording, context))
    except FATAL:
        raise
    except Exception as error:
        return ExtractionOutcome(job, failure=_why_failed(error))


def _plan_jobs(given: LabelledRecordings, cache: FeatureCache) -> tuple[list[ExtractionJob], dict[str, str]]:
    """Return one job per video with a readable media file, and by id the reasons why other videos have none."""
    jobs, reasons = [], dict(given.failed)
    for video in given.labelled:
        if (recording := given.files.get(video.id)) is not None:
            try:
                jobs.append(ExtractionJob(video, recording, cache.path_of(video, recording)))
            except OSError as error:
                reasons[video.id] = _why_failed(error)
    return jobs, reasons


def _extract_missing(
    jobs: Sequence[ExtractionJob],
    cache: FeatureCache,
    names: Mapping[Modality, str],
    engine: EngineConfig,
    advance: Advance | None,
) -> dict[str, str]:
    """Extract and cache the videos that the cache lacks. Return the reasons of the failures, by video id."""
    loaded = cache.context
    missing = [job for job in jobs if cache.read(job.features) is None]
    meter = None if advance is None else ProgressMeter(advance, [job.recording for job in missing])
    context: Callable[[], ExtractionContext]
    context = partial(load_context, names, loaded.extractors.level, loaded.speech, loaded.extractors.spaces)
    if engine.is_local:  # one video at a time, with the extractors loaded already
        engine, context = EngineConfig(workers=1), partial(replace, loaded, meter=meter)
    reasons = {}
    with closing(run_jobs(engine, extract_recording, missing, _lost_extraction, context=context)) as outcomes:
        for outcome in outcomes:
            if outcome.extracted is None:
                reasons[outcome.job.labelled.id] = outcome.failure
            else:
                cache.write(outcome.job.features, outcome.extracted)
            if meter is not None:
                meter.show(outcome.job.recording, Stage.DONE)
    return reasons


def _lost_extraction(job: ExtractionJob, reason: str) -> ExtractionOutcome:
    return ExtractionOutcome(job, failure=reason)


def _read_extracted(
    jobs: Sequence[ExtractionJob], cache: FeatureCache, roles: Mapping[str, str | None], notes: Counter[str]
) -> Iterator[Video]:
    """Yield the cached videos with speakers, folds and splits (`roles`, by video id). Add their messages to `notes`."""
    for job in jobs:
        cached = cache.read(job.features)
        if cached is None:
            raise DataError(f"Expected {job.features} as it was written, but it was removed or altered; try again")
        video, video_notes = cached
        notes.update(video_notes)
        video.split, video.fold = roles.get(video.id), job.labelled.fold
        speakers = {utterance.index: utterance.speaker for utterance in job.labelled.utterances}
        for utterance in video.utterances:
            utterance.speaker = speakers[utterance.index]
        yield video


def _and_then(videos: Iterator[Video], function: Callable[[], None]) -> Iterator[Video]:
    yield from videos
    function()


def _extract_features(labelled: Video, recording: Path, context: ExtractionContext) -> Extracted:
    notes = Counter[str]()
    context.begin(recording, labelled)
    clips = labelled_clips(labelled, recording, notes)
    with limit_numpy_threads(), limit_torch_threads() if "torch" in sys.modules else nullcontext():  # same rounding
        if context.needs_speech(labelled):
            clips = with_recognized_words(clips, context.recognize(recording, notes), context.extractors.level, notes)
        result = featurise(
            recording,
            labelled.id,
            clips,
            context.extractors,
            context.observe_frames(recording),
            context.speech.audio_track,
            on_voice=partial(context.measure, recording, VOICE),
        )
    labels = {utterance.index: utterance.labels for utterance in labelled.utterances}
    for utterance in result.video.utterances:
        utterance.labels = labels[utterance.index]
    notes.update(result.notes)
    notes.update(
        f"{modality} missing: {_masked(why)}" for each in result.missing.values() for modality, why in each.items()
    )
    return result.video, notes


def _why_failed(error: Exception) -> str:
    """Return the reason why a video failed. Any error is accepted, because none may stop the other videos."""
    if isinstance(error, DataError):
        return str(error)
    return f"Expected a readable video, but got {type(error).__name__}: {error}"


def _masked(reason: str) -> str:
    """Replace every digit of a reason by #, so that reasons that differ only in a number are counted together."""
    return "".join("#" if character.isdigit() else character for character in reason)
