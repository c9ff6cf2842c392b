"""A suite of settings against one reference: intervals of seed means, and paired tests corrected as one family.

From predictions and thresholds alone, so that whoever has the tables of a benchmark can compute its numbers again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.compare import (
    ENOUGH_SEEDS,
    LEVEL_OF_SIGNIFICANCE,
    SettingScores,
    paired_scores,
    too_few_seeds,
    winner_of,
)
from mien.evaluation.headline import all_headlines
from mien.evaluation.rows import require_same_utterances
from mien.metrics.significance import holm, percentile_interval

# A family of some hundred tests needs more resamples than a single comparison: n resamples show no p below 1 / (n + 1),
# and Holm multiplies the smallest by the number of tests.
SUITE_RESAMPLES = 10_000
Test = dict[str, Any]


def intervals_of_means(setting: SettingScores) -> dict[str, list[float]]:
    """Path -> [low, high]: 95 % interval, over videos, of the mean over seeds."""
    seeds = list(setting.seeds)
    intervals = {path: percentile_interval(setting.mean_resampled(seeds, path)) for path in _paths([setting], seeds)}
    return {path: [interval.low, interval.high] for path, interval in intervals.items() if interval.n_defined}


def compare_with_reference(
    settings: Sequence[SettingScores], reference: str, references: Mapping[str, str] | None = None
) -> tuple[dict[str, dict[str, Test]], list[str]]:
    """Every setting against the reference, pair by pair of runs with the same seed (A - B: setting - reference).

    Each score of each setting gives one bootstrap p over videos and one t-test p over seeds, as in `compare`. Holm's
    correction then takes **all of them, over all settings and all headline scores, as one family**: of so many looks
    some would please by chance. The bootstrap and the t-test are a family each: they answer two
    different questions.

    Args:
        settings: of the suite.
        reference: name of the setting that the others are compared with.
        references: task -> setting that the scores of this task are compared with, in the place of `reference`.

    Returns:
        Name of a setting -> path of a score -> {difference, interval, p_bootstrap, p_t_test, p_bootstrap_holm,
        p_t_test_holm, winner, seeds, reference}; a reference has no row. Then notes about what could not be compared.
    """
    by_name = {setting.name: setting for setting in settings}
    wanted = list(dict.fromkeys((references or {}).values())) or [reference]
    absent = [name for name in wanted if name not in by_name]
    if absent == wanted:
        return {}, [f"nothing is compared: the reference {wanted[0]} has no finished run"]
    notes = [f"nothing is compared with {name}, which has no finished run" for name in absent]
    present = [by_name[name] for name in wanted if name in by_name]
    n_seeds = min(len(setting.seeds) for setting in present)
    notes += [too_few_seeds(n_seeds)] if n_seeds < ENOUGH_SEEDS else []
    tests: dict[str, dict[str, Test]] = {}
    for base in present:
        tasks = [task for task, name in (references or {}).items() if name == base.name] or None
        for setting in settings:
            found, told = _against(setting, base, tasks)
            notes += told
            if found:
                tests[setting.name] = tests.get(setting.name, {}) | found
    _correct(tests)
    n_tests = sum(not np.isnan(test["p_bootstrap"]) for part in tests.values() for test in part.values())
    n_resamples = max((len(r) for s in present[0].seeds.values() for r in s.resampled.values()), default=0)
    if n_tests and n_tests / (n_resamples + 1) >= LEVEL_OF_SIGNIFICANCE:
        notes.append(
            f"{n_resamples:,} resamples cannot show a difference in a family of {n_tests} tests: "
            f"take more than {int(n_tests / LEVEL_OF_SIGNIFICANCE):,}"
        )
    return tests, notes


def _against(
    setting: SettingScores, reference: SettingScores, tasks: Sequence[str] | None
) -> tuple[dict[str, Test], list[str]]:
    """The tests of one setting, of these tasks' scores if not of all, and what must be said about them."""
    if setting.name == reference.name or not _paths([setting, reference], [], tasks):
        return {}, []
    try:
        require_same_utterances([reference.rows, setting.rows], [reference.name, setting.name])
    except DataError as error:
        return {}, [f"{setting.name} is not compared with {reference.name}: {error}"]
    seeds = [seed for seed in setting.seeds if seed in reference.seeds]
    few = f"{setting.name} is compared with {reference.name} on {len(seeds)} seeds only: runs are missing"
    notes = [few] if len(seeds) < len(reference.seeds) else []
    return (_paired_tests(setting, reference, seeds, tasks) if seeds else {}), notes


def _paired_tests(
    setting: SettingScores, reference: SettingScores, seeds: Sequence[int], tasks: Sequence[str] | None
) -> dict[str, Test]:
    tests = {}
    for path in _paths([setting, reference], seeds, tasks):
        pair = paired_scores(setting, reference, seeds, path)
        tests[path] = {
            "difference": pair.difference,
            "interval": [pair.bootstrap.interval.low, pair.bootstrap.interval.high],
            "p_bootstrap": pair.bootstrap.p,
            "p_t_test": pair.t_test.p,
            "seeds": list(seeds),
            "reference": reference.name,
        }
    return tests


def _correct(tests: Mapping[str, dict[str, Test]]) -> None:
    """Add the corrected p and the verdict to every test; NaN stays NaN and is not counted as a test."""
    family = [test for part in tests.values() for test in part.values()]
    for key in ("p_bootstrap", "p_t_test"):
        for test, corrected in zip(family, holm([test[key] for test in family]).tolist(), strict=True):
            test[f"{key}_holm"] = corrected
    for name, part in tests.items():
        for path, test in part.items():
            test["winner"] = winner_of(
                path, (name, test["reference"]), test["difference"], test["p_bootstrap_holm"], test["p_t_test"]
            )


def _paths(sides: Sequence[SettingScores], seeds: Sequence[int], tasks: Sequence[str] | None = None) -> list[str]:
    """Scores that every run has and the labels define; of all seeds if none is named, of these tasks if some are."""
    points = [side.seeds[seed].point for side in sides for seed in (seeds or side.seeds)]
    defined = [path for path in points[0] if all(not np.isnan(point.get(path, np.nan)) for point in points)]
    return [path for path in defined if tasks is None or all_headlines()[path].task in tasks]
