"""`ef-lstm`: early fusion by one LSTM over the concatenated vectors of the words.

The early-fusion baseline of Zadeh, Liang, Mazumder, Poria, Cambria, Morency: "Memory Fusion Network for Multi-view
Sequential Learning", AAAI 2018, on the LSTM of Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation
1997 (with the forget gate of Gers et al. 2000, as torch has it).

Symbols (paper -> code): x_t = [t; a; v], the concatenated vectors of word t -> word; h_t -> hidden.

A public re-implementation first normalises the words at each position over the batch. This is omitted here, because a
prediction must not depend on the other utterances of the batch; instead, each feature is standardised by its values in
train. The re-implementation also has two layers of 256 units, which take about six times as long as the one layer of
128 units here. Dropout, learning rate and weight decay are those of the re-implementation, because its batches of 128
utterances are about as large as the sixteen videos of a batch here (115 utterances in CMU-MOSEI).

`mv-lstm`: multi-view LSTM, whose memory is divided among the modalities, in four topologies.

Rajagopalan, Morency, Baltrusaitis, Goecke: "Extending Long Short-Term Memory for Multi-View Structured Learning", ECCV
2016. For a view (modality) k, each of the gates g = i, f, o is

    g^k = sigmoid(W_x x^k + W_a h^k[share alpha] + W_b h^j[share beta] of the other views j + b)
    candidate: the same with tanh;  c^k = f^k c^k + i^k candidate;  h^k = o^k tanh(c^k)

Symbols (paper -> code): view k -> modality; x^k -> features; h^k, c^k -> hidden, memory; alpha, beta -> `TOPOLOGIES`;
W_x with b -> inward; W_a and W_b -> recurrent, concatenated in one matrix; i, f, o -> input_gate, forget_gate,
output_gate.

Approximate: we know the equations and the values of alpha and beta only from secondary sources, and we know of no
public implementation for several modalities. We interpret alpha and beta as fractions of the hidden units. The gates of
a view take as input the first fraction alpha of the view's hidden units, and the last fraction beta of those of every
other view. In `hybrid`, every unit is therefore either private or shared. Sizes, training and the default topology are
ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.models.baselines.words import State, read_word_rows, read_words, word_rows
from mien.models.batch import Batch, Outputs, to_videos
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import SystemSettings, relu_layers
from mien.schema import Modality
from mien.tasks import Task


@dataclass(frozen=True)
class EfLstmSettings(SystemSettings):
    """Settings of the network `ef-lstm`: sizes of its layers, dropout rates, and number of words per utterance."""

    # units of the LSTM
    lstm_size: int = 128
    # units of the ReLU layer after it
    dense_size: int = 64
    # dropout rates on the last state and on the dense layer
    state_dropout: float = 0.4
    dense_dropout: float = 0.4
    # largest number of words that are read from the start of an utterance
    max_words: int = 50


class EfLstm(nn.Module):
    """LSTM over the words of an utterance. For each word, the vectors of all modalities are concatenated.

    The state after the last word is the input of a dense layer, which the heads follow. Any one, two or three
    modalities are accepted. If a word lacks a modality, the features of this modality are zero. If an utterance has no
    words, its last state is zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: EfLstmSettings) -> None:
        super().__init__()
        self.modalities = [modality for modality in Modality if modality in n_features]
        self.max_words = settings.max_words
        # On a CPU, the cell takes three quarters of the time of torch's LSTM on packed sequences.
        self.lstm = nn.LSTMCell(sum(n_features.values()), settings.lstm_size)
        self.dense = relu_layers((settings.lstm_size, settings.dense_size), settings.state_dropout)
        self.dense_dropout = nn.Dropout(settings.dense_dropout)
        self.heads = make_heads(settings.dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance depend only on the words of this utterance.
        """
        rows, features = read_word_rows(batch, self.modalities, self.max_words)
        inputs = [features[m] for m in self.modalities]
        hidden, _ = rows.scan(self._step, inputs, (self.lstm.hidden_size, self.lstm.hidden_size))
        representation = to_videos(batch, self.dense_dropout(self.dense(rows.last(hidden))))
        return outputs_from_heads(self.heads, representation)

    def _step(self, word: State, state: State) -> State:
        after: State = self.lstm(torch.cat(word, dim=-1), state)
        return after


# name -> (alpha, beta): fractions of its own hidden units and of those of each other view that a view takes as input
TOPOLOGIES = {
    "view_specific": (1.0, 0.0),
    "coupled": (0.0, 1.0),
    "fully_connected": (1.0, 1.0),
    "hybrid": (2 / 3, 1 / 3),
}


@dataclass(frozen=True)
class MvLstmSettings(SystemSettings):
    """Settings of the network `mv-lstm`: topology, sizes, dropout rate, and number of words per utterance.

    The topology decides which hidden units of the modalities each LSTM takes as input.
    """

    # which hidden units a view takes as input: view_specific, coupled, fully_connected or hybrid
    topology: str = "hybrid"
    # hidden units of each view
    view_size: int = 48
    # dropout rate on the last states of all views
    state_dropout: float = 0.4
    # largest number of words that are read from the start of an utterance
    max_words: int = 50

    def __post_init__(self) -> None:
        if self.topology not in TOPOLOGIES:
            raise ValueError(f"Expected topology to be one of {', '.join(TOPOLOGIES)}, but got {self.topology!r}")
        super().__post_init__()

    @property
    def n_own(self) -> int:
        """Number of hidden units of a view (modality) that the LSTM of the same view takes as input."""
        return round(TOPOLOGIES[self.topology][0] * self.view_size)

    @property
    def n_others(self) -> int:
        """Number of hidden units that the LSTM of a view (modality) takes as input from each other view."""
        return round(TOPOLOGIES[self.topology][1] * self.view_size)


class MvLstm(nn.Module):
    """One LSTM per modality (view). Its gates also take hidden units of the other views as input.

    The heads take the last states of all views as input. If a word lacks a modality, its vector in that view is zero.
    If an utterance has no words, its last states are zero.

    With only one modality, there are no other views. The topologies `view_specific` and `fully_connected` are then a
    plain LSTM. In `hybrid`, the gates take two thirds of the hidden units as input. In `coupled`, they take only the
    current word.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: MvLstmSettings) -> None:
        super().__init__()
        self.settings = settings
        self.modalities = [modality for modality in Modality if modality in n_features]
        gates = 4 * settings.view_size
        self.inward = nn.ModuleDict({m: nn.Linear(n_features[m], gates) for m in self.modalities})
        n_read = settings.n_own + (len(self.modalities) - 1) * settings.n_others
        # An empty matrix would be a parameter that cannot be trained.
        self.recurrent = nn.ModuleDict({m: nn.Linear(n_read, gates, bias=False) for m in self.modalities if n_read})
        self.dropout = nn.Dropout(settings.state_dropout)
        self.heads = make_heads(len(self.modalities) * settings.view_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance depend only on the words of this utterance.
        """
        features, lengths = read_words(batch, self.modalities, self.settings.max_words)
        # W_x x + b does not depend on the preceding word, so it is computed for all words at once
        rows = word_rows(lengths)
        inward = [rows.pick(self.inward[m](features[m])) for m in self.modalities]
        # every view's hidden units, then every view's memory
        states = rows.scan(self._step, inward, (self.settings.view_size,) * (2 * len(self.modalities)))
        last = rows.last(torch.cat(states[: len(self.modalities)], dim=-1))
        representation = to_videos(batch, self.dropout(last))
        return outputs_from_heads(self.heads, representation)

    def _step(self, inward: State, state: State) -> State:
        n_views = len(self.modalities)
        hidden, memory = state[:n_views], state[n_views:]
        next_hidden, next_memory = [], []
        for view, modality in enumerate(self.modalities):
            gates = inward[view]
            if modality in self.recurrent:
                gates = gates + self.recurrent[modality](self._visible_units(hidden, view))
            squashed, candidate = torch.tensor_split(gates, (3 * self.settings.view_size,), dim=-1)
            input_gate, forget_gate, output_gate = squashed.sigmoid().chunk(3, dim=-1)
            cell = forget_gate * memory[view] + input_gate * candidate.tanh()
            next_memory.append(cell)
            next_hidden.append(output_gate * cell.tanh())
        return (*next_hidden, *next_memory)

    def _visible_units(self, hidden: State, view: int) -> Float[Tensor, "active read"]:
        """Return the hidden units that the gates of one view (modality) take as input.

        These are the first `n_own` units of the view, followed by the last `n_others` units of every other view.

        Args:
            hidden: Hidden units of every view after the preceding word.
            view: Index of the view.
        """
        first_shared = self.settings.view_size - self.settings.n_others
        others = [units[:, first_shared:] for number, units in enumerate(hidden) if number != view]
        return torch.cat([hidden[view][:, : self.settings.n_own], *others], dim=-1)
