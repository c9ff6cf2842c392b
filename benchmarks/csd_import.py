"""How long `mien import csd` takes beside merely reading its files, and whether memory grows with the number of videos.

    python benchmarks/csd_import.py [--videos 50,500] [--repeats 5] [--json]

The data set is synthetic: normally distributed numbers in the layout of CMU-MOSEI (videos of 2.5 minutes; acoustic
100 Hz x 74, visual 30 Hz x 35, 150 words a minute x 300, 20 labelled segments; float32, gzip level 9 in h5py's own
chunks). Ten videos are made, the others are copies of them under other names. It is made in a temporary folder and
removed.

Printed: process time of `mien import csd` on one core (starting Python, taking the sha256 of the files, aligning,
writing and describing the Dataset) over that of a process that reads and decompresses the same arrays with h5py, minima
of the repeats, which take turns; the alignment against a plain numpy scan of all frames for every word, results
compared; peak memory of an import of each number of videos, in processes of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from machine import machine_facts
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
    """The synthetic set."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = {role: h5py.File(folder / f"{role}.csd", "w") for role in ROOTS}
    groups = {role: file.create_group(f"{ROOTS[role]}/data") for role, file in files.items()}
    for number in range(n_videos):
        if number >= N_DISTINCT:
            for group in groups.values():
                group.copy(name_of(number % N_DISTINCT), name_of(number))
            continue
        for role, (intervals, features) in made_up_video(rng).items():
            entry = groups[role].create_group(name_of(number))
            for key, values in (("intervals", intervals), ("features", features)):
                entry.create_dataset(key, data=values, compression="gzip", compression_opts=9)
    for file in files.values():
        file.close()
    return folder


def name_of(number: int) -> str:
    """Id of a video."""
    return f"made-up-{number:06d}"


