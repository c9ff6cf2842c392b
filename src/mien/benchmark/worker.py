"""One run of a benchmark: trained, scored, and known as done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.commands.evaluate import ScoredSplit, score_run
from mien.commands.train import TrainRequest, train
from mien.engine.cluster import require_seen
from mien.errors import DataError, EngineError, MienError
from mien.evaluation.protocols import PROTOCOLS, Needs
from mien.models import MODELS, SystemEntry
from mien.pretrained import sha256_of
from mien.storage.files import locked, read_json, write_json
from mien.storage.runs import CARD, Run, kept_epochs, open_run
from mien.tasks import TASKS, Task
from mien.version import __version__

SCORES_FILE = "scores.json"
SPLIT = "test"
# What a run takes seconds to import, which shall count neither as a run's start nor as its first epoch.
PROCESS_IMPORTS = (__name__, "lightning_fabric", "sklearn.metrics")


@dataclass(frozen=True)
class RunJob:
    """What to train and score. `key` is the run's place below the benchmark's folder."""

    key: str
    folder: Path
    dataset: Path
    request: TrainRequest
    # what a run trained for it is, see `Run.identity`
    identity: Mapping[str, Any]
    # the system's row in MODELS: another process does not know what the user's own code has added to the table
    entry: SystemEntry
    # the rows of its tasks, for the same reason
    tasks: Mapping[str, Task]
    # a file that the benchmark wrote: who does not see it would train into another folder of the same name
    marker: Path


@dataclass(frozen=True)
class RunOutcome:
    """What came of a job: nothing but a reason if it failed."""

    key: str
    failure: str | None = None


def run_key(slug: str, seed: int) -> str:
    """A run's place below the benchmark's folder."""
    return f"runs/{slug}/seed-{seed}"


def run_and_score(job: RunJob) -> RunOutcome:
    """Train (or go on training) and score one run. Raises EngineError where the folders are not to be seen."""
    require_seen(job.marker, job.dataset)
    try:
        # Whoever else works on it has lost its benchmark, and will end or be done: a cluster gives the run of a worker
        # that it cannot reach to another one, although the first may still be at work.
        with locked(job.folder.with_name(f".{job.folder.name}.lock")):
            _run_and_score(job)
    except EngineError:
        raise
    except MienError as error:
        return RunOutcome(job.key, str(error))
    return RunOutcome(job.key)


def _run_and_score(job: RunJob) -> None:
    MODELS.setdefault(job.request.model, job.entry)
    for task, row in job.tasks.items():
        TASKS.setdefault(task, row)
    run = train(job.dataset, job.folder, job.request, resume=True)
    if stored_scores(run) is not None:
        return
    # without the weights of every epoch there is no upper bound; the other protocols do without
    protocols = [name for name, each in PROTOCOLS.items() if each.needs is not Needs.EPOCHS or kept_epochs(run)]
    results = score_run(run, protocols, ScoredSplit(job.dataset, SPLIT))
    named = {
        name: replace(result, identity=replace(result.identity, run=job.key)).to_json()
        for name, result in results.items()
    }
    write_json(job.folder / SCORES_FILE, {"format": "mien-scores", "of": _scored_what(run), "protocols": named})


def is_done(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Whether there is a finished and scored run that was trained as `identity` says."""
    try:
        run = open_run(folder)
        return run.identity == identity and stored_scores(run) is not None
    except MienError:
        return False


def stored_scores(run: Run) -> dict[str, Any] | None:
    """Protocol -> result as JSON, if this very run was scored by this version; else None."""
    try:
        facts = read_json(run.folder / SCORES_FILE, "the scores of a run")
    except DataError:  # none yet, or damaged: scoring again costs little
        return None
    found: dict[str, Any] | None = facts.get("protocols") if facts.get("of") == _scored_what(run) else None
    return found


def _scored_what(run: Run) -> dict[str, str]:
    return {"run": sha256_of(run.folder / CARD), "split": SPLIT, "mien": __version__}
