"""Several bidirectional GRUs over the same videos as one batched recurrence with its own backward pass (CPU).

The cells are those of `torch.nn.GRU` (Cho et al., EMNLP 2014, with the reset gate after the recurrent product), which
stays the reference that the tests compare with. What is gained: every step is one batched product for all modalities
and both directions instead of one each, nothing is computed for padding, what the backward pass needs beside the
carried gradient is computed for all steps at once, and the weights' gradients are one product over all steps.

Axes: direction = forward and backward of each GRU in turn (f0 b0 f1 b1 ...); row = the videos' utterances in the order
in which the recurrence meets them, all first ones, then all second ones of the videos that have one, and so on.

Symbols: r, z, n -> reset, update, candidate; W_i*, b_i* -> weight_ih, bias_ih; W_h*, b_h* -> weight_hh, bias_hh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

# weight_ih, weight_hh, bias_ih, bias_hh of one direction
PARAMETERS_PER_DIRECTION = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Which utterance each row of the recurrence is. Utterances are numbered through: video * n_utterances + place."""

    # videos that have a first, second, ... utterance
    per_step: tuple[int, ...]
    # the utterance of every row, per direction
    utterance: tuple[Int[Tensor, "row"], ...]
    # the row before it in the same video, for the rows after the first step
    before: Int[Tensor, "later_row"]
    # the row of every utterance, per direction; n_rows where there is none
    row: tuple[Int[Tensor, "utterance"], ...]
    # per direction, True where the row is a real utterance; None if all are
    real: tuple[Bool[Tensor, "row"] | None, ...]


def run_grus(
    grus: Sequence[nn.GRU],
    inputs: Sequence[Float[Tensor, "video utterance _"]],
    presents: Sequence[Bool[Tensor, "video utterance"]],
) -> list[Float[Tensor, "video utterance state"]]:
    """States [forward, backward] of every GRU over the utterances that are present, as if the others did not exist.

    The GRUs have one layer, both directions, biases, and the same hidden size. Zero where not present.
    """
    rows = arrange_rows(presents)
    parameters = [parameter for gru in grus for parameter in _parameters(gru)]
    flat = [each.reshape(-1, each.shape[-1]) for each in inputs]
    states = _FusedGru.apply(rows, len(grus), *flat, *parameters)
    videos, utterances = presents[0].shape
    return [each.view(videos, utterances, -1) for each in states]


def arrange_rows(presents: Sequence[Bool[Tensor, "video utterance"]]) -> Rows:
    """Rows for all directions of GRUs whose modality is present in `presents[i]`.

    A modality that lacks an utterance moves on to its next one; where it has fewer utterances than another, its last
    rows are not real: nothing follows them, and their states are not given out.
    """
    lengths = torch.stack([present.sum(dim=1) for present in presents])  # (gru, video)
    longest = lengths.amax(dim=0)
    by_length = longest.argsort(descending=True, stable=True)  # video
    n_utterances = presents[0].shape[1]
    place = torch.arange(n_utterances)
    running = place.unsqueeze(1) < longest[by_length]  # (step, video), videos from long to short
    per_step = tuple(int(count) for count in running.sum(dim=1).tolist() if count)
    step, rank = running.nonzero(as_tuple=True)  # row
    video = by_length[rank]
    starts = torch.cat([torch.zeros(1, dtype=torch.long), torch.tensor(per_step).cumsum(0)])
    later = step > 0
    before = starts[step[later] - 1] + rank[later]
    utterance: list[Tensor] = []
    row: list[Tensor] = []
    real: list[Tensor | None] = []
    same = len(presents) > 1 and all(torch.equal(presents[0], other) for other in presents[1:])
    for number, present in enumerate(presents):
        if number and same:
            utterance, row, real = [*utterance, *utterance[:2]], [*row, *row[:2]], [*real, *real[:2]]
            continue
        # present ones first, in their order
        order = (~present).to(torch.uint8).argsort(dim=1, stable=True)  # (video, place)
        length = lengths[number][video]
        inside = step < length
        for visited in (step, (length - 1 - step).clamp(min=0)):
            here = video * n_utterances + order[video, visited]
            where = torch.full((present.numel(),), len(step), dtype=torch.long)
            where[here[inside]] = inside.nonzero().squeeze(1)
            utterance.append(here)
            row.append(where)
            real.append(None if bool(inside.all()) else inside)
    return Rows(per_step, tuple(utterance), before, tuple(row), tuple(real))


