"""Heads: what each task's output is, and that intensities stay in the range of their labels."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from mien.models.heads import bounded_emotions, bounded_sentiment, make_heads, outputs_by_task, outputs_from_heads
from mien.schema import Task

SUBSETS = [subset for size in range(1, 5) for subset in itertools.combinations(Task, size)]


def test_bounds_by_hand():
    values = torch.tensor([0.0, 0.3, 3.0, -1e6, 1e6], dtype=torch.float64)
    expected = [0.0, 3 * math.tanh(0.1), 3 * math.tanh(1.0), -3.0, 3.0]
    torch.testing.assert_close(bounded_sentiment(values), torch.tensor(expected, dtype=torch.float64))
    expected = [1.5, 3 / (1 + math.exp(-0.3)), 3 / (1 + math.exp(-3.0)), 0.0, 3.0]
    torch.testing.assert_close(bounded_emotions(values), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("tasks", SUBSETS, ids="+".join)
def test_any_subset_of_the_tasks_has_its_outputs_and_no_other(tasks):
    torch.manual_seed(0)
    heads = make_heads(5, tasks)
    rows = torch.randn(3, 4, 5)
    outputs = outputs_from_heads(heads, rows)
    said = {
        Task.SENTIMENT: outputs.sentiment_logits,
        Task.EMOTION: outputs.emotion_logits,
        Task.SENTIMENT_INTENSITY: outputs.sentiment_intensity,
        Task.EMOTION_INTENSITY: outputs.emotion_intensity,
    }
    assert {task for task, values in said.items() if values is not None} == set(tasks)
    for task in tasks:
        linear = rows @ heads[task].weight.T + heads[task].bias
        if task is Task.SENTIMENT_INTENSITY:
            linear = 3 * torch.tanh(linear[..., 0] / 3)
        if task is Task.EMOTION_INTENSITY:
            linear = 3 / (1 + torch.exp(-linear))
        torch.testing.assert_close(said[task], linear)


def test_the_paper_s_two_heads_begin_as_before_and_emotion_intensities_near_their_mean():
    torch.manual_seed(3)
    two = make_heads(5, (Task.SENTIMENT, Task.EMOTION))
    torch.manual_seed(3)
    plain = [torch.nn.Linear(5, 2), torch.nn.Linear(5, 7)]
    for head, linear in zip(two.values(), plain, strict=True):
        assert torch.equal(head.weight, linear.weight)
        assert torch.equal(head.bias, linear.bias)
    nothing = outputs_from_heads(make_heads(5, (Task.EMOTION_INTENSITY,)), torch.zeros(1, 1, 5))
    torch.testing.assert_close(nothing.emotion_intensity, torch.full((1, 1, 6), 0.3))


def test_every_task_may_have_a_representation_of_its_own():
    heads = make_heads(5, (Task.SENTIMENT, Task.SENTIMENT_INTENSITY))
    rows = {task: torch.randn(2, 3, 5) for task in (Task.SENTIMENT, Task.SENTIMENT_INTENSITY)}
    outputs = outputs_by_task(heads, rows, fusion={"text": torch.ones(2, 3)})
    alone = outputs_from_heads(heads, rows[Task.SENTIMENT_INTENSITY])
    assert torch.equal(outputs.sentiment_intensity, alone.sentiment_intensity)
    assert not torch.equal(outputs.sentiment_logits, alone.sentiment_logits)
    assert set(outputs.fusion) == {"text"}
