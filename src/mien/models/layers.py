"""Parts shared by several networks: a recurrence over utterances, a masked softmax, dense layers, settings."""

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
    """Dropout rates of a `ContextEncoder`: on its inputs, on the states of its recurrence, and on its outputs."""

    # rates on the inputs of the recurrence, on its states, and on the output of the dense layer
    inputs: float
    states: float
    dense: float


class ContextEncoder(nn.Module):
    """Bidirectional recurrence over the utterances of a video, followed by a dense layer on every utterance.

    Args:
        rnn: Bidirectional recurrent network of one layer, with ``batch_first``.
        dense_size: Number of units of the dense layer.
        activation: Name of the activation function of the dense layer: "relu" or "tanh".
        dropouts: Dropout rates.
    """

    def __init__(self, rnn: nn.GRU | nn.LSTM, dense_size: int, activation: str, dropouts: DropoutRates) -> None:
        super().__init__()
        self.rnn = rnn
        self.dense = nn.Linear(2 * rnn.hidden_size, dense_size)
        self.activation = activation
        self.dropouts = dropouts

    def forward(
        self, inputs: Float[Tensor, "video utterance feature"], present: Bool[Tensor, "video utterance"]
    ) -> Float[Tensor, "video utterance dense"]:
        """Encode every utterance in the context of its video.

        Args:
            inputs: One vector for every utterance of the padded batch.
            present: True for the utterances that the recurrence processes. The others are skipped.

        Returns:
            Output of the dense layer for every utterance; zero for the skipped utterances.
        """
        rates = self.dropouts
        inputs = dropout(inputs, rates.inputs, self.training)
        states = dropout(run_bidirectional(self.rnn, inputs, present), rates.states, self.training)
        dense = dropout(DENSE_ACTIVATIONS[self.activation](self.dense(states)), rates.dense, self.training)
        # The bias of the dense layer makes absent utterances non-zero; the mask resets them.
        return dense * present.unsqueeze(-1)


