"""Several bidirectional GRUs over one video as one recurrence, with their weights laid out for it once. No gradients.

For a video of ten utterances nearly all time goes into fetching the recurrent weights at every step and into starting
operations. So every step is one batched product for all GRUs and both directions, whose addend already holds what the
inputs and biases give, and three element-wise operations.

Symbols of `torch.nn.GRU`: r, z, n -> the three thirds of a gate row; W_i* -> weights_in; W_h* -> weights; h -> state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

_SUFFIXES = ("", "_reverse")


@dataclass(frozen=True, slots=True)
class PackedGrus:
    """A copy of the weights. Directions: forward and backward of the first GRU, then of the second, ..."""

    # per GRU, forward and backward side by side; both biases of r and z, the inputs' one of n
    weights_in: tuple[Float[Tensor, "feature 6*hidden"], ...]
    biases_in: tuple[Float[Tensor, "6*hidden"], ...]
    weights: Float[Tensor, "direction hidden 3*hidden"]
    # of n, which the reset gate takes part in
    biases_n: Float[Tensor, "direction 1 hidden"]

    @classmethod
    def of(cls, grus: Sequence[nn.GRU]) -> PackedGrus:
        """From GRUs of one layer, both directions, biases, and one hidden size."""
        hidden = grus[0].hidden_size
        weights_in, biases_in, weights, biases_n = [], [], [], []
        for gru in grus:
            parts = [[getattr(gru, f"{name}_l0{suffix}").detach() for suffix in _SUFFIXES] for name in _NAMES]
            of_inputs, recurrent, of_bias, recurrent_bias = parts
            weights_in.append(torch.cat(of_inputs).t().contiguous())
            for bias, other in zip(of_bias, recurrent_bias, strict=True):
                both = bias.clone()
                both[: 2 * hidden] += other[: 2 * hidden]
                biases_in.append(both)
                biases_n.append(other[2 * hidden :].unsqueeze(0))
            weights += [matrix.t() for matrix in recurrent]
        pairs = zip(biases_in[::2], biases_in[1::2], strict=True)
        return cls(
            tuple(weights_in),
            tuple(torch.cat(pair) for pair in pairs),
            torch.stack(weights).contiguous(),
            torch.stack(biases_n),
        )

    def run(self, inputs: Sequence[Float[Tensor, "_ _"]]) -> list[Float[Tensor, "_ 2*hidden"]]:
        """States [forward, backward] of every GRU over its own rows (utterance, feature), as many as it has."""
        n_grus, hidden = len(inputs), self.weights.shape[1]
        lengths = [len(rows) for rows in inputs]
        n_steps = max(lengths)
        # The shorter ones end earlier; what their directions do afterwards is not given out.
        gates = self.weights.new_zeros(n_grus, n_steps, 2, 3 * hidden)
        for rows, weight, bias, part in zip(inputs, self.weights_in, self.biases_in, gates.flatten(2), strict=True):
            torch.addmm(bias, rows, weight, out=part[: len(rows)])
        addend = torch.stack([gates[:, :, 0], _reversed(gates[:, :, 1], lengths)], dim=2)
        addend = addend.transpose(0, 1).reshape(n_steps, 2 * n_grus, 1, 3 * hidden)
        candidates = addend[..., 2 * hidden :].clone()
        addend[..., 2 * hidden :] = self.biases_n
        states = self._steps(addend, candidates).view(n_steps, n_grus, 2, hidden).transpose(0, 1)
        both = torch.cat([states[:, :, 0], _reversed(states[:, :, 1], lengths)], dim=2)
        return [each[:length] for each, length in zip(both.unbind(), lengths, strict=True)]

    def _steps(
        self, addend: Float[Tensor, "step direction 1 3*hidden"], candidates: Float[Tensor, "step direction 1 hidden"]
    ) -> Float[Tensor, "step direction hidden"]:
        hidden = self.weights.shape[1]
        state = torch.zeros_like(self.biases_n)
        states = []
        # Views of all steps at once: cutting them out step by step would take as long as the arithmetic.
        thirds = (addend[..., k * hidden : (k + 1) * hidden].unbind() for k in range(3))
        gates = addend[..., : 2 * hidden].unbind()
        for whole, both, reset, update, recurrent_n, from_input in zip(
            addend.unbind(), gates, *thirds, candidates.unbind(), strict=True
        ):
            whole.baddbmm_(state, self.weights)
            both.sigmoid_()
            candidate = torch.addcmul(from_input, reset, recurrent_n).tanh_()
            state = torch.lerp(candidate, state, update)
            states.append(state)
        return torch.stack(states).squeeze(2) if states else candidates.squeeze(2)


def _reversed(
    rows: Float[Tensor, "gru utterance feature"], lengths: Sequence[int]
) -> Float[Tensor, "gru utterance feature"]:
    """The rows of every GRU from its last to its first; what stands behind them is of no use."""
    if min(lengths) == rows.shape[1]:
        return rows.flip(1)
    return torch.stack(
        [torch.cat([each[:n].flip(0), each[n:]]) for each, n in zip(rows.unbind(), lengths, strict=True)]
    )


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
