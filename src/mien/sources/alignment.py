"""Frames to words and words to segments by overlap in time, as `align` of CMU-MultimodalSDK does it.

A row takes part in an interval if it overlaps it by more than `EPSILON_S`; it then counts fully, however short the
overlap. Sorted search and one running sum per video replace the SDK's scan of all frames for every word.
"""

from __future__ import annotations

import numpy as np

from mien.schema import BoolArray, FloatArray
from mien.sources.pooling import finite_cells

# mmsdk/mmdatasdk/dataset/dataset.py: epsilon = 10e-6
EPSILON_S = 1e-5


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
    intervals: FloatArray, frame_intervals: FloatArray, frames: FloatArray
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """The unweighted mean of the frames that overlap each interval; non-finite values are left out, cell by cell.

    Args:
        intervals: (word, 2) in seconds.
        frame_intervals: (frame, 2) in seconds, in any order.
        frames: (frame, feature), any numbers.

    Returns:
        ``(means, present, touched)``: (word, feature) float32 with zero rows where not present; (word,) whether every
        column has a finite value; (word,) whether any frame overlaps at all.
    """
    order = start_order(frame_intervals)
    frame_intervals = frame_intervals[order]
    values = frames[order].astype(np.float64)  # frame feature
    finite = finite_cells(values)
    all_finite = bool(finite.all())
    if not all_finite:
        values[~finite] = 0
    summed = _sums_by_range if (np.diff(frame_intervals[:, 1]) >= 0).all() else _sums_by_mask
    sums, n_rows = summed(intervals, frame_intervals, values)
    counts = n_rows[:, None] if all_finite else summed(intervals, frame_intervals, finite.astype(np.float64))[0]
    present: BoolArray = (counts > 0).all(axis=1) & (n_rows > 0)
    means = np.zeros(sums.shape, dtype=np.float32)
    means[present] = sums[present] / np.broadcast_to(counts, sums.shape)[present]
    return means, present, n_rows > 0


def _sums_by_range(
    intervals: FloatArray, frame_intervals: FloatArray, values: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(sums, n_rows)`` where starts and ends are both in order: the frames of an interval are neighbours."""
    first = np.searchsorted(frame_intervals[:, 1], intervals[:, 0] + EPSILON_S, side="right")
    stop = np.searchsorted(frame_intervals[:, 0], intervals[:, 1] - EPSILON_S, side="left")
    # an interval no longer than epsilon overlaps nothing, though a frame may reach across it
    stop = np.where(intervals[:, 1] - intervals[:, 0] > EPSILON_S, np.maximum(first, stop), first)
    n_rows = (stop - first).astype(np.float64)
    # one more row, because `reduceat` admits no bound past the last
    padded = np.concatenate([values, np.zeros((1, values.shape[1]))])  # frame+1 feature
    bounds = np.stack([first, stop], axis=1).ravel()  # word*2
    if not len(bounds):
        return padded[:0], n_rows
    # every second sum is of the frames between two ranges; that of an empty range means nothing, see `n_rows`
    sums: FloatArray = np.add.reduceat(padded, bounds, axis=0)[::2]  # word feature
    return sums, n_rows


def _sums_by_mask(
    intervals: FloatArray, frame_intervals: FloatArray, values: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(sums, n_rows)`` where the ends are not in order and the frames of an interval may lie apart."""
    sums = np.zeros((len(intervals), values.shape[1]))
    n_rows = np.zeros(len(intervals))
    for word, (start_s, end_s) in enumerate(intervals):
        inside = overlapping(frame_intervals, start_s, end_s)
        sums[word] = values[inside].sum(axis=0)
        n_rows[word] = inside.sum()
    return sums, n_rows
