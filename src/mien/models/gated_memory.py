"""The multi-view gated memory of `mfn` and `graph-mfn` (Zadeh et al., "Memory Fusion Network", AAAI 2018).

    u^_t = tanh(NN_u(c^_t))
    g1, g2 = sigmoid(NN_1([c^_t; u_{t-1}])), sigmoid(NN_2([c^_t; u_{t-1}]))
    u_t = g1 u_{t-1} + g2 u^_t,  u_0 = 0

Symbols: c^_t -> fused; u -> memory; u^, NN_u -> candidate; g1, g2 -> keep, take. The first layers of NN_1 and NN_2
stand side by side and are divided into the part that reads c^ (`gates_fused`, for all words at once) and the part that
reads u (`gates_memory`); `keep` and `take` are their second layers.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from mien.models.dense import two_layers
from mien.models.word_rows import WordRows
from mien.models.word_steps import State


class GatedMemory(nn.Module):
    """What the fusion found, word by word, kept and overwritten under two gates."""

    def __init__(self, n_fused: int, n_memory: int, n_hidden: int, n_gate_hidden: int, dropout: float) -> None:
        super().__init__()
        self.n_memory = n_memory
        self.candidate = two_layers(n_fused, n_hidden, n_memory, dropout)
        self.gates_fused = nn.Linear(n_fused, 2 * n_gate_hidden)
        self.gates_memory = nn.Linear(n_memory, 2 * n_gate_hidden, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.keep = nn.Linear(n_gate_hidden, n_memory)
        self.take = nn.Linear(n_gate_hidden, n_memory)

    def forward(self, rows: WordRows, fused: Float[Tensor, "row feature"]) -> Float[Tensor, "row memory"]:
        """The memory after every word."""
        (memory,) = rows.scan(self._step, (self.candidate(fused).tanh(), self.gates_fused(fused)), (self.n_memory,))
        return memory

    def _step(self, inputs: State, state: State) -> State:
        (candidate, gates_fused), (memory,) = inputs, state
        hidden = self.dropout((gates_fused + self.gates_memory(memory)).relu())
        for_keep, for_take = hidden.chunk(2, dim=1)
        return (self.keep(for_keep).sigmoid() * memory + self.take(for_take).sigmoid() * candidate,)
