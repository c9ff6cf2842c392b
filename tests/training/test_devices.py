"""Several devices, here two CPU processes that talk through gloo, train what one process trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import UsageError
from mien.labels import paper_labels
from mien.schema import FeatureSpace, Modality, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.storage.runs import EPOCHS, open_run
from mien.training.buckets import bucketed_batches
from mien.training.checkpoint import load_weights
from mien.training.devices import is_first_process
from mien.training.loop import HISTORY_FILE, seed_epoch

SEED = 3
DEVICES = 2
BATCH_VIDEOS = 4
# Dropout draws other numbers in every process; without it only the order of the sums differs.
SETTINGS = {
    "gru_size": 5,
    "dense_size": 3,
    "input_dropout": 0,
    "state_dropout": 0,
    "dense_dropout": 0,
    "batch_videos": BATCH_VIDEOS,
    "patience": "none",
    "accelerator": "cpu",
}
N_FEATURES = {Modality.TEXT: 4, Modality.ACOUSTIC: 3, Modality.VISUAL: 2}
TIMEOUT_S = 600


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """21 train videos of 1 to 7 utterances; every other one without labels, every third without a face."""
    rng = np.random.default_rng(0)

    def videos():
        for number in range(30):
            video = Video(f"v{number:02d}", [], "train" if number < 21 else "valid")
            for index in range(1 + number % 7):
                features = {m: rng.normal(size=size).astype(np.float32) for m, size in N_FEATURES.items()}
                if number % 3 == 0:
                    del features[Modality.VISUAL]
                utterance = Utterance(index=index, features=features)
                if number % 2:
                    utterance.labels |= paper_labels(float(rng.uniform(-3, 3)))
                    utterance.labels |= paper_labels(emotions=rng.choice([0.0, 1.0], size=6))
                video.utterances.append(utterance)
            yield video

    spaces = {m: FeatureSpace(m, f"made-up-{m}", size) for m, size in N_FEATURES.items()}
    return write_dataset(tmp_path_factory.mktemp("uneven") / "data", videos(), DatasetFacts("uneven", spaces))


def shards(dataset, epoch):
    """Video numbers of each process, batch by batch, of one epoch."""
    lengths = dataset.columns("train").lengths
    batches = bucketed_batches(lengths, BATCH_VIDEOS, seed_epoch(SEED, epoch))
    return [[batch[rank::DEVICES] for rank in range(DEVICES)] for batch in batches]


def command(dataset, out, epochs, *more):
    words = [sys.executable, "-m", "mien", "train", str(dataset.folder), "--out", str(out), "--seed", str(SEED)]
    for key, value in {**SETTINGS, "epochs": epochs, "devices": DEVICES}.items():
        words += ["--set", f"{key}={value}"]
    return [*words, *more]


def train_alone(dataset, out, epochs):
    return train(dataset, out, TrainRequest(seed=SEED, settings=SETTINGS | {"epochs": epochs}))


def assert_same_weights(first, second):
    (ours, _), (theirs, _) = load_weights(first), load_weights(second)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-6, msg=lambda text, at=name: f"{at}: {text}")


def test_the_made_up_videos_are_uneven_in_every_way(uneven):
    columns = uneven.columns("train")
    seen = set()
    for epoch in (1, 2, 3, 4):
        for parts in shards(uneven, epoch):
            sizes = [sum(columns.lengths[part]) for part in parts]
            rows = [np.concatenate([np.arange(*columns.offsets[v : v + 2]) for v in part or [0]]) for part in parts]
            seen |= {"unequal"} if len(set(sizes)) > 1 else set()
            seen |= {"fewer videos than processes"} if 0 in sizes else set()
            unlabelled = [np.isnan(columns.sentiment[each]).all() for each in rows]
            faceless = [not columns.present[Modality.VISUAL][each].any() for each in rows]
            seen |= {"one without labels"} if sum(unlabelled) == 1 else set()
            seen |= {"one without faces"} if sum(faceless) == 1 else set()
    assert seen == {"unequal", "fewer videos than processes", "one without labels", "one without faces"}


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_with_the_same_global_batch(uneven, tmp_path):
    done = subprocess.run(
        command(uneven, tmp_path / "two", 4), capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("parameters") == 1, "only the first process speaks"
    two, one = open_run(tmp_path / "two"), train_alone(uneven, tmp_path / "one", 4)
    for epoch in (1, 2, 3, 4):
        name = f"{EPOCHS}/{epoch:04d}.safetensors"
        assert_same_weights(two.folder / name, one.folder / name)
    assert two.outcome["chosen_epoch"] == one.outcome["chosen_epoch"]


@contextmanager
def running(words, folder):
    """The started command and the file of what its processes say; whatever is left of them is killed."""
    said = folder / "said.txt"
    with said.open("w") as sink:
        process = subprocess.Popen(words, stdout=sink, stderr=sink, start_new_session=True)
    try:
        yield process, said
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(true, what):
    deadline_s = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline_s, f"waited too long until {what}"
        time.sleep(0.01)


def epochs_done(out):
    try:
        return len((out / HISTORY_FILE).read_text().splitlines())
    except FileNotFoundError:
        return 0


def further_process(process):
    """The process that the started one has started for the second device; None before that."""
    # further children of a short life read the Dataset
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        with suppress(OSError):  # it has ended
            if b"LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
    return None


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


linux_only = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the second process in /proc")


@pytest.mark.slow
@linux_only
@pytest.mark.parametrize("lost", ["the first", "the second"])
def test_a_process_lost_before_all_have_met_ends_the_other(uneven, tmp_path, lost):
    with running(command(uneven, tmp_path / "two", 2), tmp_path) as (process, said):
        wait_until(lambda: further_process(process), "there is a second process")
        other = further_process(process)
        if lost == "the first":
            process.kill()
            process.wait()
            wait_until(lambda: has_ended(other), "the second process has noticed")
        else:
            os.kill(other, signal.SIGKILL)
            assert process.wait(TIMEOUT_S) == 1
        assert "mien: Expected every process of this training to start" in said.read_text()


@pytest.mark.slow
@linux_only
def test_a_killed_process_ends_the_others_and_the_training_resumes(uneven, tmp_path):
    out, endless = tmp_path / "two", 1_000_000
    with running(command(uneven, out, endless), tmp_path) as (process, said):
        wait_until(lambda: epochs_done(out) or process.poll() is not None, "the first epoch")
        os.kill(further_process(process), signal.SIGKILL)
        assert process.wait(TIMEOUT_S) != 0
        assert "mien: Expected every process of this training to stay" in said.read_text()
    killed_after = epochs_done(out)
    with running(command(uneven, out, endless, "--resume"), tmp_path) as (process, said):
        wait_until(lambda: epochs_done(out) > killed_after + 1 or process.poll() is not None, "two more epochs")
        other = further_process(process)
        process.kill()
        process.wait()
        wait_until(lambda: has_ended(other), "the second process has noticed that the first is gone")
        assert "mien: Expected" in said.read_text()
    one = train_alone(uneven, tmp_path / "one", killed_after + 2)
    name = f"{EPOCHS}/{killed_after + 2:04d}.safetensors"
    assert_same_weights(out / name, one.folder / name)


def test_a_launchers_rank_matters_on_several_devices_only(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert is_first_process(devices=2)
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert not is_first_process(devices=4)
    assert is_first_process(devices=1), "one of four runs that share nothing"
    monkeypatch.setenv("RANK", "0")
    assert is_first_process(devices=4)


def test_a_benchmark_refuses_several_devices(uneven, tmp_path):
    with_test = write_dataset(
        tmp_path / "data",
        (Video(v.id, v.utterances, "test" if v.id == "v29" else v.split) for v in uneven.videos()),
        uneven.facts,
    )
    with pytest.raises(UsageError, match="devices = 1"):
        benchmark("table7", with_test, tmp_path / "out", BenchmarkRequest(settings={"devices": 2}))