def run_bidirectional(
    rnn: nn.GRU | nn.LSTM, inputs: Float[Tensor, "video utterance feature"], present: Bool[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance state"]:
    """Run a bidirectional recurrence over the utterances of each video that are marked as present.

    The other utterances, such as padding, are skipped. They have no effect on the states of the utterances that are
    present.

    Args:
        rnn: Bidirectional recurrent network of one layer, with ``batch_first``.
        inputs: One vector for every utterance of the padded batch.
        present: True for the utterances that the recurrence processes.

    Returns:
        Forward and backward state of every utterance, concatenated; zero for the skipped utterances.
    """
    if torch.onnx.is_in_onnx_export():
        return _run_for_export(rnn, inputs, present)
    n_present = present.sum(dim=1)  # (video,)
    place = torch.arange(present.shape[1], device=inputs.device)
    gapless = bool((present == (place < n_present.unsqueeze(1))).all())
    if gapless:
        return _run_packed(rnn, inputs, n_present)
    order = (~present).to(torch.uint8).argsort(dim=1, stable=True)  # present utterances first, in their original order
    states = _run_packed(rnn, _reorder(inputs, order), n_present)
    return _reorder(states, order.argsort(dim=1))


def _run_for_export(
    rnn: nn.GRU | nn.LSTM, inputs: Float[Tensor, "1 utterance feature"], present: Bool[Tensor, "1 utterance"]
) -> Float[Tensor, "1 utterance state"]:
    """Run a bidirectional recurrence over the present utterances of one video, in code that can be exported to ONNX.

    The code has no branches. The exported graph is therefore valid for any number of utterances and for any mask.
    """
    mask = present.squeeze(0)
    place = torch.arange(inputs.shape[1], device=inputs.device)
    # A recurrence over zero steps is not a valid graph. If no utterance is present, one step runs and is masked below.
    visited = (mask | ((place == 0) & ~mask.any())).nonzero().squeeze(1)
    states = rnn(inputs[:, visited])[0].squeeze(0)
    all_states = inputs.new_zeros(inputs.shape[1], 2 * rnn.hidden_size).index_put((visited,), states)
    return (all_states * mask.unsqueeze(-1)).unsqueeze(0)


def _run_packed(
    rnn: nn.GRU | nn.LSTM, inputs: Float[Tensor, "video utterance feature"], lengths: Int[Tensor, "video"]
) -> Float[Tensor, "video utterance state"]:
    if bool((lengths == inputs.shape[1]).all()):
        # There is no padding, and packing would only make the recurrence about a sixth slower.
        unpacked: Tensor = rnn(inputs)[0]
        return unpacked
    states = inputs.new_zeros(*inputs.shape[:2], 2 * rnn.hidden_size)
    filled = lengths > 0
    if not bool(filled.any()):
        return states
    packed = pack_padded_sequence(inputs[filled], lengths[filled].cpu(), batch_first=True, enforce_sorted=False)
    filled_states, _ = pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=inputs.shape[1])
    if bool(filled.all()):
        return filled_states
    return states.index_put((filled.nonzero().squeeze(1),), filled_states)


def _reorder(
    rows: Float[Tensor, "video utterance feature"], order: Int[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance feature"]:
    return rows.gather(1, order.unsqueeze(-1).expand(-1, -1, rows.shape[2]))


def masked_softmax(scores: Float[Tensor, "*rows choice"], present: Bool[Tensor, "*#rows choice"]) -> Tensor:
    """Compute the softmax along the last axis, over only those entries that are marked as present.

    Args:
        scores: Scores of the entries.
        present: True for the entries that may get weight; broadcasts against `scores`.

    Returns:
        Weights, in the shape of `scores`. An entry that is not present has weight zero. If no entry of a row is
        present, all weights of the row are zero.
    """
    # With -inf, a row without present choices and its gradient would be NaN; the lowest finite number avoids this.
    lowest = torch.finfo(scores.dtype).min
    absent = ~present
    return scores.masked_fill(absent, lowest).softmax(dim=-1).masked_fill(absent, 0.0)


def relu_layers(sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """Build several layers that are applied one after the other. Each consists of dropout, a linear layer and ReLU.

    Args:
        sizes: Number of inputs, followed by the number of units of each layer.
        dropout: Dropout rate before each linear layer.

    Returns:
        The layers in order.
    """
    layers = [[nn.Dropout(dropout), nn.Linear(n_in, n_out), nn.ReLU()] for n_in, n_out in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in layer))


def two_layers(n_in: int, n_hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    """Build a linear layer, ReLU, dropout and a second linear layer, applied in this order.

    The papers on memory fusion call this combination a "network".

    Args:
        n_in: Number of inputs.
        n_hidden: Number of hidden units.
        n_out: Number of outputs.
        dropout: Dropout rate on the hidden units.

    Returns:
        The layers in order.
    """
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, n_out))


def view_sizes(settings: Any, n_features: Mapping[Modality, int]) -> dict[Modality, int]:
    """Return the number of units of each input modality, as given in the settings of a network.

    Args:
        settings: Settings with the fields `text_size`, `acoustic_size` and `visual_size`.
        n_features: Dictionary whose keys are the input modalities; its values are not used.

    Returns:
        Number of units by modality, in the order of `Modality`.
    """
    return {m: getattr(settings, f"{m}_size") for m in Modality if m in n_features}


@dataclass(frozen=True)
class SystemSettings:
    """Base class for the settings of a system. The constructor checks the values.

    Raises:
        ValueError: A value is invalid. Integers must be at least 1, or at least 0 if `may_be_zero` contains the name of
            the field. Dropout rates must be in [0, 1). Penalties, learning rates and factors must be positive and
            finite.
    """

    # names of fields that may be zero; without an annotation, so that this is not a dataclass field itself
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
