"""Learning rates over the course of a training, and what is trained at which."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mien.training.loop import make_optimizer, rate_factor, set_rates
from mien.training.train_settings import TrainSettings


class Encoded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(2, 3)
        self.encoder.bias.requires_grad_(False)
        self.head = nn.Linear(3, 1)


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({}, [1, 1, 1, 1]),
        ({"warmup": 0.2}, [0, 0.5, 1, 1]),
        ({"linear_decay": True}, [1, 0.9, 0.5, 0]),
        ({"warmup": 0.2, "linear_decay": True}, [0, 0.5, 0.625, 0]),
    ],
)
def test_rates_rise_and_fall(settings, factors):
    told = [rate_factor(done, TrainSettings(**settings)) for done in (0.0, 0.1, 0.5, 1.0)]
    assert told == pytest.approx(factors)


def test_the_encoder_has_its_own_rate_and_what_is_frozen_none():
    network = Encoded()
    settings = TrainSettings(learning_rate=0.1, encoder_learning_rate=0.01, warmup=0.5)
    optimizer = make_optimizer(network, settings)
    rest, encoder = (group["params"] for group in optimizer.param_groups)
    assert [id(each) for each in rest] == [id(network.head.weight), id(network.head.bias)]
    assert [id(each) for each in encoder] == [id(network.encoder.weight)]
    for _ in range(2):  # once more, from the initial rates and not from the last ones
        set_rates(optimizer, 0.25, settings)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.005])
    rates = [group["lr"] for group in make_optimizer(network, TrainSettings(learning_rate=0.1)).param_groups]
    assert rates == [0.1, 0.1]


def test_without_an_encoder_all_of_a_network_moves_at_one_rate():
    optimizer = make_optimizer(nn.Linear(2, 1), TrainSettings())
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]
    assert isinstance(optimizer, torch.optim.Adam)


@pytest.mark.parametrize("wrong", [{"warmup": 1.0}, {"encoder_learning_rate": 0.0}, {"batch_tokens": 0}])
def test_wrong_settings_are_told(wrong):
    with pytest.raises(ValueError, match=f"Expected {next(iter(wrong))}"):
        TrainSettings(**wrong)
