"""The fused recurrence against `torch.nn.GRU`: states and every gradient, whatever is missing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mien.models.fast.autograd import run_grus
from mien.models.layers import run_bidirectional

VIDEOS, UTTERANCES, HIDDEN = 7, 16, 5
SIZES = (4, 3, 6)
LENGTHS = (16, 1, 4, 4, 0, 7, 2)


def make_grus(dtype: torch.dtype = torch.float64) -> list[nn.GRU]:
    torch.manual_seed(0)
    return [nn.GRU(size, HIDDEN, batch_first=True, bidirectional=True).to(dtype) for size in SIZES]


def make_inputs(*, gaps: bool, lengths: tuple[int, ...] = LENGTHS) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    real = torch.arange(max(*lengths, 1)) < torch.tensor(lengths).unsqueeze(1)
    inputs = [torch.randn(*real.shape, size, dtype=torch.float64, requires_grad=True) for size in SIZES]
    presents = [real & (torch.rand(real.shape) < 0.7) if gaps else real.clone() for _ in SIZES]
    return inputs, presents


def run_one_by_one(grus: list[nn.GRU], inputs: list[torch.Tensor], presents: list[torch.Tensor]) -> torch.Tensor:
    """The plain form."""
    return torch.stack([run_bidirectional(*each) for each in zip(grus, inputs, presents, strict=True)])


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "each modality lacks its own utterances"])
@pytest.mark.parametrize("n_grus", [1, 2, 3])
def test_states_and_gradients_are_those_of_nn_gru(n_grus, gaps):
    grus = make_grus()[:n_grus]
    inputs, presents = (each[:n_grus] for each in make_inputs(gaps=gaps))
    wanted = [*inputs, *(parameter for gru in grus for parameter in gru.parameters())]
    fused, plain = run_grus(grus, inputs, presents), run_one_by_one(grus, inputs, presents)
    torch.testing.assert_close(fused, plain, atol=1e-12, rtol=0)
    assert fused.shape == (n_grus, VIDEOS, UTTERANCES, 2 * HIDDEN)
    weighting = torch.randn_like(plain)
    for ours, theirs in zip(
        torch.autograd.grad((fused * weighting).sum(), wanted),
        torch.autograd.grad((plain * weighting).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=0)


def test_states_are_those_of_nn_gru_in_single_precision_at_the_papers_size():
    torch.manual_seed(0)
    grus = [nn.GRU(size, 200, batch_first=True, bidirectional=True) for size in (300, 74, 35)]
    real = torch.arange(40) < torch.randint(1, 41, (16, 1))
    inputs, presents = [torch.randn(16, 40, size) for size in (300, 74, 35)], [real] * 3
    torch.testing.assert_close(
        run_grus(grus, inputs, presents), run_one_by_one(grus, inputs, presents), atol=2e-6, rtol=0
    )


def test_what_stands_where_nothing_is_present_changes_nothing():
    grus = make_grus()
    inputs, presents = make_inputs(gaps=True)
    before = run_grus(grus, inputs, presents)
    other = [torch.where(present.unsqueeze(-1), x, 99.0) for x, present in zip(inputs, presents, strict=True)]
    torch.testing.assert_close(run_grus(grus, other, presents), before, atol=0, rtol=0)
    assert all((states[~present] == 0).all() for states, present in zip(before, presents, strict=True))


def test_a_batch_where_nothing_is_present_has_zero_states_and_gradients():
    grus = make_grus()
    inputs, presents = make_inputs(gaps=False, lengths=(0, 0))
    states = run_grus(grus, inputs, presents)
    assert (states == 0).all()
    states.sum().backward()
    assert all((parameter.grad == 0).all() for gru in grus for parameter in gru.parameters())


def test_videos_with_more_utterances_of_the_second_of_two_modalities_than_of_the_first():
    grus = make_grus()[:2]
    inputs, presents = (each[:2] for each in make_inputs(gaps=False))
    presents[0] = presents[0] & (torch.arange(UTTERANCES) < 2)
    torch.testing.assert_close(run_grus(grus, inputs, presents), run_one_by_one(grus, inputs, presents))


def test_a_modality_that_no_video_has_beside_one_that_all_have():
    grus = make_grus()
    inputs, presents = make_inputs(gaps=False)
    presents[1] = torch.zeros_like(presents[1])
    torch.testing.assert_close(run_grus(grus, inputs, presents), run_one_by_one(grus, inputs, presents))


def test_without_gradients_nothing_is_kept():
    grus = make_grus()
    inputs, presents = make_inputs(gaps=True)
    with torch.no_grad():
        states = run_grus(grus, inputs, presents)
    assert states.grad_fn is None
    torch.testing.assert_close(states, run_one_by_one(grus, inputs, presents))


def test_under_mixed_precision_torchs_own_recurrence_is_used():
    grus = make_grus(torch.float32)
    inputs, presents = make_inputs(gaps=False)
    inputs = [each.detach().float() for each in inputs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, plain = run_grus(grus, inputs, presents), run_one_by_one(grus, inputs, presents)
    torch.testing.assert_close(mixed, plain, atol=0, rtol=0)


def test_the_environment_chooses_torchs_own_recurrence(monkeypatch):
    grus = make_grus(torch.float32)
    inputs, presents = make_inputs(gaps=False)
    inputs = [each.detach().float() for each in inputs]
    monkeypatch.setenv("MIEN_FAST", "0")
    chosen = run_grus(grus, inputs, presents)
    torch.testing.assert_close(chosen, run_one_by_one(grus, inputs, presents), atol=0, rtol=0)
    monkeypatch.setenv("MIEN_FAST", "1")
    assert not torch.equal(run_grus(grus, inputs, presents), chosen), "the fused recurrence rounds in another order"
