"""`mien extract` killed at random, five times: the same Dataset bytes as one that nobody stopped."""

from __future__ import annotations

import csv
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from mien.media.clips import read_subtitles
from mien.schema import EMOTIONS
from mien.storage.dataset import open_dataset
from mien.video.demo import sample_clip
from mien.video.extract import cache_beside

SPLITS = {"a": "train", "b": "train", "c": "valid"}


def command(folder, out):
    return [
        sys.executable,
        "-m",
        "mien",
        "extract",
        str(folder),
        "--labels",
        str(folder / "labels.csv"),
        "--out",
        str(out),
    ]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """The sample clip under three names, each with three of its sentences; the labels are made up."""
    folder = tmp_path_factory.mktemp("raw")
    cues, _ = read_subtitles(sample_clip().with_suffix(".srt"), 60.0)
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["video_id", "split", "start", "end", "text", "sentiment", *EMOTIONS])
        for number, (name, split) in enumerate(SPLITS.items()):
            shutil.copy(sample_clip(), folder / f"{name}.mp4")
            for cue in cues[number : number + 3]:
                writer.writerow([name, split, cue.start_s, cue.end_s, cue.transcript, 1 - number, *[0] * 5, 1])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [2, pytest.param(5, marks=pytest.mark.exhaustive)])
def test_kills_at_random_change_no_byte(labelled, tmp_path, n_kills):
    started_s = time.monotonic()
    subprocess.run(command(labelled, tmp_path / "whole"), check=True, capture_output=True)
    whole_s = time.monotonic() - started_s
    draw = random.Random(0)
    n_killed = 0
    for _ in range(n_kills):
        process = subprocess.Popen(
            command(labelled, tmp_path / "data"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(draw.uniform(0.1, 0.6) * whole_s)
        process.kill()  # does nothing where the process has ended
        n_killed += process.wait() == -signal.SIGKILL
    # a later one may be done before its turn comes, because it goes on where the others stopped
    assert n_killed >= n_kills // 2
    kept = {path: path.stat().st_mtime_ns for path in cache_beside(tmp_path / "data").glob("*.parquet")}
    subprocess.run(command(labelled, tmp_path / "data"), check=True, capture_output=True)
    for path, written_ns in kept.items():
        assert path.stat().st_mtime_ns == written_ns, "what an earlier run finished is not made again"
    assert (tmp_path / "data/utterances.parquet").read_bytes() == (tmp_path / "whole/utterances.parquet").read_bytes()
    assert open_dataset(tmp_path / "data").facts.origin == open_dataset(tmp_path / "whole").facts.origin
    assert [path.name for path in tmp_path.rglob("*.partial-*")] == []
