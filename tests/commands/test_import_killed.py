"""`mien import` killed in the middle, or shared between processes: the same bytes as from one that nobody stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.kills import kill_at_random, mien_command, seconds_of
from tests.readers import examples as files

from mien.commands.import_ import ImportOptions, import_dataset
from mien.errors import DataError, UsageError, WorkerError
from mien.readers.base import read_in_order
from mien.readers.csd.folds import mosei_folds
from mien.readers.rules import TRANSCRIPT_SHARED, VIDEO_EMPTY
from mien.schema import Utterance, Video
from mien.storage.dataset import open_dataset

N_VIDEOS, N_SEGMENTS = 28, 256
# of the official folds; the first is a train and the last a test video
IDS = sorted(
    sorted(key for key, fold in mosei_folds().items() if fold == "train")[: N_VIDEOS - 2]
    + [key for key, fold in mosei_folds().items() if fold == "valid"][:1]
    + [max(key for key, fold in mosei_folds().items() if fold == "test")]
)
# videos whose rows make the first group of 2,048
FIRST_GROUP = 8
ROLES = ["--rename-split", "valid=none", "--carve", "valid=0.2"]
OPTIONS = ImportOptions(rename_splits={"valid": "none"}, carve={"valid": 0.2})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """28 talks of 256 one-word segments: four groups of rows. One has no usable segment, one no face, one -inf."""
    rng = np.random.default_rng(4)
    path = tmp_path_factory.mktemp("csd")
    times = np.arange(N_SEGMENTS)[:, None] + np.array([0.0, 1.0])
    frames = np.arange(4 * N_SEGMENTS)[:, None] / 4 + np.array([0.0, 0.25])
    segments = {key: (times, rng.uniform(-3, 3, size=(N_SEGMENTS, 7))) for key in IDS}
    segments[IDS[11]] = (times[:3, ::-1], np.zeros((3, 7)))
    voices = {key: (frames, rng.normal(size=(len(frames), 6))) for key in IDS}
    voices[IDS[20]][1][5:9] = -np.inf
    faces = {key: (frames, rng.normal(size=(len(frames), 4))) for key in IDS if key != IDS[26]}
    spoken = {key: (times, np.array([[f"{key}word{n}".encode()] for n in range(N_SEGMENTS)])) for key in IDS}
    # one text in two splits, in the first group and in the last
    for key in (IDS[0], IDS[-1]):
        spoken[key][1][5] = b"hello"
    files.write_csd(path / "labels.csd", "All Labels", segments, files.LABEL_NAMES)
    files.write_csd(path / "words.csd", "words", spoken)
    vectors = {key: (times, rng.normal(size=(N_SEGMENTS, 8))) for key in IDS}
    files.write_csd(path / "text.csd", "glove_vectors", vectors)
    files.write_csd(path / "voice.csd", "COVAREP", voices)
    files.write_csd(path / "face.csd", "FACET 4.2", faces)
    return path


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    return import_dataset("csd", [folder], tmp_path_factory.mktemp("whole") / "data", OPTIONS)


def assert_same(dataset, whole):
    for name in ("utterances.parquet", "dataset.json"):
        assert (dataset.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert [path.name for path in dataset.folder.parent.iterdir()] == ["data"]


# An import that halts after two groups of rows, so that it can be killed there.
HALT = """
import sys, time
from mien.commands.import_ import ImportOptions, import_dataset

def halt(done, _total):
    if done > int(sys.argv[3]):
        print("now", flush=True)
        time.sleep(600)

if __name__ == "__main__":
    options = ImportOptions(rename_splits={"valid": "none"}, carve={"valid": 0.2}, workers=int(sys.argv[4]))
    import_dataset("csd", [sys.argv[1]], sys.argv[2], options, halt)
