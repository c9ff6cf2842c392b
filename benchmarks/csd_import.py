"""Cost of `mien import csd` relative to reading its files, and its memory by the number of videos.

    python benchmarks/csd_import.py [--videos 50,500] [--repeats 5] [--json]

The data set is synthetic: normally distributed numbers in the layout of CMU-MOSEI (videos of 2.5 minutes; acoustic
100 Hz x 74, visual 30 Hz x 35, 150 words a minute x 300, 20 labelled segments; float32, gzip level 9 in h5py's default
chunks). Ten videos are generated; the others are copies of them under other names.

Measured on one core: processor time of `mien import csd` (start of Python, sha256 of the files, alignment, writing and
describing the Dataset), compared with a process that reads and decompresses the same arrays with h5py; processor time
of the alignment, compared with a plain numpy scan of all frames for every word that must give equal results; and peak
memory of an import for each number of videos.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import harness
import numpy as np
from numpy.typing import NDArray

from mien.readers.csd.alignment import EPSILON_S, interval_means

LENGTH_S = 150.0
RATES_HZ = {"acoustic": 100, "visual": 30}
WIDTHS = {"acoustic": 74, "visual": 35, "text": 300}
ROOTS = {
    "labels": "All Labels",
    "words": "words",
    "text": "glove_vectors",
    "acoustic": "COVAREP",
    "visual": "FACET 4.2",
}
N_WORDS, N_SEGMENTS, N_DISTINCT = 375, 20, 10
Array = NDArray[Any]

READ_ALL = """
import pathlib, sys
import h5py
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.csd")):
    with h5py.File(path, "r") as file:
        data = file[next(iter(file))]["data"]
        for name in data:
            data[name]["features"][()], data[name]["intervals"][()]
"""


def write_set(folder: Path, n_videos: int) -> Path:
    """Write the synthetic data set.

    Args:
        folder: New folder for the files.
        n_videos: Number of videos.

    Returns:
        The folder.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    distinct = [made_up_video(rng) for _ in range(N_DISTINCT)]
    for role, root in ROOTS.items():
        with h5py.File(folder / f"{role}.csd", "w") as file:
            group = file.create_group(f"{root}/data")
            for number in range(n_videos):
                if number >= N_DISTINCT:
                    group.copy(f"{number % N_DISTINCT:06d}", f"{number:06d}")
                    continue
                entry = group.create_group(f"{number:06d}")
                for key, values in zip(("intervals", "features"), distinct[number][role], strict=True):
                    entry.create_dataset(key, data=values, compression="gzip", compression_opts=9)
    return folder


