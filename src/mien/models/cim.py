"""`cim` and `cim-released`: multi-task network with contextual inter-modal attention.

Akhtar, Chauhan, Ghosal, Poria, Ekbal, Bhattacharyya: "Multi-task Learning for Multi-modal Emotion Recognition and
Sentiment Analysis", NAACL 2019, Algorithm 1. `cim-released` follows the choices of the authors' released script where
those differ from the paper; `torch.nn.GRU` has no recurrent dropout and other gate details than the script's GRU.

Symbols: t, v, a -> batch.features; T, V, A -> states; Atn_XY -> gated pairs; Rep -> representation; d -> dense_size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from mien.models.attention import attend, cross_attend
from mien.models.batch import Batch, Outputs
from mien.models.fast.dropout import dropout
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import ACTIVATIONS, check_settings, run_together
from mien.schema import Modality

States = Float[Tensor, "video utterance feature"]


@dataclass(frozen=True)
class CimSettings:
    """Sizes and regularisation of `cim`. Defaults: the released script, with padding masked."""

    # units of the GRU per direction (released: 200; the paper's text says d = 100)
    gru_size: int = 200
    # units of the dense layer after each GRU: the d of Algorithm 1; 0 leaves the layer out, as the paper's text does
    dense_size: int = 100
    # of the dense layer: relu as released, or tanh as in MMMU-BA
    activation: str = "relu"
    # on the features, the GRU states and the dense states
    input_dropout: float = 0.3
    state_dropout: float = 0.3
    dense_dropout: float = 0.3
    # False: every slot up to `padded_length` takes attention, as in the released script
    mask_padding: bool = True
    # slots per video when padding is not masked: the longest training video (98 in CMU-MOSEI)
    padded_length: int = 98
    # False: no attention at all, Rep is the states alone (an ablation of the released script)
    attention: bool = True

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"Expected activation to be relu or tanh, but got {self.activation!r}")
        check_settings(
            self,
            sizes=("gru_size",),
            rates=("input_dropout", "state_dropout", "dense_dropout"),
        )
        if self.dense_size < 0:
            raise ValueError(f"Expected dense_size to be at least 0, but got {self.dense_size}")


class Cim(nn.Module):
    """Algorithm 1 for any one, two or three modalities and either or both tasks.

    Two or three modalities: Rep = [A_XY for each pair, then the states of each]; one: [self-attention, states].
    """

    # How the modalities' GRUs are run; any other way must give the same states.
    recur = staticmethod(run_together)

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: CimSettings) -> None:
        super().__init__()
        self.settings = settings
        self.modalities = tuple(sorted(n_features, key=list(Modality).index))
        self.pairs = list(combinations(self.modalities, 2))
        state_size = settings.dense_size or 2 * settings.gru_size
        self.grus = nn.ModuleDict(
            {m: nn.GRU(n_features[m], settings.gru_size, batch_first=True, bidirectional=True) for m in self.modalities}
        )
        self.dense = nn.ModuleDict(
            {m: nn.Linear(2 * settings.gru_size, settings.dense_size) for m in self.modalities if settings.dense_size}
        )
        n_blocks = len(self.modalities)
        if settings.attention:
            n_blocks += 2 * len(self.pairs) or 1
        self.heads = make_heads(n_blocks * state_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Logits (video, utterance, output) and attention weights (video, utterance, context) for whole videos."""
        n_utterances = batch.real.shape[1]
        batch, present = self._slots(batch)
        states = self._states(batch)
        blocks, attention = self._attend(states, present) if self.settings.attention else ([], {})
        representation = torch.cat([*blocks, _side_by_side(states)], dim=-1)[:, :n_utterances]
        return outputs_from_heads(
            self.heads,
            representation,
            attention={name: weights[:, :n_utterances] for name, weights in attention.items()},
        )

    def _slots(self, batch: Batch) -> tuple[Batch, Bool[Tensor, "modality video utterance"]]:
        """What the network runs over, and which of it takes attention."""
        if self.settings.mask_padding:
            return batch, torch.stack([batch.present[m] for m in self.modalities])
        batch = pad_to(batch, max(self.settings.padded_length, batch.real.shape[1]))
        # A longer video competes for its own slots alone, whatever stands beside it in the batch.
        slots = batch.lengths.clamp(min=self.settings.padded_length).unsqueeze(1)
        competing = torch.arange(batch.real.shape[1], device=slots.device) < slots
        return batch, competing.expand(len(self.modalities), *competing.shape)

    def _states(self, batch: Batch) -> Float[Tensor, "modality video utterance feature"]:
        settings = self.settings
        presents = [batch.present[m] for m in self.modalities]
        inputs = [dropout(batch.features[m], settings.input_dropout, self.training) for m in self.modalities]
        states = self.recur([cast(nn.GRU, self.grus[m]) for m in self.modalities], inputs, presents)
        if not settings.mask_padding:
            states = torch.stack([fill_padding_as_released(each, batch.real) for each in states.unbind()])
        states = dropout(states, settings.state_dropout, self.training)
        if settings.dense_size:
            layers = [cast(nn.Linear, self.dense[m]) for m in self.modalities]
            states = torch.stack([layer(each) for layer, each in zip(layers, states.unbind(), strict=True)])
            states = dropout(ACTIVATIONS[settings.activation](states), settings.dense_dropout, self.training)
        if settings.mask_padding:
            # Without this, the dense layer's bias would stand where the modality is missing.
            states = states * torch.stack(presents).unsqueeze(-1)
        return states

    def _attend(
        self,
        states: Float[Tensor, "modality video utterance feature"],
        present: Bool[Tensor, "modality video utterance"],
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        if not self.pairs:
            (only,) = self.modalities
            gated, weights = attend(states[0], states[0], present[0])
            return [gated], {f"{only}->{only}": weights}
        gated, weights = cross_attend(states, present)
        blocks = _side_by_side(gated.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1))  # A1, A2 of each pair in turn
        names = [f"{one}->{other}" for one, other in self.pairs] + [f"{other}->{one}" for one, other in self.pairs]
        return [blocks], dict(zip(names, weights.unbind(), strict=True))


def _side_by_side(
    blocks: Float[Tensor, "block video utterance feature"],
) -> Float[Tensor, "video utterance block*feature"]:
    return blocks.permute(1, 2, 0, 3).flatten(2)


def pad_to(batch: Batch, n_utterances: int) -> Batch:
    """The same videos padded on the right to `n_utterances` slots."""
    extra = n_utterances - batch.real.shape[1]
    return Batch(
        features={m: functional.pad(rows, (0, 0, 0, extra)) for m, rows in batch.features.items()},
        present={m: functional.pad(mask, (0, extra)) for m, mask in batch.present.items()},
        lengths=batch.lengths,
        real=functional.pad(batch.real, (0, extra)),
    )


def fill_padding_as_released(
    states: Float[Tensor, "video utterance state"], real: Bool[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance state"]:
    """Padded slots as a masking Keras GRU leaves them: the last forward state repeated, the backward half zero."""
    half = states.shape[-1] // 2
    last = (real.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, half)
    repeated = torch.cat([states[..., :half].gather(1, last), states.new_zeros(states.shape[0], 1, half)], dim=-1)
    return torch.where(real.unsqueeze(-1), states, repeated)
