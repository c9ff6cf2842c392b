"""Losses by hand; what is not labelled has no say."""

from __future__ import annotations

import math

import pytest
import torch
from tests.models.batches import random_batch

from mien.models.batch import Outputs
from mien.schema import Task
from mien.training.batching import Targets
from mien.training.losses import TaskWeighting, loss_sums, scored_counts
from mien.training.settings import TrainSettings


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


def test_intensities_by_hand(batch):
    emotions = torch.tensor([[1.0, 0, 0, 3, 0, 0], [0.0] * 6, [9.0] * 6])
    targets = Targets(
        torch.tensor([1, 0, 1]),
        torch.tensor([True, True, False]),
        torch.zeros(3, 7),
        torch.tensor([True, True, False]),
        torch.tensor([2.0, -1.0, 99.0]),
        emotions,
    )
    degree = torch.tensor([[1.5, 1.0], [-3.0, 17.0]], requires_grad=True)
    degrees = torch.zeros(2, 2, 6)
    degrees[0, 0, 3], degrees[0, 1, 5], degrees[1, 0] = 1.0, 0.5, 7.0
    sums = loss_sums(Outputs(None, None, sentiment_intensity=degree, emotion_intensity=degrees), batch, targets)
    # |1.5 - 2| + |1 + 1|; the third utterance has no label, the fourth slot is padding
    assert sums[Task.SENTIMENT_INTENSITY].item() == pytest.approx(0.5 + 2.0)
    # (1 - 0)^2 + (3 - 1)^2, and 0.5^2, each over the six
    assert float(sums[Task.EMOTION_INTENSITY]) == pytest.approx((1 + 4 + 0.25) / 6)
    assert set(sums) == {Task.SENTIMENT_INTENSITY, Task.EMOTION_INTENSITY}
    sums[Task.SENTIMENT_INTENSITY].backward()
    assert degree.grad.tolist() == [[-1.0, 1.0], [0.0, 0.0]]


LOSSES = dict(zip(Task, (1.2, 0.5, 0.8, 0.1), strict=True))


def sums_of(losses, count):
    return {task: torch.tensor(count * loss) for task, loss in losses.items()}


def test_fixed_weights_of_all_four():
    weights = {"sentiment_weight": 2.0, "emotion_intensity_weight": 5.0}
    weighting = TaskWeighting(tuple(Task), TrainSettings(**weights))
    total = weighting.total(sums_of(LOSSES, 3), dict.fromkeys(Task, 3))
    assert float(total) == pytest.approx(2 * 1.2 + 0.5 + 0.8 + 5 * 0.1)
    assert weighting.penalty(dict.fromkeys(Task, 3)) == 0
    assert list(weighting.parameters()) == []


def test_learned_weights_equal_the_formula_of_the_paper():
    weighting = TaskWeighting(tuple(Task), TrainSettings(task_weighting="uncertainty"))
    sigma = dict(zip(Task, (0.5, 2.0, 1.5, 0.3), strict=True))
    with torch.no_grad():
        for task, value in sigma.items():
            weighting.log_variances[task].fill_(math.log(value**2))
    counts = dict.fromkeys(Task, 4)
    expected = sum(LOSSES[task] / sigma[task] ** 2 + math.log(sigma[task]) for task in (Task.SENTIMENT, Task.EMOTION))
    expected += sum(
        LOSSES[task] / (2 * sigma[task] ** 2) + math.log(sigma[task])
        for task in (Task.SENTIMENT_INTENSITY, Task.EMOTION_INTENSITY)
    )
    total = weighting.total(sums_of(LOSSES, 4), counts) + weighting.penalty(counts)
    assert total.item() == pytest.approx(expected)


def test_the_learned_variances_settle_where_the_paper_s_sum_is_smallest():
    weighting = TaskWeighting(tuple(Task), TrainSettings(task_weighting="uncertainty"))
    network = torch.nn.Linear(1, 1)
    decaying = torch.optim.Adam(network.parameters(), lr=0.05, weight_decay=0.5)
    optimizer = weighting.trained_by(decaying)
    counts = dict.fromkeys(Task, 1)
    for _ in range(500):
        optimizer.zero_grad()
        (weighting.total(sums_of(LOSSES, 1), counts) + weighting.penalty(counts)).backward()
        optimizer.step()
    variances = {task: math.exp(weighting.log_variances[task].item()) for task in Task}
    # the decay of the network's weights does not reach them
    assert variances == {
        Task.SENTIMENT: pytest.approx(2 * 1.2, rel=1e-3),
        Task.EMOTION: pytest.approx(2 * 0.5, rel=1e-3),
        Task.SENTIMENT_INTENSITY: pytest.approx(0.8, rel=1e-3),
        Task.EMOTION_INTENSITY: pytest.approx(0.1, rel=1e-3),
    }


def test_a_batch_without_labels_of_a_task_does_not_move_its_variance():
    weighting = TaskWeighting((Task.SENTIMENT, Task.EMOTION), TrainSettings(task_weighting="uncertainty"))
    counts = {Task.SENTIMENT: 2, Task.EMOTION: 0}
    sums = {Task.SENTIMENT: torch.tensor(1.0), Task.EMOTION: torch.tensor(0.0)}
    (weighting.total(sums, counts) + weighting.penalty(counts)).backward()
    assert float(weighting.log_variances[Task.EMOTION].grad) == 0
    assert float(weighting.log_variances[Task.SENTIMENT].grad) == pytest.approx(-0.5 + 0.5)


def test_two_ways_to_weigh_are_one_too_many():
    with pytest.raises(ValueError, match="Expected no fixed weights beside task_weighting=uncertainty"):
        TrainSettings(task_weighting="uncertainty", sentiment_intensity_weight=0.5)
    with pytest.raises(ValueError, match="Expected task_weighting to be fixed or uncertainty, but got 'learned'"):
        TrainSettings(task_weighting="learned")
    with pytest.raises(ValueError, match="Expected emotion_intensity_weight to be a number from 0 on"):
        TrainSettings(emotion_intensity_weight=-1)
