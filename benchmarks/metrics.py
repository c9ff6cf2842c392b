"""Speed of the 95 % bootstrap interval of a weighted F1 over videos, against a plain loop over scikit-learn.

    python benchmarks/metrics.py [--videos 676] [--resamples 1000] [--repeats 3] [--json]

Synthetic labels and predictions in the size of the test split of CMU-MOSEI. Compares the processor time of mien, which
counts every video once, with that of a loop that scores every resample from its rows. If the intervals differ, the
benchmark fails.
"""

from __future__ import annotations

from functools import partial

import harness
import numpy as np
from sklearn.metrics import f1_score
from synthetic import mosei_like_lengths

from mien.metrics.confusion import count_per_video, weighted_f1
from mien.metrics.significance import percentile_interval, video_weights

EXACT = 1e-12
Array = np.ndarray


def counted(target: Array, predicted: Array, video: Array, n_resamples: int) -> tuple[float, float]:
    """Compute the interval by mien.

    Args:
        target: Gold classes (utterance,).
        predicted: Predicted classes (utterance,).
        video: Ascending video numbers (utterance,).
        n_resamples: Number of resamples.

    Returns:
        Lower and upper end.
    """
    n_videos = int(video[-1]) + 1
    per_video = count_per_video(target, predicted, video, n_videos)
    interval = percentile_interval(weighted_f1(per_video.resampled(video_weights(n_videos, n_resamples))))
    return interval.low, interval.high


def looped(target: Array, predicted: Array, video: Array, n_resamples: int) -> tuple[float, float]:
    """Compute the interval over the same resamples, each scored by scikit-learn.

    Args:
        target: Gold classes (utterance,).
        predicted: Predicted classes (utterance,).
        video: Ascending video numbers (utterance,).
        n_resamples: Number of resamples.

    Returns:
        Lower and upper end.
    """
    n_videos = int(video[-1]) + 1
    rows_of = [np.flatnonzero(video == number) for number in range(n_videos)]
    values = []
    for weights in video_weights(n_videos, n_resamples):
        rows = np.concatenate([rows_of[number] for number in np.repeat(np.arange(n_videos), weights)])
        values.append(f1_score(target[rows], predicted[rows], average="weighted"))
    interval = percentile_interval(np.array(values))
    return interval.low, interval.high


def measure(videos: int = 676, resamples: int = 1000, repeats: int = 3) -> harness.Report:
    """Measure both functions in turns.

    Args:
        videos: Number of videos.
        resamples: Number of resamples.
        repeats: Number of turns.

    Returns:
        Times, and the speed-up of mien.
    """
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(videos), mosei_like_lengths(videos, rng))
    target = rng.random(len(video)) < 0.2
    predicted = rng.normal(size=len(video)) + 1.5 * target > 1  # better than chance
    data = target, predicted, video, resamples
    mine, theirs = counted(*data), looped(*data)
    if not np.allclose(mine, theirs, rtol=0, atol=EXACT):
        raise SystemExit(f"Expected the interval that scikit-learn gives, {theirs}, but got {mine}")
    ways = {way.__name__: partial(harness.process_s, partial(way, *data)) for way in (counted, looped)}
    times = harness.in_turns(ways, repeats)
    return harness.Report(
        {"videos": videos, "utterances": len(video), "resamples": resamples},
        {"processor time": [{"way": name} | harness.spread(each, "s") for name, each in times.items()]},
        {"speedup_over_loop": min(times["looped"]) / min(times["counted"])},
    )


if __name__ == "__main__":
    harness.main(measure)
