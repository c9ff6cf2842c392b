"""The runs of a benchmark: each trained, scored and known as done; then all gathered into results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.commands.evaluate import SplitSelection, score_run, seed_run
from mien.commands.train import PREDICTIONS_FOLDER, TrainRequest, train
from mien.engine.cluster import require_visible_paths
from mien.errors import DataError, EngineError, MienError
from mien.evaluation.compare import SeedRun, SettingScores, score_setting
from mien.evaluation.decisions import paper_decisions
from mien.evaluation.protocols import PROTOCOLS, ProtocolInput
from mien.evaluation.result import Bootstrap
from mien.evaluation.suite import compare_with_reference, intervals_of_means
from mien.evaluation.summary import mean_and_sd, summarize_json
from mien.models import MODELS, SystemEntry
from mien.pretrained import sha256_of
from mien.storage.files import exclusive_lock, read_json, write_json
from mien.storage.predictions import read_predictions
from mien.storage.runs import CARD, Run, kept_epochs, open_run
from mien.tasks import TASKS, Task
from mien.version import __version__

PLAN_FILE, RESULTS_FILE = Path("plan.json"), Path("results.json")
SCORES_FILE = "scores.json"
SPLIT = "test"
COSTS = ("train_seconds", "peak_memory_mib")
BYTES_PER_MIB = 1 << 20
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
    require_visible_paths(job.marker, job.dataset)
    try:
        # Whoever else works on it has lost its benchmark, and will end or be done: a cluster gives the run of a worker
        # that it cannot reach to another one, although the first may still be at work.
        with exclusive_lock(job.folder.with_name(f".{job.folder.name}.lock")):
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
    protocols = [name for name, each in PROTOCOLS.items() if each.needs is not ProtocolInput.EPOCHS or kept_epochs(run)]
    results = score_run(run, protocols, SplitSelection(job.dataset, SPLIT))
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


@dataclass(frozen=True)
class _Finished:
    """One run: its folder's facts, its stored results by protocol, its predictions and thresholds."""

    run: Run
    results: Mapping[str, Any]
    scored: SeedRun


def collect_results(
    folder: Path, plan: Mapping[str, Any], failures: Mapping[str, str], n_resamples: int
) -> dict[str, Any]:
    """All that results.json holds. A setting without a finished run has no row; its runs stand under `failures`."""
    bootstrap = Bootstrap(n_resamples)
    failed = dict(failures)
    rows, clean = [], []
    for setting in plan["settings"]:
        runs = [run for seed in plan["seeds"] if (run := _finished(folder, setting["slug"], seed, failed)) is not None]
        if not runs:
            continue
        scores = score_setting(setting["name"], [run.scored for run in runs], bootstrap)
        clean.append(scores)
        rows.append(_row(setting, runs, scores, bootstrap))
    against, notes = compare_with_reference(clean, plan["reference"], plan.get("references", {}))
    for row in rows:
        row["against_reference"] = against.get(row["name"], {})
    return {
        "plan": dict(plan),
        "settings": rows,
        "trivial": _trivial(rows, plan["reference"]),
        "failures": failed,
        "n_resamples": n_resamples,
        "notes": notes,
        "disk_mib": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / BYTES_PER_MIB,
    }


def _finished(folder: Path, slug: str, seed: int, failed: dict[str, str]) -> _Finished | None:
    key = run_key(slug, seed)
    if key in failed:
        return None
    try:
        run = open_run(folder / key)
        results = stored_scores(run)
        if results is not None:
            predictions = read_predictions(run.folder / PREDICTIONS_FOLDER / f"{SPLIT}.parquet")
            return _Finished(run, results, seed_run(run, predictions))
        failed[key] = "it was not scored"
    except MienError as error:
        failed[key] = str(error)
    return None


def _row(
    setting: Mapping[str, Any], runs: Sequence[_Finished], clean: SettingScores, bootstrap: Bootstrap
) -> dict[str, Any]:
    intervals = {"clean": intervals_of_means(clean)}
    intervals["fixed"] = intervals_of_means(
        score_setting(setting["name"], [run.scored for run in runs], bootstrap, paper_decisions())
    )
    protocols = {}
    for protocol in runs[0].results:
        if all(protocol in run.results for run in runs):
            summary = summarize_json([run.results[protocol] for run in runs])
            protocols[protocol] = {key: summary[key] for key in ("runs", "mean", "sd")} | {
                "intervals": intervals.get(protocol, {})
            }
    outcomes = [run.run.outcome for run in runs]
    mean, sd = mean_and_sd([{key: outcome.get(key) for key in COSTS} for outcome in outcomes])
    return {
        **{key: setting[key] for key in ("name", "slug", "model", "inputs", "tasks")},
        "experimental": MODELS[setting["model"]].experimental,
        "seeds": [run.run.seed for run in runs],
        "n_parameters": outcomes[0].get("n_parameters"),
        **{key: {"mean": mean[key], "sd": sd[key]} for key in COSTS},
        "protocols": protocols,
    }


def _trivial(rows: Sequence[Mapping[str, Any]], reference: str) -> dict[str, Any]:
    """The constant predictor's scores, of the first setting that has them: the reference predicts every task."""
    ordered = sorted(rows, key=lambda row: row["name"] != reference)
    parts = [row["protocols"]["clean"]["runs"][0]["trivial"] for row in ordered]
    return {task: next((part[task] for part in parts if part.get(task) is not None), None) for task in TASKS}