"""


def killed(folder, out, workers, script):
    script.write_text(HALT, encoding="utf-8")
    command = [sys.executable, str(script), str(folder), str(out), str(FIRST_GROUP), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == b"now\n"
        os.kill(process.pid, signal.SIGKILL)
    return process.pid


def alive_in_session(leader):
    """Processes of a session that still run."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(leader)], capture_output=True, text=True, check=False)
    return [line for line in listed.stdout.splitlines() if "Z" not in line.split()[1]]


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_leaves_no_dataset_or_the_old_one_and_the_next_import_the_same_bytes(folder, whole, tmp_path, workers):
    out, script = tmp_path / "data", tmp_path / "halt.py"
    leader = killed(folder, out, workers, script)
    assert not out.exists()
    assert len(list(tmp_path.glob(".data.partial-*"))) == 1
    deadline_s = time.monotonic() + 60
    while alive_in_session(leader) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert alive_in_session(leader) == [], "the helpers of a killed import end too"
    old = import_dataset("csd", [folder], out, replace(OPTIONS, carve_seed=1))
    killed(folder, out, workers, script)
    assert open_dataset(out).fingerprint == old.fingerprint
    script.unlink()
    command = [sys.executable, "-m", "mien", "import", "csd", str(folder), "--out", str(out), *ROLES]
    told = subprocess.run([*command, "--workers", str(workers)], capture_output=True, text=True, check=True).stderr
    lines = [line for line in told.splitlines() if line.startswith("import csd: ")]
    assert lines[-1] == f"import csd: {N_VIDEOS} of {N_VIDEOS}"
    assert_same(open_dataset(out), whole)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kills_at_random_change_no_byte(folder, whole, tmp_path):
    out = tmp_path / "data"

    def import_old():
        return import_dataset("csd", [folder], out, replace(OPTIONS, carve_seed=1))

    command = mien_command("import", "csd", folder, "--out", out, *ROLES)
    whole_s = seconds_of(command)
    either = {import_old().fingerprint, whole.fingerprint}
    assert len(either) == 2
    kill_at_random(
        command,
        10,
        whole_s,
        start_over=import_old,
        after_kill=lambda: either.intersection([open_dataset(out).fingerprint]) or pytest.fail("neither"),
    )
    assert_same(open_dataset(out), whole)


def test_the_set_holds_what_could_differ(whole):
    assert whole.facts.origin["notes"][VIDEO_EMPTY] == 1
    assert whole.facts.origin["notes"][TRANSCRIPT_SHARED] == 1
    assert sum(count["videos"] for count in whole.counts.values()) == N_VIDEOS - 1
    assert pq.ParquetFile(whole.folder / "utterances.parquet").num_row_groups == 4


def test_an_interrupted_import_leaves_nothing_behind(folder, tmp_path):
    def interrupt(done, _total):
        if done > FIRST_GROUP:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_dataset("csd", [folder], tmp_path / "data", OPTIONS, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_refused_data_leave_nothing_behind(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "csd")
    with h5py.File(tmp_path / "csd/text.csd", "a") as file:
        del file[f"glove_vectors/data/{IDS[26]}/intervals"]
    with pytest.raises(DataError, match=re.escape(IDS[26])):
        import_dataset("csd", [tmp_path / "csd"], tmp_path / "data", OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["csd"]


def test_several_workers_end_in_the_same_bytes(folder, whole, tmp_path):
    seen = []
    options = replace(OPTIONS, workers=3)
    dataset = import_dataset("csd", [folder], tmp_path / "data", options, lambda *done: seen.append(done))
    assert [done for done, _ in seen] == [8, 16, 24, 27, 28], "four groups of rows, and the video without an utterance"
    assert_same(dataset, whole)


@dataclass(frozen=True)
class Waiting:
    """A reader that leaves a mark for every video it begins, and dies or fails on demand."""

    folder: Path
    deadly: str = ""
    bad: str = ""

    @contextmanager
    def opened(self):
        yield self.read

    def read(self, video_id):
        (self.folder / video_id).touch()
        if video_id == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if video_id == self.bad:
            raise DataError(f"Expected no {video_id}")
        # larger than the buffer of a pipe
        return Video(video_id, [Utterance(0, transcript="x" * 100_000)]), Counter({video_id: 1})


def test_no_more_videos_are_read_ahead_than_agreed(tmp_path):
    ids = [f"v{number:03d}" for number in range(60)]
    videos = read_in_order(Waiting(tmp_path), ids, [], 2)
    taken = [next(videos)[0].id for _ in range(5)]
    time.sleep(1)
    assert taken == ids[:5]
    assert len(list(tmp_path.iterdir())) <= 5 + 2 * 2
    assert [video.id for video, _ in videos] == ids[5:]


def test_an_error_in_a_worker_comes_at_its_turn_and_a_killed_worker_is_told(tmp_path):
    ids = [f"v{number}" for number in range(9)]
    videos = read_in_order(Waiting(tmp_path, bad="v3"), ids, [], 2)
    assert [next(videos)[0].id for _ in range(3)] == ids[:3]
    with pytest.raises(DataError, match="Expected no v3"):
        next(videos)
    with pytest.raises(WorkerError, match="Expected a process to read videos, but it was killed.*fewer --workers"):
        list(read_in_order(Waiting(tmp_path, deadly="v4"), ids, [], 2))


def test_workers_are_for_readers_whose_videos_are_read_one_by_one(tmp_path):
    path = files.write_text(tmp_path / "x.csv", "video_id,text\nv,hello\n")
    with pytest.raises(UsageError, match="Expected one worker for the reader 'table', whose files are read as a whole"):
        import_dataset("table", [path], tmp_path / "data", ImportOptions(workers=2))
    with pytest.raises(UsageError, match="Expected at least one worker, but got 0"):
        ImportOptions(workers=0)
