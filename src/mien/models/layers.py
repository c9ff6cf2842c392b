"""What several networks share: a recurrence over the utterances of a video, a masked softmax, dense stacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mien.models.fast.dropout import dropout
from mien.schema import Modality

States = Float[Tensor, "video utterance feature"]
Weights = Float[Tensor, "video utterance context"]
DENSE_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}


@dataclass(frozen=True)
class DropoutRates:
    """Shares of values that a `ContextEncoder` sets to zero while training."""

    # of what enters the recurrence, of its states, and of the dense layer's output
    inputs: float
    states: float
    dense: float


class ContextEncoder(nn.Module):
    """Bidirectional recurrence over the utterances of a video, then a dense layer on every utterance."""

    def __init__(self, rnn: nn.GRU | nn.LSTM, dense_size: int, activation: str, dropouts: DropoutRates) -> None:
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
        dense = dropout(DENSE_ACTIVATIONS[self.activation](self.dense(states)), shares.dense, self.training)
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
    if torch.onnx.is_in_onnx_export():
        return _run_for_export(rnn, inputs, present)
    n_present = present.sum(dim=1)  # (video,)
    place = torch.arange(present.shape[1], device=inputs.device)
    gapless = bool((present == (place < n_present.unsqueeze(1))).all())
    if gapless:
        return _run_packed(rnn, inputs, n_present)
    order = (~present).to(torch.uint8).argsort(dim=1, stable=True)  # present ones first, in their order
    states = _run_packed(rnn, _reorder(inputs, order), n_present)
    return _reorder(states, order.argsort(dim=1))


def _run_for_export(
    rnn: nn.GRU | nn.LSTM, inputs: Float[Tensor, "1 utterance feature"], present: Bool[Tensor, "1 utterance"]
) -> Float[Tensor, "1 utterance state"]:
    """`run_bidirectional` for one video, free of branches, so that one graph serves any length and any gaps."""
    here = present.squeeze(0)
    place = torch.arange(inputs.shape[1], device=inputs.device)
    # A recurrence over nothing is no valid graph: where nothing is present, one step is run and thrown away below.
    visited = (here | ((place == 0) & ~here.any())).nonzero().squeeze(1)
    states = rnn(inputs[:, visited])[0].squeeze(0)
    whole = inputs.new_zeros(inputs.shape[1], 2 * rnn.hidden_size).index_put((visited,), states)
    return (whole * here.unsqueeze(-1)).unsqueeze(0)


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


def masked_softmax(scores: Float[Tensor, "*rows choice"], present: Bool[Tensor, "*#rows choice"]) -> Tensor:
    """Softmax over the last axis among what is `present`; the rest gets zero, and a row with nothing all zeros."""
    # The lowest finite number instead of -inf: a row with nothing stays free of NaN, also in its gradient.
    lowest = torch.finfo(scores.dtype).min
    absent = ~present
    return scores.masked_fill(absent, lowest).softmax(dim=-1).masked_fill(absent, 0.0)


def relu_layers(sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """`sizes` = inputs, then units of each layer; before each linear layer dropout, after it ReLU."""
    layers = [[nn.Dropout(dropout), nn.Linear(n_in, n_out), nn.ReLU()] for n_in, n_out in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in layer))


def two_layers(n_in: int, n_hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear: what the memory-fusion papers call a network."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, n_out))


def view_sizes(settings: Any, n_features: Mapping[Modality, int]) -> dict[Modality, int]:
    """Units of each modality (view) that there is: the settings `text_size`, `acoustic_size`, `visual_size`."""
    return {m: getattr(settings, f"{m}_size") for m in Modality if m in n_features}


@dataclass(frozen=True)
class SystemSettings:
    """The settings of one system.

    Raises ValueError unless every whole number is at least 1, or 0 where it may be, every dropout is in [0, 1), and
    every penalty, rate and factor is above 0.
    """

    # no annotation: it is no setting
    may_be_zero = frozenset[str]()

    def __post_init__(self) -> None:
        values = dataclasses.asdict(self)
        for name, value in values.items():
            least = 0 if name in self.may_be_zero else 1
            if type(value) is int and value < least:
                raise ValueError(f"Expected {name} to be at least {least}, but got {value}")
        for name, value in values.items():
            if name.endswith("_dropout") and not 0 <= value < 1:
                raise ValueError(f"Expected {name} in [0, 1), but got {value}")
            if name.endswith(("_penalty", "_learning_rate", "_factor")) and not 0 < value < float("inf"):
                raise ValueError(f"Expected {name} > 0, but got {value}")
