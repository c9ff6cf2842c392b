"""`mien benchmark`: train and score a suite of settings with several seeds, and compare them with a reference.

A setting is one system with its inputs and tasks.

    DIR/plan.json                       settings, seeds and Dataset; one plan per folder
    DIR/runs/<setting>/seed-<n>/        Run folders as written by `mien train`, with scores.json
    DIR/folds/                          Datasets of the folds, if there are any, see the module `folds`
    DIR/results.json                    scores of all runs, written by `collect_results`
    DIR/scores.*, costs.*               tables, written by `tables.write_suite_tables`
    DIR/help.*                          one more table, for the suite `tasks` only
    DIR/figures/, cases.*               written by the modules `draw` and `cases`

A benchmark can be resumed: finished and scored runs are not repeated, and an interrupted run continues after its last
complete epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.benchmark.folds import FOLDS_FOLDER, Fold, FoldRequest, folds_json, write_folds
from mien.benchmark.scored_runs import (
    PLAN_FILE,
    PROCESS_IMPORTS,
    RESULTS_FILE,
    SPLIT,
    RunJob,
    RunOutcome,
    collect_results,
    is_done,
    run_and_score,
    run_keys,
)
from mien.benchmark.suites import Setting, Suite, dataset_contents, find_suite, training_settings
from mien.benchmark.tables import score_table, write_suite_tables
from mien.commands.train_plan import TrainRequest, plan_run
from mien.engine.jobs import EngineConfig, run_jobs
from mien.errors import DataError, TrainingError, UsageError
from mien.evaluation.suite import SUITE_RESAMPLES
from mien.models import MODELS
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import exclusive_lock, read_json, refuse_links, write_json
from mien.training.accelerators import require_devices

LOCK_FILE = Path(".lock")
# function called with (number of finished runs, number of all runs, text about the latest run)
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BenchmarkRequest:
    """Options of a benchmark. Each setting (system, inputs and tasks) is trained with the seeds 0 to n_seeds - 1."""

    n_seeds: int = 5
    engine: EngineConfig = field(default_factory=EngineConfig)
    # bootstrap resamples of the videos, for intervals and paired tests
    n_resamples: int = SUITE_RESAMPLES
    # training-loop settings for all systems; they override the defaults of each system
    settings: Mapping[str, Any] = field(default_factory=dict)
    # id of the video in the attention figure; if None, the video with the median number of utterances in the split
    video: str | None = None
    # groups of videos that are scored in turn; None scores the test split of the Dataset
    folds: FoldRequest | None = None
    # False: no figures and example utterances, whose making takes about twenty seconds; those of an earlier call stay
    figures: bool = True

    def __post_init__(self) -> None:
        if self.n_seeds < 1 or self.n_resamples < 0:
            raise UsageError(
                f"Expected at least one seed and no negative number of resamples, but got {self.n_seeds} and "
                f"{self.n_resamples}; change --seeds or --bootstrap"
            )


@dataclass(frozen=True)
class BenchmarkResult:
    """A finished benchmark: its folder and the content of results.json."""

    folder: Path
    results: dict[str, Any]

    @property
    def failures(self) -> dict[str, str]:
        """Path of each failed run, relative to the benchmark's folder -> reason for the failure."""
        failed: dict[str, str] = self.results["failures"]
        return failed

    def to_pandas(self) -> Any:
        """Return a pandas data frame with one row per setting, protocol and score."""
        import pandas as pd

        header, rows = score_table(self.results)
        return pd.DataFrame(rows, columns=header)

    def _repr_html_(self) -> str:
        html: str = self.to_pandas().to_html(index=False)
        return html


