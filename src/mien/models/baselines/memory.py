"""Parts shared by the memory-fusion networks: one LSTM per modality (view), and the multi-view gated memory.

`ViewLstms`: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997, with the forget gate of Gers
et al. 2000. One step computes all views. `torch.nn.LSTM` is not used, because it returns the memory c only after the
last word, but the fusion needs c after every word.

Symbols (paper -> code): x_t -> features; h, c -> hidden, memory, with the units of all views concatenated; i, f, o ->
input_gate, forget_gate, output_gate; W with b -> inward; U -> recurrent.

`GatedMemory`: Zadeh et al., "Memory Fusion Network for Multi-view Sequential Learning", AAAI 2018.

    u^_t = tanh(NN_u(c^_t))
    g1, g2 = sigmoid(NN_1([c^_t; u_{t-1}])), sigmoid(NN_2([c^_t; u_{t-1}]))
    u_t = g1 u_{t-1} + g2 u^_t,  u_0 = 0

Symbols (paper -> code): c^_t -> fused; u -> memory; u^, NN_u -> candidate; g1, g2 -> keep, take. The first layers of
NN_1 and NN_2 are computed together, by two matrices: `gates_fused` is applied to c^, for all words at once, and
`gates_memory` to u. The second layers are `keep` and `take`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.models.baselines.words import State, WordRows
from mien.models.layers import two_layers
from mien.schema import Modality


class ViewLstms(nn.Module):
    """Independent LSTMs over the words, one per modality (view).

    If a word lacks a modality, its vector for that modality is zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], sizes: Mapping[Modality, int]) -> None:
        super().__init__()
        self.sizes = dict(sizes)
        self.inward = nn.ModuleDict({m: nn.Linear(n_features[m], 4 * size) for m, size in sizes.items()})
        self.recurrent = nn.ModuleDict({m: nn.Linear(size, 4 * size, bias=False) for m, size in sizes.items()})

    def forward(
        self, rows: WordRows, features: Mapping[Modality, Float[Tensor, "row feature"]]
    ) -> tuple[Float[Tensor, "row unit"], Float[Tensor, "row unit"]]:
        """Run the LSTMs over the words of all utterances.

        Args:
            rows: Layout of the words: the utterance and the position of each row's word.
            features: Vectors of the words by modality, one row per word.

        Returns:
            Hidden states and memory cells after every word, one row per word. The units of all modalities are
            concatenated.
        """
        n_units = sum(self.sizes.values())
        inward = [self.inward[m](features[m]) for m in self.sizes]
        hidden, memory = rows.scan(self._step, inward, (n_units, n_units))
        return hidden, memory

    def _step(self, inward: State, state: State) -> State:
        hidden, memory = state
        views = zip(inward, by_view(hidden, self.sizes), self.recurrent.values(), strict=True)
        return lstm_update([gates + matrix(units) for gates, units, matrix in views], memory)


class GatedMemory(nn.Module):
    """Recurrent memory of fused vectors (multi-view gated memory of the Memory Fusion Network).

    At each word, a candidate is computed from the fused vector. One gate controls how much of the memory is kept, and a
    second gate controls how much of the candidate is added. `settings` must have the fields `memory_size`,
    `hidden_size`, `gate_hidden_size` and `hidden_dropout`.
    """

    def __init__(self, n_fused: int, settings: Any) -> None:
        super().__init__()
        n_memory, n_gate_hidden = settings.memory_size, settings.gate_hidden_size
        self.n_memory = n_memory
        self.candidate = two_layers(n_fused, settings.hidden_size, n_memory, settings.hidden_dropout)
        self.gates_fused = nn.Linear(n_fused, 2 * n_gate_hidden)
        self.gates_memory = nn.Linear(n_memory, 2 * n_gate_hidden, bias=False)
        self.dropout = nn.Dropout(settings.hidden_dropout)
        self.keep = nn.Linear(n_gate_hidden, n_memory)
        self.take = nn.Linear(n_gate_hidden, n_memory)

    def forward(self, rows: WordRows, fused: Float[Tensor, "row feature"]) -> Float[Tensor, "row memory"]:
        """Run the memory over the words of all utterances.

        Args:
            rows: Layout of the words: the utterance and the position of each row's word.
            fused: Fused vector of each word, one row per word.

        Returns:
            The memory after every word, one row per word.
        """
        (memory,) = rows.scan(self._step, (self.candidate(fused).tanh(), self.gates_fused(fused)), (self.n_memory,))
        return memory

    def _step(self, inputs: State, state: State) -> State:
        (candidate, gates_fused), (memory,) = inputs, state
        hidden = self.dropout((gates_fused + self.gates_memory(memory)).relu())
        hidden_keep, hidden_take = hidden.chunk(2, dim=1)
        return (self.keep(hidden_keep).sigmoid() * memory + self.take(hidden_take).sigmoid() * candidate,)


def lstm_update(
    gates: Sequence[Float[Tensor, "active gate"]], memory: Float[Tensor, "active unit"]
) -> tuple[Float[Tensor, "active unit"], Float[Tensor, "active unit"]]:
    """Compute one step of the LSTMs of all modalities: c_t = f c_{t-1} + i g, h_t = o tanh(c_t).

    Args:
        gates: For each modality, the input gate i, forget gate f, output gate o and candidate g, before their
            activation functions. They are concatenated in this order. One row per utterance that has a word at step t.
        memory: c_{t-1}, with the units of all modalities concatenated.

    Returns:
        ``(h_t, c_t)``, with the units of all modalities concatenated.
    """
    all_gates = torch.cat([each.reshape(len(each), 4, -1) for each in gates], dim=2)  # (active, 4, unit)
    squashed, candidate = torch.split(all_gates, [3, 1], dim=1)
    input_gate, forget_gate, output_gate = squashed.sigmoid().unbind(1)
    memory = forget_gate * memory + input_gate * candidate.squeeze(1).tanh()
    return output_gate * memory.tanh(), memory


def by_view(
    units: Float[Tensor, "... unit"], sizes: Mapping[Modality, int]
) -> tuple[Float[Tensor, "... feature"], ...]:
    """Split an array of the concatenated units of all modalities into one array per modality.

    Args:
        units: Units of all modalities, concatenated along the last axis in the order of `sizes`.
        sizes: Number of units of each modality.

    Returns:
        One array per modality, in the order of `sizes`.
    """
    return torch.split(units, list(sizes.values()), dim=-1)
