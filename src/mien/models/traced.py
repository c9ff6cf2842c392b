"""The networks of MODELS as an exporter can trace them: one video, no padding, the number of utterances left open.

`run_bidirectional` branches on the data, which a trace records as if every video took the same way. Here the utterances
that have a modality are picked by their numbers, so that one graph serves videos of any length and any gaps.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.models.attention import States
from mien.models.batch import Batch, Outputs
from mien.models.cat_lstm import CatLstm
from mien.models.cim import Cim
from mien.models.heads import apply_head
from mien.models.recurrent import ACTIVATIONS, ContextEncoder
from mien.schema import Task


def to_traceable(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode that gives the same outputs for batches of one video without padding."""
    traceable = copy.deepcopy(network).eval()
    for module in traceable.modules():
        kind = _TRACEABLE.get(type(module))
        if kind is not None:
            # The parameters stay where they are; only how they are run changes.
            module.__class__ = kind
    return traceable


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
        present, states = dict(batch.present), {}
        for modality in self.modalities:
            here = batch.present[modality]
            rows = run_one_video(cast(nn.GRU, self.grus[modality]), batch.features[modality], here)
            if not settings.mask_padding:
                rows = self._padded_as_released(rows)
            if settings.dense_size:
                rows = ACTIVATIONS[settings.activation](self.dense[modality](rows))
            if settings.mask_padding:
                rows = rows * here.unsqueeze(-1)
            else:
                present[modality] = torch.ones_like(rows[..., 0], dtype=torch.bool)
            states[modality] = rows
        blocks, attention = self._attend(states, present) if settings.attention else ([], {})
        representation = torch.cat([*blocks, *states.values()], dim=-1)[:, :n_utterances]
        return Outputs(
            sentiment_logits=apply_head(self.heads, Task.SENTIMENT, representation),
            emotion_logits=apply_head(self.heads, Task.EMOTION, representation),
            attention={name: weights[:, :n_utterances] for name, weights in attention.items()},
        )

    def _padded_as_released(self, states: States) -> Float[Tensor, "1 slot state"]:
        """The video's states, then up to `padded_length` slots: the last forward half repeated, the backward half 0."""
        n_slots = torch.arange(self.settings.padded_length, device=states.device)
        extra = n_slots[states.shape[1] :]  # empty for a longer video
        half = states.shape[-1] // 2
        last = torch.cat([states[:, -1:, :half], torch.zeros_like(states[:, -1:, half:])], dim=-1)
        # (slot, 1) * (1, state): one row for each, in a form whose number of rows may be 0
        repeated = torch.ones_like(extra, dtype=states.dtype).unsqueeze(1) * last[0]
        return torch.cat([states, repeated.unsqueeze(0)], dim=1)


_TRACEABLE: dict[type[nn.Module], type[nn.Module]] = {
    Cim: TraceableCim,
    CatLstm: TraceableCatLstm,
    ContextEncoder: TraceableEncoder,
}
