"""`marn`: multi-attention recurrent network, with one hybrid-memory LSTM per modality and attentions across them.

Zadeh, Liang, Poria, Vij, Cambria, Morency: "Multi-attention Recurrent Network for Human Communication Comprehension",
AAAI 2018. A view is a modality; its recurrence is a long short-term hybrid memory (LSTHM):

    LSTHM of view m: gates = W_m x_t + U_m h_{t-1} + V_m z_{t-1} + b_m; i, f, o by sigmoid, the candidate by tanh
                     c_t = f c_{t-1} + i candidate;  h_t = o tanh(c_t)
    multi-attention block: h = [h_t of all views];  A_k = softmax over the features of the k-th of K blocks of NN_A(h)
                     H_k = A_k h;  s_m = C_m([view m's part of H_1, ..., H_K]);  z_t = G([s_m of all views])
    output from [h_T; z_T]

Symbols (paper -> code): h, c, z -> hidden, memory, code; W with b -> inward; U and V -> recurrent, concatenated in one
matrix; NN_A -> attention; A -> softmax of copies; H -> attended; K -> n_attentions; C -> reduce; s -> reduced; G ->
mix.

NN_A and G consist of a linear layer, ReLU, dropout and a linear layer; C of a linear layer and ReLU. A separate softmax
for each of the K copies follows the paper, as far as we know it from secondary sources. The authors' SDK applies one
softmax to all copies together. Sizes and dropout rates are ours, and the optimiser is Adam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.models.baselines.memory import by_view, lstm_update
from mien.models.baselines.words import State, read_word_rows
from mien.models.batch import Batch, Outputs, to_videos
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import SystemSettings, two_layers, view_sizes
from mien.schema import Modality
from mien.tasks import Task


@dataclass(frozen=True)
class MarnSettings(SystemSettings):
    """Settings of the network `marn`: sizes of its layers, dropout rates, and number of words per utterance."""

    # units of each modality's LSTHM
    text_size: int = 128
    acoustic_size: int = 32
    visual_size: int = 128
    # number K of attentions
    n_attentions: int = 4
    # units to which the K attended copies of each modality are reduced
    reduced_size: int = 32
    # units of the cross-view code z
    code_size: int = 64
    # hidden units of the networks that compute the attentions and the code
    hidden_size: int = 64
    # units of the ReLU layer before the heads
    dense_size: int = 64
    # dropout rates inside the networks, and before the heads
    hidden_dropout: float = 0.2
    dense_dropout: float = 0.4
    # largest number of words that are read from the start of an utterance
    max_words: int = 50


class Marn(nn.Module):
    """One LSTM per modality, and at every word several attentions across the LSTMs, for one, two or three modalities.

    From the attentions, a vector (the code) is computed, which all LSTMs take as input at the next word. With one
    modality, the attentions act only on the hidden units of this modality. If a word lacks a modality, its vector for
    that modality is zero. If an utterance has no words, its last states are zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: MarnSettings) -> None:
        super().__init__()
        self.settings = settings
        self.sizes = sizes = view_sizes(settings, n_features)
        n_units, n_code, copies = sum(sizes.values()), settings.code_size, settings.n_attentions
        hidden, dropout = settings.hidden_size, settings.hidden_dropout
        self.inward = nn.ModuleDict({m: nn.Linear(n_features[m], 4 * size) for m, size in sizes.items()})
        self.recurrent = nn.ModuleDict({m: nn.Linear(size + n_code, 4 * size, bias=False) for m, size in sizes.items()})
        self.attention = two_layers(n_units, hidden, copies * n_units, dropout)
        self.reduce = nn.ModuleDict({m: nn.Linear(copies * size, settings.reduced_size) for m, size in sizes.items()})
        self.mix = two_layers(len(sizes) * settings.reduced_size, hidden, n_code, dropout)
        self.dense = nn.Sequential(
            nn.Linear(n_units + n_code, settings.dense_size), nn.ReLU(), nn.Dropout(settings.dense_dropout)
        )
        self.heads = make_heads(settings.dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance depend only on the words of this utterance.
        """
        rows, features = read_word_rows(batch, tuple(self.sizes), self.settings.max_words)
        n_units = sum(self.sizes.values())
        inward = [self.inward[m](features[m]) for m in self.sizes]
        hidden, _, code = rows.scan(self._step, inward, (n_units, n_units, self.settings.code_size))
        representation = to_videos(batch, self.dense(rows.last(torch.cat([hidden, code], dim=1))))
        return outputs_from_heads(self.heads, representation)

    def _step(self, inward: State, state: State) -> State:
        hidden, memory, code = state
        gates = [
            each + matrix(torch.cat([units, code], dim=1))
            for each, units, matrix in zip(inward, by_view(hidden, self.sizes), self.recurrent.values(), strict=True)
        ]
        hidden, memory = lstm_update(gates, memory)
        return hidden, memory, self._code(hidden)

    def _code(self, hidden: Float[Tensor, "active unit"]) -> Float[Tensor, "active code"]:
        """Compute, after a word, the vector (code) that the LSTMs of all modalities take as input at the next word.

        `hidden` contains the hidden units of all modalities, one row per utterance.
        """
        copies = self.attention(hidden).unflatten(1, (self.settings.n_attentions, -1))
        attended = copies.softmax(dim=2) * hidden.unsqueeze(1)  # (active, attention, unit)
        parts = zip(self.sizes, by_view(attended, self.sizes), strict=True)
        reduced = [self.reduce[m](part.flatten(1)).relu() for m, part in parts]
        code: Tensor = self.mix(torch.cat(reduced, dim=1))
        return code
