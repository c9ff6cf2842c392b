"""Contextual inter-modal attention (paper, section 3.1 and Algorithm 1). No parameters, no scaling of the scores.

Paper's symbols -> our names: X, Y -> query, context; M -> scores; N -> weights; O -> attended; A -> gated.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

States = Float[Tensor, "video utterance feature"]
Weights = Float[Tensor, "video utterance context"]


def masked_softmax(scores: Float[Tensor, "*rows choice"], present: Bool[Tensor, "*#rows choice"]) -> Tensor:
    """Softmax over the last axis among what is `present`; the rest gets zero, and a row with nothing all zeros."""
    # The lowest finite number instead of -inf: a row with nothing stays free of NaN, also in its gradient.
    lowest = torch.finfo(scores.dtype).min
    absent = ~present
    return scores.masked_fill(absent, lowest).softmax(dim=-1).masked_fill(absent, 0.0)


def attend(query: States, context: States, context_present: Bool[Tensor, "video context"]) -> tuple[States, Weights]:
    """One direction: N = softmax(X Y^T) by rows, O = N Y, A = O * X.

    `query` is X, `context` is Y (video, utterance, feature). Context utterances that are padding or lack the modality
    get weight zero; a video without any gets all-zero weights. Returns ``(A, N)``.
    """
    weights = masked_softmax(query @ context.transpose(1, 2), context_present.unsqueeze(1))
    attended = weights @ context  # (video, utterance, feature)
    return attended * query, weights


def cross_attend(
    states: Float[Tensor, "modality video utterance feature"], presents: Bool[Tensor, "modality video utterance"]
) -> tuple[Float[Tensor, "2*pair video utterance feature"], Float[Tensor, "2*pair video utterance context"]]:
    """CIM-Attention of every pair of modalities, both directions, as one batched product per equation.

    Returns ``(A, N)``: A1 and N1 of the pairs (0, 1), (0, 2), (1, 2) in this order, then A2 and N2 of the same pairs.
    N1 is the weight of the second's utterances for each utterance of the first, N2 the reverse (not its transpose: both
    are row softmaxes). The same numbers and gradients as `attend` for each direction, in a third of the operations.
    """
    pairs = list(combinations(range(len(states)), 2))
    queries = torch.tensor([one for one, _ in pairs] + [other for _, other in pairs], device=states.device)
    gated, weights = _CrossAttention.apply(states, presents, queries, queries.roll(len(pairs)))  # type: ignore[no-untyped-call]
    return gated, weights


class _CrossAttention(torch.autograd.Function):
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
