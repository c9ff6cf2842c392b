"""Several runs of one system: mean and standard deviation with the keys of a single result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from mien.errors import DataError, UsageError
from mien.evaluation.result import Result
from mien.tasks import TASKS

# what must be equal for a mean to mean anything
ALIKE = ("split", "protocol", "dataset", "n_videos", "n_utterances")


def summarize(results: Sequence[Result]) -> dict[str, Any]:
    """Mean and sample standard deviation (n - 1) over runs.

    Args:
        results: runs that differ in seed, scored on the same split under the same protocol.

    Returns:
        ``{"runs": [...], "mean": {...}, "sd": {...}, "notes": [...]}``; mean and sd have the nested keys of a run. A
        value that some run does not have is None; one that is undefined (NaN) in some run is NaN. With one run every
        sd is None.

    Raises:
        UsageError: there is no result.
        DataError: the runs were not scored alike.
    """
    return summarize_json([result.to_json() for result in results])


def summarize_json(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`summarize` for results that were stored: each as `Result.to_json` gives it, undefined values NaN or None."""
    if not runs:
        raise UsageError("Expected at least one result to summarize, but got none; name a run")
    for key in ALIKE:
        values = list(dict.fromkeys(str(run[key]) for run in runs))
        if len(values) > 1:
            raise DataError(
                f"Expected all runs to be scored with the same {key}, but got {' and '.join(values)}; "
                "summarize them separately"
            )
    parts = [{key: run.get(key) for key in ("n_videos", "n_utterances", *TASKS, "trivial")} for run in runs]
    alike = {"protocol": runs[0]["protocol"], "upper_bound": runs[0]["upper_bound"], "n_runs": len(runs)}
    mean, sd = mean_and_sd(parts)
    return {"runs": [dict(run) for run in runs], "mean": alike | mean, "sd": alike | sd, "notes": _notes(runs)}


def mean_and_sd(parts: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mean and sample standard deviation of every number in dictionaries of the same keys, under the same keys.

    Counts, scores and thresholds are averaged; what was chosen and every text is not.
    """
    return _over(parts, _mean), _over(parts, _sd)


def _notes(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    for key in ("model", "inputs", "tasks"):
        values = list(dict.fromkeys(str(run[key]) for run in runs))
        if len(values) > 1:
            notes.append(f"mean and sd mix runs with different {key}: {' and '.join(values)}")
    seeds = [run["seed"] for run in runs if run["seed"] is not None]
    if len(set(seeds)) < len(seeds) and not notes:
        notes.append("some runs share a seed: the sd over them is too small")
    return notes


def _over(parts: Sequence[dict[str, Any]], function: Any) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for key in parts[0]:
        values = [part.get(key) for part in parts]
        if key == "chosen":
            continue
        if any(value is None for value in values):
            summary[key] = None
        elif all(isinstance(value, dict) for value in values):
            summary[key] = _over(cast(list[dict[str, Any]], values), function)
        elif all(_is_number(value) for value in values):
            summary[key] = function(np.array(values, dtype=np.float64))
    return summary


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mean(values: Any) -> float:
    return float(values.mean())


def _sd(values: Any) -> float | None:
    if len(values) == 1:
        return None
    return math.nan if np.isnan(values).any() else float(values.std(ddof=1))
