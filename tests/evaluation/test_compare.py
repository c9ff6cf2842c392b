import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats
from tests.evaluation.examples import gold, predicted, reordered, without_tasks
from tests.labelled import relabelled

from mien.errors import DataError, UsageError
from mien.evaluation.compare import SeedRun, compare_runs, winner_of
from mien.evaluation.decisions import fit_decisions, paper_decisions
from mien.evaluation.protocols import clean
from mien.evaluation.result import Bootstrap
from mien.evaluation.rows import validated_predictions
from mien.metrics.significance import holm, mcnemar, video_weights
from mien.storage.files import to_json_text

FEW = Bootstrap(n_resamples=59, seed=4)
SEEDS = (0, 1, 2, 3, 4)
VALID, TEST = gold(1), gold(2, n_videos=43)
ACCURACY = "sentiment.accuracy_has0"


def runs(skill, offset=0, seeds=SEEDS):
    return [
        SeedRun(
            predicted(TEST, 10 * seed + offset, skill), fit_decisions(predicted(VALID, 10 * seed + offset, skill)), seed
        )
        for seed in seeds
    ]


def path_of(scores, path):
    part = {"sentiment": scores.parts["sentiment"], "emotion": scores.parts["emotion"]}
    for key in path.split("."):
        part = part[key]
    return part


@pytest.fixture(scope="module")
def good():
    return runs(2.5)


@pytest.fixture(scope="module")
def poor():
    return runs(0.3, offset=7)


@pytest.fixture(scope="module")
def comparison(good, poor):
    return compare_runs(good, poor, bootstrap=Bootstrap(n_resamples=1000))


def test_means_and_t_tests_are_those_of_the_single_results(comparison, good, poor):
    assert len(comparison.metrics) == 14
    for path, metric in comparison.metrics.items():
        a, b = (
            np.array([path_of(clean(run.predictions, run.decisions), path) for run in side]) for side in (good, poor)
        )
        assert metric.mean_a == pytest.approx(a.mean())
        assert metric.mean_b == pytest.approx(b.mean())
        assert metric.difference == pytest.approx(a.mean() - b.mean())
        assert metric.t_test.p == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_bootstrap_is_that_of_explicitly_resampled_videos():
    a, b = runs(1.0, seeds=(0, 1)), runs(0.9, offset=7, seeds=(0, 1))
    result = compare_runs(a, b, bootstrap=Bootstrap(n_resamples=17, seed=4))
    names = np.unique(TEST.video_id.astype(str))
    differences = {path: [] for path in result.metrics}
    for weight in video_weights(len(names), 17, 4):
        sides = []
        for side in (a, b):
            scores = []
            for run in side:
                rows = validated_predictions(run.predictions)
                drawn = [
                    np.flatnonzero(rows.video_id == name)
                    for name, times in zip(names, weight, strict=True)
                    for _ in range(times)
                ]
                resample = reordered(rows, np.concatenate(drawn))
                resample = dataclasses.replace(resample, index=np.arange(len(resample.index)))
                scores.append(clean(resample, run.decisions))
            sides.append(scores)
        for path, values in differences.items():
            means = [np.mean([path_of(score, path) for score in scores]) for scores in sides]
            values.append(means[0] - means[1])
    for path, values in differences.items():
        metric, slow = result.metrics[path], np.array(values)
        expected = np.quantile(slow, [0.025, 0.975])
        assert [metric.bootstrap.interval.low, metric.bootstrap.interval.high] == pytest.approx(expected.tolist())
        p = 2 * min((slow <= 0).mean(), (slow >= 0).mean())
        assert metric.bootstrap.p == pytest.approx(min(max(p, 1 / 18), 1))


def test_a_clear_difference_is_shown_for_the_right_side(comparison, good, poor):
    metric = comparison.metrics[ACCURACY]
    assert metric.winner == "A"
    assert metric.verdict.startswith(f"A better: {ACCURACY} 0.")
    turned = compare_runs(poor, good, name_a="old", name_b="new", bootstrap=Bootstrap(n_resamples=1000))
    assert turned.metrics[ACCURACY].winner == "new"
    assert turned.metrics[ACCURACY].verdict.startswith("new better")
    for path, there in comparison.metrics.items():
        back = turned.metrics[path]
        assert back.difference == pytest.approx(-there.difference)
        assert back.bootstrap.p == there.bootstrap.p
        assert back.t_test.p == pytest.approx(there.t_test.p)


def test_holm_is_over_all_headline_scores(comparison):
    metrics = list(comparison.metrics.values())
    assert [metric.p_bootstrap_holm for metric in metrics] == pytest.approx(
        holm([metric.bootstrap.p for metric in metrics]).tolist()
    )
    assert [metric.p_t_test_holm for metric in metrics] == pytest.approx(
        holm([metric.t_test.p for metric in metrics]).tolist()
    )
    assert any(metric.p_bootstrap_holm > metric.bootstrap.p for metric in metrics)


