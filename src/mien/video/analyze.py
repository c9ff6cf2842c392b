"""`mien analyze`: a raw video -> clips -> features -> predictions with their evidence -> report.

`mien analyze` of many videos on a cluster: workers listen, watch and predict, this process writes the reports.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.commands.shipped import decisions_of, find_run, shipped_names
from mien.engine import Place, work_through
from mien.engine.cluster import require_seen
from mien.engine.threads import Crew, one_thread_each, one_torch_thread
from mien.errors import DataError, EngineError, MienError
from mien.evaluation.decisions import Decisions, Point
from mien.features import load_visual_extractor
from mien.features.visual.base import VisualExtractor
from mien.media.clips import Clips, MediaSettings
from mien.media.recognition import Recognizer, load_recognizer
from mien.pretrained import sha256_of
from mien.schema import EMOTIONS, FUSED, NO_EMOTION, FloatArray, Modality
from mien.storage.predictions import Predictions
from mien.storage.runs import CARD, Run
from mien.storage.split_columns import SplitColumns, stack_videos
from mien.tasks import EMOTION, SENTIMENT, TASKS, output_name
from mien.video.analysis import POSITIVE, Analysis, ModelFacts, UtteranceAnalysis, VideoFacts
from mien.video.featurise import Extractors, Featurised, extractors_for, featurise
from mien.video.observing import Observed, Questions, observer, ready_observer
from mien.video.outputs import OUTPUTS, write_outputs
from mien.video.page import PageSettings

if TYPE_CHECKING:
    from mien.training.predictor import Predictor

DEFAULT_MODEL = "mosei-text"
# Without a word said, a film is still cut into clips of this length, so that voice and face can be shown.
SILENT_CLIP_S = 5.0
# A map of more utterances (about 75 minutes of talk) cannot be read any more, and grows with their square.
MOST_ATTENTION_UTTERANCES = 600
WORDS_ONLY = "It hears words only: voice and face are measured beside it and have no say in the prediction."
EXPRESSED = "A probability is about what annotators would read into the words, not about what the person feels inside."
Advance = Callable[[str], None]


@dataclass(frozen=True)
class AnalyzeRequest:
    """What to analyse with. `model` is a shipped name or a run folder."""

    model: str = DEFAULT_MODEL
    subtitles: Path | None = None
    media: MediaSettings = dataclasses.field(default_factory=lambda: MediaSettings(silent_clip_s=SILENT_CLIP_S))
    # measure voice and face also where the model does not use them
    tracks: bool = True
    # how report.html is written
    page: PageSettings = dataclasses.field(default_factory=PageSettings)
    # threads on which loading, listening and watching go on side by side, from 1; None: the cores there are, at most 2.
    # On a cluster: videos at a time. Results do not depend on it.
    workers: int | None = None
    place: Place = dataclasses.field(default_factory=Place)


@dataclass(frozen=True)
class Analyst:
    """The model and the extractors of its features, loaded once and used for every video."""

    run: Run
    predictor: Predictor
    decisions: Decisions
    extractors: Extractors


def analyze(
    videos: Sequence[str | Path], out: str | Path, request: AnalyzeRequest | None = None, advance: Advance | None = None
) -> tuple[dict[Path, Analysis], dict[Path, str]]:
    """Analyse videos; each gets its outputs in `out`, or in a folder of its own below `out` when there are several.

    One bad video never stops the rest. Returns the analyses and, for the videos that failed, why. Raises what concerns
    all of them: an unknown model, missing weights, features that raw video cannot give.
    """
    request = request or AnalyzeRequest()
    tell = advance or (lambda _text: None)
    run = find_run(request.model)
    paths, failed = _of_different_names([Path(path) for path in videos])
    folders = {path: Path(out) if len(videos) == 1 else Path(out) / path.stem for path in paths}
    done: dict[Path, Analysis] = {}
    if not request.place.is_local:
        done, others = analyze_elsewhere(folders, request, run, tell)
        return done, failed | others
    with one_thread_each(), Crew(request.workers) as crew:
        tell("loading")
        watcher = observer(crew, questions_about(request, run))
        loading = crew.load(partial(load_analyst, run))
        # the next video is begun before this one is done, so that no worker is idle
        begun = [watcher.observe(path) for path in paths[:1]]
        analyst = loading.result()
        watcher.require_loaded()
        for path, after in zip(paths, [*paths[1:], None], strict=True):
            if after is not None:
                begun.append(watcher.observe(after))
            tell(f"{path.name}: listening and watching")
            observed = begun.pop(0)
            try:
                clips = observed.clips.result()
                tell(f"{path.name}: {len(clips.clips)} utterances, extracting and predicting")
                done[path] = analyze_clips(path, clips, analyst, observed)
                write_outputs(folders[path], done[path], request.page)
            except MienError as error:
                done.pop(path, None)
                failed[path] = str(error)
            finally:
                observed.forget()
    return done, failed


def _of_different_names(videos: Sequence[Path]) -> tuple[list[Path], dict[Path, str]]:
    """The first video of every name, and why the others fail: they would overwrite its outputs."""
    first: dict[str, Path] = {}
    failed: dict[Path, str] = {}
    for path in dict.fromkeys(videos):
        if path.stem in first:
            failed[path] = (
                f"Expected videos of different names, but got {first[path.stem]} too; "
                "analyse them one after the other, each with its own --out"
            )
        else:
            first[path.stem] = path
    return list(first.values()), failed


def load_analyst(run: Run) -> Analyst:
    """Load a run's system, and the extractors that its feature spaces name."""
    from mien.training.predictor import load_predictor

    return Analyst(run, load_predictor(run), decisions_of(run), extractors_for(run.spaces))


