"""When there is nothing to hear, and the paper's word-then-average rule."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.features.voices import noise, pulse_train

from mien.errors import DataError
from mien.features.acoustic.base import NOT_FINITE, RATE_HZ, SILENT, TOO_SHORT, why_unusable, word_then_average
from mien.schema import TimedWord

NAN = np.nan


def times(n):
    return (np.arange(n) + 0.5) * 0.01


def word(start_s, end_s):
    return TimedWord("word", start_s, end_s)


def test_sound_that_can_hold_a_voice_is_usable():
    assert why_unusable(pulse_train(120.0, 0.2), RATE_HZ) is None
    assert why_unusable(noise(1.0), RATE_HZ) is None


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), TOO_SHORT),
        (pulse_train(120.0, 0.199), TOO_SHORT),
        (np.zeros(RATE_HZ), SILENT),
        (noise(1.0) * 3e-3, SILENT),
        (np.where(np.arange(RATE_HZ) == 70, NAN, 0.1), NOT_FINITE),
        (np.where(np.arange(RATE_HZ) == 70, np.inf, 0.1), NOT_FINITE),
    ],
    ids=["empty", "short", "digital silence", "quiet noise", "nan", "inf"],
)
def test_unusable_sound_says_why(samples, reason):
    assert why_unusable(samples.astype(np.float32), RATE_HZ) == reason


def test_one_loud_moment_is_no_silence():
    samples = np.zeros(RATE_HZ, dtype=np.float32)
    samples[6400:6720] = 0.01
    assert why_unusable(samples, RATE_HZ) is None


def test_two_channels_are_an_error():
    with pytest.raises(DataError, match=r"Expected one channel .* got the shape \(16000, 2\); mix it to mono"):
        why_unusable(np.zeros((16000, 2), dtype=np.float32), RATE_HZ)


def test_words_first_then_their_mean():
    values = np.arange(10.0)[:, None]
    # frames 0-1 and 4-9: the long word counts as much as the short one
    vector, rows, present = word_then_average(times(10), values, 0.0, [word(0.0, 0.02), word(0.04, 0.1)])
    np.testing.assert_allclose(rows, [[0.5], [6.5]])
    np.testing.assert_allclose(vector, [3.5])
    assert present.all()


def test_frames_that_only_touch_a_word_do_not_count_and_those_it_cuts_do():
    values = np.arange(10.0)[:, None]
    _, rows, _ = word_then_average(times(10), values, 0.0, [word(0.02, 0.04), word(0.045, 0.055)])
    np.testing.assert_allclose(rows, [[2.5], [4.5]])


def test_words_are_on_the_clock_of_the_video():
    values = np.arange(10.0)[:, None]
    _, rows, present = word_then_average(times(10), values, 12.34, [word(12.34, 12.36), word(0.0, 0.02)])
    np.testing.assert_allclose(rows, [[0.5], [0.0]])
    assert present.tolist() == [True, False]


def test_an_absent_word_has_no_share():
    values = np.arange(10.0)[:, None]
    vector, rows, present = word_then_average(times(10), values, 0.0, [word(0.0, 0.02), word(5.0, 6.0)])
    np.testing.assert_allclose(vector, [0.5])
    np.testing.assert_array_equal(rows[1], 0)
    assert present.tolist() == [True, False]


def test_without_words_all_frames_count():
    values = np.arange(10.0)[:, None]
    vector, rows, present = word_then_average(times(10), values, 0.0, [])
    np.testing.assert_allclose(vector, [4.5])
    assert rows.shape == (0, 1)
    assert present.shape == (0,)
    np.testing.assert_allclose(word_then_average(times(10), values, 0.0, [word(7.0, 8.0)])[0], [4.5])


def test_a_column_counts_where_it_has_a_value():
    values = np.array([[100.0, 1.0], [NAN, 2.0], [200.0, 3.0], [NAN, 4.0], [NAN, 5.0], [NAN, 6.0]])
    words = [word(0.0, 0.02), word(0.02, 0.04), word(0.04, 0.06)]
    vector, rows, present = word_then_average(times(6), values, 0.0, words)
    # the unvoiced third word takes the mean of the voiced two and so does not move the utterance
    np.testing.assert_allclose(rows, [[100, 1.5], [200, 3.5], [150, 5.5]])
    np.testing.assert_allclose(vector, [150, 3.5])
    assert present.all()


def test_a_column_that_no_word_has_takes_the_mean_of_all_frames():
    values = np.array([[100.0, 1.0], [NAN, 2.0], [NAN, 3.0]])
    vector, rows, _ = word_then_average(times(3), values, 0.0, [word(0.01, 0.03)])
    np.testing.assert_allclose(rows, [[100, 2.5]])
    np.testing.assert_allclose(vector, [100, 2.5])


def test_a_column_without_any_value_makes_the_vector_missing():
    values = np.array([[NAN, 1.0], [NAN, 2.0]])
    vector, rows, present = word_then_average(times(2), values, 0.0, [word(0.0, 0.02)])
    assert vector is None
    assert not present.any()
    np.testing.assert_array_equal(rows, np.zeros((1, 2)))


def test_no_frames_no_vector():
    vector, rows, present = word_then_average(np.zeros(0), np.zeros((0, 3)), 0.0, [word(0.0, 1.0)])
    assert vector is None
    assert rows.shape == (1, 3)
    assert present.tolist() == [False]


@given(
    seed=st.integers(0, 2**32 - 1),
    n_frames=st.integers(2, 60),
    edges=st.lists(st.floats(-0.1, 0.8), min_size=2, max_size=9).map(sorted),
)
def test_agrees_with_the_rule_written_as_loops(seed, n_frames, edges):
    values = np.random.default_rng(seed).normal(size=(n_frames, 3))
    words = [word(start_s, end_s) for start_s, end_s in pairwise(edges)]
    vector, rows, present = word_then_average(times(n_frames), values, 0.0, words)
    expected = []
    for number, each in enumerate(words):
        overlapping = []
        for frame in range(n_frames):
            begin_s, end_s = frame * 0.01, (frame + 1) * 0.01
            if min(end_s, each.end_s) - max(begin_s, each.start_s) > 1e-8:
                overlapping.append(values[frame])
        # A point inside a frame has no extent; both answers are right.
        if each.end_s - each.start_s < 1e-7:
            return
        assert present[number] == bool(overlapping)
        if overlapping:
            expected.append(np.mean(overlapping, axis=0))
            np.testing.assert_allclose(rows[number], expected[-1], rtol=1e-5, atol=1e-6)
    whole = np.mean(expected or list(values), axis=0)
    np.testing.assert_allclose(vector, whole, rtol=1e-5, atol=1e-6)
