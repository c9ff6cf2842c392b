"""Heads: what each task's logits are, what is made of them, and that degrees stay in the range of their labels."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from tests.labelled import EMOTION, EMOTION_INTENSITY, SENTIMENT, SENTIMENT_INTENSITY

from mien.errors import UsageError
from mien.labels import LabelKind, LabelSpace
from mien.models.heads import (
    ACTIVATIONS,
    activated,
    make_heads,
    outputs_from_heads,
    predicted_values,
    ranking_scores,
)
from mien.task_kinds import TASK_KINDS
from mien.tasks import PAPER_TASKS, tasks_of

SUBSETS = [subset for size in range(1, 5) for subset in itertools.combinations(PAPER_TASKS.values(), size)]


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def test_bounds_by_hand():
    logits = column(0.0, 0.3, 3.0, -1e6, 1e6)
    expected = column(0.0, 3 * math.tanh(0.1), 3 * math.tanh(1.0), -3.0, 3.0)
    torch.testing.assert_close(activated(SENTIMENT_INTENSITY, logits), expected)
    expected = column(1.5, 3 / (1 + math.exp(-0.3)), 3 / (1 + math.exp(-3.0)), 0.0, 3.0)
    torch.testing.assert_close(activated(EMOTION_INTENSITY, logits), expected)


def test_probabilities_by_hand():
    two = torch.tensor([[0.0, 2.0], [1.0, 1.0], [40.0, 0.0]])
    expected = column(1 / (1 + math.exp(-2)), 0.5, 1 / (1 + math.exp(40)))
    torch.testing.assert_close(predicted_values(SENTIMENT, two), expected, rtol=1e-12, atol=0)
    logits = torch.tensor([[-2.0, 0.0, 20.0, 0, 0, 0, 0]])
    probabilities = predicted_values(EMOTION, logits)
    assert probabilities[0, :2].tolist() == pytest.approx([1 / (1 + math.exp(2)), 0.5], rel=1e-12)
    # in single precision this would be 1
    assert 0 < 1 - probabilities[0, 2].item() < 1e-8


def test_a_degree_is_what_the_loss_saw_in_single_precision():
    logits = torch.randn(5, 6)
    said = predicted_values(EMOTION_INTENSITY, logits)
    assert said.dtype == torch.float64
    assert torch.equal(said, activated(EMOTION_INTENSITY, logits).double())


@pytest.mark.parametrize("task", PAPER_TASKS.values())
def test_ranking_scores_order_utterances_as_the_values_do(task):
    torch.manual_seed(1)
    logits = torch.randn(9, task.n_logits)
    values, scores = activated(task, logits), ranking_scores(task, logits)
    assert values.shape == scores.shape == (9, len(task.outputs))
    assert torch.equal(values.argsort(dim=0), scores.argsort(dim=0))


def test_scores_of_classes_do_not_saturate():
    assert ranking_scores(SENTIMENT, torch.tensor([[0.0, 100.0], [0.0, 200.0]])).tolist() == [[100.0], [200.0]]
    assert ranking_scores(EMOTION, torch.tensor([[100.0, 200.0]])).tolist() == [[100.0, 200.0]]


def test_every_row_names_an_activation_that_is_there():
    assert {kind.activation for kind in TASK_KINDS.values()} <= set(ACTIVATIONS)


@pytest.mark.parametrize("tasks", SUBSETS, ids=lambda tasks: "+".join(task.name for task in tasks))
def test_any_subset_of_the_tasks_has_its_logits_and_no_other(tasks):
    torch.manual_seed(0)
    heads = make_heads(5, tasks)
    rows = torch.randn(3, 4, 5)
    logits = outputs_from_heads(heads, rows).logits
    assert set(logits) == {task.name for task in tasks}
    for task in logits:
        torch.testing.assert_close(logits[task], rows @ heads[task].weight.T + heads[task].bias)


def test_no_task_or_a_name_of_torch_s_own_is_refused():
    with pytest.raises(UsageError, match="at least one task, but got none; name them with --tasks"):
        make_heads(5, ())
    kept = tasks_of([LabelSpace("values", LabelKind.CLASSES, ("a", "b"))])["values"]
    with pytest.raises(UsageError, match="a label whose name torch does not use itself, but got 'values'"):
        make_heads(5, (kept,))


def test_the_paper_s_two_heads_begin_as_before_and_emotion_intensities_near_their_mean():
    torch.manual_seed(3)
    two = make_heads(5, (SENTIMENT, EMOTION))
    torch.manual_seed(3)
    plain = [torch.nn.Linear(5, 2), torch.nn.Linear(5, 7)]
    for head, linear in zip(two.values(), plain, strict=True):
        assert torch.equal(head.weight, linear.weight)
        assert torch.equal(head.bias, linear.bias)
    nothing = outputs_from_heads(make_heads(5, (EMOTION_INTENSITY,)), torch.zeros(1, 1, 5))
    degrees = activated(EMOTION_INTENSITY, nothing.logits[EMOTION_INTENSITY.name])
    torch.testing.assert_close(degrees, torch.full((1, 1, 6), 0.3))


def test_cumulative_probabilities_never_rise_and_are_those_of_the_formula():
    task = tasks_of([LabelSpace("x", LabelKind.ORDINAL, tuple("abcd"), 0.0, 3.0, (0.5, 1.5, 2.5))])["x"]
    logits = torch.tensor([[0.3, -1.0, 2.0], [40.0, 30.0, -30.0]], dtype=torch.float64)
    first, second = 0.3, 0.3 - math.log(1 + math.exp(-1))
    third = second - math.log(1 + math.exp(2))
    expected = [1 / (1 + math.exp(-z)) for z in (first, second, third)]
    values = activated(task, logits)
    assert values[0].tolist() == pytest.approx(expected)
    assert (values.diff(dim=-1) <= 0).all()


def test_scores_of_classes_are_their_log_odds():
    task = tasks_of([LabelSpace("x", LabelKind.CLASSES, tuple("abc"))])["x"]
    logits = torch.randn(7, 3, dtype=torch.float64)
    probabilities = activated(task, logits)
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(ranking_scores(task, logits), (probabilities / (1 - probabilities)).log())


def test_a_score_is_bounded_by_any_range():
    task = tasks_of([LabelSpace("x", LabelKind.SCORE, low=1.0, high=5.0)])["x"]
    values = activated(task, torch.tensor([[-1e3], [0.0], [2.0], [1e3]]))
    assert values[:, 0].tolist() == pytest.approx([1.0, 3.0, 3 + 2 * math.tanh(1), 5.0])
