"""When utterances were said, as inputs of a network."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mien.models.batch import Times

# gap to the utterance before, duration, start; whether the gap, and whether duration and start are known
N_TIME_FEATURES = 5
SECONDS_PER_MINUTE = 60


def time_features(times: Times | None, real: Bool[Tensor, "video utterance"]) -> Float[Tensor, "video utterance 5"]:
    """Numbers of order one: log(1 + seconds) of gap and duration, log(1 + minutes) of the start.

    What is not known is zero, and the last two columns say so. The gap is that between neighbours of the batch, below
    zero where they overlap; the first utterance of a video has none.
    """
    if times is None:
        return torch.zeros(*real.shape, N_TIME_FEATURES, device=real.device)
    known = times.known
    gap_known = torch.zeros_like(known)
    gap_known[:, 1:] = known[:, 1:] & known[:, :-1]
    gap_s = torch.zeros_like(times.start_s)
    gap_s[:, 1:] = times.start_s[:, 1:] - times.end_s[:, :-1]
    columns = [
        _squashed(gap_s).where(gap_known, 0.0),
        _squashed(times.end_s - times.start_s).where(known, 0.0),
        _squashed(times.start_s / SECONDS_PER_MINUTE).where(known, 0.0),
        gap_known.to(gap_s.dtype),
        known.to(gap_s.dtype),
    ]
    return torch.stack(columns, dim=-1)


def _squashed(values: Float[Tensor, "video utterance"]) -> Float[Tensor, "video utterance"]:
    return values.sign() * values.abs().log1p()
