"""Mean and standard deviation over several runs of one system, with the keys of a single result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from mien.errors import DataError, UsageError
from mien.evaluation.headline import tasks_of_results
from mien.evaluation.result import Result

# keys whose values must be equal in all runs that are averaged
ALIKE = ("split", "protocol", "dataset", "n_videos", "n_utterances")


def summarize(results: Sequence[Result]) -> dict[str, Any]:
    """Compute the mean and the sample standard deviation (with divisor n - 1) of every number over n runs.

    Args:
        results: Results of runs that differ in seed, scored on the same split under the same protocol.

    Returns:
        ``{"runs": [...], "mean": {...}, "sd": {...}, "notes": [...]}``. `mean` and `sd` have the nested keys of one
        result. A number that some run lacks is None. A number that is undefined (NaN) in some run is NaN. With one run,
        every number in `sd` is None.

    Raises:
        UsageError: There is no result.
        DataError: The runs differ in split, protocol, dataset or size.
    """
    return summarize_json([result.to_json() for result in results])


def summarize_json(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compute the summary of stored results; `summarize` describes what it contains.

    Args:
        runs: Dictionaries that `Result.to_json` returned. Undefined scores in them are NaN or None.
    """
    if not runs:
        raise UsageError("Expected at least one result to summarize, but got none; name a run")
    for key in ALIKE:
        values = list(dict.fromkeys(str(run[key]) for run in runs))
        if len(values) > 1:
            raise DataError(
                f"Expected all runs to be scored with the same {key}, but got {' and '.join(values)}; "
                "summarize them separately"
            )
    tasks = dict.fromkeys(task.name for task in tasks_of_results(runs))
    parts = [{key: run.get(key) for key in ("n_videos", "n_utterances", *tasks, "trivial")} for run in runs]
    shared = {key: runs[0][key] for key in ("protocol", "upper_bound")} | {"n_runs": len(runs)}
    shared |= {key: runs[0][key] for key in ("label_spaces", "task_kinds") if key in runs[0]}
    mean, sd = mean_and_sd(parts)
    return {
        "runs": [dict(run) for run in runs],
        "mean": shared | mean,
        "sd": shared | sd,
        "notes": _summary_notes(runs),
    }


def mean_and_sd(parts: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute the mean and the sample standard deviation of every number over dictionaries with the same keys.

    Returns:
        The dictionary of the means and the dictionary of the standard deviations, with the keys of the given
        dictionaries. Texts, and entries with the key ``chosen``, are left out.
    """
    return _apply_to_numbers(parts, _mean_over_runs), _apply_to_numbers(parts, _sd_over_runs)


def _summary_notes(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return warnings about runs that differ in more than the seed, or that share a seed."""
    notes = []
    for key in ("model", "inputs", "tasks"):
        values = list(dict.fromkeys(str(run[key]) for run in runs))
        if len(values) > 1:
            notes.append(f"mean and sd mix runs with different {key}: {' and '.join(values)}")
    seeds = [run["seed"] for run in runs if run["seed"] is not None]
    if len(set(seeds)) < len(seeds) and not notes:
        notes.append("some runs share a seed: the sd over them is too small")
    return notes


def _apply_to_numbers(parts: Sequence[dict[str, Any]], function: Any) -> dict[str, Any]:
    """Apply a function to the numbers that have the same key in all dictionaries.

    Args:
        parts: Dictionaries with the same keys, one per run. Nested dictionaries are treated in the same way.
        function: Function that takes the numbers (run,) of one key.

    Returns:
        Key -> result of the function, or None if some dictionary has no value for the key. Texts, and entries with the
        key ``chosen``, are left out.
    """
    summary: dict[str, Any] = {}
    for key in parts[0]:
        values = [part.get(key) for part in parts]
        if key == "chosen":
            continue
        if any(value is None for value in values):
            summary[key] = None
        elif all(isinstance(value, dict) for value in values):
            summary[key] = _apply_to_numbers(cast(list[dict[str, Any]], values), function)
        elif all(_is_number(value) for value in values):
            summary[key] = function(np.array(values, dtype=np.float64))
    return summary


def _is_number(value: Any) -> bool:
    """Return whether a value is a number; a bool does not count as one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mean_over_runs(values: Any) -> float:
    """Return the mean of the values (run,); NaN if a value is NaN."""
    return float(values.mean())


def _sd_over_runs(values: Any) -> float | None:
    """Return the sample standard deviation of the values (run,); None for one run, NaN if a value is NaN."""
    if len(values) == 1:
        return None
    return math.nan if np.isnan(values).any() else float(values.std(ddof=1))
