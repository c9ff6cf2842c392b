"""The vectorised alignment against a slow loop over every word and frame, written from the SDK's description."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.readers.csd.alignment import (
    EPSILON_S,
    SHORT_WORD_FRAMES,
    IntervalMeans,
    interval_means,
    overlapping,
    start_order,
)
from mien.schema import FloatArray


def slow_means(words: FloatArray, frame_intervals: FloatArray, frames: FloatArray) -> list[list[float] | None]:
    """Per word the mean row, or None where the word lacks the modality."""
    eps = 1e-5
    means: list[list[float] | None] = []
    for word_start, word_end in words.tolist():
        rows = []
        for (start, end), row in zip(frame_intervals.tolist(), frames.tolist(), strict=True):
            if start < word_end + eps and end > word_start - eps:
                clipped = min(end, word_end) - max(start, word_start)
                if clipped > eps:
                    rows.append(row)
        columns = [[value for value in column if math.isfinite(value)] for column in zip(*rows, strict=True)]
        whole = bool(rows) and all(columns)
        means.append([math.fsum(column) / len(column) for column in columns] if whole else None)
    return means


def whole_means(words: FloatArray, frame_intervals: FloatArray, frames: FloatArray, n_blocks: int = 1) -> IntervalMeans:
    """The frames in one block, or cut into several."""
    blocks = zip(np.array_split(frame_intervals, n_blocks), np.array_split(frames, n_blocks), strict=True)
    return interval_means(words, frames.shape[1], blocks)


def assert_same(words: FloatArray, frame_intervals: FloatArray, frames: FloatArray, n_blocks: int = 1) -> None:
    found = whole_means(words, frame_intervals, frames, n_blocks)
    expected = slow_means(words, frame_intervals, frames)
    assert found.means.shape == (len(words), frames.shape[1])
    assert found.means.dtype == np.float32
    assert found.present.tolist() == [row is not None for row in expected]
    for word, row in enumerate(expected):
        np.testing.assert_allclose(found.means[word], row if row is not None else 0, rtol=1e-6, atol=1e-6)
    assert (found.touched | ~found.present).all()
    assert found.n_not_finite == (~np.isfinite(frames)).sum()


def random_times(rng: np.random.Generator, n_rows: int, kind: str) -> FloatArray:
    if kind == "contiguous":
        edges = np.round(np.cumsum(rng.integers(1, 5, size=n_rows + 1)) * 0.01, 2)
        return np.stack([edges[:-1], edges[1:]], axis=1)
    if kind == "gaps":
        return np.sort(rng.uniform(0, 2, size=2 * n_rows)).reshape(-1, 2)
    # overlapping, nested, repeated, of no length, reversed, in no order
    starts = np.round(rng.uniform(0, 2, size=n_rows), 2)
    return np.stack([starts, starts + np.round(rng.uniform(-0.1, 0.6, size=n_rows), 1)], axis=1)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_words=st.integers(0, 13),
    n_frames=st.integers(0, 41),
    word_kind=st.sampled_from(["contiguous", "gaps", "messy"]),
    frame_kind=st.sampled_from(["contiguous", "gaps", "messy"]),
    share_not_finite=st.sampled_from([0.0, 0.1, 0.7]),
    n_blocks=st.integers(1, 4),
)
def test_means_are_those_of_the_slow_loop(
    seed: int, n_words: int, n_frames: int, word_kind: str, frame_kind: str, share_not_finite: float, n_blocks: int
) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(n_frames, 3))
    spoilt = rng.uniform(size=frames.shape) < share_not_finite
    frames[spoilt] = rng.choice([np.nan, np.inf, -np.inf], size=int(spoilt.sum()))
    words = random_times(rng, n_words, word_kind)
    assert_same(words, random_times(rng, n_frames, frame_kind), frames, n_blocks)


def test_long_and_short_words_are_added_up_alike() -> None:
    rng = np.random.default_rng(2)
    n_frames = 3 * SHORT_WORD_FRAMES
    edges = np.arange(n_frames + 1.0)
    words = np.array([[0.0, n] for n in (1, SHORT_WORD_FRAMES, SHORT_WORD_FRAMES + 1, n_frames)])
    frames = rng.normal(loc=3, size=(n_frames, 2)).astype(np.float32)
    assert_same(words, np.stack([edges[:-1], edges[1:]], axis=1), frames)


def test_bad_values_in_no_word_are_counted_and_harm_nobody() -> None:
    times = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]])
    found = whole_means(np.array([[0.0, 1.0], [2.0, 3.0]]), times, np.array([[1.0], [np.nan], [3.0]]))
    assert found.means.tolist() == [[1.0], [3.0]]
    assert found.n_not_finite == 1


def test_finite_values_whose_sum_is_too_large_keep_their_mean() -> None:
    times = np.array([[0.0, 1.0], [1.0, 2.0]])
    found = whole_means(np.array([[0.0, 2.0]]), times, np.array([[3e38], [2e38]], dtype=np.float32))
    np.testing.assert_allclose(found.means, [[2.5e38]], rtol=1e-6)
    assert found.n_not_finite == 0


def test_the_loop_agrees_on_nested_frames_that_no_range_can_hold() -> None:
    # ends 9, 2, 5: the second word overlaps the first and third frame but not the second
    times = np.array([[0.0, 9.0], [1.0, 2.0], [3.0, 5.0]])
    found = whole_means(np.array([[0.5, 1.5], [4.0, 6.0]]), times, np.array([[1.0], [10.0], [4.0]]))
    assert found.means.tolist() == [[5.5], [2.5]]
    assert found.present.all()


def test_a_frame_counts_fully_however_short_the_overlap_but_not_below_epsilon() -> None:
    times = np.array([[0.0, 1.0], [1.0, 2.0]])
    frames = np.array([[1.0], [3.0]])
    short = whole_means(np.array([[0.0, 1.0 + 0.9 * EPSILON_S]]), times, frames).means
    longer = whole_means(np.array([[0.0, 1.0 + 1.1 * EPSILON_S]]), times, frames).means
    assert (short.item(), longer.item()) == (1.0, 2.0)


def test_a_word_touched_only_by_bad_frames_is_told_from_a_word_without_frames() -> None:
    words = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]])
    found = whole_means(words, words[:2], np.array([[np.nan], [2.0]]))
    assert found.present.tolist() == [False, True, False]
    assert found.touched.tolist() == [True, True, False]
    assert found.means.tolist() == [[0.0], [2.0], [0.0]]
    assert found.n_not_finite == 1


def test_values_beyond_float32_are_left_out_without_a_warning() -> None:
    words = np.array([[0.0, 1.0]])
    found = whole_means(words, np.array([[0.0, 0.5], [0.5, 1.0]]), np.array([[1e300], [2.0]]))
    assert found.means.tolist() == [[2.0]]
    assert found.present.all()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int16])
def test_frames_of_any_numbers_are_added_up(kind: type) -> None:
    frames = np.array([[30_000], [30_000], [30_001]], dtype=kind)
    found = whole_means(np.array([[0.0, 3.0]]), np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]), frames)
    np.testing.assert_allclose(found.means.item(), frames.astype(np.float64).mean(), rtol=1e-7)


def test_an_infinity_in_half_precision_is_left_out() -> None:
    frames = np.array([[np.inf], [2.0]], dtype=np.float16)
    assert whole_means(np.array([[0.0, 2.0]]), np.array([[0.0, 1.0], [1.0, 2.0]]), frames).means.item() == 2.0


@pytest.mark.parametrize("bad", [(1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), (1.0, np.nan)])
def test_rows_without_a_length_have_no_place_in_the_order(bad: tuple[float, float]) -> None:
    intervals = np.array([(5.0, 6.0), bad, (0.0, 9.0), (0.0, 2.0)])
    assert start_order(intervals).tolist() == [2, 3, 0]


def test_overlapping_needs_more_than_a_touch() -> None:
    intervals = np.array([[0.0, 1.0], [1.0, 2.0], [0.5, 1.5], [0.0, 5.0]])
    assert overlapping(intervals, 1.0, 2.0).tolist() == [False, True, True, True]
