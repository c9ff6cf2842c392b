"""Features of an utterance's place in its conversation: its time, and who speaks.

Axes: video, utterance (see `mien.schema`). Unknown values are zero, and a flag tells them from known ones.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.models.batch import NO_SPEAKER, Times

# gap to the preceding utterance, duration, start, whether the gap is known, whether duration and start are known
N_TIME_FEATURES = 5
SECONDS_PER_MINUTE = 60


def time_features(times: Times | None, real: Bool[Tensor, "video utterance"]) -> Float[Tensor, "video utterance 5"]:
    """Compute five features of each utterance from its start and end: gap, duration, start, and two flags.

    The gap is the time from the end of the preceding utterance to the start of this one. It is negative if the two
    overlap. It is unknown for the first utterance of a video, and if the times of this or the preceding utterance are
    unknown. Gap and duration are in seconds, and the start is in minutes. Each of these three values x is replaced by
    sign(x) log(1 + |x|), so that all three have about the same range.

    Args:
        times: Start and end of the utterances. If it is None, no times are known.
        real: Mask that is False for padding. It is used only if `times` is None, and then only for its shape.

    Returns:
        Five columns: gap, duration, start, whether the gap is known (0 or 1), and whether duration and start are known
        (0 or 1). Unknown values are zero.
    """
    if times is None:
        return torch.zeros(*real.shape, N_TIME_FEATURES, device=real.device)
    known = times.known
    gap_known = torch.zeros_like(known)
    gap_known[:, 1:] = known[:, 1:] & known[:, :-1]
    gap_s = torch.zeros_like(times.start_s)
    gap_s[:, 1:] = times.start_s[:, 1:] - times.end_s[:, :-1]
    columns = [
        _signed_log1p(gap_s).where(gap_known, 0.0),
        _signed_log1p(times.end_s - times.start_s).where(known, 0.0),
        _signed_log1p(times.start_s / SECONDS_PER_MINUTE).where(known, 0.0),
        gap_known.to(gap_s.dtype),
        known.to(gap_s.dtype),
    ]
    return torch.stack(columns, dim=-1)


def _signed_log1p(values: Float[Tensor, "video utterance"]) -> Float[Tensor, "video utterance"]:
    return values.sign() * values.abs().log1p()


# whether the speaker is the same as before, number of the speaker's turn, whether the speaker is known
N_SPEAKER_FEATURES = 3


def speaker_features(
    speakers: Int[Tensor, "video utterance"] | None, real: Bool[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance 3"]:
    """Compute three features of each utterance from the speakers of its video.

    A turn is a sequence of adjacent utterances of one speaker. The turns of each speaker of a video are numbered from
    1. The number x is replaced by log(1 + x). Names of speakers are not an input: another name for the same person
    changes nothing.

    Args:
        speakers: Number of the speaker of each utterance, or `NO_SPEAKER`. If it is None, no speaker is known.
        real: Mask that is False for padding. It is used only if `speakers` is None, and then only for its shape.

    Returns:
        Three columns: whether the preceding utterance has the same speaker (0 or 1), the number of the speaker's turn,
        and whether the speaker is known (0 or 1). If the speaker is unknown, all three are zero.
    """
    if speakers is None:
        return torch.zeros(*real.shape, N_SPEAKER_FEATURES, device=real.device)
    known = speakers != NO_SPEAKER
    same_as_before = torch.zeros_like(known)
    same_as_before[:, 1:] = known[:, 1:] & (speakers[:, 1:] == speakers[:, :-1])
    same_speaker = speakers.unsqueeze(2) == speakers.unsqueeze(1)  # (video, utterance, utterance)
    earlier_turns = (same_speaker & (known & ~same_as_before).unsqueeze(1)).tril()
    turn = earlier_turns.sum(dim=2).where(known, 0)
    return torch.stack([same_as_before.float(), turn.float().log1p(), known.float()], dim=-1)