def benchmark(
    suite: str | Path,
    dataset: Dataset | str | Path,
    out: str | Path,
    request: BenchmarkRequest | None = None,
    *,
    report: Report | None = None,
) -> BenchmarkResult:
    """Train and score the settings of a suite, and write runs, results, tables, figures and example utterances.

    A setting is one system with its inputs and tasks. A suite is a list of settings.

    A failed run does not stop the others; it is listed in the result. Repeat the call to continue after an interruption
    and to retry failed runs.

    Args:
        suite: Name in `SUITES`, or path of a TOML file.
        dataset: Dataset or its folder; it must have train, valid and test splits, or the column of the folds.
        out: Folder of the benchmark: a new folder, or that of an earlier call with the same suite, settings, Dataset
            and number of seeds.
        request: Options of the benchmark; if None, the defaults.
        report: Called after each run with the number of finished runs, the number of all runs, and a text about the
            latest run.

    Returns:
        The folder and the content of results.json, which lists the failed runs.

    Raises:
        UnknownNameError: There is no such suite, model, modality, task or video.
        UsageError: A setting does not fit the Dataset, or asks for several devices.
        SettingsError: A setting of a model or of the training loop is unknown or ill-typed, or asks for devices that
            this machine lacks although the runs are to be trained on it.
        DataError: A split, features or labels are missing.
        TrainingError: The folder `out` contains a benchmark with another plan, or another process is using it.
        EngineError: The cluster cannot be reached or cannot run the jobs.
    """
    request = request or BenchmarkRequest()
    dataset = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    folder = Path(out)
    report = report or (lambda _done, _total, _text: None)
    # The finished runs of an existing benchmark may come from another machine, so only a new one is refused here.
    if request.engine.is_on_this_machine and not (folder / PLAN_FILE).exists():
        require_devices(training_settings(request.settings))
    if request.folds is None:
        planned = _plan(suite, dataset, folder, request, ())
        with _locked(folder):
            return _run_planned(planned, folder, request, report)
    with _locked(folder):
        folds = write_folds(dataset, request.folds, folder)
        return _run_planned(_plan(suite, dataset, folder, request, folds), folder, request, report)


@dataclass(frozen=True)
class _Planned:
    """A planned benchmark: the content of plan.json, and one job per run."""

    plan: dict[str, Any]
    jobs: tuple[RunJob, ...]


