"""The bi-GRU steps over what is not there."""

from __future__ import annotations

import torch
from torch import nn

from mien.models.layers import run_bidirectional


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
