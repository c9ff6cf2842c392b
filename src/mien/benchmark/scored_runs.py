"""Train and score the runs of a benchmark, and collect their scores for results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.benchmark.folds import fold_slugs, folds_text
from mien.commands.evaluate import SplitSelection, score_run
from mien.commands.shipped import decisions_of
from mien.commands.train import DECISIONS_FILE, PREDICTIONS_FOLDER, train
from mien.commands.train_plan import TrainRequest
from mien.engine.cluster import require_visible_paths
from mien.errors import DataError, EngineError, MienError
from mien.evaluation.compare import SeedRun, SettingScores, score_setting
from mien.evaluation.decisions import Decisions, paper_decisions
from mien.evaluation.folds import FoldRun, evaluate_folds, join_folds
from mien.evaluation.protocols import PROTOCOLS, ProtocolInput
from mien.evaluation.result import Bootstrap, RunIdentity
from mien.evaluation.suite import compare_with_reference, intervals_of_means
from mien.evaluation.summary import mean_and_sd, summarize_json
from mien.evaluation.trivial import TrainMajority
from mien.models import MODELS, SystemEntry
from mien.pretrained import sha256_of
from mien.storage.files import read_json, reporting_damage, write_json
from mien.storage.predictions import read_predictions
from mien.storage.runs import CARD, Run, kept_epochs, open_run, run_lock
from mien.task_kinds import TASK_KINDS, TaskKind
from mien.version import __version__

PLAN_FILE, RESULTS_FILE = Path("plan.json"), Path("results.json")
SCORES_FILE = "scores.json"
SPLIT = "test"
COSTS = ("train_seconds", "peak_memory_mib")
BYTES_PER_MIB = 1 << 20
# Modules that take seconds to import. They are imported before a job starts, so its measured time excludes them.
PROCESS_IMPORTS = (__name__, "lightning_fabric", "sklearn.metrics")


@dataclass(frozen=True)
class RunJob:
    """One run to train and score. `key` is the path of the run relative to the benchmark's folder."""

    key: str
    folder: Path
    dataset: Path
    request: TrainRequest
    # the `Run.identity` that the trained run will have
    identity: Mapping[str, Any]
    # the system's entry in MODELS, because a worker process lacks the entries that the user's own code has added
    entry: SystemEntry
    # the kinds of the tasks to train for, for the same reason
    kinds: Mapping[str, TaskKind]
    # a file that the benchmark wrote; a worker that cannot see the file has another folder under the same path
    marker: Path


@dataclass(frozen=True)
class RunOutcome:
    """Outcome of one job: the `key` of the job, and the reason for its failure, or None if it succeeded."""

    key: str
    failure: str | None = None


def run_key(slug: str, seed: int) -> str:
    """Return the path of a run relative to the benchmark's folder.

    Args:
        slug: The setting's `Setting.slug`.
        seed: Seed of the run.

    Returns:
        The path, with forward slashes.
    """
    return f"runs/{slug}/seed-{seed}"


def run_keys(slug: str, seed: int, folds: Sequence[str]) -> list[str]:
    """Return the paths of the runs of one setting and seed: one per fold, or a single one if there are no folds.

    Args:
        slug: The setting's `Setting.slug`.
        seed: Seed of the runs.
        folds: Slugs of the folds.

    Returns:
        The paths relative to the benchmark's folder.
    """
    return [run_key(f"{slug}/{fold}", seed) for fold in folds] or [run_key(slug, seed)]


def run_and_score(job: RunJob) -> RunOutcome:
    """Train and score one run in a worker process, or continue it after an interruption.

    Returns:
        The outcome; if the run failed, it holds the reason.

    Raises:
        EngineError: The worker cannot see the folder of the benchmark or of the Dataset.
    """
    require_visible_paths(job.marker, job.dataset)
    try:
        # Wait for the lock. Any other holder is an orphaned worker that will finish or exit: a cluster assigns the job
        # of an unreachable worker to a second worker, while the first may still be running.
        with run_lock(job.folder, wait=True):
            _train_and_score(job)
    except EngineError:
        raise
    except MienError as error:
        return RunOutcome(job.key, str(error))
    return RunOutcome(job.key)


