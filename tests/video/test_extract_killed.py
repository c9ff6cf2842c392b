"""`mien extract` killed at random: the same Dataset bytes as one that nobody stopped."""

from __future__ import annotations

import csv
import shutil

import pytest
from tests.kills import EARLY_MOMENTS, kill_at_random, mien_command, seconds_of

from mien.media.subtitles import read_subtitles
from mien.schema import EMOTIONS
from mien.storage.dataset import open_dataset
from mien.video.demo import sample_clip
from mien.video.feature_cache import cache_beside

SPLITS = {"a": "train", "b": "train", "c": "valid"}


def command(folder, out):
    return mien_command("extract", folder, "--labels", folder / "labels.csv", "--out", out)


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
@pytest.mark.exhaustive
def test_kills_at_random_change_no_byte(labelled, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "data"
    kept = {}

    def look():
        """What an earlier call finished is not made again."""
        cached = {path: path.stat().st_mtime_ns for path in cache_beside(out).glob("*.parquet")}
        assert kept.items() <= cached.items()
        kept.update(cached)

    def start_over():
        look()
        kept.clear()
        shutil.rmtree(out)
        shutil.rmtree(cache_beside(out))

    whole_s = seconds_of(command(labelled, whole))
    kill_at_random(command(labelled, out), 10, whole_s, start_over=start_over, after_kill=look, moments=EARLY_MOMENTS)
    look()
    assert (out / "utterances.parquet").read_bytes() == (whole / "utterances.parquet").read_bytes()
    assert open_dataset(out).facts.origin == open_dataset(whole).facts.origin
    assert [path.name for path in tmp_path.rglob("*.partial-*")] == []
