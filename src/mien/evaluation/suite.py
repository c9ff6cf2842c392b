"""Comparison of many settings with a reference setting: intervals of mean scores, and paired significance tests.

A setting is one system, with its inputs and tasks, under one protocol. The p values of all tests are corrected
together. The comparison needs only predictions and thresholds, so the numbers of a benchmark can be recomputed from its
stored Predictions.
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
from mien.evaluation.rows import require_same_utterances
from mien.metrics.significance import holm, percentile_interval

# A family of hundreds of tests needs more resamples than a single comparison: the smallest p that n resamples can show
# is 1 / (n + 1), and Holm multiplies the smallest p by the number of tests.
SUITE_RESAMPLES = 10_000
Test = dict[str, Any]


def intervals_of_means(setting: SettingScores) -> dict[str, list[float]]:
    """Compute the 95 % interval of every headline score of a setting, by bootstrap over videos.

    In every resample, the score is averaged over the seeds. The interval is that of this mean.

    Returns:
        Path of a score in a result -> [low, high]. A score that is undefined in every resample is left out.
    """
    seeds = list(setting.seeds)
    intervals = {
        path: percentile_interval(setting.mean_resampled(seeds, path)) for path in _defined_paths([setting], seeds)
    }
    return {path: [interval.low, interval.high] for path, interval in intervals.items() if interval.n_defined}


def compare_with_reference(
    settings: Sequence[SettingScores], reference: str, references: Mapping[str, str] | None = None
) -> tuple[dict[str, dict[str, Test]], list[str]]:
    """Compare every setting with a reference setting; runs are paired by seed, and differences are setting - reference.

    Each headline score of each setting is tested by a bootstrap over videos and by a t-test over seeds, as in
    `compare_runs`. Holm's correction treats the bootstrap tests **of all settings and all scores as one family**,
    because some of many tests are significant by chance. The t-tests are another family, because they answer a
    different question.

    Args:
        settings: Scores of all settings, including the reference.
        reference: Name of the setting with which the others are compared.
        references: Task -> name of the reference for the scores of this task. If it is given, `reference` is not used,
            and tasks without an entry are not compared. If it is None or empty, `reference` is used for all tasks.

    Returns:
        ``(tests, notes)``. `tests` is a nested dictionary: name of a setting, then path of a score in a result, then
        {difference, interval, p_bootstrap, p_t_test, p_bootstrap_holm, p_t_test_holm, winner, seeds, reference}. A
        reference is not compared with itself. `notes` are messages about comparisons that were not possible, and
        warnings about too few seeds or resamples.
    """
    by_name = {setting.name: setting for setting in settings}
    reference_names = list(dict.fromkeys((references or {}).values())) or [reference]
    missing = [name for name in reference_names if name not in by_name]
    if missing == reference_names:
        return {}, [f"nothing is compared: the reference {reference_names[0]} has no finished run"]
    notes = [f"nothing is compared with {name}, which has no finished run" for name in missing]
    bases = [by_name[name] for name in reference_names if name in by_name]
    n_seeds = min(len(setting.seeds) for setting in bases)
    notes += [too_few_seeds(n_seeds)] if n_seeds < ENOUGH_SEEDS else []
    tests: dict[str, dict[str, Test]] = {}
    for base in bases:
        tasks = [task for task, name in (references or {}).items() if name == base.name] or None
        for setting in settings:
            setting_tests, setting_notes = _compare_setting(setting, base, tasks)
            notes += setting_notes
            if setting_tests:
                tests[setting.name] = tests.get(setting.name, {}) | setting_tests
    _add_corrected(tests)
    n_tests = sum(not np.isnan(test["p_bootstrap"]) for part in tests.values() for test in part.values())
    n_resamples = max((len(r) for s in bases[0].seeds.values() for r in s.resampled.values()), default=0)
    if n_tests and n_tests / (n_resamples + 1) >= LEVEL_OF_SIGNIFICANCE:
        notes.append(
            f"{n_resamples:,} resamples cannot show a difference in a family of {n_tests} tests: "
            f"take more than {int(n_tests / LEVEL_OF_SIGNIFICANCE):,}"
        )
    return tests, notes


def _compare_setting(
    setting: SettingScores, reference: SettingScores, tasks: Sequence[str] | None
) -> tuple[dict[str, Test], list[str]]:
    """Test whether one setting differs from the reference in the scores of some tasks.

    Args:
        setting: Scores of the setting.
        reference: Scores of the reference.
        tasks: Tasks whose scores are tested. If it is None, the scores of all tasks are tested.

    Returns:
        ``(tests, notes)``. `tests` is a dictionary by path of the score in a result. It contains the differences and
        the p values without Holm's correction. `notes` are messages about scores that could not be compared.
    """
    if setting.name == reference.name or not _defined_paths([setting, reference], [], tasks):
        return {}, []
    try:
        require_same_utterances([reference.rows, setting.rows], [reference.name, setting.name])
    except DataError as error:
        return {}, [f"{setting.name} is not compared with {reference.name}: {error}"]
    seeds = [seed for seed in setting.seeds if seed in reference.seeds]
    message = f"{setting.name} is compared with {reference.name} on {len(seeds)} seeds only: runs are missing"
    notes = [message] if len(seeds) < len(reference.seeds) else []
    return (_paired_tests(setting, reference, seeds, tasks) if seeds else {}), notes


def _paired_tests(
    setting: SettingScores, reference: SettingScores, seeds: Sequence[int], tasks: Sequence[str] | None
) -> dict[str, Test]:
    """Test every score that is defined for both settings and all given seeds.

    Returns:
        Path of a score in a result -> differences and p values without Holm's correction.
    """
    tests = {}
    for path in _defined_paths([setting, reference], seeds, tasks):
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


def _add_corrected(tests: Mapping[str, dict[str, Test]]) -> None:
    """Add the corrected p values (Holm's correction) and the winner to every test in place.

    All p values of the bootstrap are one family, and all p values of the t-test are another. A p value that is NaN
    stays NaN and does not count as a test of the family.
    """
    family = [test for part in tests.values() for test in part.values()]
    for key in ("p_bootstrap", "p_t_test"):
        for test, corrected in zip(family, holm([test[key] for test in family]).tolist(), strict=True):
            test[f"{key}_holm"] = corrected
    for name, part in tests.items():
        for path, test in part.items():
            test["winner"] = winner_of(
                path, (name, test["reference"]), test["difference"], test["p_bootstrap_holm"], test["p_t_test"]
            )


def _defined_paths(
    sides: Sequence[SettingScores], seeds: Sequence[int], tasks: Sequence[str] | None = None
) -> list[str]:
    """Return the paths of the headline scores that are defined for every run of the given settings.

    Args:
        sides: Settings whose runs are examined.
        seeds: Seeds of the runs to examine. If it is empty, all runs are examined.
        tasks: Tasks whose paths are returned. If it is None, the paths of all tasks are returned.
    """
    points = [side.seeds[seed].point for side in sides for seed in (seeds or side.seeds)]
    defined = [path for path in points[0] if all(not np.isnan(point.get(path, np.nan)) for point in points)]
    return [path for path in defined if tasks is None or path.split(".")[0] in tasks]
