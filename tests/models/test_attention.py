"""Algorithm 1 by hand, and what the attention must not depend on."""

from __future__ import annotations

import math

import pytest
import torch

from mien.models.attention import attend, cross_attend


def test_two_utterances_by_hand():
    x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    y = torch.tensor([[[0.0, 1.0], [3.0, 1.0]]])
    here = torch.ones(1, 2, dtype=torch.bool)
    # M1 = X Y^T = [[0, 3], [2, 2]]; row softmax; O1 = N1 Y; A1 = O1 * X
    e3 = math.exp(3)
    n1 = [[1 / (1 + e3), e3 / (1 + e3)], [0.5, 0.5]]
    a1 = [[3 * n1[0][1] * 1.0, 0.0], [0.0, 1.0 * 2.0]]
    # M2 = Y X^T = [[0, 2], [3, 2]]
    e2, e1 = math.exp(2), math.exp(1)
    n2 = [[1 / (1 + e2), e2 / (1 + e2)], [e1 / (1 + e1), 1 / (1 + e1)]]
    a2 = [[0.0, 2 * n2[0][1] * 1.0], [n2[1][0] * 3.0, 2 * n2[1][1] * 1.0]]

    gated, weights = cross_attend(torch.stack([x, y]), torch.stack([here, here]))

    torch.testing.assert_close(weights, torch.tensor([[n1], [n2]]))
    torch.testing.assert_close(gated, torch.tensor([[a1], [a2]]))


def test_the_second_direction_is_not_the_transpose_of_the_first():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, 1, 5, 3, generator=generator)
    here = torch.ones(1, 5, dtype=torch.bool)
    _, (forth, back) = cross_attend(torch.stack([x, y]), here.expand(2, 1, 5))
    assert not torch.allclose(forth, back.transpose(1, 2), atol=1e-3)
    torch.testing.assert_close(forth.sum(-1), torch.ones(1, 5))
    torch.testing.assert_close(back.sum(-1), torch.ones(1, 5))


def test_all_pairs_at_once_are_each_direction_alone_gradients_too():
    torch.manual_seed(0)
    states = torch.randn(3, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    present = torch.rand(3, 4, 5) < 0.7
    present[1, 2] = False  # a video without the modality
    one_by_one = [attend(states[x], states[y], present[y]) for x, y in [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]]
    expected = tuple(torch.stack(each) for each in zip(*one_by_one, strict=True))
    got = cross_attend(states, present)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    # through what is attended alone, through the weights alone, and through both
    for parts in ((0,), (1,), (0, 1)):
        torch.manual_seed(1)
        weighting = [torch.randn_like(each) for each in expected]
        totals = [sum((each[part] * weighting[part]).sum() for part in parts) for each in (got, expected)]
        ours, theirs = (torch.autograd.grad(total, states, retain_graph=True)[0] for total in totals)
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("rubbish", [1e4, -1e4])
def test_absent_context_takes_no_weight_whatever_stands_there(rubbish):
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(2, 1, 5, 3, generator=generator)
    here = torch.tensor([[True, True, False, True, False]])
    spoiled = torch.where(here.unsqueeze(-1), y, rubbish)
    clean_gated, clean = attend(x, y, here)
    gated, weights = attend(x, spoiled, here)
    assert (weights[..., ~here[0]] == 0).all()
    torch.testing.assert_close(weights, clean)
    torch.testing.assert_close(gated, clean_gated)


def test_a_video_without_any_context_gives_zeros_and_finite_gradients():
    x = torch.randn(1, 3, 2, requires_grad=True)
    y = torch.randn(1, 3, 2, requires_grad=True)
    gated, weights = attend(x, y, torch.zeros(1, 3, dtype=torch.bool))
    gated.sum().backward()
    assert (gated == 0).all()
    assert (weights == 0).all()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(y.grad).all()
