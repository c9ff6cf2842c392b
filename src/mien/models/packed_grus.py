"""Several bidirectional GRUs over one video as one recurrence, in numpy, with their weights laid out for it once.

For a video of ten utterances hardly any time is arithmetic: it goes into fetching the recurrent weights at every step
and into starting operations, and numpy starts one in a fraction of torch's time. So every step is one batched product
for all GRUs and both directions, and ten element-wise operations that write where the result is needed.

Symbols of `torch.nn.GRU`: r, z, n -> the three thirds of a gate row (reset, update, candidate); W_i* -> weights_in;
W_h* -> weights; h -> state. As sigmoid(x) = (1 + tanh(x / 2)) / 2, all that r and z are made of is halved beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import nn

from mien.schema import FloatArray

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_SUFFIXES = ("", "_reverse")


@dataclass(frozen=True, slots=True)
class PackedGrus:
    """A copy of the weights. Directions: forward and backward of the first GRU, then of the second, ..."""

    # per GRU, forward and backward side by side; both biases of r and z, the inputs' one of n
    weights_in: tuple[Float[np.ndarray, "feature 6*hidden"], ...]
    biases_in: tuple[Float[np.ndarray, "6*hidden"], ...]
    weights: Float[np.ndarray, "direction hidden 3*hidden"]
    # of n, which the reset gate takes part in
    biases_n: Float[np.ndarray, "direction 1 hidden"]

    @classmethod
    def of(cls, grus: Sequence[nn.GRU]) -> PackedGrus:
        """From GRUs of one layer, both directions, biases, and one hidden size."""
        hidden = grus[0].hidden_size
        weights_in, biases_in, weights, biases_n = [], [], [], []
        for gru in grus:
            of_inputs, recurrent, of_bias, recurrent_bias = (
                [getattr(gru, f"{name}_l0{suffix}").detach().numpy().copy() for suffix in _SUFFIXES] for name in _NAMES
            )
            for matrix, other in zip(of_bias, recurrent_bias, strict=True):
                matrix[: 2 * hidden] += other[: 2 * hidden]
                biases_n.append(other[np.newaxis, 2 * hidden :])
            for matrix in (*of_inputs, *recurrent, *of_bias):
                matrix[: 2 * hidden] /= 2
            weights_in.append(np.ascontiguousarray(np.concatenate(of_inputs).T))
            biases_in.append(np.concatenate(of_bias))
            weights += [matrix.T for matrix in recurrent]
        return cls(tuple(weights_in), tuple(biases_in), np.ascontiguousarray(np.stack(weights)), np.stack(biases_n))

    def run(self, inputs: Sequence[FloatArray]) -> Float[np.ndarray, "gru step 2*hidden"]:
        """States [forward, backward] of every GRU over its own rows (utterance, feature), as many as it has.

        As many steps as the longest has rows; what stands behind the rows of a shorter one is of no use.
        """
        n_grus, hidden = len(inputs), self.weights.shape[1]
        lengths = [len(rows) for rows in inputs]
        n_steps = max(lengths)
        # In two arrays: for ten utterances neither is so large that the system would hand out fresh pages each time.
        of_gates = np.zeros((n_steps, n_grus, 2, 2 * hidden), self.weights.dtype)
        of_candidate = np.zeros((n_steps, n_grus, 2, hidden), self.weights.dtype)
        for number, (rows, n) in enumerate(zip(inputs, lengths, strict=True)):
            from_input = rows @ self.weights_in[number]
            from_input += self.biases_in[number]
            forward, backward = from_input[:, : 3 * hidden], from_input[::-1, 3 * hidden :]
            for direction, part in enumerate((forward, backward)):
                of_gates[:n, number, direction] = part[:, : 2 * hidden]
                of_candidate[:n, number, direction] = part[:, 2 * hidden :]
        states = self._steps(of_gates, of_candidate)
        both = np.empty((n_grus, n_steps, 2, hidden), states.dtype)
        both[:, :, 0] = states[:, :, 0].swapaxes(0, 1)
        for number, n in enumerate(lengths):
            both[number, :n, 1] = states[:n, number, 1][::-1]
        return both.reshape(n_grus, n_steps, 2 * hidden)

    def _steps(
        self, of_gates: Float[np.ndarray, "step gru 2 2*hidden"], of_candidate: Float[np.ndarray, "step gru 2 hidden"]
    ) -> Float[np.ndarray, "step gru 2 hidden"]:
        """States of all steps, from what inputs and biases give (without the recurrent bias of n)."""
        hidden, shape = self.weights.shape[1], of_candidate.shape
        of_gates, of_candidate = (
            each.reshape(len(each), len(self.weights), 1, each.shape[-1]) for each in (of_gates, of_candidate)
        )
        states = np.empty_like(of_candidate)
        parts = np.zeros_like(self.weights[:, :1])
        gates, recurrent_n = parts[..., : 2 * hidden], parts[..., 2 * hidden :]
        reset, update = gates[..., :hidden], gates[..., hidden:]
        previous = np.zeros_like(self.biases_n)
        for step, state in enumerate(states):
            if step:  # before the first there is nothing to multiply
                np.matmul(previous, self.weights, out=parts)
            gates += of_gates[step]
            np.tanh(gates, out=gates)
            gates += 1
            gates *= 0.5
            recurrent_n += self.biases_n
            recurrent_n *= reset
            recurrent_n += of_candidate[step]
            candidate = np.tanh(recurrent_n, out=recurrent_n)
            np.subtract(previous, candidate, out=state)
            np.multiply(state, update, out=state)
            previous = np.add(state, candidate, out=state)
        return states.reshape(shape)
