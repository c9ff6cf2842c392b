"""What the validation videos say after every epoch: losses per task, and the score that chooses the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.metrics.ranking import concordance_index, roc_auc
from mien.models.batch import Outputs
from mien.schema import EMOTIONS, BoolArray, FloatArray, Task
from mien.training.batching import Targets, VideoSet, bucketed_batches, collate, targets_of
from mien.training.losses import TaskWeighting, loss_sums, scored_counts
from mien.training.settings import TrainSettings

PREDICTION_BATCH_VIDEOS = 64
SELECT_BY_LOSS = "loss"
# what a task's ordering is measured by; both are the chance that two utterances with different labels stand rightly
ORDERINGS: dict[Task, tuple[str, Callable[[Any, Any], float]]] = {
    Task.SENTIMENT: ("roc_auc", roc_auc),
    Task.EMOTION: ("roc_auc", roc_auc),
    Task.SENTIMENT_INTENSITY: ("concordance", concordance_index),
    Task.EMOTION_INTENSITY: ("concordance", concordance_index),
}


def validation_record(
    network: nn.Module, weighting: TaskWeighting, valid: VideoSet, settings: TrainSettings
) -> dict[str, float]:
    """Masked losses and orderings per task, and ``valid_score``: the larger, the better the epoch.

    The score is the mean over the tasks of the ROC AUC, of intensities the concordance index (emotions: mean of the
    six), so that an epoch is chosen for how well it orders utterances and not for how sure it is of them; with
    ``select_by=loss`` it is minus the total loss. What the labels leave undefined (one class only) is left out; if that
    is all, the loss decides.
    """
    sums: dict[Task, float] = {}
    scores: dict[Task, FloatArray] = {}
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        for numbers in bucketed_batches(valid.lengths.numpy(), PREDICTION_BATCH_VIDEOS, None):
            batch, rows = collate(valid, numbers)
            batch = to_device(batch, device)
            outputs = network(batch)
            for task, total in loss_sums(outputs, batch, to_device(targets_of(valid, rows), device)).items():
                sums[task] = sums.get(task, 0.0) + float(total)
                said = _ranking_scores(outputs, task)[batch.real].float().cpu().numpy()
                scores.setdefault(task, np.zeros((len(valid.sentiment), said.shape[1])))[rows.numpy()] = said
        everything = targets_of(valid, torch.arange(len(valid.sentiment)))
        counts = scored_counts(everything)
        totals = {task: torch.tensor(value, device=device) for task, value in sums.items()}
        record = {"valid_loss": float(weighting.total(totals, counts) + weighting.penalty(counts))}
    if not np.isfinite(record["valid_loss"]):
        return record | {"valid_score": float("nan")}
    record |= {f"valid_loss_{task}": value / max(counts[task], 1) for task, value in sums.items()}
    record |= {f"log_variance_{task}": s.item() for task, s in weighting.log_variances.items()}
    orderings = {}
    for task in sums:
        labels, scored = _labels(everything, task)
        orderings[task] = ordering(task, labels[scored], scores[task][scored])
    return record | ordering_record(orderings, record["valid_loss"], by_loss=settings.select_by == SELECT_BY_LOSS)


def ordering_record(orderings: Mapping[Task, float], loss: float, *, by_loss: bool) -> dict[str, float]:
    """Every ordering that is defined, under the name of its measure, and the ``valid_score``."""
    defined = {task: value for task, value in orderings.items() if np.isfinite(value)}
    record = {f"valid_{ORDERINGS[task][0]}_{task}": value for task, value in defined.items()}
    score = -loss if by_loss or not defined else float(np.mean(list(defined.values())))
    return record | {"valid_score": score}


def ordering(task: Task, labels: FloatArray | BoolArray, said: FloatArray) -> float:
    """How well a task's outputs order utterances: one number, for emotions the mean of the six; NaN where undefined.

    An emotion that never occurs, or always, is left out of the mean.

    Args:
        task: which of the four.
        labels: (utterance, output) classes or intensities of labelled utterances.
        said: (utterance, output), any numbers that grow with what is said.
    """
    _, measure = ORDERINGS[task]
    n_outputs = min(labels.shape[1], len(EMOTIONS))
    each = np.array([measure(labels[:, column], said[:, column]) for column in range(n_outputs)])
    return float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")


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
    """What a task's outputs are ordered by."""
    said = {
        Task.SENTIMENT: outputs.sentiment_logits,
        Task.EMOTION: outputs.emotion_logits,
        Task.SENTIMENT_INTENSITY: outputs.sentiment_intensity,
        Task.EMOTION_INTENSITY: outputs.emotion_intensity,
    }[task]
    assert said is not None
    if task is Task.SENTIMENT:
        return said[..., 1:] - said[..., :1]
    return said.unsqueeze(-1) if task is Task.SENTIMENT_INTENSITY else said


def _labels(targets: Targets, task: Task) -> tuple[FloatArray | BoolArray, BoolArray]:
    """Labels (utterance, output) and which utterances have them."""
    labels = {
        Task.SENTIMENT: targets.sentiment.unsqueeze(-1) == 1,
        Task.EMOTION: targets.emotions > 0,
        Task.SENTIMENT_INTENSITY: targets.sentiment_intensity.unsqueeze(-1),
        Task.EMOTION_INTENSITY: targets.emotion_intensity,
    }[task]
    of_sentiment = task in (Task.SENTIMENT, Task.SENTIMENT_INTENSITY)
    return labels.numpy(), (targets.sentiment_scored if of_sentiment else targets.emotions_scored).numpy()