def analyze_clips(path: Path, clips: Clips, analyst: Analyst, observed: Observed) -> Analysis:
    """Predict and explain one video whose utterances are known. Raises DataError if it has none."""
    if not clips.clips:
        raise DataError(f"Expected somebody to speak in {path}, but heard nobody; give --subtitles")
    with one_torch_thread():
        found = featurise(path, path.stem, clips.clips, analyst.extractors, observed.model_saw())
        columns = stack_videos([found.video], analyst.run.spaces, words=analyst.predictor.needs_words)
        predictions = analyst.predictor.predict(columns)
        without = _leave_one_out(columns, analyst)
        n = len(clips.clips)
        shown = n <= MOST_ATTENTION_UTTERANCES
        attention = analyst.predictor.attention(columns)[path.stem] if shown else {}
    notes = [f"{text}: {count}" for text, count in sorted((clips.notes + found.notes).items())]
    if not shown:
        notes.append(f"attention is left out: {n} utterances, more than {MOST_ATTENTION_UTTERANCES}")
    return Analysis(
        video=VideoFacts(path.name, clips.duration_s, path),
        model=_model_facts(analyst),
        utterances=tuple(_utterance(row, found, predictions, without, analyst.decisions) for row in range(n)),
        attention={name: _shown_attention(name, weights[:n, :n], columns) for name, weights in attention.items()},
        tracks=observed.tracks(),
        notes=tuple(notes),
    )


def questions_about(request: AnalyzeRequest, run: Run) -> Questions:
    """What every video is asked."""
    sees = run.spaces[Modality.VISUAL].name if Modality.VISUAL in run.spaces else ""
    return Questions(request.subtitles, request.media, request.tracks, sees)


def _shown_attention(name: str, weights: FloatArray, columns: SplitColumns) -> FloatArray:
    """The weights (utterance, context); NaN rows where the utterance lacks the asking modality or nothing answers."""
    target = name.partition("->")[0]
    if target == FUSED:
        present = np.any([columns.present[modality] for modality in columns.present], axis=0)
    else:
        present = columns.present[Modality(target)]
    asked = present & (weights.sum(axis=1) > 0)
    shown: FloatArray = np.where(asked[:, None], weights, np.nan)
    return shown


