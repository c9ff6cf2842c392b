"""Contextual inter-modal attention (paper, section 3.1 and Algorithm 1). No parameters, no scaling of the scores.

Paper's symbols -> our names: X, Y -> query, context; M -> scores; N -> weights; O -> attended; A -> gated.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

States = Float[Tensor, "video utterance feature"]
Weights = Float[Tensor, "video utterance context"]


def masked_softmax(scores: Float[Tensor, "*rows choice"], present: Bool[Tensor, "*#rows choice"]) -> Tensor:
    """Softmax over the last axis among what is `present`; the rest gets zero, and a row with nothing all zeros."""
    # The lowest finite number instead of -inf: a row with nothing stays free of NaN, also in its gradient.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~present, lowest).softmax(dim=-1).masked_fill(~present, 0.0)


def attend(query: States, context: States, context_present: Bool[Tensor, "video context"]) -> tuple[States, Weights]:
    """One direction: N = softmax(X Y^T) by rows, O = N Y, A = O * X.

    `query` is X, `context` is Y (video, utterance, feature). Context utterances that are padding or lack the modality
    get weight zero; a video without any gets all-zero weights. Returns ``(A, N)``.
    """
    weights = masked_softmax(query @ context.transpose(1, 2), context_present.unsqueeze(1))
    attended = weights @ context  # (video, utterance, feature)
    return attended * query, weights


def cross_attend(
    first: States,
    second: States,
    first_present: Bool[Tensor, "video utterance"],
    second_present: Bool[Tensor, "video utterance"],
) -> tuple[States, Weights, Weights]:
    """CIM-Attention of two modalities, both directions: returns ``([A1, A2], N1, N2)``.

    N1 is the weight of `second`'s utterances for each utterance of `first`, N2 the reverse (not its transpose: both are
    row softmaxes).
    """
    gated_first, first_to_second = attend(first, second, second_present)
    gated_second, second_to_first = attend(second, first, first_present)
    return torch.cat([gated_first, gated_second], dim=-1), first_to_second, second_to_first
