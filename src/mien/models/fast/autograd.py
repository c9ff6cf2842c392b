"""What `cim` spends its time in, with hand-written backward passes, for a CPU.

`run_grus`: several bidirectional GRUs over the same videos as one recurrence.

The cells are those of `torch.nn.GRU` (Cho et al., EMNLP 2014, with the reset gate after the recurrent product), which
stays the reference that the tests compare with. What is gained: nothing is computed for padding or for the zero state
before the first utterance, what the backward pass needs beside the carried gradient is computed for all steps at once,
the weights' gradients are one product over all steps, and a step is seven operations forward and three backward, on
memory that is there already, for all modalities and both directions at once.

Axes: direction = forward and backward of each GRU in turn (f0 b0 f1 b1 ...); row = the videos' utterances in the order
in which the recurrence meets them, all first ones, then all second ones of the videos that have one, and so on.

Symbols: r, z, n -> reset, update, candidate; W_i*, b_i* -> weight_ih, bias_ih; W_h*, b_h* -> weight_hh, bias_hh.

`attend_pairs`: the attention of all pairs of modalities at once. Symbols as in `cim.py`: X, Y -> query, context; M ->
scores; N -> weights; O -> attended; A -> gated.
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
# a transposed copy of the weights takes about as long as it saves in so many steps (measured, 16 videos, 200 units)
STEPS_WORTH_A_COPY = 6


@dataclass(frozen=True, slots=True)
class RecurrenceRows:
    """Which utterance each row of the recurrence is. Utterances are numbered through: video * n_utterances + place."""

    # videos that have a first, second, ... utterance
    per_step: tuple[int, ...]
    # utterances of the batch, padding included
    n_utterances: int
    # whether every row is an utterance
    all_real: bool
    # the utterance of every row, per direction; n_utterances for a row that is none
    utterance: tuple[Int[Tensor, "row"], ...]
    # the row before it in the same video, for the rows after the first step
    before: Int[Tensor, "later_row"]


def run_grus(
    grus: Sequence[nn.GRU],
    inputs: Sequence[Float[Tensor, "video utterance _"]],
    presents: Sequence[Bool[Tensor, "video utterance"]],
) -> Float[Tensor, "gru video utterance state"]:
    """`run_bidirectional` for several GRUs over the same videos, as one recurrence where `use_fast`.

    Args:
        grus: Each of one layer, both directions, with biases, all of one hidden size.
        inputs: What each GRU reads.
        presents: True for the utterances that each GRU visits, as if the others did not exist.

    Returns:
        States [forward, backward] of every GRU; zero where not present.
    """
    # Mixed precision would need a backward pass that casts.
    if not use_fast(*inputs) or torch.is_autocast_enabled("cpu"):
        return torch.stack([run_bidirectional(*each) for each in zip(grus, inputs, presents, strict=True)])
    parameters = [parameter for gru in grus for parameter in _parameters(gru)]
    flat = [each.reshape(-1, each.shape[-1]) for each in inputs]
    states: Tensor = _FusedGru.apply(_arrange_rows(presents), len(grus), *flat, *parameters)  # type: ignore[no-untyped-call]
    return states.view(len(grus), *presents[0].shape, -1)


def _arrange_rows(presents: Sequence[Bool[Tensor, "video utterance"]]) -> RecurrenceRows:
    """Rows for both directions of the GRUs whose modality is present in `presents[i]`.

    A modality that lacks an utterance moves on to its next one; where it has fewer utterances than another, its last
    rows are none: nothing follows them, and their states are not given out.
    """
    masks = [present.numpy() for present in presents]  # (video, utterance); numpy is quicker with so little
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
        order = np.argsort(~mask, axis=1, kind="stable")  # (video, place), present ones first, in their order
        last = length[video] - 1
        for visited in (step, last - step):
            place = order[video, np.maximum(visited, 0)]
            utterance.append(torch.from_numpy(np.where(step <= last, video * n_utterances + place, mask.size)))
    return RecurrenceRows(
        per_step=tuple(per_step[per_step > 0].tolist()),
        n_utterances=masks[0].size,
        all_real=all(len(step) == length.sum() for length in lengths),
        utterance=tuple(utterance),
        before=torch.from_numpy(before),
    )


def _parameters(gru: nn.GRU) -> list[Tensor]:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return [getattr(gru, name + suffix) for suffix in ("", "_reverse") for name in names]


class _FusedGru(torch.autograd.Function):
    """`run_grus` for flat inputs (utterance, feature), one per GRU; gives states (gru, utterance, 2 * hidden)."""

    @staticmethod
    def forward(ctx: Any, rows: RecurrenceRows, n_grus: int, *tensors: Tensor) -> Tensor:
        inputs, parameters = tensors[:n_grus], tensors[n_grus:]
        weights_in, weights, biases_in, biases = (parameters[k::PARAMETERS_PER_DIRECTION] for k in range(4))
        hidden = weights[0].shape[1]
        stacked = torch.stack(weights)  # (direction, 3 * hidden, hidden)
        outer, inner = torch.stack(biases_in), torch.stack(biases)
        outer[:, : 2 * hidden] += inner[:, : 2 * hidden]
        gates = stacked.new_empty(2 * n_grus, len(rows.utterance[0]), 3 * hidden)
        visited = [_pick(inputs[d // 2], places, rows) for d, places in enumerate(rows.utterance)]
        for bias, rows_in, weight, out in zip(outer.unbind(), visited, weights_in, gates.unbind(), strict=True):
            torch.addmm(bias, rows_in, weight.t(), out=out)
        states, recurrent_n = _step_forward(gates, stacked, inner[:, None, 2 * hidden :], rows.per_step)
        ctx.rows, ctx.n_grus = rows, n_grus
        ctx.save_for_backward(gates, states, recurrent_n, stacked, *visited, *weights_in)
        # one place more than utterances, for the rows that are none
        given = states.new_zeros(n_grus, rows.n_utterances + 1, 2, hidden)
        halves = (half for gru in given.unbind() for half in gru.unbind(1))
        for half, places, each in zip(halves, rows.utterance, states.unbind(), strict=True):
            half.index_copy_(0, places, each)
        return given[:, :-1].flatten(2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, n_directions = ctx.rows, 2 * ctx.n_grus
        gates, states, recurrent_n, stacked, *others = ctx.saved_tensors
        visited, weights_in = others[:n_directions], others[n_directions:]
        hidden = states.shape[-1]
        d_states = torch.empty_like(states)
        halves = (half for gru in gradient.unbind() for half in gru.split(hidden, dim=1))
        for half, places, out in zip(halves, rows.utterance, d_states.unbind(), strict=True):
            _pick(half, places, rows, out)
        d_gates, of_candidate = _step_backward(d_states, (gates, states, recurrent_n), stacked, rows)
        first = rows.per_step[0] if rows.per_step else 0
        d_weights = torch.bmm(d_gates[:, first:].transpose(1, 2), states.index_select(1, rows.before))
        d_biases = d_gates.sum(dim=1)  # (direction, 3 * hidden)
        # The inputs' side differs from the hidden side in the candidate alone, which the reset gate does not touch.
        d_candidate = torch.mul(d_states, of_candidate, out=d_gates[..., 2 * hidden :])
        d_biases_in = torch.cat([d_biases[:, : 2 * hidden], d_candidate.sum(dim=1)], dim=1)
        d_parameters: list[Tensor] = []
        for d, d_gate in enumerate(d_gates.unbind()):
            d_parameters += [d_gate.t() @ visited[d], d_weights[d], d_biases_in[d], d_biases[d]]
        d_inputs: list[Tensor | None] = [None] * ctx.n_grus
        for g in range(ctx.n_grus):
            if ctx.needs_input_grad[2 + g]:
                d_input = visited[2 * g].new_zeros(rows.n_utterances + 1, visited[2 * g].shape[1])
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
    """States of all rows, and the candidate's recurrent part. `gates` holds the inputs' part and then r, z and n.

    tanh(x) is computed as 2 sigmoid(2x) - 1, which takes half the time.
    """
    hidden = weights.shape[2]
    # Products with the transposed copy are faster, by less than the copy costs unless it serves several of them.
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
    of_gates = of_candidate = product = gates.new_empty(0, 0)
    for reset_update, reset, update, candidate, part, state in steps:
        if previous is None:
            part.copy_(bias_n.expand_as(part))
        else:
            if product.shape[1] != state.shape[1]:
                previous = previous[:, : state.shape[1]]
                product = gates.new_empty(len(gates), state.shape[1], 3 * hidden)
                of_gates, of_candidate = product.split((2 * hidden, hidden), dim=2)
            torch.bmm(previous, by_hidden, out=product)
            reset_update.add_(of_gates)
            torch.add(of_candidate, bias_n, out=part)
        reset_update.sigmoid_()
        candidate.addcmul_(reset, part, value=2).sigmoid_()
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
    """Gradients of what the recurrent product gives (r, z, n), and the factor of the candidate's input part.

    Each gradient is that of the row's state times a factor that does not depend on it; the factors are computed for all
    rows first, so that a step is three operations. `d_states` is changed: it takes up what later steps send back.
    """
    gates, states, recurrent_n = saved
    hidden = states.shape[-1]
    reset, update, candidate = gates.split(hidden, dim=-1)
    first = rows.per_step[0] if rows.per_step else 0
    d_gates = torch.empty_like(gates)  # the factors at first
    of_reset, of_update, of_part = d_gates.split(hidden, dim=-1)
    kept = 1 - update
    of_candidate = torch.square(candidate).neg_().add_(1).mul_(kept)  # direction row hidden
    torch.mul(of_candidate, reset, out=of_part)
    torch.mul(of_part, recurrent_n, out=of_reset)
    of_reset.addcmul_(of_reset, reset, value=-1)
    torch.neg(candidate, out=of_update)
    of_update[:, first:] += states.index_select(1, rows.before)
    of_update.mul_(kept.mul_(update))
    columns = (d_states, d_gates, d_gates.unflatten(2, (3, hidden)), d_states.unsqueeze(2), update)
    steps = list(zip(*(each.split(rows.per_step, dim=1) for each in columns), strict=True))
    carried = gates.new_empty(0, 0)
    for number in range(len(steps) - 1, -1, -1):
        d_state, d_gate, by_gate, to_each_gate, kept_share = steps[number]
        by_gate.mul_(to_each_gate)
        if number:
            if carried.shape[1] != d_state.shape[1]:
                carried = gates.new_empty(d_state.shape)
            torch.mul(d_state, kept_share, out=carried)
            carried.baddbmm_(d_gate, weights)
            earlier = steps[number - 1][0]
            earlier[:, : d_state.shape[1]] += carried
    return d_gates, of_candidate


def _pick(
    values: Float[Tensor, "utterance feature"],
    places: Int[Tensor, "row"],
    rows: RecurrenceRows,
    out: Tensor | None = None,
) -> Float[Tensor, "row feature"]:
    """The utterances of the rows; zero for a row that is none."""
    if not rows.all_real:
        values = torch.nn.functional.pad(values, (0, 0, 0, 1))
    return torch.index_select(values, 0, places, out=out)


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
