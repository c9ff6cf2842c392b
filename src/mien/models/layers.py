"""The bidirectional recurrence over the utterances of a video that every context-level network has.

Stacks of dense layers, the sub-networks of the systems.

Checks that the settings of several systems share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mien.models.fast.dropout import dropout
from mien.models.fast.gru import run_grus

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}


@dataclass(frozen=True)
class Dropouts:
    """Shares of values that a `ContextEncoder` sets to zero while training."""

    # of what enters the recurrence, of its states, and of the dense layer's output
    inputs: float
    states: float
    dense: float


class ContextEncoder(nn.Module):
    """Bidirectional recurrence over the utterances of a video, then a dense layer on every utterance."""

    def __init__(self, rnn: nn.GRU | nn.LSTM, dense_size: int, activation: str, dropouts: Dropouts) -> None:
        super().__init__()
        self.rnn = rnn
        self.dense = nn.Linear(2 * rnn.hidden_size, dense_size)
        self.activation = activation
        self.dropouts = dropouts

    def forward(
        self, inputs: Float[Tensor, "video utterance feature"], present: Bool[Tensor, "video utterance"]
    ) -> Float[Tensor, "video utterance dense"]:
        """Zero where an utterance is not `present`, whose place the recurrence steps over."""
        shares = self.dropouts
        inputs = dropout(inputs, shares.inputs, self.training)
        states = dropout(run_bidirectional(self.rnn, inputs, present), shares.states, self.training)
        dense = dropout(ACTIVATIONS[self.activation](self.dense(states)), shares.dense, self.training)
        # Without this, the dense layer's bias would stand where there is no utterance.
        return dense * present.unsqueeze(-1)


def run_bidirectional(
    rnn: nn.GRU | nn.LSTM, inputs: Float[Tensor, "video utterance feature"], present: Bool[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance state"]:
    """Run `rnn` over the utterances that are present, as if the others did not exist; their states are zero.

    `rnn` has one layer, both directions, and the batch on its first axis; a state is [forward, backward]. Padding and
    utterances that lack the modality are treated alike: the recurrence steps over them, so neither the number of padded
    slots nor what stands in them can change a state.
    """
    n_utterances = present.shape[1]
    n_present = present.sum(dim=1)  # (video,)
    place = torch.arange(n_utterances, device=inputs.device)
    gapless = bool((present == (place < n_present.unsqueeze(1))).all())
    if gapless:
        return _run_packed(rnn, inputs, n_present)
    order = (~present).to(torch.uint8).argsort(dim=1, stable=True)  # present ones first, in their order
    states = _run_packed(rnn, _reorder(inputs, order), n_present)
    return _reorder(states, order.argsort(dim=1))


def run_together(
    rnns: Sequence[nn.GRU],
    inputs: Sequence[Float[Tensor, "video utterance _"]],
    presents: Sequence[Bool[Tensor, "video utterance"]],
) -> Float[Tensor, "rnn video utterance state"]:
    """`run_bidirectional` for several GRUs of one hidden size over the same videos: on a CPU as one recurrence."""
    on_cpu = all(each.device.type == "cpu" for each in inputs)
    if on_cpu and not torch.is_autocast_enabled("cpu"):
        return run_grus(rnns, inputs, presents)
    return run_one_by_one(rnns, inputs, presents)


def run_one_by_one(
    rnns: Sequence[nn.GRU],
    inputs: Sequence[Float[Tensor, "video utterance _"]],
    presents: Sequence[Bool[Tensor, "video utterance"]],
) -> Float[Tensor, "rnn video utterance state"]:
    """`run_bidirectional` for each: the reference of `run_together`."""
    return torch.stack([run_bidirectional(*each) for each in zip(rnns, inputs, presents, strict=True)])


def _run_packed(
    rnn: nn.GRU | nn.LSTM, inputs: Float[Tensor, "video utterance feature"], lengths: Int[Tensor, "video"]
) -> Float[Tensor, "video utterance state"]:
    if bool((lengths == inputs.shape[1]).all()):
        # Nothing to step over: packing would only cost time, about a sixth of the recurrence.
        whole: Tensor = rnn(inputs)[0]
        return whole
    states = inputs.new_zeros(*inputs.shape[:2], 2 * rnn.hidden_size)
    filled = lengths > 0
    if not bool(filled.any()):
        return states
    packed = pack_padded_sequence(inputs[filled], lengths[filled].cpu(), batch_first=True, enforce_sorted=False)
    some, _ = pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=inputs.shape[1])
    if bool(filled.all()):
        return some
    return states.index_put((filled.nonzero().squeeze(1),), some)


def _reorder(
    rows: Float[Tensor, "video utterance feature"], order: Int[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance feature"]:
    return rows.gather(1, order.unsqueeze(-1).expand(-1, -1, rows.shape[2]))


def relu_layers(sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """`sizes` = inputs, then units of each layer; before each linear layer dropout, after it ReLU."""
    layers = [[nn.Dropout(dropout), nn.Linear(n_in, n_out), nn.ReLU()] for n_in, n_out in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in layer))


def two_layers(n_in: int, n_hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear: what the memory-fusion papers call a network."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, n_out))


def check_settings(settings: Any, *, sizes: Sequence[str], rates: Sequence[str]) -> None:
    """Raise ValueError unless every named size is at least 1 and every named dropout rate is in [0, 1)."""
    for name in sizes:
        if getattr(settings, name) < 1:
            raise ValueError(f"Expected {name} to be at least 1, but got {getattr(settings, name)}")
    for name in rates:
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"Expected {name} in [0, 1), but got {getattr(settings, name)}")
