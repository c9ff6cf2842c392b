"""The networks of MODELS for one video without padding: as an exporter can trace them, and as fast as it goes.

`run_bidirectional` branches on the data, which a trace records as if every video took the same way. Here the utterances
that have a modality are picked by their numbers, so that one graph serves videos of any length and any gaps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.models.attention import States, attend
from mien.models.baselines.cat_lstm import CatLstm
from mien.models.batch import Batch, Outputs
from mien.models.cim import Cim
from mien.models.fast.numpy_cim import QuickCim
from mien.models.layers import ACTIVATIONS, ContextEncoder

Grus = Sequence[nn.GRU]


def to_traceable(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode that gives the same outputs for batches of one video without padding."""
    traceable = copy.deepcopy(network).eval()
    for module in traceable.modules():
        kind = _TRACEABLE.get(type(module))
        if kind is not None:
            # The parameters stay where they are; only how they are run changes.
            module.__class__ = kind
    return traceable


def to_quick(network: nn.Module) -> Callable[[Batch], Outputs]:
    """The network itself in evaluation mode, or for `cim` on a CPU what answers for one video sooner."""
    network.eval()
    if type(network) is Cim and network.settings.mask_padding and next(network.parameters()).device.type == "cpu":
        return QuickCim(network)
    return network


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

    def recur(self, rnns: Grus, inputs: Sequence[Tensor], presents: Sequence[Tensor]) -> Tensor:
        """One GRU after the other."""
        return torch.stack([run_one_video(*each) for each in zip(rnns, inputs, presents, strict=True)])

    def _slots(self, batch: Batch) -> tuple[Batch, Bool[Tensor, "modality 1 slot"]]:
        if self.settings.mask_padding:
            return super()._slots(batch)
        slots = torch.arange(self.settings.padded_length, device=batch.real.device)
        extra = slots[batch.real.shape[1] :]  # empty for a longer video
        missing = torch.zeros_like(extra, dtype=torch.bool).unsqueeze(0)
        padded = Batch(
            # (1, slot, 1) * (1, 1, feature): a form whose number of rows may be 0
            {m: torch.cat([x, missing.unsqueeze(2) * x[:, :1]], dim=1) for m, x in batch.features.items()},
            {m: torch.cat([here, missing], dim=1) for m, here in batch.present.items()},
            batch.lengths,
            torch.cat([batch.real, missing], dim=1),
        )
        return padded, torch.ones_like(torch.stack([padded.present[m] for m in self.modalities]))

    def _attend(
        self, states: Float[Tensor, "modality 1 slot feature"], present: Bool[Tensor, "modality 1 slot"]
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Direction by direction: the batched form has a backward pass of its own, which the exporter does not know."""
        by_name = dict(zip(self.modalities, zip(states.unbind(), present.unbind(), strict=True), strict=True))
        pairs = self.pairs or [(self.modalities[0], self.modalities[0])]
        directions = [*pairs, *((other, one) for one, other in pairs)]
        found = {(x, y): attend(by_name[x][0], *by_name[y]) for x, y in directions}
        # the representation has both directions of a pair side by side; with one modality they are the same
        blocks = [found[direction][0] for pair in pairs for direction in dict.fromkeys((pair, pair[::-1]))]
        return blocks, {f"{x}->{y}": weights for (x, y), (_, weights) in found.items()}


_TRACEABLE: dict[type[nn.Module], type[nn.Module]] = {
    Cim: TraceableCim,
    CatLstm: TraceableCatLstm,
    ContextEncoder: TraceableEncoder,
}
