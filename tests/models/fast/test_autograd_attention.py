"""The attention of all pairs at once against `attend` for each direction: outputs and gradients."""

from __future__ import annotations

import torch

from mien.models.cim import attend
from mien.models.fast.autograd import attend_pairs

DIRECTIONS = [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]


def test_all_pairs_at_once_are_each_direction_alone_gradients_too():
    torch.manual_seed(0)
    states = torch.randn(3, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    present = torch.rand(3, 4, 5) < 0.7
    present[1, 2] = False  # a video without the modality
    one_by_one = [attend(states[x], states[y], present[y]) for x, y in DIRECTIONS]
    expected = tuple(torch.stack(each) for each in zip(*one_by_one, strict=True))
    got = attend_pairs(states, present, DIRECTIONS)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    # through what is attended alone, through the weights alone, and through both
    for parts in ((0,), (1,), (0, 1)):
        torch.manual_seed(1)
        weighting = [torch.randn_like(each) for each in expected]
        totals = [sum((each[part] * weighting[part]).sum() for part in parts) for each in (got, expected)]
        ours, theirs = (torch.autograd.grad(total, states, retain_graph=True)[0] for total in totals)
        torch.testing.assert_close(ours, theirs)
