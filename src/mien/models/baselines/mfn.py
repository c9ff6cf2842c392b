"""`mfn`: memory fusion network. One LSTM per modality, attention over how they change, a memory of what it finds.

Zadeh, Liang, Mazumder, Poria, Cambria, Morency: "Memory Fusion Network for Multi-view Sequential Learning", AAAI 2018.

    h_t, c_t of every view by its own LSTM
    c*_t = [c_{t-1}; c_t] of all views;  a_t = softmax(NN_a(c*_t)) over its features;  c^_t = a_t c*_t
    u_t by the gated memory of `memory.py`;  output from [h_T of all views; u_T]

Symbols: h, c -> hidden, memories; c* -> changes; a -> weights; c^ -> their product; u -> memory; NN_a -> attention. NN
is linear, ReLU, dropout, linear.

Equations as in the authors' code, whose gates read u_{t-1} beside c^_t. Sizes are those a public re-implementation
(MMSA) tuned on CMU-MOSEI, but 128 instead of 256 hidden units for each gate, which leaves out a quarter of the weights.
The learning rate is MMSA's too. Dropout rates and the size of the layer before the heads are ours; the optimiser is
Adam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mien.models.baselines.memory import GatedMemory, ViewLstms, view_sizes
from mien.models.baselines.words import read_word_rows
from mien.models.batch import Batch, Outputs, to_videos
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import check_settings, two_layers
from mien.schema import Modality


@dataclass(frozen=True)
class MfnSettings:
    """Sizes and regularisation of `mfn`."""

    # units of each modality's LSTM
    text_size: int = 128
    acoustic_size: int = 32
    visual_size: int = 128
    # units of the gated memory
    memory_size: int = 128
    # hidden units of the networks of the attention and of what is written to the memory
    hidden_size: int = 128
    # hidden units of each gate's network
    gate_hidden_size: int = 128
    # units of the ReLU layer before the heads
    dense_size: int = 64
    # inside the networks, and before the heads
    hidden_dropout: float = 0.2
    dense_dropout: float = 0.4
    # the first words of an utterance that are read
    max_words: int = 50

    def __post_init__(self) -> None:
        check_settings(self)


class Mfn(nn.Module):
    """Memory fusion of any one, two or three modalities.

    One modality: the attention compares the features of the one memory. A word that lacks a modality enters that view
    as zero; an utterance without words ends with all states zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: MfnSettings) -> None:
        super().__init__()
        self.max_words = settings.max_words
        sizes = view_sizes(settings, n_features)
        n_units = sum(sizes.values())
        self.lstms = ViewLstms(n_features, sizes)
        self.attention = two_layers(2 * n_units, settings.hidden_size, 2 * n_units, settings.hidden_dropout)
        self.memory = GatedMemory(2 * n_units, settings)
        dense = nn.Linear(n_units + settings.memory_size, settings.dense_size)
        self.dense = nn.Sequential(dense, nn.ReLU(), nn.Dropout(settings.dense_dropout))
        self.heads = make_heads(settings.dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Logits (video, utterance, output), each utterance judged by its own words."""
        rows, features = read_word_rows(batch, tuple(self.lstms.sizes), self.max_words)
        hidden, memories = self.lstms(rows, features)
        changes = torch.cat([rows.before(memories), memories], dim=1)
        weights = self.attention(changes).softmax(dim=1)
        memory = self.memory(rows, weights * changes)
        representation = to_videos(batch, self.dense(rows.last(torch.cat([hidden, memory], dim=1))))
        return outputs_from_heads(self.heads, representation)
