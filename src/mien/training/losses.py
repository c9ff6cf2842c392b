"""Masked losses per task: sums over labelled utterances and their counts, so that any division of a batch agrees."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mien.models import Batch, Outputs
from mien.schema import Task
from mien.training.batching import Targets

LossSums = dict[Task, Float[Tensor, ""]]


def loss_sums(outputs: Outputs, batch: Batch, targets: Targets) -> LossSums:
    """Per task with a head a loss summed over the utterances that have its label; the others take no part.

    - sentiment: categorical cross-entropy; emotion: binary cross-entropy, mean of seven (paper, section 4.2);
    - sentiment_intensity: absolute error, the measure that is reported;
    - emotion_intensity: squared error, mean of six. Most intensities are zero, so that the absolute error is smallest
      for a network that always says zero; the squared one is smallest at the expected intensity.
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
    if outputs.sentiment_intensity is not None:
        scored = targets.sentiment_scored
        said = outputs.sentiment_intensity[batch.real][scored]
        sums[Task.SENTIMENT_INTENSITY] = functional.l1_loss(said, targets.sentiment_intensity[scored], reduction="sum")
    if outputs.emotion_intensity is not None:
        scored = targets.emotions_scored
        said = outputs.emotion_intensity[batch.real][scored]
        each = functional.mse_loss(said, targets.emotion_intensity[scored], reduction="sum")
        sums[Task.EMOTION_INTENSITY] = each / said.shape[-1]
    return sums


def scored_counts(targets: Targets) -> dict[Task, int]:
    """Labelled utterances per task."""
    sentiment, emotions = int(targets.sentiment_scored.sum()), int(targets.emotions_scored.sum())
    return {
        Task.SENTIMENT: sentiment,
        Task.EMOTION: emotions,
        Task.SENTIMENT_INTENSITY: sentiment,
        Task.EMOTION_INTENSITY: emotions,
    }
