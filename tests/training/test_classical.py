"""The record and the files of a classical system."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.training.examples import BOTH, small_split

from mien.errors import DamagedFileError
from mien.models import model_entry
from mien.models.classical.base import ClassicalSpec
from mien.schema import Modality
from mien.storage.runs import epoch_file
from mien.tasks import EMOTION, SENTIMENT
from mien.training.checkpoint import save_weights
from mien.training.classical import classical_probabilities, fit_classical, load_tensors
from mien.training.loop import HISTORY_FILE, MODEL_FILE

ENTRY = model_entry("majority")
SPEC = ClassicalSpec((Modality.TEXT,), BOTH, ENTRY.settings, 0)


def test_a_fitted_system_leaves_one_epoch_and_its_losses(tmp_path):
    train, valid = small_split(40), small_split(10, seed=1)
    reported = []
    progress, n_numbers = fit_classical(ENTRY, train, valid, SPEC, tmp_path, reported.append)
    assert (progress.epoch, progress.best_epoch, progress.history) == (1, 1, reported)
    assert n_numbers == 8
    (record,) = reported
    share = (train.sentiment > 0).mean()
    constant = classical_probabilities(ENTRY, load_tensors(tmp_path / MODEL_FILE), valid, SPEC)
    np.testing.assert_allclose(constant[SENTIMENT], share)
    positive = (valid.sentiment > 0).mean()
    cross_entropy = -positive * math.log(share) - (1 - positive) * math.log(1 - share)
    assert record["valid_loss_sentiment"] == pytest.approx(cross_entropy)
    assert record["valid_loss"] == pytest.approx(record["valid_loss_sentiment"] + record["valid_loss_emotion"])
    assert record["valid_roc_auc_sentiment"] == 0.5
    assert record["valid_score"] == 0.5
    assert (tmp_path / HISTORY_FILE).read_text("utf-8").count("\n") == 1
    first, chosen = load_tensors(tmp_path / epoch_file(1)), load_tensors(tmp_path / MODEL_FILE)
    assert all(np.array_equal(first[name], chosen[name]) for name in first)


def test_a_task_without_labels_has_no_loss(tmp_path):
    valid = small_split(10, seed=1)
    valid.emotions[:] = np.nan
    progress, _ = fit_classical(ENTRY, small_split(40), valid, SPEC, tmp_path, lambda _record: None)
    assert progress.history[0][f"valid_loss_{EMOTION}"] == 0.0


def test_arrays_of_another_system_are_refused(tmp_path):
    save_weights(tmp_path / "x", {"other": torch.zeros(1)})
    with pytest.raises(DamagedFileError, match="Expected the arrays of this run's system, but got none named"):
        classical_probabilities(ENTRY, load_tensors(tmp_path / "x"), small_split(2), SPEC)
