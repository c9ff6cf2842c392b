"""The bidirectional GRU over the utterances of a video that every context-level network starts with."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def run_bigru(
    gru: nn.GRU, inputs: Float[Tensor, "video utterance feature"], present: Bool[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance state"]:
    """Run `gru` over the utterances that are present, as if the others did not exist; their states are zero.

    Padding and utterances that lack the modality are treated alike: the recurrence steps over them, so neither the
    number of padded slots nor what stands in them can change a state.
    """
    n_utterances = present.shape[1]
    n_present = present.sum(dim=1)  # (video,)
    place = torch.arange(n_utterances, device=inputs.device)
    gapless = bool((present == (place < n_present.unsqueeze(1))).all())
    if gapless:
        return _run_packed(gru, inputs, n_present)
    order = (~present).to(torch.uint8).argsort(dim=1, stable=True)  # present ones first, in their order
    states = _run_packed(gru, _reorder(inputs, order), n_present)
    return _reorder(states, order.argsort(dim=1))


def _run_packed(
    gru: nn.GRU, inputs: Float[Tensor, "video utterance feature"], lengths: Int[Tensor, "video"]
) -> Float[Tensor, "video utterance state"]:
    if bool((lengths == inputs.shape[1]).all()):
        # Nothing to step over: packing would only cost time, about a sixth of the recurrence.
        whole: Tensor = gru(inputs)[0]
        return whole
    states = inputs.new_zeros(*inputs.shape[:2], 2 * gru.hidden_size)
    filled = lengths > 0
    if not bool(filled.any()):
        return states
    packed = pack_padded_sequence(inputs[filled], lengths[filled].cpu(), batch_first=True, enforce_sorted=False)
    some, _ = pad_packed_sequence(gru(packed)[0], batch_first=True, total_length=inputs.shape[1])
    if bool(filled.all()):
        return some
    return states.index_put((filled.nonzero().squeeze(1),), some)


def _reorder(
    rows: Float[Tensor, "video utterance feature"], order: Int[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance feature"]:
    return rows.gather(1, order.unsqueeze(-1).expand(-1, -1, rows.shape[2]))