def _leave_one_out(columns: SplitColumns, analyst: Analyst) -> dict[Modality, Predictions]:
    """Predictions with each modality taken away in turn; nothing for a model of one modality."""
    if len(columns.features) < 2:
        return {}
    return {modality: analyst.predictor.predict(columns.without(modality)) for modality in columns.features}


def _utterance(
    row: int,
    found: Featurised,
    predictions: Predictions,
    without: Mapping[Modality, Predictions],
    decisions: Decisions,
) -> UtteranceAnalysis:
    utterance = found.video.utterances[row]
    outputs = _outputs(predictions, row) if utterance.features else {}
    label = ""
    if SENTIMENT in outputs:
        label = "positive" if outputs[SENTIMENT][POSITIVE] >= decisions.at(SENTIMENT)[0] else "negative"
    thresholds = _emotion_thresholds(decisions) if EMOTION in outputs else {}
    return UtteranceAnalysis(
        index=utterance.index,
        start_s=float(utterance.start_s or 0.0),
        end_s=float(utterance.end_s or 0.0),
        transcript=utterance.transcript,
        outputs=outputs,
        sentiment_label=label,
        labels=tuple(name for name, threshold in thresholds.items() if outputs[EMOTION][name] >= threshold),
        missing={str(modality): reason for modality, reason in found.missing[utterance.index].items()},
        contributions={
            str(modality): _changes(outputs, _outputs(other, row))
            for modality, other in without.items()
            if modality in utterance.features
        },
    )


def _outputs(predictions: Predictions, row: int) -> dict[str, dict[str, float]]:
    """Task -> output -> value of one utterance, of the six emotions without `none`."""
    return {
        task: {
            name: float(values[row, column])
            for column, name in enumerate(TASKS[task].outputs)
            if (task, name) != (EMOTION, NO_EMOTION)
        }
        for task, values in predictions.outputs.items()
    }


