"""`mien analyze`: predict labels of the utterances of raw videos, and write reports that explain the predictions.

`analyze_recording` analyses one recording, in the main process or on a cluster worker. The main process writes the
reports.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.commands.shipped import DEFAULT_MODEL, decisions_of, find_run, shipped_names
from mien.engine.cluster import require_visible_paths
from mien.engine.jobs import EngineConfig, run_jobs
from mien.engine.threads import TaskPool, limit_numpy_threads, limit_torch_threads
from mien.errors import DataError, EngineError, MienError
from mien.evaluation.decisions import Decisions
from mien.media.clips import Clips, MediaSettings
from mien.media.subtitles import subtitles_beside
from mien.pretrained import sha256_of
from mien.schema import EMOTION, FUSED, FloatArray, Modality
from mien.storage.predictions import Predictions
from mien.storage.runs import CARD, Run
from mien.storage.split_columns import SplitColumns, stack_videos
from mien.task_kinds import VOTED
from mien.tasks import spaces_of
from mien.video.analysis import Analysis, UtteranceAnalysis, VideoFacts
from mien.video.answers import answers_of_row, label_thresholds, model_facts, outputs_of_row, probability_changes
from mien.video.featurise import ClipFeatures, LoadedExtractors, extractors_for, featurise, require_extractors
from mien.video.inputs import find_recordings, require_readable_subtitles
from mien.video.languages import withhold_unknown_languages
from mien.video.measurements import MeasurementPool, MeasurementSettings, RecordingMeasurements
from mien.video.notes import is_statement
from mien.video.outputs import require_output_folders, write_outputs
from mien.video.page import PageSettings
from mien.video.progress import Advance, ProgressMeter, Stage

if TYPE_CHECKING:
    from mien.training.predictor import Predictor

# A video without speech is cut into clips of this length, so that voice and face can be shown.
SILENT_CLIP_S = 5.0
# Attention maps of more utterances (about 75 minutes of speech) are left out: they are unreadable and too large.
MOST_ATTENTION_UTTERANCES = 600


@dataclass(frozen=True)
class AnalyzeRequest:
    """Model and settings of an analysis."""

    model: str = DEFAULT_MODEL  # name of a shipped model, or folder of a Run
    # File with transcripts and times, or folder with a file of the name of each recording. None: speech is recognised.
    subtitles: Path | None = None
    media: MediaSettings = dataclasses.field(default_factory=lambda: MediaSettings(silent_clip_s=SILENT_CLIP_S))
    tracks: bool = True  # measure voice and face for the report, even where the model does not use them
    page: PageSettings = dataclasses.field(default_factory=PageSettings)
    # Number of threads that recognise speech and measure faces, at least 1; None: one per core, but at most 2.
    # On a cluster: number of videos analysed at the same time. The results do not depend on this number.
    workers: int | None = None
    engine: EngineConfig = dataclasses.field(default_factory=EngineConfig)
    names_subtitles_beside: bool = True  # add a note on a subtitle file that lies beside a recording and was not read


def analyze(
    videos: Sequence[str | Path],
    out: str | Path | None = None,
    request: AnalyzeRequest | None = None,
    advance: Advance | None = None,
) -> tuple[dict[Path, Analysis], dict[Path, str]]:
    """Analyse videos and write their outputs. A video that fails does not stop the others.

    Args:
        videos: Media files, and folders whose media files are analysed; see `mien.video.inputs.find_recordings`.
        out: Folder of the outputs. If there are several files or a folder, each recording gets a subfolder, named by
            the stem of its file. If it is None, it is `NAME-report` in the current folder for one file, and
            `mien-report` otherwise.
        request: Model and settings; None uses the defaults.
        advance: Called with the progress, also from other threads; `str()` of it is a line of text.

    Returns:
        Two dictionaries by path: the analyses of the videos that succeeded, and the reasons why the others failed.

    Raises:
        UsageError: An address on the web was given instead of a path, or one subtitle file for several videos.
        MienError: The model, its weights, an extractor of its features or the subtitles are missing; or the outputs
            cannot be written, or would replace files in `out` that mien did not write.
    """
    request = request or AnalyzeRequest()
    run = find_run(request.model)
    require_extractors(run.spaces)
    recordings = find_recordings(videos)
    if request.subtitles is not None:
        require_readable_subtitles(request.subtitles, n_recordings=len(recordings.names) + len(recordings.failed))
    out = None if out is None else Path(out)
    folders = recordings.folders(out)
    require_output_folders(folders.values(), recordings.shared_folder(out))
    failed = dict(recordings.failed)
    if not folders:
        return {}, failed
    meter = ProgressMeter(advance, list(folders)) if advance is not None else None
    done: dict[Path, Analysis] = {}
    with closing(_outcomes(list(folders), request, run, meter)) as outcomes:
        for outcome in outcomes:
            path = outcome.path
            try:
                if outcome.analysis is None:
                    raise MienError(outcome.failure)
                if meter is not None:
                    meter.show(path, Stage.WRITING)
                write_outputs(folders[path], outcome.analysis, request.page)
                done[path] = outcome.analysis
            except MienError as error:
                failed[path] = str(error)
            if meter is not None:
                meter.show(path, Stage.DONE)
    return {path: done[path] for path in folders if path in done}, failed


def _outcomes(
    paths: Sequence[Path], request: AnalyzeRequest, run: Run, meter: ProgressMeter | None
) -> Generator[RecordingOutcome, None, None]:
    """Analyse the recordings on this machine or on a cluster, and yield each outcome when it is known."""
    jobs, settings = _analysis_jobs(paths, request, run)
    with limit_numpy_threads(), TaskPool(request.workers) as pool:
        if request.engine.is_local:
            # This thread analyses one recording at a time; the pool measures the next one meanwhile.
            engine, context = EngineConfig(workers=1), partial(AnalysisContext, settings, pool, meter)
        else:
            engine = dataclasses.replace(request.engine, workers=request.workers or request.engine.workers)
            context = partial(AnalysisContext, settings)
        with closing(run_jobs(engine, analyze_recording, jobs, _lost_analysis, context=context)) as outcomes:
            yield from outcomes


@dataclass(frozen=True)
class RecordingJob:
    """A recording to analyse, and the paths that its analysis needs."""

    path: Path  # as the user wrote it
    location: Path  # the same path for the process that runs the job; absolute on a cluster
    following: Path | None  # recording that the same process analyses next; None if unknown
    needs: tuple[Path, ...]  # existing files and folders that a worker must see under the same path


@dataclass(frozen=True)
class RecordingOutcome:
    """Result of a job: the analysis of a recording, or the reason why it failed."""

    path: Path
    analysis: Analysis | None = None
    failure: str = ""


def analyze_recording(job: RecordingJob, context: AnalysisContext) -> RecordingOutcome:
    """Analyse one recording, in the main process or on a cluster worker.

    Args:
        job: The recording, and the paths that must exist on this machine.
        context: The loaded model, and the measurements that are in progress.

    Returns:
        The analysis, or the reason why this recording failed.

    Raises:
        EngineError: A worker does not see a path that the job needs.
        MienError: The model, the speech recogniser or an extractor cannot be loaded.
    """
    require_visible_paths(*job.needs)
    with limit_numpy_threads():
        observed = context.observe(job)
        context.observer.require_loaded()
        # the model of the predictions takes longest to load; the recording is measured meanwhile
        context.report(job)
        analyst = context.analyst.result()
        try:
            clips = observed.clips.result()
            context.report(job, Stage.PREDICTING)
            return RecordingOutcome(job.path, analyze_clips(job, clips, analyst, observed))
        except MienError as error:
            return RecordingOutcome(job.path, failure=str(error))
        finally:
            observed.cancel()


@dataclass(frozen=True)
class AnalysisContextSettings:
    """Settings shared by all recordings of one call of `analyze`."""

    model: str  # name of a shipped model, or folder of a Run
    card_sha256: str  # of the Run's run.json; on a worker, the folder may contain another Run
    measured: MeasurementSettings


class AnalysisContext:
    """Loaded model, extractors and measurements for all jobs. Raises EngineError if the Run of a worker differs."""

    def __init__(
        self, settings: AnalysisContextSettings, pool: TaskPool | None = None, meter: ProgressMeter | None = None
    ) -> None:
        run = find_run(settings.model)
        if (card_sha256 := sha256_of(run.folder / CARD)) != settings.card_sha256:
            raise EngineError(
                f"Expected the worker {socket.gethostname()} to see the run {settings.model} as it was sent (run.json "
                f"{settings.card_sha256[:12]}), but got another one there ({card_sha256[:12]}); repeat the command"
            )
        if meter is not None:
            meter.load()
        pool = pool or TaskPool(1)
        self._meter = meter
        self.observer = MeasurementPool(pool, settings.measured, meter)
        self.analyst = pool.submit_loading(partial(load_analysis_model, run))
        self._started: dict[Path, RecordingMeasurements] = {}

    def report(self, job: RecordingJob, stage: Stage | None = None) -> None:
        """Report the progress of this recording from now on, and perhaps that it has reached a stage."""
        if self._meter is not None:
            self._meter.show(job.location, stage)

    def observe(self, job: RecordingJob) -> RecordingMeasurements:
        """Return the running measurements of a recording, started now if necessary. Also start those of the next."""
        observed = self._started.pop(job.location, None) or self.observer.observe(job.location)
        if job.following is not None:
            self._started[job.following] = self.observer.observe(job.following)
        return observed


def _analysis_jobs(
    paths: Sequence[Path], request: AnalyzeRequest, run: Run
) -> tuple[list[RecordingJob], AnalysisContextSettings]:
    """Return one job per recording and the shared settings. Paths are absolute if cluster workers run the jobs."""
    is_local = request.engine.is_local

    def located(path: Path) -> Path:
        return path if is_local else Path(os.path.abspath(path))

    subtitles = None if request.subtitles is None else located(request.subtitles)
    is_shipped = request.model in shipped_names()
    shared = [*([] if is_shipped else [located(run.folder)]), *filter(None, [subtitles])]
    jobs = []
    for path, following in zip(paths, [*paths[1:], None], strict=True):
        needs = tuple(each for each in (*shared, located(path)) if each.exists())
        jobs.append(RecordingJob(path, located(path), following if is_local else None, needs))
    visual_name = run.spaces[Modality.VISUAL].name if Modality.VISUAL in run.spaces else ""
    measured = MeasurementSettings(
        subtitles, request.media, request.tracks, visual_name, request.names_subtitles_beside and subtitles is None
    )
    model = request.model if is_shipped else str(located(run.folder))
    return jobs, AnalysisContextSettings(model, sha256_of(run.folder / CARD), measured)


def _lost_analysis(job: RecordingJob, reason: str) -> RecordingOutcome:
    return RecordingOutcome(job.path, failure=reason)


@dataclass(frozen=True)
class AnalysisModel:
    """A loaded model, its thresholds and the extractors of its feature spaces, which are used for every video."""

    run: Run
    predictor: Predictor
    decisions: Decisions
    extractors: LoadedExtractors


def load_analysis_model(run: Run) -> AnalysisModel:
    """Load the predictor and the thresholds of a Run, and the extractors of its feature spaces."""
    from mien.training.predictor import load_predictor

    return AnalysisModel(run, load_predictor(run), decisions_of(run), extractors_for(run.spaces))


def analyze_clips(job: RecordingJob, clips: Clips, analyst: AnalysisModel, observed: RecordingMeasurements) -> Analysis:
    """Extract features of a video's utterances, predict their labels, and collect data to explain the predictions.

    Args:
        job: The recording.
        clips: Its utterances with times and transcripts, from subtitles or recognised speech.
        analyst: Loaded model and extractors.
        observed: Measurements of the same recording. The function waits for those in progress.

    Returns:
        The analysis. It has attention weights if there are at most `MOST_ATTENTION_UTTERANCES` utterances.

    Raises:
        DataError: There are no utterances.
    """
    from mien.models.batch import InputKind

    path, clips = job.location, withhold_unknown_languages(clips, analyst.run)
    if not clips.clips:
        raise DataError(f"Expected somebody to speak in {path}, but heard nobody; give --subtitles")
    with limit_torch_threads():
        result = featurise(
            path, path.stem, clips.clips, analyst.extractors, observed.model_saw(), observed.settings.audio_track
        )
        words, label_spaces = analyst.predictor.input_kind is InputKind.WORDS, spaces_of(analyst.run.task_table)
        columns = stack_videos([result.video], analyst.run.spaces, label_spaces, words=words)
        predictions = analyst.predictor.predict(columns)
        without = _leave_one_out(columns, analyst)
        n = len(clips.clips)
        shown = n <= MOST_ATTENTION_UTTERANCES
        attention = analyst.predictor.attention(columns)[path.stem] if shown else {}
    counts = clips.notes + result.notes
    notes = [text if is_statement(text) else f"{text}: {counts[text]}" for text in sorted(counts)]
    beside = subtitles_beside(path) if observed.settings.names_subtitles_beside else None
    if beside is not None:
        notes.append(f"subtitles beside the recording were not read; to read them: --subtitles {beside.name}")
    if not shown:
        notes.append(f"attention is left out: {n} utterances, more than {MOST_ATTENTION_UTTERANCES}")
    return Analysis(
        video=VideoFacts(
            os.fsencode(path.name).decode("utf-8", "backslashreplace"), clips.duration_s, job.path, clips.language
        ),
        model=model_facts(analyst.run, analyst.decisions),
        utterances=tuple(
            dataclasses.replace(
                _utterance_analysis(row, result, predictions, without, analyst.decisions),
                not_judged=clip.not_judged,
                language=clip.language,
            )
            for row, clip in enumerate(clips.clips)
        ),
        attention={name: _shown_attention(name, weights[:n, :n], columns) for name, weights in attention.items()},
        tracks=observed.tracks(),
        notes=tuple(notes),
    )


def _shown_attention(name: str, weights: FloatArray, columns: SplitColumns) -> FloatArray:
    """Return attention weights. The row of an utterance without the attending modality or without context is NaN."""
    target = name.partition("->")[0]
    if target == FUSED:
        present = np.any([columns.present[modality] for modality in columns.present], axis=0)
    else:
        present = columns.present[Modality(target)]
    has_weights = present & (weights.sum(axis=1) > 0)
    shown: FloatArray = np.where(has_weights[:, None], weights, np.nan)
    return shown


def _leave_one_out(columns: SplitColumns, analyst: AnalysisModel) -> dict[Modality, Predictions]:
    """Return, by modality, the predictions without this modality. Empty if the model uses only one modality."""
    if len(columns.features) < 2:
        return {}
    return {modality: analyst.predictor.predict(columns.without(modality)) for modality in columns.features}


def _utterance_analysis(
    row: int,
    result: ClipFeatures,
    predictions: Predictions,
    without: Mapping[Modality, Predictions],
    decisions: Decisions,
) -> UtteranceAnalysis:
    utterance = result.video.utterances[row]
    outputs = outputs_of_row(predictions, row) if utterance.features else {}
    present = {
        task.name: tuple(
            name for name, cut in label_thresholds(task, decisions).items() if outputs[task.name][name] >= cut
        )
        for task in predictions.predicted_tasks
        if task.row.decision == VOTED and outputs
    }
    return UtteranceAnalysis(
        index=utterance.index,
        start_s=float(utterance.start_s or 0.0),
        end_s=float(utterance.end_s or 0.0),
        transcript=utterance.transcript,
        speaker=utterance.speaker,
        answers=answers_of_row(predictions, row, decisions) if utterance.features else {},
        outputs=outputs,
        labels=present.pop(EMOTION, ()),
        further_labels=present,
        missing={str(modality): reason for modality, reason in result.missing[utterance.index].items()},
        contributions={
            str(modality): probability_changes(predictions, other, row)
            for modality, other in without.items()
            if modality in utterance.features
        },
    )
