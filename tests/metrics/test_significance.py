import math

import numpy as np
import pytest
from scipy import stats

from mien.errors import DataError
from mien.metrics.confusion import accuracy, count_decisions, count_per_video, weighted_accuracy, weighted_f1
from mien.metrics.significance import (
    holm,
    mcnemar,
    paired_bootstrap,
    paired_t_test,
    percentile_interval,
    video_weights,
)

N_VIDEOS = 23


@pytest.fixture
def rows():
    """Target, two predictions and the video of 307 utterances."""
    rng = np.random.default_rng(0)
    target = rng.random(307) < 0.4
    good = np.where(rng.random(307) < 0.8, target, ~target)
    bad = np.where(rng.random(307) < 0.6, target, ~target)
    video = np.concatenate([np.arange(N_VIDEOS), rng.integers(0, N_VIDEOS, 307 - N_VIDEOS)])
    return target, good, bad, video


def test_weights_draw_as_many_videos_as_there_are():
    weights = video_weights(N_VIDEOS, 101, seed=3)
    assert weights.shape == (101, N_VIDEOS)
    assert (weights.sum(axis=1) == N_VIDEOS).all()
    assert (weights >= 0).all()
    np.testing.assert_array_equal(weights, video_weights(N_VIDEOS, 101, seed=3))
    assert (weights != video_weights(N_VIDEOS, 101, seed=4)).any()


def test_weights_are_draws_with_replacement():
    weights = video_weights(N_VIDEOS, 20_000)
    assert weights.mean() == 1
    # a video is missing from a resample with chance (1 - 1/n)^n
    assert (weights == 0).mean() == pytest.approx((1 - 1 / N_VIDEOS) ** N_VIDEOS, abs=0.005)
    assert weights.var(axis=0).mean() == pytest.approx(1 - 1 / N_VIDEOS, abs=0.02)


@pytest.mark.parametrize("score", [accuracy, weighted_accuracy, weighted_f1])
def test_bootstrap_equals_explicit_resampling(rows, score):
    target, good, _, video = rows
    weights = video_weights(N_VIDEOS, 53, seed=1)
    slow = []
    for weight in weights:
        drawn = np.concatenate([np.flatnonzero(video == v) for v in range(N_VIDEOS) for _ in range(weight[v])])
        slow.append(float(score(count_decisions(target[drawn], good[drawn]))))
    per_video = count_per_video(target, good, video, N_VIDEOS)
    np.testing.assert_allclose(score(per_video.resampled(weights)), slow, rtol=1e-13)
    interval = percentile_interval(score(per_video.resampled(weights)))
    assert [interval.low, interval.high] == pytest.approx(np.quantile(slow, [0.025, 0.975]).tolist())
    assert interval.low < score(count_decisions(target, good)) < interval.high


def test_paired_bootstrap_equals_explicit_resampling(rows):
    target, good, bad, video = rows
    weights = video_weights(N_VIDEOS, 53, seed=1)
    slow = []
    for weight in weights:
        drawn = np.concatenate([np.flatnonzero(video == v) for v in range(N_VIDEOS) for _ in range(weight[v])])
        slow.append(
            float(
                accuracy(count_decisions(target[drawn], good[drawn]))
                - accuracy(count_decisions(target[drawn], bad[drawn]))
            )
        )
    a, b = (count_per_video(target, predicted, video, N_VIDEOS) for predicted in (good, bad))
    of_a, of_b = (accuracy(each.resampled(weights)) for each in (a, b))
    result = paired_bootstrap(of_a - of_b)
    assert [result.interval.low, result.interval.high] == pytest.approx(np.quantile(slow, [0.025, 0.975]).tolist())
    assert result.p == 1 / 54
    swapped = paired_bootstrap(of_b - of_a)
    assert swapped.p == result.p
    assert swapped.interval.low == pytest.approx(-result.interval.high)