def _changes(
    outputs: Mapping[str, Mapping[str, float]], without: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """What every probability loses without a modality; nothing of degrees."""
    return {
        output_name(task, name): value - without[task][name]
        for task, values in outputs.items()
        if TASKS[task].decision != "none"
        for name, value in values.items()
    }


def _emotion_thresholds(decisions: Decisions) -> dict[str, float]:
    """Emotion -> threshold at the point of weighted F1, which names an emotion only when sure."""
    thresholds: list[float] = decisions.at(EMOTION, Point.WEIGHTED_F1).tolist()
    return dict(zip(EMOTIONS, thresholds, strict=False))


def _model_facts(analyst: Analyst) -> ModelFacts:
    run, decisions = analyst.run, analyst.decisions
    only_words = tuple(run.inputs) == (Modality.TEXT,)
    return ModelFacts(
        name=f"{run.folder.name} ({run.model})",
        inputs=tuple(map(str, run.inputs)),
        tasks=tuple(run.tasks),
        sentiment_threshold=float(decisions.at(SENTIMENT)[0]),
        thresholds=_emotion_thresholds(decisions) if EMOTION in run.tasks else {},
        protocol="Thresholds were chosen on validation videos for weighted F1, which names an emotion only when sure.",
        caveats=(WORDS_ONLY, EXPRESSED) if only_words else (EXPRESSED,),
        facts={"Trained on": str(run.dataset["name"]), "Features": ", ".join(s.name for s in run.spaces.values())},
    )


__all__ = ["DEFAULT_MODEL", "OUTPUTS", "AnalyzeRequest", "analyze"]


# A worker may have several threads; the networks are made for one.
_ALONE = threading.Lock()


@dataclass(frozen=True)
class FilmJob:
    """A video to analyse."""

    # as the user gave it
    path: Path
    # where every worker finds it
    absolute: Path
    # name of a shipped run, or folder of another
    model: str
    # which run that is: a worker may outlive the one it has loaded
    card_sha256: str
    questions: Questions
    # what whoever sent the job sees, and a worker must see too
    needs: tuple[Path, ...]


@dataclass(frozen=True)
class FilmOutcome:
    """What came of it: the analysis or the reason why not."""

    path: Path
    analysis: Analysis | None = None
    failure: str = ""


def analyze_elsewhere(
    folders: Mapping[Path, Path], request: AnalyzeRequest, run: Run, tell: Advance
) -> tuple[dict[Path, Analysis], dict[Path, str]]:
    """Analyse each video into its folder. Returns analyses and failures in the order of the videos."""
    place = dataclasses.replace(request.place, workers=request.workers or request.place.workers)
    questions = questions_about(request, run)
    if questions.subtitles is not None:
        questions = dataclasses.replace(questions, subtitles=_absolute(questions.subtitles))
    model = request.model if request.model in shipped_names() else str(_absolute(run.folder))
    needs = [*([] if request.model in shipped_names() else [Path(model)]), *filter(None, [questions.subtitles])]
    card_sha256 = sha256_of(run.folder / CARD)
    jobs = [
        FilmJob(path, _absolute(path), model, card_sha256, questions, seen)
        for path in folders
        for seen in [tuple(each for each in (*needs, _absolute(path)) if each.exists())]
    ]
    done: dict[Path, Analysis] = {}
    failed: dict[Path, str] = {}
    with closing(work_through(place, do_film, jobs, _lost)) as outcomes:
        for outcome in outcomes:
            path = outcome.path
            try:
                if outcome.analysis is None:
                    raise MienError(outcome.failure)
                analysis = dataclasses.replace(
                    outcome.analysis, video=dataclasses.replace(outcome.analysis.video, path=path)
                )
                write_outputs(folders[path], analysis, request.page)
                done[path] = analysis
                tell(f"{path.name}: done, {len(done) + len(failed)} of {len(jobs)}")
            except MienError as error:
                failed[path] = str(error)
                tell(f"{path.name}: FAILED, {len(done) + len(failed)} of {len(jobs)}")
    return (
        {path: done[path] for path in folders if path in done},
        {path: failed[path] for path in folders if path in failed},
    )


def do_film(job: FilmJob) -> FilmOutcome:
    """Analyse one video, on a worker. Raises EngineError for what would stop every video."""
    for path in job.needs:
        require_seen(path)
    with _ALONE, one_thread_each(), Crew(1) as crew:
        try:
            analyst, recognizer, eyes = _loaded(job.model, job.card_sha256, job.questions)
        except MienError as error:
            raise EngineError(f"Expected a worker to be able to analyse, but got: {error}") from error
        observed = ready_observer(crew, job.questions, recognizer, eyes).observe(job.absolute)
        try:
            clips = observed.clips.result()
            return FilmOutcome(job.path, analyze_clips(job.absolute, clips, analyst, observed))
        except MienError as error:
            return FilmOutcome(job.path, failure=str(error))
        finally:
            observed.forget()


@lru_cache(maxsize=1)
def _loaded(
    model: str, card_sha256: str, questions: Questions
) -> tuple[Analyst, Recognizer | None, dict[str, VisualExtractor]]:
    """Loaded once per worker. Raises EngineError where the worker sees another run than the one that was asked for."""
    run = find_run(model)
    if (seen := sha256_of(run.folder / CARD)) != card_sha256:
        raise EngineError(
            f"Expected the worker {socket.gethostname()} to see the run {model} as it was sent (run.json "
            f"{card_sha256[:12]}), but got another one there ({seen[:12]}); repeat the command"
        )
    recognizer = load_recognizer(questions.media.speech) if questions.subtitles is None else None
    eyes = {name: load_visual_extractor(name) for name in sorted(questions.eyes)}
    return load_analyst(run), recognizer, eyes


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _lost(job: FilmJob, reason: str) -> FilmOutcome:
    return FilmOutcome(job.path, failure=reason)
