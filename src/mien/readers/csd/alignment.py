"""Alignment of frames to words and of words to segments by overlap in time, as in `align` of CMU-MultimodalSDK.

A frame is a feature vector with a start and an end time. A frame belongs to a word, and a word to a segment, if they
overlap by more than `EPSILON_S`. All frames of a word have the same weight, whatever the length of the overlap. The SDK
scans all frames for every word. This module instead finds the frames of a word by search in sorted times, and sums
neighbouring frames at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mien.schema import BoolArray, FloatArray, IntArray

# the same value as in the SDK (mmsdk/mmdatasdk/dataset/dataset.py: epsilon = 10e-6)
EPSILON_S = 1e-5
# up to this number of frames, sums in single precision are fast and exact to a few units in the last place; longer sums
# use double precision
SHORT_WORD_FRAMES = 128


@dataclass(frozen=True, slots=True)
class IntervalMeans:
    """Mean feature vector of the frames that overlap each word."""

    means: FloatArray  # (word, feature) float32, zero rows where not present
    present: BoolArray  # (word,) whether every column has a finite value
    touched: BoolArray  # (word,) whether any frame overlaps the word
    n_not_finite: int  # number of values that are not finite, in all frames


def start_order(intervals: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the indices that sort intervals (row, 2), given in seconds, by their start.

    Intervals shorter than `EPSILON_S` are left out. Intervals with equal starts keep their order.
    """
    usable = np.flatnonzero(intervals[:, 1] - intervals[:, 0] >= EPSILON_S)
    order: np.ndarray[tuple[int], np.dtype[np.intp]] = usable[np.argsort(intervals[usable, 0], kind="stable")]
    return order


def overlapping(intervals: FloatArray, start_s: float, end_s: float) -> BoolArray:
    """Find the intervals that overlap a segment by more than `EPSILON_S`.

    Args:
        intervals: Start and end of each row (row, 2) in seconds.
        start_s: Start of the segment in seconds.
        end_s: End of the segment in seconds.

    Returns:
        Mask (row,) of the overlapping intervals.
    """
    overlap_s = np.minimum(intervals[:, 1], end_s) - np.maximum(intervals[:, 0], start_s)
    mask: BoolArray = overlap_s > EPSILON_S
    return mask


def interval_means(
    intervals: FloatArray, n_features: int, blocks: Iterable[tuple[FloatArray, FloatArray]]
) -> IntervalMeans:
    """Compute for each word the unweighted mean of the frames that overlap it. Non-finite values are left out.

    Args:
        intervals: Start and end of each word (word, 2) in seconds.
        n_features: Number of columns of the frames.
        blocks: The frames, in one or several blocks and in any order. A block is ``(intervals, features)``: start and
            end of each frame (frame, 2) in seconds, and its features (frame, feature). A number beyond the range of
            float32 counts as not finite.

    Returns:
        The means, with masks that tell which words have a mean and which overlap any frame.
    """
    sums = np.zeros((len(intervals), n_features))
    counts = np.zeros((len(intervals), n_features))
    n_rows = np.zeros(len(intervals), dtype=np.int64)
    n_not_finite = 0
    for frame_intervals, stored in blocks:
        with np.errstate(over="ignore"):
            frames = stored.astype(np.float32, copy=False)
        finite: BoolArray = np.isfinite(frames)
        n_not_finite += int(finite.size - np.count_nonzero(finite))
        block_sums, block_rows, block_counts = _finite_sums(intervals, frame_intervals, frames, finite)
        sums += block_sums
        n_rows += block_rows
        counts += block_counts
    present: BoolArray = (counts > 0).all(axis=1) & (n_rows > 0)
    means = np.zeros(sums.shape, dtype=np.float32)
    means[present] = sums[present] / counts[present]
    return IntervalMeans(means, present, n_rows > 0, n_not_finite)


def _finite_sums(
    intervals: FloatArray, frame_intervals: FloatArray, frames: FloatArray, finite: BoolArray
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Sum the finite values of the frames that overlap each word.

    Returns:
        ``(sums, n_rows, counts)``: sums (word, feature), number of overlapping frames (word,), and number of finite
        values in each sum (word, feature).
    """
    order = start_order(frame_intervals)
    if not np.array_equal(order, np.arange(len(frames))):
        frame_intervals, frames, finite = frame_intervals[order], frames[order], finite[order]
    all_finite = finite.all()
    values = frames if all_finite else np.where(finite, frames, np.float32(0))
    sum_frames = _sums_by_range if (np.diff(frame_intervals[:, 1]) >= 0).all() else _sums_by_mask
    sums, n_rows = sum_frames(intervals, frame_intervals, values)
    if not np.isfinite(sums).all():
        # the sum of finite values exceeded single precision
        sums, _ = sum_frames(intervals, frame_intervals, values.astype(np.float64))
    counts = np.repeat(n_rows[:, None].astype(np.float64), frames.shape[1], axis=1)
    if not all_finite:
        not_all_finite = ~finite.all(axis=0)
        counts[:, not_all_finite] = sum_frames(
            intervals, frame_intervals, finite[:, not_all_finite].astype(np.float32)
        )[0]
    return sums, n_rows, counts


def _sums_by_range(
    intervals: FloatArray, frame_intervals: FloatArray, values: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Sum the frames of each word, if the frames are sorted both by start and by end.

    In this case, the frames of a word are consecutive.

    Returns:
        ``(sums, n_rows)``: sums (word, feature) and number of overlapping frames (word,).
    """
    first = np.searchsorted(frame_intervals[:, 1], intervals[:, 0] + EPSILON_S, side="right")
    stop = np.searchsorted(frame_intervals[:, 0], intervals[:, 1] - EPSILON_S, side="left")
    # an interval no longer than epsilon overlaps no frame, even if a frame spans it
    stop = np.where(intervals[:, 1] - intervals[:, 0] > EPSILON_S, np.maximum(first, stop), first)
    sums = np.zeros((len(intervals), values.shape[1]))
    short = np.zeros(sums.shape, dtype=values.dtype)
    ones = np.ones(SHORT_WORD_FRAMES, dtype=values.dtype)
    # sums can exceed float32 and become infinite or NaN; the caller checks for this
    with np.errstate(invalid="ignore", over="ignore"):
        for word, (start, end) in enumerate(zip(first.tolist(), stop.tolist(), strict=True)):
            if end - start <= SHORT_WORD_FRAMES:
                np.dot(ones[: end - start], values[start:end], out=short[word])
            else:
                np.add.reduce(values[start:end], axis=0, dtype=np.float64, out=sums[word])
        sums += short
    return sums, stop - first


def _sums_by_mask(
    intervals: FloatArray, frame_intervals: FloatArray, values: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Sum the frames of each word, if the ends of the frames are not sorted.

    In this case, other frames can lie between the frames of a word.

    Returns:
        ``(sums, n_rows)``: sums (word, feature) and number of overlapping frames (word,).
    """
    sums = np.zeros((len(intervals), values.shape[1]))
    n_rows = np.zeros(len(intervals), dtype=np.int64)
    for word, (start_s, end_s) in enumerate(intervals):
        inside = overlapping(frame_intervals, start_s, end_s)
        sums[word] = values[inside].sum(axis=0, dtype=np.float64)
        n_rows[word] = inside.sum()
    return sums, n_rows
