"""The bi-GRU steps over what is not there; the masked softmax; the ranges of settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from mien.models.layers import SystemSettings, _run_for_export, masked_softmax, run_bidirectional


def make_gru() -> nn.GRU:
    torch.manual_seed(0)
    return nn.GRU(5, 3, batch_first=True, bidirectional=True).double()


def test_equals_torch_on_one_whole_video():
    gru = make_gru()
    rows = torch.randn(1, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(run_bidirectional(gru, rows, torch.ones(1, 7, dtype=torch.bool)), gru(rows)[0])


def test_absent_utterances_are_skipped_as_if_they_did_not_exist():
    gru = make_gru()
    rows = torch.randn(2, 7, 5, dtype=torch.float64)
    present = torch.tensor([[True, False, True, True, False, False, True], [True] * 5 + [False] * 2])
    states = run_bidirectional(gru, rows, present)
    for video in range(2):
        expected = gru(rows[video][present[video]].unsqueeze(0))[0][0]
        torch.testing.assert_close(states[video][present[video]], expected)
        assert (states[video][~present[video]] == 0).all()


def test_a_video_without_the_modality_has_zero_states_beside_one_that_has_it():
    gru = make_gru()
    rows = torch.randn(2, 3, 5, dtype=torch.float64)
    present = torch.tensor([[False, False, False], [True, True, True]])
    states = run_bidirectional(gru, rows, present)
    assert (states[0] == 0).all()
    torch.testing.assert_close(states[1], gru(rows[1:])[0][0])
    assert (run_bidirectional(gru, rows, torch.zeros(2, 3, dtype=torch.bool)) == 0).all()


def test_the_masked_softmax_is_over_the_present_entries_of_the_last_axis():
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    present = torch.rand(2, 3, 5) < 0.6
    present[1, 2] = False
    present[0, 1] = True
    weights = masked_softmax(scores, present)
    exponents = np.exp(scores.detach().numpy()) * present.numpy()
    totals = exponents.sum(axis=-1, keepdims=True)
    expected = np.divide(exponents, totals, out=np.zeros_like(exponents), where=totals > 0)
    np.testing.assert_allclose(weights.detach().numpy(), expected, atol=1e-15)
    assert (weights[~present] == 0).all()
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert torch.isfinite(gradient).all()
    assert (gradient[~present] == 0).all()


@dataclass(frozen=True)
class AnySettings(SystemSettings):
    """One field of every kind that is checked."""

    units: int = 1
    extra: int = 0
    hidden_dropout: float = 0.0
    ridge_penalty: float = 1.0
    first_learning_rate: float = 1.0
    width_factor: float = 1.0

    may_be_zero = frozenset({"extra"})


@pytest.mark.parametrize("name", ["ridge_penalty", "first_learning_rate", "width_factor"])
def test_penalties_learning_rates_and_factors_lie_between_zero_and_infinity(name):
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"Expected {name} > 0, but got {wrong}"):
            AnySettings(**{name: wrong})
    for right in (5e-324, 1e308):
        assert getattr(AnySettings(**{name: right}), name) == right


def test_sizes_are_at_least_one_or_zero_and_dropout_rates_below_one():
    AnySettings(units=1, extra=0, hidden_dropout=0.0)
    AnySettings(hidden_dropout=0.999)
    for name, wrong, told in (
        ("units", 0, "units to be at least 1, but got 0"),
        ("extra", -1, "extra to be at least 0, but got -1"),
        ("hidden_dropout", 1.0, r"hidden_dropout in \[0, 1\), but got 1.0"),
        ("hidden_dropout", -0.1, r"hidden_dropout in \[0, 1\), but got -0.1"),
    ):
        with pytest.raises(ValueError, match=told):
            AnySettings(**{name: wrong})


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("present", [[True] * 7, [False, True, True, False, True, False, False], [False] * 7])
def test_the_form_for_export_equals_the_other_for_one_video(kind, present):
    torch.manual_seed(1)
    rnn = kind(5, 3, batch_first=True, bidirectional=True).double()
    rows, mask = torch.randn(1, 7, 5, dtype=torch.float64), torch.tensor([present])
    torch.testing.assert_close(_run_for_export(rnn, rows, mask), run_bidirectional(rnn, rows, mask))
