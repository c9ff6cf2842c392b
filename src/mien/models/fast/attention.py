"""The attention of `cim` for all pairs of modalities at once, with its backward pass written out.

Symbols as in `cim.py`: X, Y -> query, context; M -> scores; N -> weights; O -> attended; A -> gated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mien.models.layers import masked_softmax


def attend_pairs(
    states: Float[Tensor, "modality video utterance feature"],
    presents: Bool[Tensor, "modality video utterance"],
    directions: Sequence[tuple[int, int]],
) -> tuple[Float[Tensor, "direction video utterance feature"], Float[Tensor, "direction video utterance context"]]:
    """`cim.attend` for both directions of every pair of modalities, as one batched product per equation.

    Args:
        states: The states of every modality.
        presents: True for the utterances of every modality that take attention.
        directions: Places of X and Y among the modalities: those of every pair, and then the same reversed.

    Returns:
        ``(A, N)`` of every direction.
    """
    queries, contexts = torch.tensor(directions, device=states.device).unbind(1)
    gated, weights = _PairAttention.apply(states, presents, queries, contexts)  # type: ignore[no-untyped-call]
    return gated, weights


class _PairAttention(torch.autograd.Function):
    """All directions of all pairs; query, context = modalities of X and Y for each direction, those of N2 second."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, presents: Tensor, queries: Tensor, contexts: Tensor) -> tuple[Tensor, Tensor]:
        n_modalities, n_videos, n_utterances, _ = states.shape
        query, context = (states.index_select(0, each).flatten(0, 1) for each in (queries, contexts))
        half = len(query) // 2
        scores = torch.bmm(query[:half], context[:half].mT)  # M1; M2 = Y X^T is its transpose
        present = presents.index_select(0, contexts).view(-1, 1, n_utterances)
        weights = masked_softmax(torch.cat([scores, scores.mT]), present)
        attended = torch.bmm(weights, context)
        ctx.save_for_backward(query, context, weights, attended, queries)
        ctx.n_modalities = n_modalities
        ctx.set_materialize_grads(False)
        return tuple(each.unflatten(0, (-1, n_videos)) for each in (attended * query, weights))

    @staticmethod
    def backward(ctx: Any, d_gated: Tensor | None, d_weights: Tensor | None) -> tuple[Tensor | None, ...]:
        query, context, weights, attended, queries = ctx.saved_tensors
        half, directions = len(query) // 2, len(queries)
        d_gated = torch.zeros_like(query) if d_gated is None else d_gated.flatten(0, 1)
        d_attended = d_gated * query
        d_shares = torch.bmm(d_attended, context.mT)
        if d_weights is not None:
            d_shares = d_shares + d_weights.flatten(0, 1)
        # softmax: dM = N * (dN - sum(dN * N)); zero wherever N is, so that the mask needs no care
        d_scores = weights * (d_shares - (d_shares * weights).sum(dim=-1, keepdim=True))
        d_score = d_scores[:half] + d_scores[half:].mT
        d_states = d_gated * attended
        first, second = d_states[:half], d_states[half:]
        first.baddbmm_(weights[half:].mT, d_attended[half:]).baddbmm_(d_score, context[:half])
        second.baddbmm_(weights[:half].mT, d_attended[:half]).baddbmm_(d_score.mT, query[:half])
        by_direction = d_states.unflatten(0, (directions, -1))
        total = by_direction.new_zeros(ctx.n_modalities, *by_direction.shape[1:])
        return total.index_add_(0, queries, by_direction), None, None, None