def _train_and_score(job: RunJob) -> None:
    MODELS.setdefault(job.request.model, job.entry)
    for name, kind in job.kinds.items():
        TASK_KINDS.setdefault(name, kind)
    run = train(job.dataset, job.folder, job.request, resume=True)
    if stored_scores(run) is not None:
        return
    # only protocols such as `released` need the weights of every epoch
    protocols = [name for name, each in PROTOCOLS.items() if each.needs is not ProtocolInput.EPOCHS or kept_epochs(run)]
    results = score_run(run, protocols, SplitSelection(job.dataset, SPLIT))
    results_json = {
        name: replace(result, identity=replace(result.identity, run=job.key)).to_json()
        for name, result in results.items()
    }
    write_json(
        job.folder / SCORES_FILE, {"format": "mien-scores", "of": _score_identity(run), "protocols": results_json}
    )


def is_done(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Check whether a folder has a finished and scored run of the given identity.

    Args:
        folder: Folder of the run; it may be missing.
        identity: Expected `Run.identity`.

    Returns:
        True if the folder has such a run; False if it has none, or if the run or its scores are damaged.
    """
    try:
        run = open_run(folder)
        return run.identity == identity and stored_scores(run) is not None
    except MienError:
        return False


def stored_scores(run: Run) -> dict[str, Any] | None:
    """Return the evaluation results stored in the folder of a run, by name of the protocol.

    Return None if there are no results, if another version of mien computed them, or if the run changed later.
    """
    try:
        facts = read_json(run.folder / SCORES_FILE, "the scores of a run")
    except DataError:  # there are no scores, or they are damaged: scoring again costs little
        return None
    results: dict[str, Any] | None = facts.get("protocols") if facts.get("of") == _score_identity(run) else None
    return results


def _score_identity(run: Run) -> dict[str, str]:
    return {"run": sha256_of(run.folder / CARD), "split": SPLIT, "mien": __version__}


@dataclass(frozen=True)
class _FinishedRun:
    """The run of one seed, or its runs on all folds, with the results by protocol.

    `scored` contains the predictions and the thresholds.
    """

    runs: tuple[Run, ...]
    results: Mapping[str, Any]
    scored: SeedRun


def collect_results(
    folder: Path, plan: Mapping[str, Any], failures: Mapping[str, str], n_resamples: int
) -> dict[str, Any]:
    """Collect the content of results.json from the runs.

    Args:
        folder: Folder of the benchmark.
        plan: Content of plan.json.
        failures: Path of each failed run, relative to `folder` -> reason for the failure.
        n_resamples: Number of bootstrap resamples of the videos.

    Returns:
        A mapping with the plan, one row per setting that has a finished run, the scores of the constant predictor, the
        failures, messages about the comparisons, and the disk use in MiB. Runs that are unreadable or not scored are
        added to the failures.

    Raises:
        DataError: The runs of a setting differ in utterances or gold labels.
    """
    bootstrap = Bootstrap(n_resamples)
    failed = dict(failures)
    rows, clean = [], []
    for setting in plan["settings"]:
        runs = [
            run
            for seed in plan["seeds"]
            if (run := _open_finished_run(folder, plan, setting, seed, failed)) is not None
        ]
        if not runs:
            continue
        scores = score_setting(setting["name"], [run.scored for run in runs], bootstrap)
        clean.append(scores)
        rows.append(_setting_row(setting, runs, scores, bootstrap))
    against, notes = compare_with_reference(clean, plan["reference"], plan.get("references", {}))
    for row in rows:
        row["against_reference"] = against.get(row["name"], {})
    return {
        "plan": dict(plan),
        "settings": rows,
        "trivial": _trivial_scores(rows, plan["reference"]),
        "failures": failed,
        "n_resamples": n_resamples,
        "notes": notes,
        "disk_mib": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / BYTES_PER_MIB,
    }


def _open_finished_run(
    folder: Path, plan: Mapping[str, Any], setting: Mapping[str, Any], seed: int, failed: dict[str, str]
) -> _FinishedRun | None:
    """Open the run of one seed, or its runs on all folds. Add runs that cannot be read to `failed`."""
    folds = fold_slugs(plan)
    keys = run_keys(setting["slug"], seed, folds)
    opened = {key: run for key in keys if key not in failed and (run := _open_scored(folder, key, failed))}
    if len(opened) < len(keys):
        return None
    runs = tuple(each[0] for each in opened.values())
    try:
        scored = read_seed_run([run.folder for run in runs], seed)
        if not folds:
            return _FinishedRun(runs, next(iter(opened.values()))[1], scored)
        return _FinishedRun(runs, _results_over_folds(plan, setting, runs, seed), scored)
    except MienError as error:
        failed[keys[0]] = str(error)
    return None


def _open_scored(folder: Path, key: str, failed: dict[str, str]) -> tuple[Run, Mapping[str, Any]] | None:
    """Open one run with its stored results by protocol. If it cannot be read, add the reason to `failed`."""
    try:
        run = open_run(folder / key)
        results = stored_scores(run)
        if results is not None:
            return run, results
        failed[key] = "it was not scored"
    except MienError as error:
        failed[key] = str(error)
    return None


def read_seed_run(folders: Sequence[Path], seed: int) -> SeedRun:
    """Read the predictions and thresholds of one seed.

    Args:
        folders: Folder of the run, or of the runs on all folds.
        seed: Seed of the runs.

    Returns:
        Predictions and thresholds, of all folds together if there are folds.

    Raises:
        DataError: A file of a run is missing or damaged.
    """
    if len(folders) > 1:
        joined = join_folds([_fold_run(open_run(folder)) for folder in folders])
        return SeedRun(joined.predictions, joined.decisions, seed)
    predictions = read_predictions(folders[0] / PREDICTIONS_FOLDER / f"{SPLIT}.parquet")
    decisions = Decisions.from_json(read_json(folders[0] / DECISIONS_FILE, "the Run"), predictions.tasks)
    return SeedRun(predictions, decisions, seed)


def _fold_run(run: Run) -> FoldRun:
    with reporting_damage(run.folder / CARD, "the Run"):
        majority = TrainMajority.from_json(run.outcome["train_majority"], run.task_table)
    return FoldRun(read_predictions(run.folder / PREDICTIONS_FOLDER / f"{SPLIT}.parquet"), decisions_of(run), majority)


def _results_over_folds(
    plan: Mapping[str, Any], setting: Mapping[str, Any], runs: Sequence[Run], seed: int
) -> dict[str, Any]:
    """Score the runs of all folds as one run, under every protocol that needs only the chosen epoch."""
    dataset = plan["dataset"]
    identity = RunIdentity(
        run=f"runs/{setting['slug']}/*/seed-{seed}",
        model=setting["model"],
        inputs=tuple(setting["inputs"]),
        tasks=tuple(setting["tasks"]),
        seed=seed,
        split=folds_text(plan),
        dataset=f"{dataset['name']} {dataset['fingerprint'][:12]}",
    )
    folds = [_fold_run(run) for run in runs]
    return {
        name: evaluate_folds(folds, protocol=name, identity=identity).to_json()
        for name, protocol in PROTOCOLS.items()
        if protocol.needs is not ProtocolInput.EPOCHS
    }


def _setting_row(
    setting: Mapping[str, Any], runs: Sequence[_FinishedRun], clean: SettingScores, bootstrap: Bootstrap
) -> dict[str, Any]:
    intervals, scored = {"clean": intervals_of_means(clean)}, [run.scored for run in runs]
    intervals["fixed"] = intervals_of_means(
        score_setting(setting["name"], scored, bootstrap, paper_decisions(scored[0].predictions.tasks))
    )
    protocols = {}
    for protocol in runs[0].results:
        if all(protocol in run.results for run in runs):
            summary = summarize_json([run.results[protocol] for run in runs])
            protocols[protocol] = {key: summary[key] for key in ("runs", "mean", "sd")} | {
                "intervals": intervals.get(protocol, {})
            }
    outcomes = [run.outcome for each in runs for run in each.runs]
    mean, sd = mean_and_sd([{key: outcome.get(key) for key in COSTS} for outcome in outcomes])
    return {
        **{key: setting[key] for key in ("name", "slug", "model", "inputs", "tasks")},
        "experimental": MODELS[setting["model"]].experimental,
        "seeds": [run.scored.seed for run in runs],
        "n_parameters": outcomes[0].get("n_parameters"),
        **{key: {"mean": mean[key], "sd": sd[key]} for key in COSTS},
        "protocols": protocols,
    }


def _trivial_scores(rows: Sequence[Mapping[str, Any]], reference: str) -> dict[str, Any]:
    """Return the scores of the constant predictor, by task.

    Every run stores the scores of the constant predictor for its tasks. For each task, the scores stored with the
    reference are returned. If it has none, those of the first setting that has them are returned; if no setting has
    them, None is returned for the task.
    """
    ordered = sorted(rows, key=lambda row: row["name"] != reference)
    parts = [row["protocols"]["clean"]["runs"][0]["trivial"] for row in ordered]
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: next((part[name] for part in parts if part.get(name) is not None), None) for name in names}
