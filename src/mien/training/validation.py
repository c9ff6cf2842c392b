"""What the validation videos say after every epoch: losses per task, and the score that chooses the epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.metrics import roc_auc
from mien.models import Outputs
from mien.schema import EMOTIONS, BoolArray, FloatArray, Task
from mien.training.batching import VideoSet, bucketed_batches, collate, targets_of
from mien.training.losses import loss_sums, weighted_total
from mien.training.settings import TrainSettings

PREDICTION_BATCH_VIDEOS = 64
SELECT_BY_LOSS = "loss"


def validation_record(network: nn.Module, valid: VideoSet, settings: TrainSettings) -> dict[str, float]:
    """Masked losses and ROC AUC per task, and ``valid_score``: the larger, the better the epoch.

    The score is the mean over the tasks of the ROC AUC (emotion: mean of the six), so that an epoch is chosen for how
    well it orders utterances and not for how sure it is of them; with ``select_by=loss`` it is minus the total loss.
    What the labels leave undefined (one class only) is left out; if that is all, the loss decides.
    """
    sums: dict[Task, float] = {}
    scores = {Task.SENTIMENT: np.zeros((len(valid.sentiment), 1)), Task.EMOTION: np.zeros((len(valid.sentiment), 7))}
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        for numbers in bucketed_batches(valid.lengths.numpy(), PREDICTION_BATCH_VIDEOS, None):
            batch, rows = collate(valid, numbers)
            batch = to_device(batch, device)
            outputs = network(batch)
            for task, total in loss_sums(outputs, batch, to_device(targets_of(valid, rows), device)).items():
                sums[task] = sums.get(task, 0.0) + float(total)
                scores[task][rows.numpy()] = _ranking_scores(outputs, task)[batch.real].cpu().numpy()
    counts = {Task.SENTIMENT: int(valid.sentiment_scored.sum()), Task.EMOTION: int(valid.emotions_scored.sum())}
    total = weighted_total({task: torch.tensor(value) for task, value in sums.items()}, counts, settings)
    record = {"valid_loss": float(total)}
    if not np.isfinite(record["valid_loss"]):
        return record | {"valid_score": float("nan")}
    record |= {f"valid_loss_{task}": value / max(counts[task], 1) for task, value in sums.items()}
    labels = {
        Task.SENTIMENT: (valid.sentiment.numpy()[:, None] == 1, valid.sentiment_scored.numpy()),
        Task.EMOTION: (valid.emotions.numpy() > 0, valid.emotions_scored.numpy()),
    }
    areas = {}
    for task in sums:
        of_all, scored = labels[task]
        area = ranking_area(task, of_all[scored], scores[task][scored])
        if np.isfinite(area):
            areas[task] = area
    record |= {f"valid_roc_auc_{task}": area for task, area in areas.items()}
    by_loss = settings.select_by == SELECT_BY_LOSS or not areas
    return record | {"valid_score": -record["valid_loss"] if by_loss else float(np.mean(list(areas.values())))}


def to_device(facts: Any, device: torch.device) -> Any:
    """Move the tensors of a Batch or Targets."""
    if device.type == "cpu" or facts is None:
        return facts
    if isinstance(facts, Tensor):
        return facts.to(device)
    if isinstance(facts, dict):
        return {key: tensor.to(device) for key, tensor in facts.items()}
    return type(facts)(**{name: to_device(getattr(facts, name), device) for name in facts.__slots__})


def _ranking_scores(outputs: Outputs, task: Task) -> Float[Tensor, "video utterance output"]:
    if task is Task.SENTIMENT:
        assert outputs.sentiment_logits is not None
        return outputs.sentiment_logits[..., 1:] - outputs.sentiment_logits[..., :1]
    assert outputs.emotion_logits is not None
    return outputs.emotion_logits


def ranking_area(task: Task, labels: BoolArray, scores: FloatArray) -> float:
    """ROC AUC of sentiment, or its mean over the six emotions that occur and do not always occur; else NaN.

    Args:
        task: sentiment (one output) or emotion (seven).
        labels: (utterance, output) of labelled utterances.
        scores: (utterance, output), any that grow with the probability.
    """
    if task is Task.SENTIMENT:
        return roc_auc(labels[:, 0], scores[:, 0])
    areas = np.array([roc_auc(labels[:, column], scores[:, column]) for column in range(len(EMOTIONS))])
    return float(np.nanmean(areas)) if np.isfinite(areas).any() else float("nan")
