"""`mien benchmark`: a suite of settings, each with several seeds -> one table against one reference.

    DIR/plan.json                       what is run; a folder belongs to one plan
    DIR/runs/<setting>/seed-<n>/        ordinary Run folders, with scores.json beside what `mien train` leaves
    DIR/results.json                    what `collect_results` makes of the runs
    DIR/scores.*, costs.*, help.*       what `tables.write_suite_tables` renders; `help` is of the suite `tasks`
    DIR/figures/, cases.*               what `draw` and `cases` make of them

Resumable run by run: a finished and scored run is never repeated, a killed one goes on from its last whole epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    run_key,
)
from mien.benchmark.suites import Setting, Suite, dataset_contents, find_suite
from mien.benchmark.tables import score_table, write_suite_tables
from mien.commands.train import TrainRequest, plan_run
from mien.engine.jobs import EngineConfig, run_jobs
from mien.errors import DataError, TrainingError, UsageError
from mien.evaluation.suite import SUITE_RESAMPLES
from mien.models import MODELS
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import exclusive_lock, read_json, write_json
from mien.tasks import TASKS

LOCK_FILE = Path(".lock")
# done, total, what came last
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BenchmarkRequest:
    """How often, where and how closely. The seeds are 0 to n_seeds - 1."""

    n_seeds: int = 5
    engine: EngineConfig = field(default_factory=EngineConfig)
    # resamples of the videos behind intervals and paired tests
    n_resamples: int = SUITE_RESAMPLES
    # settings of the training loop for all systems alike, over each system's own
    settings: Mapping[str, Any] = field(default_factory=dict)
    # whose attention is drawn; None: the scored video of median length
    video: str | None = None

    def __post_init__(self) -> None:
        if self.n_seeds < 1 or self.n_resamples < 0:
            raise UsageError(
                f"Expected at least one seed and no negative number of resamples, but got {self.n_seeds} and "
                f"{self.n_resamples}; change --seeds or --bootstrap"
            )


@dataclass(frozen=True)
class BenchmarkResult:
    """A finished benchmark: its folder, and what results.json holds."""

    folder: Path
    results: dict[str, Any]

    @property
    def failures(self) -> dict[str, str]:
        """Run -> why it failed."""
        failed: dict[str, str] = self.results["failures"]
        return failed

    def to_pandas(self) -> Any:
        """One row per setting, protocol and score (pandas must be installed)."""
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
    """Run a suite (a name in `SUITES` or a TOML file) on a Dataset, and leave runs, results and tables in `out`.

    Repeat the call to go on after an interruption, or after failures. A run that fails is listed in the result and the
    rest is finished. Raises UsageError, SettingsError or DataError where the suite does not fit the Dataset, and
    TrainingError where `out` belongs to another plan or another process. EngineError where a cluster cannot do it.
    """
    from mien.benchmark.cases import write_benchmark_cases
    from mien.benchmark.draw import write_benchmark_figures

    request = request or BenchmarkRequest()
    dataset = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    if SPLIT not in dataset.splits:
        raise DataError(
            f"Expected a {SPLIT} split in {dataset.folder}, but got {', '.join(dataset.splits) or 'none'}; "
            "import again with --rename-split"
        )
    chosen = find_suite(suite, dataset_contents(dataset), request.settings)
    folder = Path(out)
    plan = _plan(chosen, dataset, request.n_seeds)
    jobs = [job for setting in chosen.settings for job in _jobs(setting, dataset, folder, request.n_seeds)]
    # two processes would train into the same run folders
    held = TrainingError(
        f"Expected {folder} for this benchmark alone, but got another process at work on it; wait for it, or choose "
        "another --out"
    )
    with exclusive_lock(folder / LOCK_FILE, held):
        _claim(folder, plan)
        failures = _run_all(jobs, request.engine, report or (lambda _done, _total, _text: None))
        write_json(folder / RESULTS_FILE, collect_results(folder, plan, failures, request.n_resamples))
        results = read_json(folder / RESULTS_FILE, "a benchmark")
        write_suite_tables(folder, results)
        write_benchmark_figures(folder, video=request.video)
        write_benchmark_cases(folder)
    return BenchmarkResult(folder, results)


def _run_all(jobs: Sequence[RunJob], engine: EngineConfig, report: Report) -> dict[str, str]:
    """Run what is not done yet. Returns the failed runs with their reasons, in the order of the plan."""
    waiting = [job for job in jobs if not is_done(job.folder, job.identity)]
    done = len(jobs) - len(waiting)
    if done:
        report(done, len(jobs), f"{done} were done before")
    failures = {}
    with closing(run_jobs(engine, run_and_score, waiting, _lost, process_imports=PROCESS_IMPORTS)) as outcomes:
        for outcome in outcomes:
            done += 1
            report(done, len(jobs), outcome.key + (" FAILED" if outcome.failure else ""))
            if outcome.failure:
                failures[outcome.key] = outcome.failure
    return {job.key: failures[job.key] for job in jobs if job.key in failures}


def _lost(job: RunJob, reason: str) -> RunOutcome:
    return RunOutcome(job.key, reason)


def _plan(suite: Suite, dataset: Dataset, n_seeds: int) -> dict[str, Any]:
    """What plan.json holds: all that decides the numbers, and nothing about this machine but where the data is."""
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
    return {
        "path": str(dataset.folder.resolve()),
        "name": dataset.facts.name,
        "fingerprint": dataset.fingerprint,
    }


def _jobs(setting: Setting, dataset: Dataset, folder: Path, n_seeds: int) -> Iterator[RunJob]:
    """One job per seed. Raises what `plan_run` raises: what cannot be trained is refused before anything is."""
    used = setting.dataset or dataset
    request = TrainRequest(setting.model, setting.inputs, setting.tasks, settings=setting.settings)
    planned = plan_run(used, folder, request)
    devices = planned.settings["training"].get("devices", 1)
    if devices != 1:
        raise UsageError(
            f"Expected devices = 1 in a benchmark, whose runs have one process each, but got {devices} for "
            f"{setting.name}; leave it out and use --workers or --engine"
        )
    identity = planned.identity
    for seed in range(n_seeds):
        key = run_key(setting.slug, seed)
        yield RunJob(
            key=key,
            folder=folder.resolve() / key,
            dataset=used.folder.resolve(),
            request=dataclasses.replace(request, seed=seed),
            identity={**identity, "seed": seed},
            entry=MODELS[setting.model],
            tasks={task: TASKS[task] for task in setting.tasks},
            marker=folder.resolve() / PLAN_FILE,
        )


def _claim(folder: Path, plan: dict[str, Any]) -> None:
    """Write the plan, or make sure that the one there is the same."""
    path = folder / PLAN_FILE
    if not path.exists():
        foreign = [
            each.name for each in folder.iterdir() if each.name != str(LOCK_FILE) and ".partial-" not in each.name
        ]
        if foreign:
            raise TrainingError(
                f"Expected {folder} to be new or a benchmark, but got a folder with {foreign[0]}; choose another --out"
            )
        write_json(path, plan)
        return
    there = read_json(path, "a benchmark")
    different = _differences(_flat(there), _flat(plan))
    if different:
        raise TrainingError(
            f"Expected the plan that {folder} was started with, but got another one: {'; '.join(different)}; "
            "repeat its command, or choose another --out"
        )


def _flat(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan with a key per setting, and without paths: a Dataset may move, what it is stands in its fingerprint."""

    def pathless(part: Mapping[str, Any]) -> dict[str, Any]:
        dataset = {key: value for key, value in part.get("dataset", {}).items() if key != "path"}
        return {**part, "dataset": dataset} if dataset else dict(part)

    flat = pathless(plan)
    settings = flat.pop("settings", [])
    return flat | {f"setting {each['name']}": pathless(each) for each in settings}


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Each difference with both sides."""
    return [
        f"{key}: {_told(there.get(key))} there and {_told(here.get(key))} here"
        for key in dict.fromkeys([*there, *here])
        if there.get(key) != here.get(key)
    ]


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(part)}" for key, part in value.items() if part != {}) or "nothing"
    return "nothing" if value is None else str(value)