def test_a_system_is_not_better_than_itself(good):
    result = compare_runs(good, good, bootstrap=FEW)
    for metric in result.metrics.values():
        assert metric.difference == 0
        assert metric.bootstrap.p == 1
        assert math.isnan(metric.t_test.p)
        assert metric.winner is None
        assert metric.verdict.startswith("no difference shown")
    assert all(test.p == 1 for test in result.mcnemar.values())


def test_one_of_many_looks_is_not_a_difference():
    a, b = runs(1.3, seeds=(0,)), runs(1.0, offset=7, seeds=(0,))
    metrics = compare_runs(a, b, bootstrap=Bootstrap(n_resamples=1000)).metrics.values()
    lucky = [metric for metric in metrics if metric.bootstrap.p < 0.05 <= metric.p_bootstrap_holm]
    assert lucky
    assert all(metric.winner is None for metric in lucky)


def test_luck_with_seeds_is_not_a_difference():
    # A wins by far with one seed and not at all with the other: clear over videos, not over seeds
    a = [*runs(9.0, seeds=(0,)), *runs(1.0, seeds=(1,))]
    b = runs(1.0, offset=7, seeds=(0, 1))
    metric = compare_runs(a, b, bootstrap=Bootstrap(n_resamples=1000)).metrics["sentiment.weighted_f1_non0"]
    assert metric.p_bootstrap_holm < 0.05
    assert metric.t_test.p > 0.05
    assert metric.winner is None


def test_one_seed_rests_on_videos_alone_and_says_so():
    result = compare_runs(runs(4.0, seeds=(3,)), runs(0.0, offset=7, seeds=(3,)), bootstrap=Bootstrap(n_resamples=1000))
    metric = result.metrics[ACCURACY]
    assert math.isnan(metric.t_test.p)
    assert math.isnan(metric.p_t_test_holm)
    assert metric.winner == "A"
    assert "nothing over seeds (a t-test over seeds needs at least two, got 1)" in metric.verdict
    assert "1 seed: use at least five before claiming that one is better" in result.notes


def test_mcnemar_per_seed(comparison, good, poor):
    assert list(comparison.mcnemar) == list(SEEDS)
    labelled = ~np.isnan(TEST.sentiment)
    gold_positive = TEST.sentiment[labelled] >= 0
    for a, b in zip(good, poor, strict=True):
        right = [(run.predictions.outputs["sentiment"][labelled, 0] >= 0.5) == gold_positive for run in (a, b)]
        assert comparison.mcnemar[a.seed] == mcnemar(*right)
        assert comparison.mcnemar[a.seed].n_only_a_right > comparison.mcnemar[a.seed].n_only_b_right


def test_the_order_of_runs_and_rows_does_not_matter(comparison, good, poor):
    order = np.random.default_rng(0).permutation(len(TEST.index))
    shuffled = [dataclasses.replace(run, predictions=reordered(run.predictions, order)) for run in poor[::-1]]
    assert compare_runs(good[::2] + good[1::2], shuffled, bootstrap=Bootstrap(n_resamples=1000)).to_json() == (
        comparison.to_json()
    )


def test_scores_of_one_side_only_are_left_out_and_named(good, poor):
    single = [dataclasses.replace(run, predictions=without_tasks(run.predictions, "emotion")) for run in poor]
    result = compare_runs(good, single, bootstrap=FEW)
    assert list(result.metrics) == [
        f"sentiment.{metric}_{rule}" for rule in ("has0", "non0") for metric in ("accuracy", "weighted_f1")
    ]
    assert "emotion.weighted_accuracy_mean6: missing in B" in result.left_out
    assert len(result.left_out) == 10
    other = [dataclasses.replace(run, predictions=without_tasks(run.predictions, "sentiment")) for run in good]
    assert compare_runs(other, poor, bootstrap=FEW).mcnemar == {}
    with pytest.raises(UsageError, match="Expected A and B to have a score in common, but got none"):
        compare_runs(other, single, bootstrap=FEW)


def test_an_undefined_score_is_left_out_and_named(good, poor):
    def without_fear(side):
        emotions = np.where(np.arange(6) == 2, 0 * TEST.emotions, TEST.emotions)
        return [changed(run, emotions=emotions)[0] for run in side]

    result = compare_runs(without_fear(good), without_fear(poor), bootstrap=FEW)
    assert result.left_out == ("emotion.per_emotion.fear.weighted_accuracy: undefined, only one class occurs",)
    assert not math.isnan(result.metrics["emotion.weighted_accuracy_mean6"].bootstrap.interval.low)