def made_up_video(rng: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Role -> intervals (row, 2) in seconds and features (row, feature)."""
    word_times = between(np.concatenate([[0], np.sort(rng.uniform(0, LENGTH_S, N_WORDS - 1)), [LENGTH_S]]))
    words = np.array([[f"word{word}".encode()] for word in rng.integers(0, 5_000, N_WORDS)])
    labels = np.concatenate([rng.uniform(-3, 3, (N_SEGMENTS, 1)), rng.integers(0, 4, (N_SEGMENTS, 6))], axis=1)
    video = {
        "labels": (between(np.linspace(0, LENGTH_S, N_SEGMENTS + 1)), labels.astype(np.float32)),
        "words": (word_times, words),
        "text": (word_times, rng.normal(size=(N_WORDS, WIDTHS["text"])).astype(np.float32)),
    }
    for role, rate_hz in RATES_HZ.items():
        times = between(np.arange(int(LENGTH_S * rate_hz) + 1) / rate_hz)
        video[role] = (times, rng.normal(size=(len(times), WIDTHS[role])).astype(np.float32))
    return video


def between(edges_s: Array) -> Array:
    """Edges (row + 1,) -> intervals (row, 2)."""
    return np.stack([edges_s[:-1], edges_s[1:]], axis=1)


def scanned_means(words: Array, frame_intervals: Array, frames: Array) -> Array:
    """The reference: every word looks at every frame."""
    means = np.zeros((len(words), frames.shape[1]), dtype=np.float32)
    for word, (start_s, end_s) in enumerate(words):
        overlap_s = np.minimum(frame_intervals[:, 1], end_s) - np.maximum(frame_intervals[:, 0], start_s)
        inside = overlap_s > EPSILON_S
        if inside.any():
            means[word] = frames[inside].mean(axis=0, dtype=np.float64)
    return means


def measure_alignment(folder: Path, repeats: int) -> dict[str, Any]:
    """Both alignments of the distinct videos; one row per video would say the same."""
    quick_s = scan_s = 0.0
    equal = True
    with h5py.File(folder / "text.csd", "r") as text:
        words = [text[f"{ROOTS['text']}/data/{name_of(n)}/intervals"][()] for n in range(N_DISTINCT)]
    for role in RATES_HZ:
        with h5py.File(folder / f"{role}.csd", "r") as file:
            for number in range(N_DISTINCT):
                entry = file[f"{ROOTS[role]}/data/{name_of(number)}"]
                given = words[number], entry["intervals"][()], entry["features"][()]
                found, seconds = fastest(lambda given=given: aligned(*given), repeats)
                expected, slow_seconds = fastest(lambda given=given: scanned_means(*given), repeats)
                quick_s, scan_s = quick_s + seconds, scan_s + slow_seconds
                equal &= bool(np.allclose(found, expected, rtol=1e-6, atol=1e-7))
    return {
        "videos": N_DISTINCT,
        "alignment_s": quick_s,
        "scan_s": scan_s,
        "alignment_speedup_over_scan": scan_s / quick_s,
        "alignment_equals_scan": equal,
    }


def aligned(words: Array, frame_intervals: Array, frames: Array) -> Array:
    """The alignment of mien."""
    return interval_means(words, frames.shape[1], [(frame_intervals, frames)]).means


def fastest(work: Callable[[], Array], repeats: int) -> tuple[Array, float]:
    """The result and the least process time."""
    seconds = []
    for _ in range(repeats):
        started_s = time.process_time()
        result = work()
        seconds.append(time.process_time() - started_s)
    return result, min(seconds)


def run(command: list[str]) -> dict[str, float]:
    """A process on one core: wall, process time, and its high-water mark of memory."""
    started_s = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    told = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}: {told}")
    return {
        "wall_s": time.perf_counter() - started_s,
        "process_s": usage.ru_utime + usage.ru_stime,
        "peak_memory_mib": usage.ru_maxrss / 1024,
    }


def import_command(folder: Path, out: Path) -> list[str]:
    """The whole command; the made-up ids are in no official fold."""
    roles = ["--rename-split", "none=train", "--carve", "valid=0.2"]
    return [sys.executable, "-m", "mien", "import", "csd", str(folder), "--out", str(out), *roles]


def measure_import(folder: Path, out: Path, repeats: int) -> dict[str, float]:
    """Importing and merely reading in turns."""
    run(import_command(folder, out))  # leaves compiled bytecode and files in the system's cache to all that follow
    imports, reads = [], []
    for _ in range(repeats):
        reads.append(run([sys.executable, "-c", READ_ALL, str(folder)]))
        imports.append(run(import_command(folder, out)))
    facts = {
        f"{name}_{key}": min(row[key] for row in rows)
        for name, rows in (("import", imports), ("reading", reads))
        for key in ("process_s", "wall_s")
    }
    return facts | {
        "import_ratio_to_reading": facts["import_process_s"] / facts["reading_process_s"],
        "import_ratio_to_reading_wall": facts["import_wall_s"] / facts["reading_wall_s"],
    }


def measure(counts: list[int], repeats: int) -> dict[str, Any]:
    """Everything, in one run."""
    facts: dict[str, Any] = {"load_before": os.getloadavg()[0], "machine": machine_facts()}
    # the processes started from here inherit the one core
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    memory = []
    with tempfile.TemporaryDirectory() as name:
        for n_videos in counts:
            folder, out = write_set(Path(name) / f"set-{n_videos}", n_videos), Path(name) / f"out-{n_videos}"
            if not memory:
                facts |= {"n_videos": n_videos} | measure_import(folder, out, repeats)
                facts |= {"alignment": measure_alignment(folder, repeats)}
            memory.append(
                {"n_videos": n_videos, "peak_memory_mib": run(import_command(folder, out))["peak_memory_mib"]}
            )
    peaks = [row["peak_memory_mib"] for row in memory]
    return facts | {"memory": memory, "memory_ratio": max(peaks) / peaks[0], "peak_memory_mib": max(peaks)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", default="50,500", help="numbers of videos; the first is timed, all are weighed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    counts = [int(text) for text in arguments.videos.split(",")]
    if min(counts) < N_DISTINCT:
        parser.error(f"Expected at least {N_DISTINCT} videos, but got {min(counts)}")
    facts = measure(counts, arguments.repeats)
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return
    print(
        "  ".join(f"{name}: {value}" for name, value in facts["machine"].items()), f" load {facts['load_before']:.1f}"
    )
    print(f"import / reading, process time: {facts['import_ratio_to_reading']:.2f}  ", end="")
    print(f"({facts['import_process_s']:.2f} s / {facts['reading_process_s']:.2f} s, {facts['n_videos']} videos)")
    print(f"import / reading, wall: {facts['import_ratio_to_reading_wall']:.2f}")
    alignment = facts["alignment"]
    print(
        f"scan / alignment: {alignment['alignment_speedup_over_scan']:.1f}  equal: {alignment['alignment_equals_scan']}"
    )
    for row in facts["memory"]:
        print(f"{row['n_videos']} videos: peak {row['peak_memory_mib']:.0f} MiB")
    print(f"largest peak / first: {facts['memory_ratio']:.3f}")


if __name__ == "__main__":
    main()
