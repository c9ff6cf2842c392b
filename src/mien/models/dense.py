"""Stacks of dense layers, the sub-networks of the systems."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def relu_layers(sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """`sizes` = inputs, then units of each layer; before each linear layer dropout, after it ReLU."""
    layers = [[nn.Dropout(dropout), nn.Linear(n_in, n_out), nn.ReLU()] for n_in, n_out in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in layer))


def two_layers(n_in: int, n_hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear: what the memory-fusion papers call a network."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, n_out))
