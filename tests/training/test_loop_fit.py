"""`fit` from the first epoch to the files it leaves."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from tests.training.examples import BOTH, N_FEATURES, small_split

from mien.errors import TrainingError
from mien.models import build_model, model_entry
from mien.schema import Modality
from mien.settings import override
from mien.storage.runs import epoch_file
from mien.training import loop
from mien.training.batching import fit_scaling, to_video_set
from mien.training.buckets import bucketed_batches
from mien.training.checkpoint import load_weights
from mien.training.loop import HISTORY_FILE, MODEL_FILE, RESUME_FILE, FitSpec, fit, remove_resume_files, seed_epoch
from mien.training.train_settings import TrainSettings

N_VIDEOS, BATCH_VIDEOS = 11, 4


def run_fit(folder, report=None, **settings):
    """Train a small `cim` for three epochs unless the settings say otherwise."""
    columns, valid = small_split(N_VIDEOS), small_split(5, seed=1)
    scaling = fit_scaling(columns, [Modality.TEXT])
    spec = FitSpec(
        TrainSettings(**{"epochs": 3, "batch_videos": BATCH_VIDEOS, "patience": None} | settings), 0, scaling, BOTH
    )
    network_settings = override(model_entry("cim").settings, {"gru_size": 2, "dense_size": 2})

    def make_network():
        return build_model("cim", {Modality.TEXT: N_FEATURES}, BOTH, network_settings)

    folder.mkdir(exist_ok=True)
    return fit(
        make_network,
        to_video_set(columns, scaling, tasks=BOTH),
        to_video_set(valid, scaling, tasks=BOTH),
        spec,
        folder,
        report or (lambda _record: None),
    )


def test_the_rate_of_a_step_is_that_of_its_middle(tmp_path, monkeypatch):
    """Three batches an epoch: progress 1/18, 3/18, ... of three epochs."""
    progress = []
    original = loop.set_rates

    def recording(optimizer, done, settings):
        progress.append(done)
        original(optimizer, done, settings)

    monkeypatch.setattr(loop, "set_rates", recording)
    run_fit(tmp_path / "run", linear_decay=True)
    assert math.ceil(N_VIDEOS / BATCH_VIDEOS) == 3
    np.testing.assert_allclose(progress, (np.arange(9) + 0.5) / 9)


def test_every_epoch_has_its_own_order_and_the_seed_decides_it():
    lengths = np.arange(1, 60)
    orders = [bucketed_batches(lengths, 4, seed_epoch(seed, epoch)) for seed, epoch in ((0, 1), (0, 2), (1, 1))]
    assert orders[0] == bucketed_batches(lengths, 4, seed_epoch(0, 1))
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_processes_share_the_order_and_draw_other_dropout():
    order, drawn = seed_epoch(3, 2).random(), torch.rand(3)
    assert seed_epoch(3, 2, rank=0).random() == order
    assert torch.equal(torch.rand(3), drawn)
    assert seed_epoch(3, 2, rank=1).random() == order
    assert not torch.equal(torch.rand(3), drawn)


def test_the_files_hold_the_best_epoch_and_every_other(tmp_path):
    reported = []
    progress = run_fit(tmp_path / "run", reported.append)
    assert [record["epoch"] for record in progress.history] == [1, 2, 3]
    assert reported == progress.history
    written = [json.loads(line) for line in (tmp_path / "run" / HISTORY_FILE).read_text("utf-8").splitlines()]
    assert written == progress.history
    scores = [record["valid_score"] for record in progress.history]
    assert progress.best_epoch == 1 + scores.index(max(scores))
    assert progress.best_score == max(scores)
    assert len(progress.seconds) == 3
    best, _ = load_weights(tmp_path / "run" / MODEL_FILE)
    kept = [load_weights(tmp_path / "run" / epoch_file(epoch))[0] for epoch in (1, 2, 3)]
    same = [all(torch.equal(weights[name], best[name]) for name in best) for weights in kept]
    assert same == [epoch == progress.best_epoch for epoch in (1, 2, 3)]
    assert (tmp_path / "run" / RESUME_FILE).exists()


def test_a_resumed_training_ends_in_the_bits_of_an_uninterrupted_one(tmp_path):
    def interrupt(record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    whole = run_fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_fit(tmp_path / "cut", interrupt)
    resumed = []
    rest = run_fit(tmp_path / "cut", resumed.append)
    assert [record["epoch"] for record in resumed] == [3]
    assert rest.history == whole.history
    for file in (MODEL_FILE, epoch_file(3)):
        ours, theirs = (load_weights(tmp_path / name / file)[0] for name in ("cut", "whole"))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_patience_ends_a_training_so_many_epochs_after_the_best(tmp_path):
    progress = run_fit(tmp_path / "run", epochs=40, patience=2)
    assert progress.epoch == progress.best_epoch + 2
    assert progress.epoch < 40


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    with pytest.raises(TrainingError, match=r"Expected a finite validation loss, but got .* in epoch 1; lower"):
        run_fit(tmp_path / "run", learning_rate=1e38)


def test_the_train_loss_is_the_mean_over_the_steps(tmp_path):
    """With one batch an epoch and a rate of nearly zero it equals the loss of the untrained network."""
    settings = {"epochs": 1, "learning_rate": 1e-12}
    one = run_fit(tmp_path / "one", batch_videos=N_VIDEOS, **settings).history[0]["train_loss"]
    # two tasks of two classes each: an untrained network is about as good as chance
    assert one == pytest.approx(2 * math.log(2), rel=0.25)
    three = run_fit(tmp_path / "three", **settings).history[0]["train_loss"]
    assert three == pytest.approx(one, rel=0.25)


def test_a_temporary_file_of_a_killed_process_does_not_keep_the_resume_folder(tmp_path):
    resume = tmp_path / RESUME_FILE.parent
    resume.mkdir()
    # the process 1 always runs: such a file may be left where another process has the id of a killed one
    for name in (RESUME_FILE.name, "best-0003.safetensors", f".{RESUME_FILE.name}.partial-1-abc"):
        (resume / name).touch()
    remove_resume_files(tmp_path)
    assert not resume.exists()
    resume.mkdir()
    (resume / "notes.txt").touch()
    remove_resume_files(tmp_path)
    assert [path.name for path in resume.iterdir()] == ["notes.txt"]
