"""`Cim` for one video in numpy: the same numbers, in the time that a video alone allows. No gradients.

Names as in `cim.py`. Everything that does not depend on the video is laid out once.

Several bidirectional GRUs over one video as one recurrence, in numpy, with their weights laid out for it once.

For a video of ten utterances hardly any time is arithmetic: it goes into fetching the recurrent weights at every step
and into starting operations, and numpy starts one in a fraction of torch's time. So every step is one batched product
for all GRUs and both directions, and ten element-wise operations that write where the result is needed.

Symbols of `torch.nn.GRU`: r, z, n -> the three thirds of a gate row (reset, update, candidate); W_i* -> weights_in;
W_h* -> weights; h -> state. As sigmoid(x) = (1 + tanh(x / 2)) / 2, all that r and z are made of is halved beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from mien.models.batch import Batch, Outputs
from mien.models.cim import Cim
from mien.models.heads import outputs_from_heads
from mien.schema import BoolArray, FloatArray

_ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "relu": lambda values: np.maximum(values, 0),
    "tanh": np.tanh,
}


class QuickCim:
    """Takes a batch of one video without padding; holds a copy of the network's weights, except the heads'."""

    def __init__(self, network: Cim) -> None:
        """`network` masks padding (`mask_padding`)."""
        self.settings, self.modalities, self.heads = network.settings, network.modalities, network.heads
        self.grus = PackedGrus.of([cast(nn.GRU, network.grus[m]) for m in self.modalities])
        if self.settings.dense_size:
            layers = [cast(nn.Linear, network.dense[m]) for m in self.modalities]
            self.dense = np.ascontiguousarray(np.stack([layer.weight.detach().numpy().T for layer in layers]))
            self.dense_bias = np.stack([layer.bias.detach().numpy()[np.newaxis] for layer in layers])
        place = {modality: number for number, modality in enumerate(self.modalities)}
        pairs = network.pairs or [(self.modalities[0], self.modalities[0])]
        directions = list(dict.fromkeys([*pairs, *((other, one) for one, other in pairs)]))
        self.names = [f"{x}->{y}" for x, y in directions]
        self.queries, self.contexts = (np.array([place[each[k]] for each in directions]) for k in (0, 1))
        # A1, A2 of each pair in turn
        self.order = [directions.index(each) for pair in pairs for each in dict.fromkeys((pair, pair[::-1]))]

    def __call__(self, batch: Batch) -> Outputs:
        """What `Cim.forward` gives."""
        present = np.stack([batch.present[m][0].numpy() for m in self.modalities])
        whole = bool(present.all())
        states = self._states([batch.features[m][0].numpy() for m in self.modalities], present, whole)
        blocks, attention = states, {}
        if self.settings.attention:
            gated, weights = self._attend(states, None if whole else present)
            blocks = np.concatenate([gated[self.order], states])
            attention = dict(zip(self.names, torch.from_numpy(weights).unsqueeze(1).unbind(), strict=True))
        representation = blocks.swapaxes(0, 1).reshape(1, states.shape[1], -1)
        return outputs_from_heads(self.heads, torch.from_numpy(representation), attention=attention)

    def _states(
        self, rows: list[FloatArray], present: BoolArray, whole: bool
    ) -> Float[np.ndarray, "modality utterance feature"]:
        if whole:
            states = self.grus.run(rows)
        else:
            some = self.grus.run([each[here] for each, here in zip(rows, present, strict=True)])
            states = np.zeros((*present.shape, some.shape[-1]), some.dtype)
            for state, here, each in zip(states, present, some, strict=True):
                state[here] = each[: int(here.sum())]
        if self.settings.dense_size:
            states = _ACTIVATIONS[self.settings.activation](states @ self.dense + self.dense_bias)
        return states if whole else states * present[..., np.newaxis]

    def _attend(
        self,
        states: Float[np.ndarray, "modality utterance feature"],
        present: Bool[np.ndarray, "modality utterance"] | None,
    ) -> tuple[FloatArray, FloatArray]:
        """(A, N) of all directions, (direction, utterance, ...); `present` is None where nothing is missing."""
        query, context = states[self.queries], states[self.contexts]
        weights = query @ context.swapaxes(1, 2)
        answers = None if present is None else present[self.contexts][:, np.newaxis]
        if answers is not None:
            weights = np.where(answers, weights, np.finfo(weights.dtype).min)
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        if answers is not None:
            weights *= answers
        gated = weights @ context
        gated *= query
        return gated, weights


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
