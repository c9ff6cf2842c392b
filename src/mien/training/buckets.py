"""Division of videos into batches, so that the videos of one batch have similar numbers of utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.schema import IntArray

# Videos are sorted by their length plus a random number below this one, so that batches differ between epochs.
LENGTH_JITTER_UTTERANCES = 2.0


@dataclass(frozen=True, slots=True)
class BatchBudget:
    """Cost of each video, such as its number of tokens, and the limit on the total cost of the videos of one batch."""

    costs: IntArray  # (video,): cost of each video
    most: int  # maximum total cost of a batch


def bucketed_batches(
    lengths: IntArray, batch_videos: int, rng: np.random.Generator | None, budget: BatchBudget | None = None
) -> list[list[int]]:
    """Divide videos into batches, so that the videos of one batch have similar numbers of utterances.

    Args:
        lengths: Number of utterances of each video (video,).
        batch_videos: Maximum number of videos of a batch.
        rng: Random generator that varies which videos are in the same batch, and shuffles the batches. If it is None,
            the result is deterministic.
        budget: Limit on the total cost of the videos of a batch, such as their number of tokens. A video that exceeds
            the limit forms a batch by itself. If it is None, there is no such limit.

    Returns:
        One list per batch, with the indices of its videos in `lengths`.
    """
    jitter = 0.0 if rng is None else rng.random(len(lengths)) * LENGTH_JITTER_UTTERANCES
    order = np.argsort(lengths + jitter, kind="stable")
    if budget is None:
        batches = [order[start : start + batch_videos].tolist() for start in range(0, len(order), batch_videos)]
    else:
        batches = _batches_within_budget(budget, order.tolist(), batch_videos)
    if rng is not None:
        rng.shuffle(batches)
    return batches


def _batches_within_budget(budget: BatchBudget, order: Sequence[int], batch_videos: int) -> list[list[int]]:
    """Divide videos into batches of at most `batch_videos` videos whose total cost is within the budget.

    The videos keep their order. A video that exceeds the budget forms a batch by itself.
    """
    batches: list[list[int]] = []
    batch_cost = 0
    for video in order:
        cost = int(budget.costs[video])
        if not batches or len(batches[-1]) == batch_videos or batch_cost + cost > budget.most:
            batches.append([])
            batch_cost = 0
        batches[-1].append(video)
        batch_cost += cost
    return batches
