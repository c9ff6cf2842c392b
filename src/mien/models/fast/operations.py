"""Fast forms of two operations, dropout and the attention of pairs, and the setting that chooses the fast forms.

The setting is the environment variable MIEN_FAST. Symbols of the attention as in `cim.py`: X, Y -> query, context;
M -> scores; N -> weights; O -> attended; A -> gated.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from mien.models.layers import masked_softmax


def use_fast(*tensors: Tensor) -> bool:
    """Whether the fast forms run over `tensors`: on a CPU, outside an ONNX export, unless ``MIEN_FAST=0``.

    This is no setting of a model, because settings are part of a run's identity and decide its weights. Both forms
    compute the same; only the dropout of a training draws other random numbers, as it does on another device.
    """
    on_cpu = all(each.device.type == "cpu" for each in tensors)
    return on_cpu and not torch.onnx.is_in_onnx_export() and os.environ.get("MIEN_FAST") != "0"


# Each random integer of 64 bits decides over four values: rates are rounded to multiples of 1 / 65,536.
LEVELS = 1 << 16
VALUES_PER_NUMBER = 4


def dropout(values: Float[Tensor, "*axes"], rate: float, training: bool) -> Float[Tensor, "*axes"]:
    """Set a share `rate` of the values to zero and scale the others by 1 / (1 - share), while training.

    The random numbers are those of torch's global seed, one stream for all sizes. Where not `use_fast`, this is
    `torch.nn.functional.dropout`, which draws others.
    """
    if not training or rate == 0:
        return values
    if not use_fast(values):
        return functional.dropout(values, rate, training)
    dropped = round(rate * LEVELS)
    numbers = torch.empty(-(-values.numel() // VALUES_PER_NUMBER), dtype=torch.int64).random_(-(2**63), None)
    drawn = numbers.view(torch.int16)[: values.numel()].view(values.shape)
    kept = (drawn >= dropped - LEVELS // 2).to(values.dtype)
    return values * kept.mul_(LEVELS / (LEVELS - dropped))


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
