"""`df`: deep multimodal fusion of confidences, with our own sizes.

Nojavanasghari, Gopinath, Koushik, Baltrusaitis, Morency: "Deep Multimodal Fusion for Persuasiveness Prediction", ICMI
2016: one classifier network per modality; its confidence p and the complement 1 - p, of every modality, are the input
of a fusion network.

Symbols: p -> confidence; [p, 1 - p] of all modalities -> pairs; classifier networks -> trunks and judges.

Adapted: the paper has one binary label; here every output of a task (one for sentiment, seven for emotion, one and six
for their intensities) has its pair per modality, and each task has a fusion network over the pairs of its outputs. The
layer sizes are not known to us. The paper's classifiers learn the label first and the fusion after; here all learn
together through the fused outcome, so nothing forces p to be a calibrated probability, or a share of the intensity's
range. No t-test selection of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.models.batch import Batch, Outputs, real_rows, to_videos
from mien.models.heads import make_heads
from mien.models.layers import SystemSettings, relu_layers
from mien.schema import Modality
from mien.tasks import TASKS

# The confidence of a modality that is not there: it speaks for neither side.
NEUTRAL = 0.5


@dataclass(frozen=True)
class DfSettings(SystemSettings):
    """Sizes and regularisation of `df`; none of the sizes is published."""

    # units of the two ReLU layers of each modality's classifier
    classifier_size: int = 64
    # units of the ReLU layer of each task's fusion network
    fusion_size: int = 32
    # before every layer of the classifiers
    classifier_dropout: float = 0.3


class Df(nn.Module):
    """Late fusion of each modality's confidences, for any one, two or three modalities and either or both tasks.

    The trunk of a modality is shared by the tasks. With one modality the fusion network recalibrates its confidences.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: DfSettings) -> None:
        super().__init__()
        self.modalities = [modality for modality in Modality if modality in n_features]
        units, dropout = settings.classifier_size, settings.classifier_dropout
        self.heads = make_heads(settings.fusion_size, tasks)
        self.trunks = nn.ModuleDict({m: relu_layers((n_features[m], units, units), dropout) for m in self.modalities})
        # The two classes of sentiment exclude each other: one confidence, in "positive".
        n_confidences = {task: len(TASKS[task].outputs) for task in tasks}
        self.judges = nn.ModuleDict(
            {m: nn.ModuleDict({t: nn.Linear(units, n) for t, n in n_confidences.items()}) for m in self.modalities}
        )
        n_pairs = {task: len(self.modalities) * n for task, n in n_confidences.items()}
        self.fusion = nn.ModuleDict({t: relu_layers((2 * n_pairs[t], settings.fusion_size), 0.0) for t in tasks})

    def forward(self, batch: Batch) -> Outputs:
        """Logits (video, utterance, output), each utterance judged alone."""
        hidden = {m: self.trunks[m](real_rows(batch, batch.features[m])) for m in self.modalities}
        present = {m: batch.present[m][batch.real] for m in self.modalities}
        fused = {}
        for task in self.heads:
            judges = {m: cast(nn.ModuleDict, self.judges[m])[task] for m in self.modalities}
            judged = {m: torch.sigmoid(judge(hidden[m])) for m, judge in judges.items()}
            fused[task] = to_videos(batch, self.fusion[task](confidence_pairs(judged, present)))
        return Outputs({task: head(fused[task]) for task, head in self.heads.items()})


def confidence_pairs(
    confidences: Mapping[Modality, Float[Tensor, "n output"]], present: Mapping[Modality, Bool[Tensor, "n"]]
) -> Float[Tensor, "n pairs"]:
    """[p, 1 - p] of every modality: first all its p, then all its 1 - p; where it is absent, p = 0.5."""
    pairs = []
    for modality, confidence in confidences.items():
        p = confidence.where(present[modality].unsqueeze(-1), NEUTRAL)
        pairs += [p, 1 - p]
    return torch.cat(pairs, dim=-1)
