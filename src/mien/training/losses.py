"""Masked losses per task: sums over labelled utterances and their counts, so that any division of a batch agrees."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mien.models import Batch, Outputs
from mien.schema import Task
from mien.training.batching import Targets
from mien.training.settings import TrainSettings

LossSums = dict[Task, Float[Tensor, ""]]


def loss_sums(outputs: Outputs, batch: Batch, targets: Targets) -> LossSums:
    """Per task with a head: cross-entropy (sentiment) or mean binary cross-entropy of seven outputs, summed.

    Utterances without the label take no part (paper, section 4.2: categorical and binary cross-entropy).
    """
    sums: LossSums = {}
    if outputs.sentiment_logits is not None:
        scored = targets.sentiment_scored
        logits = outputs.sentiment_logits[batch.real][scored]
        sums[Task.SENTIMENT] = functional.cross_entropy(logits, targets.sentiment[scored], reduction="sum")
    if outputs.emotion_logits is not None:
        scored = targets.emotions_scored
        logits, labels = outputs.emotion_logits[batch.real][scored], targets.emotions[scored]
        each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        sums[Task.EMOTION] = each / logits.shape[-1]
    return sums


def scored_counts(targets: Targets) -> dict[Task, int]:
    """Labelled utterances per task."""
    return {Task.SENTIMENT: int(targets.sentiment_scored.sum()), Task.EMOTION: int(targets.emotions_scored.sum())}


def weighted_total(sums: LossSums, counts: Mapping[Task, int], settings: TrainSettings) -> Float[Tensor, ""]:
    """Weighted sum of the tasks' means. A task without any label contributes zero (its sum is zero)."""
    weights = {Task.SENTIMENT: settings.sentiment_weight, Task.EMOTION: settings.emotion_weight}
    terms = [weights[task] * total / max(counts[task], 1) for task, total in sums.items()]
    return sum(terms[1:], start=terms[0])
