"""`df`: deep multimodal fusion of confidences, with our own sizes.

Nojavanasghari, Gopinath, Koushik, Baltrusaitis, Morency: "Deep Multimodal Fusion for Persuasiveness Prediction", ICMI
2016. Each modality has a classifier network, which computes a confidence p. The confidences p of all modalities and
their complements 1 - p are the input of a fusion network.

Symbols (paper -> code): p -> confidence; [p, 1 - p] of all modalities -> pairs; classifier networks -> trunks (hidden
layers) and judges (output layers).

Adapted: the paper has one binary label. Here every output of a task (one for sentiment, seven for emotion, one and six
for their intensities) has a pair [p, 1 - p] per modality, and each task has a fusion network over the pairs of its
outputs. We do not know the paper's layer sizes. In the paper, first the classifiers are trained on the label, then the
fusion network; here one loss on the fused outputs trains all networks. Therefore p need not be a calibrated
probability, or the predicted fraction of the range of an intensity. Features are not selected by t-tests.
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
from mien.tasks import Task

# confidence of a missing modality: equal for both classes
NEUTRAL = 0.5


@dataclass(frozen=True)
class DfSettings(SystemSettings):
    """Settings of the network `df`: sizes of its layers, and dropout rate.

    The sizes are our choice, because those of the paper are unknown.
    """

    # units of the two ReLU layers of each modality's classifier
    classifier_size: int = 64
    # units of the ReLU layer of each task's fusion network
    fusion_size: int = 32
    # dropout rate before every layer of the classifiers
    classifier_dropout: float = 0.3


class Df(nn.Module):
    """Late fusion: one classifier per modality, and for each task a network that fuses their confidences.

    Any one, two or three modalities are accepted. All tasks share the hidden layers of a modality's classifier. With
    one modality, the fusion network only recalibrates the confidences.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: DfSettings) -> None:
        super().__init__()
        self.modalities = [modality for modality in Modality if modality in n_features]
        units, dropout = settings.classifier_size, settings.classifier_dropout
        self.heads = make_heads(settings.fusion_size, tasks)
        self.trunks = nn.ModuleDict({m: relu_layers((n_features[m], units, units), dropout) for m in self.modalities})
        # The two classes of sentiment exclude each other, so that one confidence, for "positive", is enough.
        n_confidences = {task.name: len(task.outputs) for task in tasks}
        self.judges = nn.ModuleDict(
            {m: nn.ModuleDict({t: nn.Linear(units, n) for t, n in n_confidences.items()}) for m in self.modalities}
        )
        n_pairs = {task: len(self.modalities) * n for task, n in n_confidences.items()}
        self.fusion = nn.ModuleDict({t: relu_layers((2 * n_pairs[t], settings.fusion_size), 0.0) for t in n_pairs})

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance do not depend on the other utterances of its video.
        """
        hidden = {m: self.trunks[m](real_rows(batch, batch.features[m])) for m in self.modalities}
        present = {m: batch.present[m][batch.real] for m in self.modalities}
        fused = {}
        for task in self.heads:
            classifiers = {m: cast(nn.ModuleDict, self.judges[m])[task] for m in self.modalities}
            confidences = {m: torch.sigmoid(classifier(hidden[m])) for m, classifier in classifiers.items()}
            fused[task] = to_videos(batch, self.fusion[task](confidence_pairs(confidences, present)))
        return Outputs({task: head(fused[task]) for task, head in self.heads.items()})


def confidence_pairs(
    confidences: Mapping[Modality, Float[Tensor, "n output"]], present: Mapping[Modality, Bool[Tensor, "n"]]
) -> Float[Tensor, "n pairs"]:
    """Concatenate the confidences p of all modalities with their complements 1 - p.

    Args:
        confidences: Confidences in [0, 1] by modality, one column per output of a task.
        present: By modality, True for the utterances that have the modality. For the others, p is set to 0.5.

    Returns:
        One row per utterance. For each modality in turn, a row contains p of all outputs, then 1 - p of all outputs.
    """
    pairs = []
    for modality, confidence in confidences.items():
        p = confidence.where(present[modality].unsqueeze(-1), NEUTRAL)
        pairs += [p, 1 - p]
    return torch.cat(pairs, dim=-1)
