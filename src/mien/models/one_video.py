"""The networks of MODELS for one video without padding: as an exporter can trace them, and as fast as it goes.

`run_bidirectional` branches on the data, which a trace records as if every video took the same way. Here the utterances
that have a modality are picked by their numbers, so that one graph serves videos of any length and any gaps.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.models.attention import States
from mien.models.batch import Batch, Outputs
from mien.models.cat_lstm import CatLstm
from mien.models.cim import Cim
from mien.models.heads import apply_head
from mien.models.packed_grus import PackedGrus
from mien.models.recurrent import ACTIVATIONS, ContextEncoder
from mien.schema import Modality, Task


def to_traceable(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode that gives the same outputs for batches of one video without padding."""
    traceable = copy.deepcopy(network).eval()
    for module in traceable.modules():
        kind = _TRACEABLE.get(type(module))
        if kind is not None:
            # The parameters stay where they are; only how they are run changes.
            module.__class__ = kind
    return traceable


def to_quick(network: nn.Module) -> nn.Module:
    """The network itself, or for `Cim` a copy that answers for one video sooner. In evaluation mode; no gradients."""
    if type(network) is not Cim:
        return network.eval()
    quick = copy.deepcopy(network).eval()
    quick.__class__ = QuickCim
    return quick


def run_one_video(
    rnn: nn.GRU | nn.LSTM, inputs: Float[Tensor, "1 utterance feature"], present: Bool[Tensor, "1 utterance"]
) -> Float[Tensor, "1 utterance state"]:
    """`run_bidirectional` for one video, free of branches."""
    here = present.squeeze(0)
    place = torch.arange(inputs.shape[1], device=inputs.device)
    # A recurrence over nothing is no valid graph: where nothing is present, one step is run and thrown away below.
    visited = (here | ((place == 0) & ~here.any())).nonzero().squeeze(1)
    states = rnn(inputs[:, visited])[0].squeeze(0)
    whole = inputs.new_zeros(inputs.shape[1], 2 * rnn.hidden_size).index_put((visited,), states)
    return (whole * here.unsqueeze(-1)).unsqueeze(0)


class TraceableEncoder(ContextEncoder):
    """Shares the parameters of a `ContextEncoder`."""

    def forward(
        self, inputs: Float[Tensor, "1 utterance feature"], present: Bool[Tensor, "1 utterance"]
    ) -> Float[Tensor, "1 utterance dense"]:
        """Zero where an utterance is not `present`."""
        dense = ACTIVATIONS[self.activation](self.dense(run_one_video(self.rnn, inputs, present)))
        return dense * present.unsqueeze(-1)


class TraceableCatLstm(CatLstm):
    """Shares the parameters of a `CatLstm`."""

    def _run(self, fused: States, present: Bool[Tensor, "1 utterance"]) -> States:
        return run_one_video(self.lstm, fused, present)


class TraceableCim(Cim):
    """Shares the parameters of a `Cim`."""

    def forward(self, batch: Batch) -> Outputs:
        """Logits (1, utterance, output) and attention weights (1, utterance, context)."""
        settings, n_utterances = self.settings, batch.real.shape[1]
        states = {m: self._seen(rows, batch.present[m], m) for m, rows in self._recur(batch).items()}
        present = batch.present
        if not settings.mask_padding:
            present = {m: torch.ones_like(rows[..., 0], dtype=torch.bool) for m, rows in states.items()}
        blocks, attention = self._attend(states, present) if settings.attention else ([], {})
        representation = torch.cat([*blocks, *states.values()], dim=-1)[:, :n_utterances]
        return Outputs(
            sentiment_logits=apply_head(self.heads, Task.SENTIMENT, representation),
            emotion_logits=apply_head(self.heads, Task.EMOTION, representation),
            attention={name: weights[:, :n_utterances] for name, weights in attention.items()},
        )

    def _recur(self, batch: Batch) -> dict[Modality, Float[Tensor, "1 utterance state"]]:
        return {
            m: run_one_video(cast(nn.GRU, self.grus[m]), batch.features[m], batch.present[m]) for m in self.modalities
        }

    def _seen(
        self, rows: Float[Tensor, "1 utterance state"], here: Bool[Tensor, "1 utterance"], modality: Modality
    ) -> Float[Tensor, "1 slot feature"]:
        """What attention sees of the recurrence's states."""
        settings = self.settings
        padded = rows if settings.mask_padding else self._padded_as_released(rows)
        dense = ACTIVATIONS[settings.activation](self.dense[modality](padded)) if settings.dense_size else padded
        return dense * here.unsqueeze(-1) if settings.mask_padding else dense

    def _padded_as_released(self, states: States) -> Float[Tensor, "1 slot state"]:
        """The video's states, then up to `padded_length` slots: the last forward half repeated, the backward half 0."""
        n_slots = torch.arange(self.settings.padded_length, device=states.device)
        extra = n_slots[states.shape[1] :]  # empty for a longer video
        half = states.shape[-1] // 2
        last = torch.cat([states[:, -1:, :half], torch.zeros_like(states[:, -1:, half:])], dim=-1)
        # (slot, 1) * (1, state): one row for each, in a form whose number of rows may be 0
        repeated = torch.ones_like(extra, dtype=states.dtype).unsqueeze(1) * last[0]
        return torch.cat([states, repeated.unsqueeze(0)], dim=1)


class QuickCim(TraceableCim):
    """All modalities in one recurrence, whose weights are laid out at the first video."""

    @cached_property
    def _packed(self) -> PackedGrus:
        return PackedGrus.of([cast(nn.GRU, self.grus[modality]) for modality in self.modalities])

    def _recur(self, batch: Batch) -> dict[Modality, Float[Tensor, "1 utterance state"]]:
        here = [batch.present[m][0] for m in self.modalities]
        rows = [batch.features[m][0] for m in self.modalities]
        if all(bool(each.all()) for each in here):
            states = self._packed.run(rows)
        else:
            some = self._packed.run([each[mask] for each, mask in zip(rows, here, strict=True)])
            states = [
                each.new_zeros(len(mask), each.shape[1]).index_put((mask,), each)
                for each, mask in zip(some, here, strict=True)
            ]
        return {m: each.unsqueeze(0) for m, each in zip(self.modalities, states, strict=True)}


_TRACEABLE: dict[type[nn.Module], type[nn.Module]] = {
    Cim: TraceableCim,
    CatLstm: TraceableCatLstm,
    ContextEncoder: TraceableEncoder,
}
