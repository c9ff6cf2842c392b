"""A suite against its reference: the same tests as one comparison, corrected over all of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.evaluation.examples import gold, predicted, reordered, without_tasks

from mien.errors import DataError
from mien.evaluation.compare import SeedRun, compare_runs, score_setting
from mien.evaluation.decisions import ChosenOn, fit_decisions, paper_decisions
from mien.evaluation.result import Bootstrap, evaluate_predictions
from mien.evaluation.suite import (
    compare_with_reference,
    intervals_of_means,
)
from mien.metrics.significance import holm

BOOTSTRAP = Bootstrap(600)
DECISIONS = dataclasses.replace(paper_decisions(), chosen_on=ChosenOn.VALID)


def runs(skill, seeds=5, rows=None):
    return [
        SeedRun(predicted(rows or gold(), 100 * int(10 * skill) + seed, skill), DECISIONS, seed)
        for seed in range(seeds)
    ]


def scores(name, some_runs):
    return score_setting(name, some_runs, BOOTSTRAP)


def test_one_setting_alone_is_the_comparison_of_two_systems():
    better, reference = runs(2.0), runs(0.5)
    tests, notes = compare_with_reference([scores("ref", reference), scores("new", better)], "ref")
    expected = compare_runs(better, reference, name_a="new", name_b="ref", bootstrap=BOOTSTRAP)
    assert notes == []
    assert list(tests) == ["new"]
    assert set(tests["new"]) == set(expected.metrics)
    for path, test in tests["new"].items():
        other = expected.metrics[path].to_json()
        for key in ("difference", "interval", "p_bootstrap", "p_t_test", "p_bootstrap_holm", "p_t_test_holm"):
            assert test[key] == pytest.approx(other[key], nan_ok=True), (path, key)
        assert test["winner"] == other["winner"]
    assert tests["new"]["sentiment.accuracy_has0"]["winner"] == "new"


def test_more_settings_make_every_corrected_p_larger_and_no_other():
    ref, one, two = scores("ref", runs(0.5)), scores("one", runs(0.9)), scores("two", runs(0.3))
    alone, _ = compare_with_reference([ref, one], "ref")
    both, _ = compare_with_reference([one, ref, two], "ref")
    for path, test in both["one"].items():
        assert test["p_bootstrap"] == alone["one"][path]["p_bootstrap"]
        assert test["p_bootstrap_holm"] >= alone["one"][path]["p_bootstrap_holm"]
    every = [test["p_t_test"] for part in both.values() for test in part.values()]
    corrected = [test["p_t_test_holm"] for part in both.values() for test in part.values()]
    np.testing.assert_allclose(corrected, holm(every))
    assert len(every) == 28


def test_the_interval_is_that_of_the_mean_over_seeds_and_of_the_right_thresholds():
    some = runs(1.0, seeds=3)
    alone = intervals_of_means(scores("one", some[:1]))
    one_run = evaluate_predictions(some[0].predictions, decisions=DECISIONS, bootstrap=BOOTSTRAP).intervals
    assert alone == {path: pytest.approx(interval) for path, interval in one_run.items()}
    mean = intervals_of_means(scores("three", some))
    path = "sentiment.accuracy_has0"
    assert mean[path][1] - mean[path][0] < alone[path][1] - alone[path][0]
    fitted = [dataclasses.replace(run, decisions=fit_decisions(run.predictions)) for run in some]
    assert intervals_of_means(score_setting("three", fitted, BOOTSTRAP, paper_decisions())) == mean
    assert intervals_of_means(scores("three", fitted)) != mean


def test_the_order_of_rows_and_runs_changes_nothing():
    some = runs(1.0)
    order = np.random.default_rng(0).permutation(len(some[0].predictions.index))
    shuffled = [dataclasses.replace(run, predictions=reordered(run.predictions, order)) for run in some[::-1]]
    ref = scores("ref", runs(0.5))
    first, _ = compare_with_reference([ref, scores("new", some)], "ref")
    second, _ = compare_with_reference([ref, scores("new", shuffled)], "ref")
    assert first == second


def test_a_missing_run_is_left_out_of_the_pairs_and_told():
    ref, new = runs(0.5), runs(1.5)
    tests, notes = compare_with_reference([scores("ref", ref), scores("new", new[1:3])], "ref")
    expected = compare_runs(new[1:3], ref[1:3], bootstrap=BOOTSTRAP)
    assert tests["new"]["sentiment.accuracy_has0"]["seeds"] == [1, 2]
    for path, test in tests["new"].items():
        assert test["difference"] == pytest.approx(expected.metrics[path].difference)
    assert notes == ["new is compared with ref on 2 seeds only: runs are missing"]


def test_what_cannot_be_compared_is_told():
    ref = scores("ref", runs(0.5))
    other = scores("other rows", runs(1.0, rows=gold(seed=1)))
    tests, notes = compare_with_reference([ref, other], "ref")
    assert tests == {}
    assert (
        "other rows is not compared with ref: Expected ref and other rows to be about the same utterances" in notes[0]
    )
    assert compare_with_reference([other], "ref") == (
        {},
        ["nothing is compared: the reference ref has no finished run"],
    )
    with pytest.raises(DataError, match="seed 1 to be about the same utterances"):
        scores("mixed", [runs(1.0)[0], runs(1.0, rows=gold(seed=1))[1]])


def test_too_few_resamples_for_the_family_and_too_few_seeds_are_told():
    few = Bootstrap(100)
    settings = [score_setting(name, runs(skill, seeds=2), few) for name, skill in (("ref", 0.5), ("new", 3.0))]
    tests, notes = compare_with_reference(settings, "ref")
    assert notes == [
        "2 seeds: use at least five before claiming that one is better",
        "100 resamples cannot show a difference in a family of 14 tests: take more than 280",
    ]
    assert all(test["winner"] is None for test in tests["new"].values())


def test_a_task_that_only_one_side_predicts_is_not_compared():
    joint = runs(1.0)
    single = [dataclasses.replace(run, predictions=without_tasks(run.predictions, "emotion")) for run in runs(1.5)]
    tests, _ = compare_with_reference([scores("ref", joint), scores("single", single)], "ref")
    assert all(path.startswith("sentiment.") for path in tests["single"])
    assert len(tests["single"]) == 4


@pytest.mark.parametrize(("n_resamples", "is_enough"), [(279, False), (280, True)])
def test_a_family_needs_more_resamples_than_twenty_times_its_tests(n_resamples, is_enough):
    """The smallest p of a bootstrap is 1 / (n + 1); times 14 tests it is below 0.05 from n = 280 on."""
    enough = Bootstrap(n_resamples)
    tests, notes = compare_with_reference(
        [score_setting(name, runs(skill), enough) for name, skill in (("ref", 0.5), ("new", 3.0))], "ref"
    )
    assert len(tests["new"]) == 14
    assert (notes == []) is is_enough


def test_each_task_has_a_reference_of_its_own():
    sides = [scores(name, runs(skill)) for name, skill in (("feeling", 0.5), ("emotion", 0.7), ("new", 1.5))]
    references = {"sentiment": "feeling", "emotion": "emotion"}
    tests, notes = compare_with_reference(sides, "feeling", references)
    assert notes == []
    by_reference = {path.partition(".")[0]: test["reference"] for path, test in tests["new"].items()}
    assert by_reference == references
    assert all(path.startswith("emotion.") for path in tests["feeling"])
    assert all(path.startswith("sentiment.") for path in tests["emotion"])
