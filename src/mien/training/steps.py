"""How a network's parameters move: the optimizer, and its learning rates over the course of a training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mien.training.settings import TrainSettings

# parameters below this name are a text encoder's
ENCODER = "encoder."
INITIAL_RATE = "initial_lr"


def make_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Adam, as in the paper, of what is learned. Fused: the plain one takes an eighth of an epoch on a CPU."""
    learned = {name: each for name, each in network.named_parameters() if each.requires_grad}
    rest = [each for name, each in learned.items() if not name.startswith(ENCODER)]
    encoder = [each for name, each in learned.items() if name.startswith(ENCODER)]
    groups: list[dict[str, Any]] = [{"params": rest}]
    if encoder:
        groups.append({"params": encoder, "lr": settings.encoder_learning_rate or settings.learning_rate})
    return torch.optim.Adam(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, done: float, settings: TrainSettings) -> None:
    """Set the learning rates for a step before which the share `done` of all steps was made."""
    factor = rate_factor(done, settings)
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault(INITIAL_RATE, group["lr"]) * factor


def rate_factor(done: float, settings: TrainSettings) -> float:
    """Rises linearly to one over the warm-up; then one, or falling linearly to zero at the end."""
    if done < settings.warmup:
        return done / settings.warmup
    return (1 - done) / (1 - settings.warmup) if settings.linear_decay else 1.0
