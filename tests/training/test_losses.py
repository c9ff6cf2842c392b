"""Losses by hand; what is not labelled has no say."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.labelled import OF_EVERY_KIND, random_labels, tasks_named
from tests.models.batches import random_batch

from mien.models.batch import Outputs
from mien.models.heads import activated
from mien.tasks import EMOTION, EMOTION_INTENSITY, PAPER_TASKS, SENTIMENT, SENTIMENT_INTENSITY, targets_of
from mien.training.batching import Targets
from mien.training.losses import LOSSES as LOSSES_BY_NAME
from mien.training.losses import TaskWeighting, log_losses, loss_sums, scored_counts
from mien.training.train_settings import TrainSettings


def sums_for(outputs, batch, targets):
    """Losses of all tasks that have logits."""
    return loss_sums(outputs, batch, targets, tasks_named(outputs.logits))


def make_targets(sentiment, scored, emotions, emotions_scored):
    return Targets(
        {SENTIMENT: torch.tensor(sentiment)[:, None] == 1, EMOTION: torch.tensor(emotions) == 1},
        {SENTIMENT: torch.tensor(scored), EMOTION: torch.tensor(emotions_scored)},
    )


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
    sums = sums_for(Outputs({SENTIMENT: sentiment, EMOTION: emotion}), batch, targets)
    # -log softmax of the right class; the unlabelled third utterance does not count
    assert float(sums[SENTIMENT]) == pytest.approx(math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1)))
    # utterances 0 and 2 are labelled: seven sigmoids each, averaged over the seven
    first = math.log(1 + math.exp(-3)) + 6 * math.log(2)
    assert float(sums[EMOTION]) == pytest.approx((first + 7 * math.log(2)) / 7)
    counts = scored_counts(targets)
    assert counts == {SENTIMENT: 2, EMOTION: 2}
    settings = TrainSettings(sentiment_weight=2.0, emotion_weight=0.5)
    expected = 2.0 * float(sums[SENTIMENT]) / 2 + 0.5 * float(sums[EMOTION]) / 2
    assert float(TaskWeighting(tasks_named(tuple(sums)), settings).total(sums, counts)) == pytest.approx(expected)


def test_what_an_unlabelled_or_padded_utterance_says_changes_nothing(batch, targets):
    logits, emotion = torch.randn(2, 2, 2), torch.randn(2, 2, 7)
    other, other_emotion = logits.clone(), emotion.clone()
    other[1] = torch.tensor([50.0, -50.0])  # third utterance without label, fourth slot padding
    other_emotion[0, 1] = 40.0
    other_emotion[1, 1] = -40.0
    first = sums_for(Outputs({SENTIMENT: logits, EMOTION: emotion}), batch, targets)
    assert first == sums_for(Outputs({SENTIMENT: other, EMOTION: other_emotion}), batch, targets)


def test_a_batch_without_any_label_of_a_task_contributes_zero_and_no_nan(batch):
    targets = make_targets([0, 0, 0], [False] * 3, [[0.0] * 7] * 3, [True] * 3)
    logits = torch.randn(2, 2, 2, requires_grad=True)
    sums = sums_for(Outputs({SENTIMENT: logits}), batch, targets)
    total = TaskWeighting(tasks_named(tuple(sums)), TrainSettings()).total(sums, scored_counts(targets))
    total.backward()
    assert total.item() == 0.0
    assert (logits.grad == 0).all()


def test_a_single_task_network_has_a_single_loss(batch, targets):
    assert set(sums_for(Outputs({EMOTION: torch.zeros(2, 2, 7)}), batch, targets)) == {EMOTION}


def logits_of(values, low, high):
    """What the bounded heads make these values of."""
    share = (values - low) / (high - low)
    logits = torch.log(share / (1 - share))
    # 3 tanh(z / 3) is 6 sigmoid(2 z / 3) - 3
    return logits * (1.5 if low else 1)


def test_degrees_by_hand(batch):
    emotions = torch.tensor([[1.0, 0, 0, 2.5, 0, 0], [0.0] * 6, [9.0] * 6])
    scored = torch.tensor([True, True, False])
    targets = Targets(
        {SENTIMENT_INTENSITY: torch.tensor([[2.0], [-1.0], [99.0]]), EMOTION_INTENSITY: emotions},
        {SENTIMENT_INTENSITY: scored, EMOTION_INTENSITY: scored},
    )
    degree = logits_of(torch.tensor([[[1.5], [1.0]], [[-2.5], [2.75]]]), -3, 3).requires_grad_()
    degrees = torch.full((2, 2, 6), 0.25)
    degrees[0, 0, 3], degrees[0, 1, 5], degrees[1, 0] = 1.0, 0.5, 2.75
    degrees = logits_of(degrees, 0, 3)
    sums = sums_for(Outputs({SENTIMENT_INTENSITY: degree, EMOTION_INTENSITY: degrees}), batch, targets)
    # |1.5 - 2| + |1 + 1|; the third utterance has no label, the fourth slot is padding
    assert sums[SENTIMENT_INTENSITY].item() == pytest.approx(0.5 + 2.0)
    # (1 - 0.25)^2 + (2.5 - 1)^2 and four times 0.25^2; 0.5^2 and five times 0.25^2, each over the six
    expected = (0.75**2 + 1.5**2 + 4 * 0.25**2 + 0.5**2 + 5 * 0.25**2) / 6
    assert float(sums[EMOTION_INTENSITY]) == pytest.approx(expected)
    assert set(sums) == {SENTIMENT_INTENSITY, EMOTION_INTENSITY}
    sums[SENTIMENT_INTENSITY].backward()
    # the slope of 3 tanh(z / 3) at the value v is 1 - (v / 3)^2
    expected = torch.tensor([[[-(1 - 0.25)], [1 - 1 / 9]], [[0.0], [0.0]]])
    torch.testing.assert_close(degree.grad, expected)


@pytest.mark.parametrize("task", [*PAPER_TASKS.values(), *OF_EVERY_KIND], ids=lambda task: f"{task.name}-{task.kind}")
def test_the_loss_of_a_prediction_is_that_of_its_logits(task):
    torch.manual_seed(2)
    loss, logits = LOSSES_BY_NAME[task.row.loss], torch.randn(5, task.n_logits, dtype=torch.float64)
    rows = SimpleNamespace(labels={task.space.name: random_labels(task.space, 5)}, index=np.arange(5))
    wanted = torch.from_numpy(targets_of(task, rows)[0])
    said = activated(task, logits)
    each = loss.of_predictions(said.numpy(), wanted.numpy())
    total = loss.total(said if task.predicts_degrees else logits, wanted)
    assert each.mean(axis=1).sum() == pytest.approx(total.item())


def test_a_task_without_a_weight_of_its_own_weighs_one():
    assert TrainSettings(sentiment_weight=3.0).weight_of("sentiment") == 3.0
    assert TrainSettings(sentiment_weight=3.0).weight_of("mood") == 1.0


LOSSES = dict(zip(PAPER_TASKS, (1.2, 0.5, 0.8, 0.1), strict=True))


def sums_of(losses, count):
    return {task: torch.tensor(count * loss) for task, loss in losses.items()}


def test_fixed_weights_of_all_four():
    weights = {"sentiment_weight": 2.0, "emotion_intensity_weight": 5.0}
    weighting = TaskWeighting(tasks_named(tuple(PAPER_TASKS)), TrainSettings(**weights))
    total = weighting.total(sums_of(LOSSES, 3), dict.fromkeys(PAPER_TASKS, 3))
    assert float(total) == pytest.approx(2 * 1.2 + 0.5 + 0.8 + 5 * 0.1)
    assert weighting.penalty(dict.fromkeys(PAPER_TASKS, 3)) == 0
    assert list(weighting.parameters()) == []


def test_learned_weights_equal_the_formula_of_the_paper():
    weighting = TaskWeighting(tasks_named(tuple(PAPER_TASKS)), TrainSettings(task_weighting="uncertainty"))
    sigma = dict(zip(PAPER_TASKS, (0.5, 2.0, 1.5, 0.3), strict=True))
    with torch.no_grad():
        for task, value in sigma.items():
            weighting.log_variances[task].fill_(math.log(value**2))
    counts = dict.fromkeys(PAPER_TASKS, 4)
    expected = sum(LOSSES[task] / sigma[task] ** 2 + math.log(sigma[task]) for task in (SENTIMENT, EMOTION))
    expected += sum(
        LOSSES[task] / (2 * sigma[task] ** 2) + math.log(sigma[task])
        for task in (SENTIMENT_INTENSITY, EMOTION_INTENSITY)
    )
    total = weighting.total(sums_of(LOSSES, 4), counts) + weighting.penalty(counts)
    assert total.item() == pytest.approx(expected)


def test_the_learned_variances_settle_where_the_paper_s_sum_is_smallest():
    weighting = TaskWeighting(tasks_named(tuple(PAPER_TASKS)), TrainSettings(task_weighting="uncertainty"))
    network = torch.nn.Linear(1, 1)
    decaying = torch.optim.Adam(network.parameters(), lr=0.05, weight_decay=0.5)
    optimizer = weighting.trained_by(decaying)
    counts = dict.fromkeys(PAPER_TASKS, 1)
    for _ in range(500):
        optimizer.zero_grad()
        (weighting.total(sums_of(LOSSES, 1), counts) + weighting.penalty(counts)).backward()
        optimizer.step()
    variances = {task: math.exp(weighting.log_variances[task].item()) for task in PAPER_TASKS}
    # the decay of the network's weights does not reach them
    assert variances == {
        SENTIMENT: pytest.approx(2 * 1.2, rel=1e-3),
        EMOTION: pytest.approx(2 * 0.5, rel=1e-3),
        SENTIMENT_INTENSITY: pytest.approx(0.8, rel=1e-3),
        EMOTION_INTENSITY: pytest.approx(0.1, rel=1e-3),
    }


def test_a_batch_without_labels_of_a_task_does_not_move_its_variance():
    weighting = TaskWeighting(tasks_named((SENTIMENT, EMOTION)), TrainSettings(task_weighting="uncertainty"))
    counts = {SENTIMENT: 2, EMOTION: 0}
    sums = {SENTIMENT: torch.tensor(1.0), EMOTION: torch.tensor(0.0)}
    (weighting.total(sums, counts) + weighting.penalty(counts)).backward()
    assert float(weighting.log_variances[EMOTION].grad) == 0
    assert float(weighting.log_variances[SENTIMENT].grad) == pytest.approx(-0.5 + 0.5)


def test_two_ways_to_weigh_are_one_too_many():
    with pytest.raises(ValueError, match="Expected no fixed weights beside task_weighting=uncertainty"):
        TrainSettings(task_weighting="uncertainty", sentiment_intensity_weight=0.5)
    with pytest.raises(ValueError, match="Expected task_weighting to be fixed or uncertainty, but got 'learned'"):
        TrainSettings(task_weighting="learned")
    with pytest.raises(ValueError, match="Expected emotion_intensity_weight to be a number from 0 on"):
        TrainSettings(emotion_intensity_weight=-1)


def test_a_sure_answer_that_is_wrong_costs_the_logarithm_of_the_smallest_probability():
    said, wanted = np.array([[0.0, 1.0, 0.25]]), np.array([[True, True, False]])
    np.testing.assert_allclose(log_losses(said, wanted), [[12 * math.log(10), 0.0, -math.log(0.75)]], atol=1e-12)


def test_a_learned_variance_halves_the_precision_of_degrees_alone():
    settings = TrainSettings(task_weighting="uncertainty")
    tasks = (SENTIMENT, SENTIMENT_INTENSITY)
    weighting = TaskWeighting(tasks_named(tasks), settings)
    with torch.no_grad():
        for variance in weighting.log_variances.values():
            variance.fill_(math.log(4))
    counts = dict.fromkeys(tasks, 2)
    for task, expected in ((SENTIMENT, 6 / 2 / 4), (SENTIMENT_INTENSITY, 6 / 2 / 4 / 2)):
        assert weighting.total({task: torch.tensor(6.0)}, counts).item() == pytest.approx(expected)
    assert weighting.penalty(counts).item() == pytest.approx(math.log(4))
    assert weighting.penalty({SENTIMENT: 2, SENTIMENT_INTENSITY: 0}).item() == pytest.approx(math.log(4) / 2)


def test_errors_of_degrees_are_means_over_the_outputs():
    degrees, wanted = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 2.0]]), torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert float(LOSSES_BY_NAME["squared_error"].total(degrees, wanted)) == pytest.approx((4 + 9 + 1 + 4) / 3)
    assert float(LOSSES_BY_NAME["absolute_error"].total(degrees, wanted)) == pytest.approx((2 + 3 + 1 + 2) / 3)
