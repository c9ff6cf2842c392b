"""Losses by hand; what is not labelled has no say."""

from __future__ import annotations

import math

import pytest
import torch
from tests.models.batches import random_batch

from mien.models import Outputs
from mien.schema import Task
from mien.training import TrainSettings
from mien.training.batching import Targets
from mien.training.losses import loss_sums, scored_counts
from mien.training.weighting import TaskWeighting


def make_targets(sentiment, scored, emotions, emotions_scored):
    classes, multihot = torch.tensor(sentiment), torch.tensor(emotions)
    intensities = (2.0 * classes - 1, 3 * multihot[:, :6])
    return Targets(classes, torch.tensor(scored), multihot, torch.tensor(emotions_scored), *intensities)


@pytest.fixture
def batch():
    return random_batch((2, 1))


@pytest.fixture
def targets():
    emotions = [[1.0, 0, 0, 0, 0, 0, 0], [0.0, 0, 0, 0, 0, 0, 1], [1.0] * 7]
    return make_targets([1, 0, 1], [True, True, False], emotions, [True, False, True])


def test_by_hand(batch, targets):
    sentiment = torch.tensor([[[0.0, 2.0], [1.0, 0.0]], [[9.0, -9.0], [5.0, 5.0]]])
    emotion = torch.zeros(2, 2, 7)
    emotion[0, 0, 0] = 3.0
    sums = loss_sums(Outputs(sentiment, emotion), batch, targets)
    # -log softmax of the right class; the unlabelled third utterance does not count
    assert float(sums[Task.SENTIMENT]) == pytest.approx(math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1)))
    # utterances 0 and 2 are labelled: seven sigmoids each, averaged over the seven
    first = math.log(1 + math.exp(-3)) + 6 * math.log(2)
    assert float(sums[Task.EMOTION]) == pytest.approx((first + 7 * math.log(2)) / 7)
    counts = scored_counts(targets)
    assert counts == dict.fromkeys(Task, 2)
    settings = TrainSettings(sentiment_weight=2.0, emotion_weight=0.5)
    expected = 2.0 * float(sums[Task.SENTIMENT]) / 2 + 0.5 * float(sums[Task.EMOTION]) / 2
    assert float(TaskWeighting(tuple(sums), settings).total(sums, counts)) == pytest.approx(expected)


def test_what_an_unlabelled_or_padded_utterance_says_changes_nothing(batch, targets):
    logits, emotion = torch.randn(2, 2, 2), torch.randn(2, 2, 7)
    other, other_emotion = logits.clone(), emotion.clone()
    other[1] = torch.tensor([50.0, -50.0])  # third utterance without label, fourth slot padding
    other_emotion[0, 1] = 40.0
    other_emotion[1, 1] = -40.0
    for task, value in loss_sums(Outputs(logits, emotion), batch, targets).items():
        assert float(value) == float(loss_sums(Outputs(other, other_emotion), batch, targets)[task])


def test_a_batch_without_any_label_of_a_task_contributes_zero_and_no_nan(batch):
    targets = make_targets([0, 0, 0], [False] * 3, [[0.0] * 7] * 3, [True] * 3)
    logits = torch.randn(2, 2, 2, requires_grad=True)
    sums = loss_sums(Outputs(logits, None), batch, targets)
    total = TaskWeighting(tuple(sums), TrainSettings()).total(sums, scored_counts(targets))
    total.backward()
    assert total.item() == 0.0
    assert (logits.grad == 0).all()


def test_a_single_task_network_has_a_single_loss(batch, targets):
    assert set(loss_sums(Outputs(None, torch.zeros(2, 2, 7)), batch, targets)) == {Task.EMOTION}
