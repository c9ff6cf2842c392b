"""Output layers: one per task, directly on the shared representation (paper, Algorithm 1; released code).

The intensities are the paper's future work. Their heads are linear layers squashed smoothly into the range of the
labels, so that what the loss sees while training is what a prediction says, and no reader of it has to clip:

- sentiment: 3 tanh(z / 3) in [-3, 3], of slope 1 where most labels are;
- emotions: 3 sigmoid(z) in [0, 3], begun near 0.3, since most intensities are zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.errors import UsageError
from mien.models.batch import Outputs
from mien.schema import EMOTION_OUTPUTS, EMOTION_RANGE, EMOTIONS, SENTIMENT_RANGE, Task

N_OUTPUTS = {
    Task.SENTIMENT: 2,
    Task.EMOTION: len(EMOTION_OUTPUTS),
    Task.SENTIMENT_INTENSITY: 1,
    Task.EMOTION_INTENSITY: len(EMOTIONS),
}
# where a fresh emotion intensity head begins, as a share of the range: about the mean of CMU-MOSEI's train labels
FIRST_EMOTION_SHARE = 0.1


def make_heads(n_features: int, tasks: Sequence[Task]) -> nn.ModuleDict:
    """One linear layer per task. A single-task network is the same network with one head."""
    unknown = [task for task in tasks if task not in N_OUTPUTS]
    if unknown or not tasks:
        raise UsageError(
            f"Expected tasks to be some of {', '.join(N_OUTPUTS)}, but got {', '.join(unknown) or 'none'}; "
            "name them with --tasks"
        )
    heads = nn.ModuleDict({task.value: nn.Linear(n_features, N_OUTPUTS[task]) for task in tasks})
    if Task.EMOTION_INTENSITY in tasks:
        bias = heads[Task.EMOTION_INTENSITY].bias
        assert isinstance(bias, Tensor)
        nn.init.constant_(bias, math.log(FIRST_EMOTION_SHARE / (1 - FIRST_EMOTION_SHARE)))
    return heads


def outputs_from_heads(
    heads: nn.ModuleDict,
    representation: Float[Tensor, "video utterance feature"],
    attention: Mapping[str, Float[Tensor, "video utterance context"]] | None = None,
    fusion: Mapping[str, Float[Tensor, "video utterance"]] | None = None,
) -> Outputs:
    """What a network says of each utterance: every head on one shared representation, beside the evidence it hands on.

    Works for any leading axes, as long as the last one is the feature.
    """
    return outputs_by_task(heads, {Task(name): representation for name in heads}, attention, fusion)


def outputs_by_task(
    heads: nn.ModuleDict,
    representations: Mapping[Task, Float[Tensor, "video utterance feature"]],
    attention: Mapping[str, Float[Tensor, "video utterance context"]] | None = None,
    fusion: Mapping[str, Float[Tensor, "video utterance"]] | None = None,
) -> Outputs:
    """The same where every task has a representation of its own."""
    said: dict[Task, Tensor] = {task: heads[task](rows) for task, rows in representations.items()}
    sentiment, emotions = said.get(Task.SENTIMENT_INTENSITY), said.get(Task.EMOTION_INTENSITY)
    return Outputs(
        sentiment_logits=said.get(Task.SENTIMENT),
        emotion_logits=said.get(Task.EMOTION),
        attention=attention or {},
        fusion=fusion or {},
        sentiment_intensity=None if sentiment is None else bounded_sentiment(sentiment.squeeze(-1)),
        emotion_intensity=None if emotions is None else bounded_emotions(emotions),
    )


def bounded_sentiment(values: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """3 tanh(z / 3): any number into [-3, 3]."""
    top = SENTIMENT_RANGE[1]
    return top * torch.tanh(values / top)


def bounded_emotions(values: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """3 sigmoid(z): any number into [0, 3]."""
    return EMOTION_RANGE[1] * torch.sigmoid(values)
