"""The 95 % interval of a weighted F1 under resampling of videos, against a plain loop over scikit-learn.

    python benchmarks/metrics.py [--videos 676] [--resamples 1000] [--repeats 3] [--json]

Synthetic labels and answers of the size of CMU-MOSEI's test split. Processor time of mien's code, which counts every
video once, and of the loop, which scores every resample anew. Intervals that differ end the benchmark.
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
    """Ends of the interval, by mien."""
    n_videos = int(video[-1]) + 1
    per_video = count_per_video(target, predicted, video, n_videos)
    found = percentile_interval(weighted_f1(per_video.resampled(video_weights(n_videos, n_resamples))))
    return found.low, found.high


def looped(target: Array, predicted: Array, video: Array, n_resamples: int) -> tuple[float, float]:
    """Ends of the interval over the same resamples, each scored by scikit-learn."""
    n_videos = int(video[-1]) + 1
    rows_of = [np.flatnonzero(video == number) for number in range(n_videos)]
    values = []
    for weights in video_weights(n_videos, n_resamples):
        rows = np.concatenate([rows_of[number] for number in np.repeat(np.arange(n_videos), weights)])
        values.append(f1_score(target[rows], predicted[rows], average="weighted"))
    found = percentile_interval(np.array(values))
    return found.low, found.high


def measure(videos: int = 676, resamples: int = 1000, repeats: int = 3) -> harness.Report:
    """Both, in turns."""
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(videos), mosei_like_lengths(videos, rng))
    target = rng.random(len(video)) < 0.2
    predicted = rng.normal(size=len(video)) + 1.5 * target > 1  # it knows something
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
