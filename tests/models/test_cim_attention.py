"""The attention of Algorithm 1 by hand, and what it must not depend on."""

from __future__ import annotations

import math

import pytest
import torch

from mien.models.cim import attend
from mien.models.fast.autograd import attend_pairs


def one_by_one(x, y, here):
    """``(A, N)`` of X to Y and of Y to X, by the plain form."""
    return tuple(torch.stack(each) for each in zip(attend(x, y, here), attend(y, x, here), strict=True))


def pairs_at_once(x, y, here):
    """The same by the fast form."""
    return attend_pairs(torch.stack([x, y]), torch.stack([here, here]), [(0, 1), (1, 0)])


@pytest.mark.parametrize("form", [one_by_one, pairs_at_once])
def test_two_utterances_by_hand(form):
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

    gated, weights = form(x, y, here)

    torch.testing.assert_close(weights, torch.tensor([[n1], [n2]]))
    torch.testing.assert_close(gated, torch.tensor([[a1], [a2]]))


def test_the_second_direction_is_not_the_transpose_of_the_first():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, 1, 5, 3, generator=generator)
    here = torch.ones(1, 5, dtype=torch.bool)
    _, (forth, back) = one_by_one(x, y, here)
    assert not torch.allclose(forth, back.transpose(1, 2), atol=1e-3)
    torch.testing.assert_close(forth.sum(-1), torch.ones(1, 5))
    torch.testing.assert_close(back.sum(-1), torch.ones(1, 5))


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