def _plan(
    suite: str | Path, dataset: Dataset, folder: Path, request: BenchmarkRequest, folds: Sequence[Fold]
) -> _Planned:
    """Plan the runs. Nothing is written; an error is raised if a setting cannot be trained."""
    first = folds[0].dataset if folds else dataset
    if SPLIT not in first.splits:
        raise DataError(
            f"Expected a {SPLIT} split in {dataset.folder}, but got {', '.join(dataset.splits) or 'none'}; "
            "import again with --rename-split, or say --folds COLUMN"
        )
    chosen = find_suite(suite, dataset_contents(first), request.settings)
    own = next((setting.name for setting in chosen.settings if setting.dataset is not None), None)
    if folds and own is not None:
        raise UsageError(
            f"Expected settings without a Dataset of their own with --folds, but got one in {own}; leave it out"
        )
    plan = _plan_json(chosen, dataset, request.n_seeds)
    if request.folds is not None:
        plan["folds"] = folds_json(folds, request.folds)
    jobs: list[RunJob] = []
    for setting in chosen.settings:
        for fold in folds or (None,):
            seed_jobs, training = _seed_jobs(setting, dataset, folder, request.n_seeds, fold)
            if request.engine.is_on_this_machine and not all(is_done(job.folder, job.identity) for job in seed_jobs):
                require_devices(training)
            jobs += seed_jobs
    return _Planned(plan, tuple(jobs))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder, without which two processes could train into the same run folders."""
    in_use = TrainingError(
        f"Expected {folder} for this benchmark alone, but got another process at work on it; wait for it, or choose "
        "another --out"
    )
    _refuse_other_files(folder)
    with exclusive_lock(folder / LOCK_FILE, in_use):
        refuse_links(folder, FOLDS_FOLDER)
        yield


def _run_planned(planned: _Planned, folder: Path, request: BenchmarkRequest, report: Report) -> BenchmarkResult:
    """Run the jobs that are not finished yet, and write results, tables, figures and example utterances."""
    from mien.benchmark.cases import write_benchmark_cases
    from mien.benchmark.draw import FOLDER, write_benchmark_figures

    refuse_links(folder, FOLDER, *(job.key for job in planned.jobs))
    _write_or_check_plan(folder, planned.plan)
    failures = _run_all(planned.jobs, request.engine, report)
    write_json(folder / RESULTS_FILE, collect_results(folder, planned.plan, failures, request.n_resamples))
    results = read_json(folder / RESULTS_FILE, "a benchmark")
    write_suite_tables(folder, results)
    if request.figures:
        write_benchmark_figures(folder, video=request.video)
        write_benchmark_cases(folder)
    return BenchmarkResult(folder, results)


def _run_all(jobs: Sequence[RunJob], engine: EngineConfig, report: Report) -> dict[str, str]:
    """Run the jobs that are not finished yet.

    Returns:
        Path of each failed run, relative to the benchmark's folder -> reason for the failure.
    """
    pending = [job for job in jobs if not is_done(job.folder, job.identity)]
    done = len(jobs) - len(pending)
    if done:
        report(done, len(jobs), f"{done} were done before")
    failures = {}
    with closing(run_jobs(engine, run_and_score, pending, _failed_run, process_imports=PROCESS_IMPORTS)) as outcomes:
        for outcome in outcomes:
            done += 1
            report(done, len(jobs), outcome.key + (" FAILED" if outcome.failure else ""))
            if outcome.failure:
                failures[outcome.key] = outcome.failure
    return {job.key: failures[job.key] for job in jobs if job.key in failures}


def _failed_run(job: RunJob, reason: str) -> RunOutcome:
    return RunOutcome(job.key, reason)


def _plan_json(suite: Suite, dataset: Dataset, n_seeds: int) -> dict[str, Any]:
    """Return the content of plan.json: suite, settings, seeds, split, and where the data are."""
    return {
        "format": "mien-benchmark",
        "suite": suite.name,
        "dataset": _dataset_facts(dataset),
        "split": SPLIT,
        "reference": suite.reference,
        "seeds": list(range(n_seeds)),
        "settings": [
            {
                "name": setting.name,
                "slug": setting.slug,
                "model": setting.model,
                "inputs": [str(modality) for modality in setting.inputs],
                "tasks": list(setting.tasks),
                "settings": dict(setting.settings),
            }
            | ({} if setting.dataset is None else {"dataset": _dataset_facts(setting.dataset)})
            for setting in suite.settings
        ],
        "left_out": dict(suite.left_out),
    } | ({"references": dict(suite.references)} if suite.references else {})


def _dataset_facts(dataset: Dataset) -> dict[str, str]:
    return {"path": str(dataset.folder.resolve()), "name": dataset.facts.name, "fingerprint": dataset.fingerprint}


def _seed_jobs(
    setting: Setting, dataset: Dataset, folder: Path, n_seeds: int, fold: Fold | None
) -> tuple[list[RunJob], Mapping[str, Any]]:
    """Return one job per seed, and the settings of the training loop. An error is raised if it cannot be trained."""
    used = setting.dataset or (dataset if fold is None else fold.dataset)
    request = TrainRequest(setting.model, setting.inputs, setting.tasks, settings=setting.settings)
    planned = plan_run(used, folder, request)
    training = planned.settings["training"]
    devices = training.get("devices", 1)
    if devices != 1:
        raise UsageError(
            f"Expected devices = 1 in a benchmark, whose runs have one process each, but got {devices} for "
            f"{setting.name}; leave it out and use --workers or --engine"
        )
    jobs = []
    for seed in range(n_seeds):
        (key,) = run_keys(setting.slug, seed, [] if fold is None else [fold.slug])
        jobs.append(
            RunJob(
                key=key,
                folder=folder.resolve() / key,
                dataset=used.folder.resolve(),
                request=dataclasses.replace(request, seed=seed),
                identity={**planned.identity, "seed": seed},
                entry=MODELS[setting.model],
                kinds={task.kind: task.row for task in planned.learned_tasks},
                marker=folder.resolve() / PLAN_FILE,
            )
        )
    return jobs, training


def _refuse_other_files(folder: Path) -> None:
    """Raise TrainingError if a folder contains files but no plan.json, so that no benchmark is written among them."""
    if (folder / PLAN_FILE).exists() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in (str(LOCK_FILE), FOLDS_FOLDER) and ".partial-" not in path.name:
            raise TrainingError(
                f"Expected {folder} to be new or a benchmark, but got a folder with {path.name}; choose another --out"
            )


def _write_or_check_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write plan.json into a new folder; raise TrainingError if the folder has another plan."""
    path = folder / PLAN_FILE
    if not path.exists():
        write_json(path, plan)
        return
    existing = read_json(path, "a benchmark")
    differences = _plan_differences(_comparable_plan(existing), _comparable_plan(plan))
    if differences:
        raise TrainingError(
            f"Expected the plan that {folder} was started with, but got another one: {'; '.join(differences)}; "
            "repeat its command, or choose another --out"
        )


def _comparable_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a plan for comparison with another plan.

    In the copy, every setting is a separate entry with the key "setting NAME", in place of the list of settings. The
    paths of Datasets are left out, because the fingerprints identify the Datasets.
    """

    def pathless(part: Mapping[str, Any]) -> dict[str, Any]:
        dataset = {key: value for key, value in part.get("dataset", {}).items() if key != "path"}
        return {**part, "dataset": dataset} if dataset else dict(part)

    flat = pathless(plan)
    settings = flat.pop("settings", [])
    return flat | {f"setting {each['name']}": pathless(each) for each in settings}


def _plan_differences(existing: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describe every key whose value differs between two plans: one text per key, with both values."""
    return [
        f"{key}: {_value_text(existing.get(key))} there and {_value_text(new.get(key))} here"
        for key in dict.fromkeys([*existing, *new])
        if existing.get(key) != new.get(key)
    ]


def _value_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value_text(part)}" for key, part in value.items() if part != {}) or "nothing"
    return "nothing" if value is None else str(value)
