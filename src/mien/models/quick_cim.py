"""`Cim` for one video in numpy: the same numbers, in the time that a video alone allows. No gradients.

Names as in `cim.py`. Everything that does not depend on the video is laid out once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from mien.models.batch import Batch, Outputs
from mien.models.cim import Cim
from mien.models.heads import outputs_from_heads
from mien.models.packed_grus import PackedGrus
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