def _parameters(gru: nn.GRU) -> list[Tensor]:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return [getattr(gru, name + suffix) for suffix in ("", "_reverse") for name in names]


class _FusedGru(torch.autograd.Function):
    """`run_grus` for flat inputs (utterance, feature), one per GRU; gives flat states (utterance, 2 * hidden)."""

    @staticmethod
    def forward(ctx: Any, rows: Rows, n_grus: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        inputs, parameters = tensors[:n_grus], tensors[n_grus:]
        weights_in, weights, biases_in, biases = (parameters[k::PARAMETERS_PER_DIRECTION] for k in range(4))
        hidden = weights[0].shape[1]
        bias_n = torch.stack([bias[2 * hidden :] for bias in biases]).unsqueeze(1)  # (direction, 1, hidden)
        gates = inputs[0].new_empty(2 * n_grus, len(rows.utterance[0]), 3 * hidden)
        visited = []
        for d, place in enumerate(rows.utterance):
            visited.append(inputs[d // 2].index_select(0, place))
            bias = biases_in[d].clone()
            bias[: 2 * hidden] += biases[d][: 2 * hidden]
            torch.addmm(bias, visited[d], weights_in[d].t(), out=gates[d])
        states, recurrent_n = _step_forward(gates, torch.stack([w.t() for w in weights]), bias_n, rows.per_step)
        ctx.rows, ctx.n_grus = rows, n_grus
        ctx.save_for_backward(gates, states, recurrent_n, *visited, *weights_in, *weights)
        return tuple(_to_utterances(states[2 * g], states[2 * g + 1], rows, g) for g in range(n_grus))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, n_directions = ctx.rows, 2 * ctx.n_grus
        gates, states, recurrent_n, *others = ctx.saved_tensors
        visited, weights_in, weights = (others[k * n_directions : (k + 1) * n_directions] for k in range(3))
        hidden = states.shape[-1]
        d_states = torch.stack([_to_rows(gradients[d // 2], rows, d, hidden) for d in range(n_directions)])
        d_hidden, d_candidate = _step_backward(
            d_states, (gates, states, recurrent_n), torch.stack(tuple(weights)), rows
        )
        first = rows.per_step[0]
        d_weights = torch.bmm(d_hidden[:, first:].transpose(1, 2), states.index_select(1, rows.before))
        d_biases = d_hidden.sum(dim=1)  # (direction, 3 * hidden)
        # The inputs' side differs from the hidden side in the candidate alone, which the reset gate does not touch.
        d_inside = d_hidden
        d_inside[..., 2 * hidden :] = d_candidate
        d_biases_in = torch.cat([d_biases[:, : 2 * hidden], d_candidate.sum(dim=1)], dim=1)
        d_parameters: list[Tensor] = []
        for d in range(n_directions):
            d_parameters += [d_inside[d].t() @ visited[d], d_weights[d], d_biases_in[d], d_biases[d]]
        d_inputs: list[Tensor | None] = []
        for g in range(ctx.n_grus):
            if not ctx.needs_input_grad[2 + g]:
                d_inputs.append(None)
                continue
            both = [_pad_row(d_inside[d] @ weights_in[d]).index_select(0, rows.row[d]) for d in (2 * g, 2 * g + 1)]
            d_inputs.append(both[0] + both[1])
        return None, None, *d_inputs, *d_parameters


def _step_forward(
    gates: Float[Tensor, "direction row 3*hidden"],
    weights: Float[Tensor, "direction hidden 3*hidden"],
    bias_n: Float[Tensor, "direction 1 hidden"],
    per_step: Sequence[int],
) -> tuple[Float[Tensor, "direction row hidden"], Float[Tensor, "direction row hidden"]]:
    """States of all rows, and the candidate's recurrent part. `gates` holds the inputs' part and then r, z and n.

    tanh(x) is computed as 2 sigmoid(2x) - 1, which takes half the time.
    """
    n_directions, n_rows, _ = gates.shape
    hidden = weights.shape[1]
    states = gates.new_empty(n_directions, n_rows, hidden)
    recurrent_n = gates.new_empty(n_directions, n_rows, hidden)
    minus_one = gates.new_full((), -1.0)
    buffer = gates.new_empty(n_directions * per_step[0] * 3 * hidden)
    gates[..., 2 * hidden :] *= 2
    previous, start = None, 0
    for videos in per_step:
        here = slice(start, start + videos)
        reset_update, candidate = gates[:, here, : 2 * hidden], gates[:, here, 2 * hidden :]
        part = recurrent_n[:, here]
        if previous is None:
            part.copy_(bias_n.expand_as(part))
        else:
            previous = previous[:, :videos]
            product = buffer[: n_directions * videos * 3 * hidden].view(n_directions, videos, 3 * hidden)
            torch.bmm(previous, weights, out=product)
            reset_update += product[..., : 2 * hidden]
            torch.add(product[..., 2 * hidden :], bias_n, out=part)
        reset_update.sigmoid_()
        candidate.addcmul_(reset_update[..., :hidden], part, value=2).sigmoid_()
        torch.add(minus_one, candidate, alpha=2, out=candidate)
        update, state = reset_update[..., hidden:], states[:, here]
        if previous is None:
            torch.addcmul(candidate, candidate, update, value=-1, out=state)
        else:
            torch.lerp(candidate, previous, update, out=state)
        previous, start = state, start + videos
    return states, recurrent_n


def _step_backward(
    d_states: Float[Tensor, "direction row hidden"],
    saved: tuple[Tensor, Tensor, Tensor],
    weights: Float[Tensor, "direction 3*hidden hidden"],
    rows: Rows,
) -> tuple[Float[Tensor, "direction row 3*hidden"], Float[Tensor, "direction row hidden"]]:
    """Gradients of what the recurrent product gives (r, z, n), and of the candidate's input part.

    Each is the gradient of the row's state times a factor that does not depend on it; the factors are computed for all
    rows first, so that a step is four operations. `d_states` is changed: it takes up what later steps send back.
    """
    gates, states, recurrent_n = saved
    hidden = states.shape[-1]
    reset, update, candidate = gates.split(hidden, dim=-1)
    first = rows.per_step[0]
    kept = 1 - update
    factors = gates.new_empty(*gates.shape[:2], 3, hidden)
    of_candidate = kept * (1 - candidate.square())  # direction row hidden
    torch.mul(of_candidate, reset, out=factors[:, :, 2])
    torch.mul(factors[:, :, 2], recurrent_n, out=factors[:, :, 0]).mul_(1 - reset)
    moved = factors[:, :, 1]
    torch.neg(candidate, out=moved)
    moved[:, first:] += states.index_select(1, rows.before)
    moved.mul_(kept).mul_(update)
    buffer = gates.new_empty(len(gates) * first * hidden)
    stop = gates.shape[1]
    for step in range(len(rows.per_step) - 1, -1, -1):
        videos = rows.per_step[step]
        here = slice(stop - videos, stop)
        d_state = d_states[:, here]
        d_gates = factors[:, here].mul_(d_state.unsqueeze(2))
        if step:
            carried = buffer[: len(gates) * videos * hidden].view(len(gates), videos, hidden)
            torch.mul(d_state, update[:, here], out=carried)
            carried.baddbmm_(d_gates.flatten(2), weights)
            before = here.start - rows.per_step[step - 1]
            d_states[:, before : before + videos] += carried
        stop = here.start
    return factors.flatten(2), d_states * of_candidate


def _to_utterances(
    forward: Float[Tensor, "row hidden"], backward: Float[Tensor, "row hidden"], rows: Rows, gru: int
) -> Float[Tensor, "utterance 2*hidden"]:
    halves = [_pad_row(each).index_select(0, rows.row[2 * gru + k]) for k, each in enumerate((forward, backward))]
    return torch.cat(halves, dim=1)


def _to_rows(
    gradient: Float[Tensor, "utterance 2*hidden"], rows: Rows, direction: int, hidden: int
) -> Float[Tensor, "row hidden"]:
    half = direction % 2 * hidden
    given = gradient[:, half : half + hidden].index_select(0, rows.utterance[direction])
    real = rows.real[direction]
    return given if real is None else given * real.unsqueeze(1)


def _pad_row(rows: Float[Tensor, "row feature"]) -> Float[Tensor, "row+1 feature"]:
    """One more row of zeros, for the utterances that have none."""
    return torch.nn.functional.pad(rows, (0, 0, 0, 1))
