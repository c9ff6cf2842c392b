"""Frames to words and words to segments by overlap in time, as `align` of CMU-MultimodalSDK does it.

A row takes part in an interval if it overlaps it by more than `EPSILON_S`; it then counts fully, however short the
overlap. Sorted search and sums over neighbouring frames replace the SDK's scan of all frames for every word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.schema import BoolArray, FloatArray, IntArray
from mien.sources.pooling import LARGEST, finite_cells

# mmsdk/mmdatasdk/dataset/dataset.py: epsilon = 10e-6
EPSILON_S = 1e-5
# the frames of so many words are added up at once: their copy in double precision then stays in the processor's cache
WORDS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class IntervalMeans:
    """What the frames say about each word."""

    means: FloatArray  # (word, feature) float32, zero rows where not present
    present: BoolArray  # (word,) whether every column has a finite value
    touched: BoolArray  # (word,) whether any frame overlaps at all
    n_not_finite: int  # cells left out, in a word or not


def start_order(intervals: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Rows of intervals (row, 2) in seconds that have a length, by start; equal starts keep their order."""
    usable = np.flatnonzero(intervals[:, 1] - intervals[:, 0] >= EPSILON_S)
    order: np.ndarray[tuple[int], np.dtype[np.intp]] = usable[np.argsort(intervals[usable, 0], kind="stable")]
    return order


def overlapping(intervals: FloatArray, start_s: float, end_s: float) -> BoolArray:
    """Which intervals (row, 2) in seconds overlap start_s..end_s by more than `EPSILON_S`; (row,)."""
    overlap_s = np.minimum(intervals[:, 1], end_s) - np.maximum(intervals[:, 0], start_s)
    inside: BoolArray = overlap_s > EPSILON_S
    return inside


def interval_means(
    intervals: FloatArray, n_features: int, blocks: Iterable[tuple[FloatArray, FloatArray]]
) -> IntervalMeans:
    """The unweighted mean of the frames that overlap each interval; non-finite values are left out, cell by cell.

    Args:
        intervals: (word, 2) in seconds; quickest in start order.
        n_features: columns of the frames.
        blocks: the frames in one piece or several, in any order: (frame, 2) in seconds and (frame, feature).
    """
    sums = np.zeros((len(intervals), n_features))
    counts = np.zeros((len(intervals), n_features))
    n_rows = np.zeros(len(intervals), dtype=np.int64)
    n_not_finite = 0
    for frame_intervals, frames in blocks:
        frames = frames.astype(np.result_type(frames, np.float32), copy=False)
        finite = None
        if not _all_finite(frames):
            finite = finite_cells(frames)
            frames = np.where(finite, frames, 0)
            n_not_finite += int(finite.size - finite.sum())
        order = start_order(frame_intervals)
        if len(order) < len(frames) or (np.diff(order) != 1).any():
            frame_intervals, frames = frame_intervals[order], frames[order]
            finite = None if finite is None else finite[order]
        summed = _sums_by_range if (np.diff(frame_intervals[:, 1]) >= 0).all() else _sums_by_mask
        block_sums, block_rows = summed(intervals, frame_intervals, frames)
        sums += block_sums
        n_rows += block_rows
        counts += block_rows[:, None] if finite is None else summed(intervals, frame_intervals, finite)[0]
    present: BoolArray = (counts > 0).all(axis=1) & (n_rows > 0)
    means = np.zeros(sums.shape, dtype=np.float32)
    means[present] = sums[present] / counts[present]
    return IntervalMeans(means, present, n_rows > 0, n_not_finite)


def _all_finite(values: FloatArray) -> bool:
    """`finite_cells(values).all()` without its copies: a NaN makes both comparisons false."""
    return not values.size or bool(values.min() >= -LARGEST and values.max() <= LARGEST)


def _sums_by_range(
    intervals: FloatArray, frame_intervals: FloatArray, values: NDArray[Any]
) -> tuple[FloatArray, IntArray]:
    """``(sums, n_rows)`` where starts and ends are both in order: the frames of an interval are neighbours."""
    first = np.searchsorted(frame_intervals[:, 1], intervals[:, 0] + EPSILON_S, side="right")
    stop = np.searchsorted(frame_intervals[:, 0], intervals[:, 1] - EPSILON_S, side="left")
    # an interval no longer than epsilon overlaps nothing, though a frame may reach across it
    stop = np.where(intervals[:, 1] - intervals[:, 0] > EPSILON_S, np.maximum(first, stop), first)
    sums = np.zeros((len(intervals), values.shape[1]))
    for start in range(0, len(intervals), WORDS_AT_ONCE):
        words = slice(start, start + WORDS_AT_ONCE)
        bounds = np.stack([first[words], stop[words]], axis=1).ravel()  # word*2
        low, high = int(bounds.min()), int(bounds.max())
        # one more row, because `reduceat` admits no bound past the last
        near = np.zeros((high - low + 1, values.shape[1]))
        near[:-1] = values[low:high]
        # every second sum is of the frames between two ranges
        sums[words] = np.add.reduceat(near, bounds - low, axis=0)[::2]
    # `reduceat` gives an empty range the row it begins at
    sums[first == stop] = 0
    return sums, stop - first


def _sums_by_mask(
    intervals: FloatArray, frame_intervals: FloatArray, values: NDArray[Any]
) -> tuple[FloatArray, IntArray]:
    """``(sums, n_rows)`` where the ends are not in order and the frames of an interval may lie apart."""
    sums = np.zeros((len(intervals), values.shape[1]))
    n_rows = np.zeros(len(intervals), dtype=np.int64)
    for word, (start_s, end_s) in enumerate(intervals):
        inside = overlapping(frame_intervals, start_s, end_s)
        sums[word] = values[inside].sum(axis=0, dtype=np.float64)
        n_rows[word] = inside.sum()
    return sums, n_rows
