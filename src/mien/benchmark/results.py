"""The finished runs of a benchmark -> results.json: per setting means, intervals, tests and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.worker import SPLIT, run_key, stored_scores
from mien.commands.evaluate import seed_run
from mien.commands.train import PREDICTIONS_FOLDER
from mien.errors import MienError
from mien.evaluation.compare import SeedRun, SettingScores, score_setting
from mien.evaluation.decisions import paper_decisions
from mien.evaluation.result import Bootstrap
from mien.evaluation.suite import compare_with_reference, intervals_of_means
from mien.evaluation.summary import summarize_json
from mien.models import MODELS
from mien.storage.predictions import read_predictions
from mien.storage.runs import Run, open_run
from mien.tasks import TASKS

RESULTS_FILE = Path("results.json")
BYTES_PER_MIB = 1 << 20


@dataclass(frozen=True)
class _Finished:
    """One run: its folder's facts, its stored results by protocol, its predictions and thresholds."""

    run: Run
    results: Mapping[str, Any]
    scored: SeedRun


def gather(folder: Path, plan: Mapping[str, Any], failures: Mapping[str, str], n_resamples: int) -> dict[str, Any]:
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
        "disk_mib": _disk_mib(folder),
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
    entry = MODELS[setting["model"]]
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
    return {
        **{key: setting[key] for key in ("name", "slug", "model", "inputs", "tasks")},
        "experimental": entry.experimental,
        "seeds": [run.run.seed for run in runs],
        "n_parameters": outcomes[0].get("n_parameters"),
        "train_seconds": _spread([outcome.get("train_seconds") for outcome in outcomes]),
        "peak_memory_mib": _spread([outcome.get("peak_memory_mib") for outcome in outcomes]),
        "protocols": protocols,
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; None where a run does not know, and no s.d. of one run."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "sd": None}
    return {"mean": float(np.mean(known)), "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None}


def _trivial(rows: Sequence[Mapping[str, Any]], reference: str) -> dict[str, Any]:
    """The constant predictor's scores, of the first setting that has them: the reference predicts every task."""
    ordered = sorted(rows, key=lambda row: row["name"] != reference)
    parts = [row["protocols"]["clean"]["runs"][0]["trivial"] for row in ordered]
    return {task: next((part[task] for part in parts if part.get(task) is not None), None) for task in TASKS}


def _disk_mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / BYTES_PER_MIB
