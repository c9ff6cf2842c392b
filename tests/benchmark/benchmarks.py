"""A benchmark folder made of real, tiny runs: what `mien benchmark` leaves, by way of `train` and `evaluate` alone."""

from __future__ import annotations

import numpy as np
from tests.planted import QUICK

import mien
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.evaluation.counts import count_videos
from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import headline_values
from mien.evaluation.rows import video_numbers
from mien.metrics.significance import percentile_interval, video_weights
from mien.schema import Modality
from mien.storage.files import read_json, write_json
from mien.storage.predictions import read_predictions

PROTOCOLS = ("clean", "fixed", "released")
TASKS = {"joint": ("sentiment", "emotion"), "sentiment": ("sentiment",), "emotion": ("emotion",)}


def setting(inputs, arm, model="cim"):
    """One row of the plan."""
    name = f"{model} {'+'.join(inputs)} {arm}"
    return {
        "name": name,
        "slug": name.replace(" ", "-"),
        "model": model,
        "inputs": list(inputs),
        "tasks": list(TASKS[arm]),
        "settings": QUICK,
    }


def make_benchmark(folder, dataset, settings, *, seeds=(0, 1), protocols=PROTOCOLS, reference=None):
    """Train and score every setting; the reference is the first one unless named."""
    plan = {
        "format": "mien-benchmark",
        "suite": "of the tests",
        "dataset": {
            "path": str(dataset.folder.resolve()),
            "name": dataset.facts.name,
            "fingerprint": dataset.fingerprint,
        },
        "split": "test",
        "reference": reference or settings[0]["name"],
        "seeds": list(seeds),
        "settings": settings,
        "left_out": {},
    }
    write_json(folder / "plan.json", plan)
    rows = [_row(folder, dataset, each, seeds, protocols) for each in settings]
    write_json(folder / "results.json", {"plan": plan, "settings": rows, "trivial": {}, "failures": {}})
    return folder


def _row(folder, dataset, each, seeds, protocols):
    runs = [
        train(
            dataset,
            folder / "runs" / each["slug"] / f"seed-{seed}",
            TrainRequest(
                each["model"],
                tuple(Modality(name) for name in each["inputs"]),
                tuple(each["tasks"]),
                seed,
                each["settings"],
            ),
        )
        for seed in seeds
    ]
    scored = {}
    for protocol in protocols:
        summary = mien.evaluate([run.folder for run in runs], protocol=protocol, n_resamples=0).summary
        intervals = {} if protocol == "released" else _intervals([run.folder for run in runs])
        scored[protocol] = {key: summary[key] for key in ("runs", "mean", "sd")} | {"intervals": intervals}
    return {
        **{key: each[key] for key in ("name", "slug", "model", "inputs", "tasks")},
        "experimental": False,
        "seeds": list(seeds),
        "n_parameters": runs[0].outcome["n_parameters"],
        "protocols": scored,
    }


def _intervals(folders):
    values = []
    for folder in folders:
        decisions = Decisions.from_json(read_json(folder / "decisions.json", "the Run"))
        rows = read_predictions(folder / "predictions" / "test.parquet")
        values.append(headline_values(count_videos(rows, decisions), video_weights(video_numbers(rows)[1], 200)))
    intervals = {path: percentile_interval(np.mean([value[path] for value in values], axis=0)) for path in values[0]}
    return {path: [interval.low, interval.high] for path, interval in intervals.items()}
