"""`ef-lstm`: early fusion, one LSTM over the concatenated vectors of the words.

The early-fusion baseline of Zadeh, Liang, Mazumder, Poria, Cambria, Morency: "Memory Fusion Network for Multi-view
Sequential Learning", AAAI 2018, on the LSTM of Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation
1997 (with the forget gate of Gers et al. 2000, as torch has it).

Symbols: x_t = [t; a; v] of word t -> word, side by side; h_t -> hidden.

A public re-implementation normalises each word slot over the batch first; left out here, because an utterance must not
depend on the utterances beside it (the columns are standardised on train instead). It also has two layers of 256 units,
which take about six times as long; here one of 128. Its dropout, learning rate and weight decay are taken over: its
batches of 128 utterances are about as large as sixteen videos of CMU-MOSEI (115).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mien.models.baselines.words import State, read_word_rows
from mien.models.batch import Batch, Outputs, to_videos
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import check_settings, relu_layers
from mien.schema import Modality


@dataclass(frozen=True)
class EfLstmSettings:
    """Sizes and regularisation of `ef-lstm`."""

    # units of the LSTM
    lstm_size: int = 128
    # units of the ReLU layer after it
    dense_size: int = 64
    # on the last state and on the dense layer
    state_dropout: float = 0.4
    dense_dropout: float = 0.4
    # the first words of an utterance that are read
    max_words: int = 50

    def __post_init__(self) -> None:
        check_settings(self)


class EfLstm(nn.Module):
    """LSTM over [t; a; v] word by word, last state -> dense -> heads, for any one, two or three modalities.

    A modality that a word lacks is zero in its vector; an utterance without words has a last state of zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: EfLstmSettings) -> None:
        super().__init__()
        self.modalities = [modality for modality in Modality if modality in n_features]
        self.max_words = settings.max_words
        # Stepping over the words takes three quarters of the time that torch's LSTM takes for packed ones on a CPU.
        self.lstm = nn.LSTMCell(sum(n_features.values()), settings.lstm_size)
        self.dense = relu_layers((settings.lstm_size, settings.dense_size), settings.state_dropout)
        self.dense_dropout = nn.Dropout(settings.dense_dropout)
        self.heads = make_heads(settings.dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Logits (video, utterance, output), each utterance judged by its own words."""
        rows, features = read_word_rows(batch, self.modalities, self.max_words)
        inputs = [features[m] for m in self.modalities]
        hidden, _ = rows.scan(self._step, inputs, (self.lstm.hidden_size, self.lstm.hidden_size))
        representation = to_videos(batch, self.dense_dropout(self.dense(rows.last(hidden))))
        return outputs_from_heads(self.heads, representation)

    def _step(self, word: State, state: State) -> State:
        after: State = self.lstm(torch.cat(word, dim=-1), state)
        return after