@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, 2, 3, 5), (0, 1, 2, 3, 4, 4), ()])
def test_seeds_must_pair(good, seeds):
    with pytest.raises(UsageError, match=r"same seeds, each once, but got \[0, 1, 2, 3, 4\] and \["):
        compare_runs(good, runs(1.0, seeds=seeds), bootstrap=FEW)


def changed(run, **changes):
    return [dataclasses.replace(run, predictions=relabelled(run.predictions, **changes))]


def test_other_utterances_or_labels_are_refused_by_name(good):
    run = good[0]
    index = run.predictions.index.copy()
    index[4] = 99
    with pytest.raises(DataError, match=r"A, seed 0 and B, seed 0 .* got utterance \d+ of video video\d+ against"):
        compare_runs([run], changed(run, index=index), bootstrap=FEW)
    fewer = reordered(run.predictions, np.argsort(run.predictions.video_id.astype(str), kind="stable")[:-1])
    with pytest.raises(DataError, match=r"got \d+ against \d+ utterances, the first extra one utterance"):
        compare_runs([run], [dataclasses.replace(run, predictions=fewer)], bootstrap=FEW)
    sentiment = run.predictions.sentiment.copy()
    sentiment[np.flatnonzero(~np.isnan(sentiment))[0]] += 0.5
    with pytest.raises(DataError, match=r"got other gold labels for utterance"):
        compare_runs([run], changed(run, sentiment=sentiment), bootstrap=FEW)
    as_float32 = run.predictions.sentiment.astype(np.float32).astype(np.float64)
    assert (as_float32 != run.predictions.sentiment)[~np.isnan(as_float32)].any()
    assert compare_runs([run], changed(run, sentiment=as_float32), bootstrap=FEW).metrics[ACCURACY].difference == 0


def test_json(comparison):
    facts = json.loads(to_json_text(comparison.to_json()))
    assert facts["seeds"] == list(SEEDS)
    assert facts["n_videos"] == 43
    assert facts["n_utterances"] == len(TEST.index)
    assert facts["metrics"][ACCURACY]["winner"] == "A"
    assert facts["metrics"][ACCURACY]["interval"][0] < facts["metrics"][ACCURACY]["difference"]
    assert set(facts["mcnemar"]["0"]) == {"n_only_a_right", "n_only_b_right", "p"}
    assert facts["left_out"] == []


def test_thresholds_chosen_in_two_ways_are_noted(good, poor):
    at_constants = [dataclasses.replace(run, decisions=paper_decisions()) for run in poor]
    assert any("not chosen alike" in note for note in compare_runs(good, at_constants, bootstrap=FEW).notes)
    assert compare_runs(good, poor, bootstrap=FEW).notes == ()


def test_a_probability_at_the_threshold_is_positive_for_mcnemar(good, poor):
    """Sentiment at exactly one half is a positive answer on both sides."""

    def halved(side):
        return [
            dataclasses.replace(
                run,
                predictions=dataclasses.replace(
                    run.predictions,
                    outputs={
                        **run.predictions.outputs,
                        "sentiment": np.where(run.predictions.outputs["sentiment"] >= 0.5, 0.5, 0.1),
                    },
                ),
            )
            for run in side
        ]

    assert compare_runs(halved(good), halved(poor), bootstrap=FEW).mcnemar == (
        compare_runs(good, poor, bootstrap=FEW).mcnemar
    )


@pytest.mark.parametrize(
    ("difference", "p_bootstrap", "p_seeds", "winner"),
    [
        (0.1, 0.01, 0.01, "a"),
        (-0.1, 0.01, 0.01, "b"),
        (0.1, 0.05, 0.01, None),
        (0.1, 0.01, 0.05, None),
        (0.1, 0.01, math.nan, "a"),
        (0.0, 0.01, 0.01, None),
    ],
)
def test_both_tests_must_be_below_five_per_cent(difference, p_bootstrap, p_seeds, winner):
    assert winner_of(ACCURACY, ("a", "b"), difference, p_bootstrap, p_seeds) == winner
    other = {"a": "b", "b": "a", None: None}[winner]
    assert winner_of("sentiment_intensity.mae", ("a", "b"), difference, p_bootstrap, p_seeds) == other


def test_the_seed_of_the_resamples_and_the_number_of_seeds_are_said(good, poor):
    first, second = (compare_runs(good, poor, bootstrap=Bootstrap(59, seed)) for seed in (0, 1))
    assert first.metrics[ACCURACY].bootstrap.interval != second.metrics[ACCURACY].bootstrap.interval
    assert compare_runs(good, poor, bootstrap=Bootstrap(59)).to_json() == first.to_json()
    assert not [note for note in first.notes if "seeds" in note]
    assert "4 seeds: use at least five" in compare_runs(good[:4], poor[:4], bootstrap=FEW).notes[0]