def made_up_video(rng: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Generate a video: role -> intervals (row, 2) in seconds and features (row, feature)."""
    word_edges = np.concatenate([[0], np.sort(rng.uniform(0, LENGTH_S, N_WORDS - 1)), [LENGTH_S]])
    edges = {"labels": np.linspace(0, LENGTH_S, N_SEGMENTS + 1), "words": word_edges, "text": word_edges}
    edges |= {role: np.arange(int(LENGTH_S * rate_hz) + 1) / rate_hz for role, rate_hz in RATES_HZ.items()}
    sizes = {role: (len(edges[role]) - 1, width) for role, width in WIDTHS.items()}
    rows: dict[str, Array] = {role: rng.normal(size=size).astype(np.float32) for role, size in sizes.items()}
    rows["words"] = np.array([[f"word{word}".encode()] for word in rng.integers(0, 5_000, N_WORDS)])
    scores, degrees = rng.uniform(-3, 3, (N_SEGMENTS, 1)), rng.integers(0, 4, (N_SEGMENTS, 6))
    rows["labels"] = np.concatenate([scores, degrees], axis=1).astype(np.float32)
    return {role: (np.stack([edges[role][:-1], edges[role][1:]], axis=1), rows[role]) for role in ROOTS}


def scanned_means(words: Array, frame_intervals: Array, frames: Array) -> Array:
    """Align frames with words by comparing every word with every frame: the reference.

    Args:
        words: Start and end of each word in seconds, (word, 2).
        frame_intervals: Start and end of each frame in seconds, (frame, 2).
        frames: Features (frame, feature).

    Returns:
        Mean features (word, feature); 0 for a word without frames.
    """
    means = np.zeros((len(words), frames.shape[1]), dtype=np.float32)
    for word, (start_s, end_s) in enumerate(words):
        overlap_s = np.minimum(frame_intervals[:, 1], end_s) - np.maximum(frame_intervals[:, 0], start_s)
        inside = overlap_s > EPSILON_S
        if inside.any():
            means[word] = frames[inside].mean(axis=0, dtype=np.float64)
    return means


def aligned(words: Array, frame_intervals: Array, frames: Array) -> Array:
    """Align frames with words by mien.

    Args:
        words: Start and end of each word in seconds, (word, 2).
        frame_intervals: Start and end of each frame in seconds, (frame, 2).
        frames: Features (frame, feature).

    Returns:
        Mean features (word, feature).
    """
    return interval_means(words, frames.shape[1], [(frame_intervals, frames)]).means


def measure_alignment(repeats: int) -> dict[str, float]:
    """Measure both alignments of the distinct videos, in seconds. Raises SystemExit where their results differ."""
    rng = np.random.default_rng(0)
    videos = [made_up_video(rng) for _ in range(N_DISTINCT)]
    inputs = [(video["words"][0], *video[role]) for video in videos for role in RATES_HZ]
    if not all(
        np.allclose(aligned(*arguments), scanned_means(*arguments), rtol=1e-6, atol=1e-7) for arguments in inputs
    ):
        raise SystemExit("Expected the alignment to equal a scan of all frames, but got other means")

    def seconds(way: Callable[..., Array]) -> float:
        return harness.process_s(lambda: [way(*arguments) for arguments in inputs])

    ways = {"alignment": partial(seconds, aligned), "scan": partial(seconds, scanned_means)}
    return {name: min(each) for name, each in harness.in_turns(ways, repeats).items()}


def import_set(folder: Path, out: Path) -> dict[str, float]:
    """Run `mien import csd`. The splits are given, because the synthetic video ids are in no official fold.

    Args:
        folder: Folder of the data set.
        out: Folder of the Dataset.

    Returns:
        Costs of the command.
    """
    return harness.mien("import", "csd", folder, "--out", out, "--rename-split", "none=train", "--carve", "valid=0.2")


def measure(videos: str = "50,500", repeats: int = 5) -> harness.Report:
    """Measure import and alignment on one core, which child processes inherit.

    Args:
        videos: Comma-separated numbers of videos; the first one is also timed.
        repeats: Number of turns.

    Returns:
        Times, memory and their ratios.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out"
        sets = {n: write_set(Path(name) / f"set-{n}", n) for n in map(int, videos.split(","))}
        # memory first, because these imports fill the bytecode and file caches for the timed ones
        peaks = {n: import_set(folder, out)["peak_mib"] for n, folder in sets.items()}
        timed, folder = next(iter(sets.items()))
        read_all = [sys.executable, "-c", READ_ALL, str(folder)]
        ways = {"import": partial(import_set, folder, out), "reading": partial(harness.run, read_all)}
        results = harness.in_turns(ways, repeats)
    least = {way: min(run["process_s"] for run in turns) for way, turns in results.items()} | measure_alignment(repeats)
    return harness.Report(
        {"videos": timed, "videos of the alignment": N_DISTINCT},
        {
            "least processor time": [{"way": way, "s": seconds} for way, seconds in least.items()],
            "memory of an import": [{"videos": n, "peak MiB": peak} for n, peak in peaks.items()],
        },
        {
            "import_ratio_to_reading": least["import"] / least["reading"],
            "alignment_speedup_over_scan": least["scan"] / least["alignment"],
            "memory_ratio": max(peaks.values()) / peaks[timed],
        },
    )


if __name__ == "__main__":
    harness.main(measure)
