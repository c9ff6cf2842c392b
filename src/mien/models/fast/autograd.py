"""Fast recurrence and attention of `cim` on a CPU, with hand-written backward passes.

`run_grus` computes several bidirectional GRUs over the same videos as one recurrence.

The cells are those of `torch.nn.GRU` (Cho et al., EMNLP 2014, with the reset gate after the recurrent product), and
tests compare the results with it. The implementation saves time in these ways:

- It computes nothing for padding or for the zero state before the first utterance.
- The backward pass computes everything for all steps at once, except the gradient that steps pass to each other.
- The gradient of a weight matrix is one product over all steps.
- A step for all modalities and both directions takes seven operations forward and three backward, in memory that is
  allocated before the first step.

Axes: direction = the forward and the backward direction of each GRU in turn (f0 b0 f1 b1 ...); row = the utterances in
the order of the recurrence: the first of every video, then the second of every video with at least two, and so on.

Symbols (equations -> code): r, z, n -> reset, update, candidate; W_i*, b_i* -> weight_ih, bias_ih; W_h*, b_h* ->
weight_hh, bias_hh.

`attend_pairs` computes the attention of all pairs of modalities at once. Symbols as in `cim.py`: X, Y -> query,
context; M -> scores; N -> weights; O -> attended; A -> gated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.models.fast.dropout import use_fast
from mien.models.layers import masked_softmax, run_bidirectional

# weight_ih, weight_hh, bias_ih, bias_hh of one direction
PARAMETERS_PER_DIRECTION = 4
# If there are more steps than this, a transposed copy of the weights saves time (measured: 16 videos, 200 units).
STEPS_WORTH_A_COPY = 6


@dataclass(frozen=True, slots=True)
class RecurrenceRows:
    """Layout of a recurrence that runs several GRUs over the same videos: which utterance each row processes.

    A row is one step of the recurrence in one video, and all GRUs have the same rows. Utterances are given by their
    index in the padded batch: utterance i of video v has the index v * (utterances per video) + i. If a GRU processes
    fewer utterances of a video than another GRU, the last rows of this video are filler rows for the former GRU: they
    process no utterance.
    """

    # number of videos that have a first, second, ... utterance
    per_step: tuple[int, ...]
    # number of utterances of the batch, padding included
    n_utterances: int
    # whether there are no filler rows
    all_real: bool
    # for each direction, the index of the utterance of every row; n_utterances for a filler row
    utterance: tuple[Int[Tensor, "row"], ...]
    # for each row after the first step, the index of the preceding row of the same video
    before: Int[Tensor, "later_row"]


def run_grus(
    grus: Sequence[nn.GRU],
    inputs: Sequence[Float[Tensor, "video utterance _"]],
    presents: Sequence[Bool[Tensor, "video utterance"]],
) -> Float[Tensor, "gru video utterance state"]:
    """Run several bidirectional GRUs over the same videos.

    If `use_fast` returns True, all GRUs run together as one recurrence, which is faster.

    Args:
        grus: Bidirectional GRUs of one layer, with biases and with the same hidden size.
        inputs: Input vectors of each GRU.
        presents: For each GRU, True for the utterances that it processes. The others are skipped.

    Returns:
        Forward and backward states of every GRU, concatenated; zero for the skipped utterances.
    """
    # The backward pass does not cast, so it does not support mixed precision.
    if not use_fast(*inputs) or torch.is_autocast_enabled("cpu"):
        return torch.stack([run_bidirectional(*each) for each in zip(grus, inputs, presents, strict=True)])
    parameters = [parameter for gru in grus for parameter in _gru_parameters(gru)]
    flat = [each.reshape(-1, each.shape[-1]) for each in inputs]
    states: Tensor = _FusedGru.apply(_arrange_rows(presents), len(grus), *flat, *parameters)  # type: ignore[no-untyped-call]
    return states.view(len(grus), *presents[0].shape, -1)


def _arrange_rows(presents: Sequence[Bool[Tensor, "video utterance"]]) -> RecurrenceRows:
    """Compute the layout of the recurrence (see `RecurrenceRows`): which utterance each row processes.

    `presents[i]` is True for the utterances that GRU i processes. The others are skipped.
    """
    masks = [present.numpy() for present in presents]  # (video, utterance); numpy is faster than torch for small arrays
    n_utterances = masks[0].shape[1]
    lengths = [mask.sum(axis=1) for mask in masks]  # video
    longest = lengths[0] if len(lengths) == 1 else np.maximum.reduce(lengths)
    by_length = np.argsort(-longest, kind="stable")  # video
    running = np.arange(n_utterances)[:, None] < longest[by_length]  # (step, video), long videos first
    step, rank = running.nonzero()  # row
    video = by_length[rank]
    per_step = running.sum(axis=1)
    later = np.arange(per_step[0] if n_utterances else 0, len(step))
    before = later - per_step[step[later] - 1]
    utterance: list[Tensor] = []
    for number, (mask, length) in enumerate(zip(masks, lengths, strict=True)):
        if number and np.array_equal(mask, masks[0]):
            utterance += utterance[:2]
            continue
        order = np.argsort(~mask, axis=1, kind="stable")  # (video, place), present utterances first
        last = length[video] - 1
        for position in (step, last - step):
            place = order[video, np.maximum(position, 0)]
            utterance.append(torch.from_numpy(np.where(step <= last, video * n_utterances + place, mask.size)))
    return RecurrenceRows(
        per_step=tuple(per_step[per_step > 0].tolist()),
        n_utterances=masks[0].size,
        all_real=all(len(step) == length.sum() for length in lengths),
        utterance=tuple(utterance),
        before=torch.from_numpy(before),
    )


def _gru_parameters(gru: nn.GRU) -> list[Tensor]:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return [getattr(gru, name + suffix) for suffix in ("", "_reverse") for name in names]


class _FusedGru(torch.autograd.Function):
    """Differentiable function that runs several bidirectional GRUs as one recurrence; used by `run_grus`.

    Each GRU has one input array (utterance, feature), in which the padded videos are concatenated. The result contains
    the states (gru, utterance, 2 * hidden).
    """

    @staticmethod
    def forward(ctx: Any, rows: RecurrenceRows, n_grus: int, *tensors: Tensor) -> Tensor:
        inputs, parameters = tensors[:n_grus], tensors[n_grus:]
        weights_in, weights, biases_in, biases = (parameters[k::PARAMETERS_PER_DIRECTION] for k in range(4))
        hidden = weights[0].shape[1]
        stacked = torch.stack(weights)  # (direction, 3 * hidden, hidden)
        stacked_in, stacked_biases = torch.stack(biases_in), torch.stack(biases)
        stacked_in[:, : 2 * hidden] += stacked_biases[:, : 2 * hidden]
        gates = stacked.new_empty(2 * n_grus, len(rows.utterance[0]), 3 * hidden)
        row_inputs = [_select_rows(inputs[d // 2], places, rows) for d, places in enumerate(rows.utterance)]
        for bias, rows_in, weight, out in zip(stacked_in.unbind(), row_inputs, weights_in, gates.unbind(), strict=True):
            torch.addmm(bias, rows_in, weight.t(), out=out)
        states, recurrent_n = _step_forward(gates, stacked, stacked_biases[:, None, 2 * hidden :], rows.per_step)
        ctx.rows, ctx.n_grus = rows, n_grus
        ctx.save_for_backward(gates, states, recurrent_n, stacked, *row_inputs, *weights_in)
        # one extra utterance, which receives the states of filler rows
        by_utterance = states.new_zeros(n_grus, rows.n_utterances + 1, 2, hidden)
        halves = (half for gru in by_utterance.unbind() for half in gru.unbind(1))
        for half, places, each in zip(halves, rows.utterance, states.unbind(), strict=True):
            half.index_copy_(0, places, each)
        return by_utterance[:, :-1].flatten(2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, n_directions = ctx.rows, 2 * ctx.n_grus
        gates, states, recurrent_n, stacked, *tensors = ctx.saved_tensors
        row_inputs, weights_in = tensors[:n_directions], tensors[n_directions:]
        hidden = states.shape[-1]
        d_states = torch.empty_like(states)
        halves = (half for gru in gradient.unbind() for half in gru.split(hidden, dim=1))
        for half, places, out in zip(halves, rows.utterance, d_states.unbind(), strict=True):
            _select_rows(half, places, rows, out)
        d_gates, candidate_factor = _step_backward(d_states, (gates, states, recurrent_n), stacked, rows)
        first = rows.per_step[0] if rows.per_step else 0
        d_weights = torch.bmm(d_gates[:, first:].transpose(1, 2), states.index_select(1, rows.before))
        d_biases = d_gates.sum(dim=1)  # (direction, 3 * hidden)
        # Input and recurrent part have equal gradients, except in the candidate: reset does not act on its input part.
        d_candidate = torch.mul(d_states, candidate_factor, out=d_gates[..., 2 * hidden :])
        d_biases_in = torch.cat([d_biases[:, : 2 * hidden], d_candidate.sum(dim=1)], dim=1)
        d_parameters: list[Tensor] = []
        for d, d_gate in enumerate(d_gates.unbind()):
            d_parameters += [d_gate.t() @ row_inputs[d], d_weights[d], d_biases_in[d], d_biases[d]]
        d_inputs: list[Tensor | None] = [None] * ctx.n_grus
        for g in range(ctx.n_grus):
            if ctx.needs_input_grad[2 + g]:
                d_input = row_inputs[2 * g].new_zeros(rows.n_utterances + 1, row_inputs[2 * g].shape[1])
                for d in (2 * g, 2 * g + 1):
                    d_input.index_add_(0, rows.utterance[d], d_gates[d] @ weights_in[d])
                d_inputs[g] = d_input[:-1]
        return None, None, *d_inputs, *d_parameters


def _step_forward(
    gates: Float[Tensor, "direction row 3*hidden"],
    weights: Float[Tensor, "direction 3*hidden hidden"],
    bias_n: Float[Tensor, "direction 1 hidden"],
    per_step: Sequence[int],
) -> tuple[Float[Tensor, "direction row hidden"], Float[Tensor, "direction row hidden"]]:
    """Compute the GRU states step by step.

    A row is one utterance. The rows are ordered by step: the first utterance of every video, then the second, and so
    on.

    Args:
        gates: Contributions of the inputs to the reset gate r, the update gate z and the candidate n. The
            array is overwritten in place with the values of r, z and n.
        weights: Recurrent weights.
        bias_n: Recurrent bias of the candidate n.
        per_step: Number of rows of each step: the videos that still have an utterance.

    Returns:
        Two arrays: the states, and the recurrent contribution to n before it is multiplied by r.
    """
    hidden = weights.shape[2]
    # Products with a transposed copy are faster, but the copy pays off only after several products.
    by_hidden = weights.transpose(1, 2)
    if len(per_step) > STEPS_WORTH_A_COPY:
        by_hidden = by_hidden.contiguous()
    states = gates.new_empty(*gates.shape[:2], hidden)
    recurrent_n = torch.empty_like(states)
    minus_one = gates.new_full((), -1.0)
    gates[..., 2 * hidden :] *= 2
    columns = (gates[..., : 2 * hidden], *gates.split(hidden, dim=2), recurrent_n, states)
    steps = zip(*(each.split(per_step, dim=1) for each in columns), strict=True)
    previous: Tensor | None = None
    gates_product = candidate_product = product = gates.new_empty(0, 0)
    for reset_update, reset, update, candidate, recurrent, state in steps:
        if previous is None:
            recurrent.copy_(bias_n.expand_as(recurrent))
        else:
            if product.shape[1] != state.shape[1]:
                previous = previous[:, : state.shape[1]]
                product = gates.new_empty(len(gates), state.shape[1], 3 * hidden)
                gates_product, candidate_product = product.split((2 * hidden, hidden), dim=2)
            torch.bmm(previous, by_hidden, out=product)
            reset_update.add_(gates_product)
            torch.add(candidate_product, bias_n, out=recurrent)
        reset_update.sigmoid_()
        candidate.addcmul_(reset, recurrent, value=2).sigmoid_()
        torch.add(minus_one, candidate, alpha=2, out=candidate)
        if previous is None:
            torch.addcmul(candidate, candidate, update, value=-1, out=state)
        else:
            torch.lerp(candidate, previous, update, out=state)
        previous = state
    return states, recurrent_n


def _step_backward(
    d_states: Float[Tensor, "direction row hidden"],
    saved: tuple[Tensor, Tensor, Tensor],
    weights: Float[Tensor, "direction 3*hidden hidden"],
    rows: RecurrenceRows,
) -> tuple[Float[Tensor, "direction row 3*hidden"], Float[Tensor, "direction row hidden"]]:
    """Compute the gradients for the gates r and z and the candidate n of all rows, from the last step to the first.

    Every gradient is the gradient of the row's state times a factor. The factors do not depend on gradients, so they
    are computed first, for all rows at once.

    Args:
        d_states: Gradients of the states. The gradients that come from later steps are added in place.
        saved: Gates, states and recurrent contribution to n, from the forward pass.
        weights: Recurrent weights.
        rows: Layout of the rows.

    Returns:
        The gradients of the recurrent contributions to r, z and n; and a factor. The gradient of the input's
        contribution to n is this factor times the gradient of the state.
    """
    gates, states, recurrent_n = saved
    hidden = states.shape[-1]
    reset, update, candidate = gates.split(hidden, dim=-1)
    first = rows.per_step[0] if rows.per_step else 0
    d_gates = torch.empty_like(gates)  # contains the factors until the loop multiplies them
    reset_factor, update_factor, recurrent_factor = d_gates.split(hidden, dim=-1)
    complement = 1 - update
    candidate_factor = torch.square(candidate).neg_().add_(1).mul_(complement)  # direction row hidden
    torch.mul(candidate_factor, reset, out=recurrent_factor)
    torch.mul(recurrent_factor, recurrent_n, out=reset_factor)
    reset_factor.addcmul_(reset_factor, reset, value=-1)
    torch.neg(candidate, out=update_factor)
    update_factor[:, first:] += states.index_select(1, rows.before)
    update_factor.mul_(complement.mul_(update))
    columns = (d_states, d_gates, d_gates.unflatten(2, (3, hidden)), d_states.unsqueeze(2), update)
    steps = list(zip(*(each.split(rows.per_step, dim=1) for each in columns), strict=True))
    carried = gates.new_empty(0, 0)
    for number in range(len(steps) - 1, -1, -1):
        d_state, d_gate, by_gate, d_state_per_gate, step_update = steps[number]
        by_gate.mul_(d_state_per_gate)
        if number:
            if carried.shape[1] != d_state.shape[1]:
                carried = gates.new_empty(d_state.shape)
            torch.mul(d_state, step_update, out=carried)
            carried.baddbmm_(d_gate, weights)
            earlier = steps[number - 1][0]
            earlier[:, : d_state.shape[1]] += carried
    return d_gates, candidate_factor


def _select_rows(
    values: Float[Tensor, "utterance feature"],
    places: Int[Tensor, "row"],
    rows: RecurrenceRows,
    out: Tensor | None = None,
) -> Float[Tensor, "row feature"]:
    """Return the vector of the utterance that each row processes. A filler row gets zeros.

    `places` contains the index of the utterance of each row. If `out` is given, the result is written into it.
    """
    if not rows.all_real:
        values = torch.nn.functional.pad(values, (0, 0, 0, 1))
    return torch.index_select(values, 0, places, out=out)


def attend_pairs(
    states: Float[Tensor, "modality video utterance feature"],
    presents: Bool[Tensor, "modality video utterance"],
    directions: Sequence[tuple[int, int]],
) -> tuple[Float[Tensor, "direction video utterance feature"], Float[Tensor, "direction video utterance context"]]:
    """Compute the attention between all pairs of modalities, with one batched product per equation of `cim.attend`.

    Args:
        states: States of every modality.
        presents: True for the utterances of every modality that may get attention weight.
        directions: Pairs (X, Y) of modality indices, where X attends to Y. Every pair occurs once in the first half.
            The second half contains the same pairs in the same order, each reversed.

    Returns:
        The gated vectors and the attention weights of every direction.
    """
    queries, contexts = torch.tensor(directions, device=states.device).unbind(1)
    gated, weights = _PairAttention.apply(states, presents, queries, contexts)  # type: ignore[no-untyped-call]
    return gated, weights


class _PairAttention(torch.autograd.Function):
    """Differentiable function that computes the attention between all pairs of modalities; used by `attend_pairs`.

    In direction i, the modality with the index queries[i] attends to the modality with the index contexts[i]. The
    second half of the directions contains the pairs of the first half in the same order, each reversed.
    """

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
        # softmax: dM = N * (dN - sum(dN * N)); zero where N is zero, so the mask needs no separate step
        d_scores = weights * (d_shares - (d_shares * weights).sum(dim=-1, keepdim=True))
        d_score = d_scores[:half] + d_scores[half:].mT
        d_states = d_gated * attended
        first, second = d_states[:half], d_states[half:]
        first.baddbmm_(weights[half:].mT, d_attended[half:]).baddbmm_(d_score, context[:half])
        second.baddbmm_(weights[:half].mT, d_attended[:half]).baddbmm_(d_score.mT, query[:half])
        by_direction = d_states.unflatten(0, (directions, -1))
        total = by_direction.new_zeros(ctx.n_modalities, *by_direction.shape[1:])
        return total.index_add_(0, queries, by_direction), None, None, None