def test_identical_systems_have_p_one(rows):
    target, good, _, video = rows
    scores = weighted_f1(count_per_video(target, good, video, N_VIDEOS).resampled(video_weights(N_VIDEOS, 53)))
    result = paired_bootstrap(scores - scores)
    assert result.p == 1
    assert result.interval.low == result.interval.high == 0


def test_p_by_hand():
    assert paired_bootstrap(np.array([-1.0, 0, 1, 2, 3, 4, 5, 6, 7, 8])).p == 2 * 0.2
    assert paired_bootstrap(np.array([1.0, 2, 3])).p == 1 / 4
    assert paired_bootstrap(np.array([-1.0, -2, np.nan, -3])).p == 1 / 4
    assert math.isnan(paired_bootstrap(np.array([np.nan])).p)


def test_undefined_resamples_are_left_out_and_counted():
    interval = percentile_interval(np.array([0.0, np.nan, 1.0]), level=1.0)
    assert (interval.low, interval.high, interval.n_defined) == (0.0, 1.0, 2)
    nothing = percentile_interval(np.array([np.nan]))
    assert math.isnan(nothing.low)
    assert nothing.n_defined == 0


def coverage(by_video):
    """Share of 200 samples of 60 dependent videos whose 95 % interval holds the true accuracy of 0.7."""
    rng, hits = np.random.default_rng(8), 0
    for sample in range(200):
        chance = rng.beta(7, 3, 60)  # videos differ: the utterances of one depend on each other
        right = rng.random((60, 12)) < chance[:, None]
        units = np.repeat(np.arange(60), 12) if by_video else np.arange(720)
        n_units = 60 if by_video else 720
        per_unit = count_per_video(np.ones(720, bool), right.ravel(), units, n_units)
        resampled = per_unit.resampled(video_weights(n_units, 200, seed=sample))
        interval = percentile_interval(accuracy(resampled))
        hits += interval.low <= 0.7 <= interval.high
    return hits / 200


def test_video_intervals_cover_and_utterance_intervals_do_not():
    assert 0.88 <= coverage(by_video=True) <= 0.99
    assert coverage(by_video=False) < 0.88


def test_no_video_cannot_be_resampled():
    with pytest.raises(DataError, match="Expected at least one video"):
        video_weights(0)


def test_t_test_equals_scipy():
    rng = np.random.default_rng(5)
    for n_seeds in (2, 5, 11):
        a, b = rng.random(n_seeds), rng.random(n_seeds)
        expected = stats.ttest_rel(a, b)
        result = paired_t_test(a, b)
        assert (result.t, result.p) == pytest.approx((expected.statistic, expected.pvalue))
        assert result.reason == ""


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([0.8], [0.7], "at least two"),
        ([0.8, 0.7], [0.7, 0.6], "same for every seed"),
        ([0.8, 0.8], [0.8, 0.8], "same for every seed"),
        ([0.8, math.nan], [0.7, 0.9], "undefined"),
    ],
)
def test_t_test_says_why_it_says_nothing(a, b, reason):
    result = paired_t_test(a, b)
    assert math.isnan(result.p)
    assert reason in result.reason


def test_t_test_pairs():
    with pytest.raises(DataError, match="Expected as many scores of A as of B, but got 2 and 3"):
        paired_t_test([1, 2], [1, 2, 3])


def test_mcnemar_by_hand():
    a_right = np.array([True] * 5 + [False] * 1 + [True] * 9 + [False] * 2)
    b_right = np.array([False] * 5 + [True] * 1 + [True] * 9 + [False] * 2)
    result = mcnemar(a_right, b_right)
    assert (result.n_only_a_right, result.n_only_b_right) == (5, 1)
    # both tails of a fair coin thrown six times: 2 * (C(6,0) + C(6,1)) / 2^6
    assert result.p == pytest.approx(2 * 7 / 64)
    assert mcnemar(a_right, a_right).p == 1


def test_holm_by_hand():
    # sorted .01, .02, .03, .04, times 4, 3, 2, 1, made monotone
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)


def test_holm_never_makes_a_p_smaller_and_keeps_the_order():
    p = np.random.default_rng(1).random(29) ** 3
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(p * 29, 1)).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
