"""Dropout: the share, the scale, the gradient, the seed."""

from __future__ import annotations

import pytest
import torch

from mien.models.fast.dropout import dropout


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.7])
def test_the_share_dropped_and_the_mean_are_right(rate):
    torch.manual_seed(0)
    n = 1_000_000
    dropped = dropout(torch.ones(n), rate, training=True)
    share = float((dropped == 0).float().mean())
    assert abs(share - rate) < 5 * (rate * (1 - rate) / n) ** 0.5  # five standard errors
    assert float(dropped.max()) == pytest.approx(1 / (1 - rate), rel=1e-4)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    zero = (dropout(torch.ones(400_000), 0.5, training=True) == 0).float()
    for lag in (1, 2, 3, 4, 5, 8):
        both = float((zero[lag:] * zero[:-lag]).mean())
        assert both == pytest.approx(0.25, abs=0.005), lag


def test_the_gradient_is_the_mask():
    torch.manual_seed(0)
    values = torch.rand(3, 5, 7, dtype=torch.float64, requires_grad=True) + 1
    values.retain_grad()
    dropped = dropout(values, 0.4, training=True)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, dropped.detach() / values.detach())


def test_a_seed_gives_the_same_mask_and_the_next_call_another():
    torch.manual_seed(3)
    first, second = (dropout(torch.ones(1000), 0.5, training=True) for _ in range(2))
    torch.manual_seed(3)
    torch.testing.assert_close(dropout(torch.ones(1000), 0.5, training=True), first)
    assert not torch.equal(first, second)


def test_nothing_happens_in_use_or_at_rate_zero():
    values = torch.rand(10)
    assert dropout(values, 0.5, training=False) is values
    assert dropout(values, 0.0, training=True) is values


def test_rates_are_rounded_to_multiples_of_a_65536th():
    torch.manual_seed(0)
    n, level = 1 << 22, 1 / 65536
    ones = torch.ones(n)
    assert torch.equal(dropout(ones, 0.4 * level, training=True), ones)
    for rate in (0.6 * level, level, 1.4 * level):
        n_dropped = int((dropout(ones, rate, training=True) == 0).sum())
        assert abs(n_dropped - n * level) < 5 * (n * level) ** 0.5  # five standard errors of 64 expected


def test_the_environment_chooses_torchs_own_dropout(monkeypatch):
    monkeypatch.setenv("MIEN_FAST", "0")
    values = torch.rand(1000)
    torch.manual_seed(3)
    dropped = dropout(values, 0.5, training=True)
    torch.manual_seed(3)
    assert torch.equal(dropped, torch.nn.functional.dropout(values, 0.5, training=True))
