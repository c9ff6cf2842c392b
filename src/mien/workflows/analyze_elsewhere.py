"""`mien analyze` of many videos on a cluster: workers listen, watch and predict, this process writes the reports."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mien.errors import EngineError, MienError
from mien.features import VisualExtractor, load_visual_extractor
from mien.media import Recognizer, load_recognizer
from mien.reports import Analysis, write_outputs
from mien.tables import Run
from mien.tables.files import sha256_of
from mien.tables.runs import CARD
from mien.workflows.analyze import (
    Advance,
    Analyst,
    AnalyzeRequest,
    analyze_clips,
    load_analyst,
    questions_about,
)
from mien.workflows.cluster import require_seen
from mien.workflows.crew import Crew, one_thread_each
from mien.workflows.engine import work_through
from mien.workflows.observing import Questions, ready_observer
from mien.workflows.shipped import find_run, shipped_names

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
