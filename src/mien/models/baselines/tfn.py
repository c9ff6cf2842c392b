"""`tfn`: Tensor Fusion Network, adapted to one vector per utterance and modality.

Zadeh, Chen, Poria, Cambria, Morency: "Tensor Fusion Network for Multimodal Sentiment Analysis", EMNLP 2017: modality
embedding sub-networks, the tensor fusion layer F = [1; z_t] (x) [1; z_a] (x) [1; z_v], and an inference sub-network.

Symbols (paper -> code): z_t, z_a, z_v -> embeddings; z^m or F -> fused; U_l, U_v, U_a -> embedders; U_s -> inference
and heads.

Adapted: the paper's text sub-network is an LSTM over the words. Here the text is one vector per utterance, with a dense
sub-network as for the other two modalities. There is no batch normalisation, so that a prediction does not depend on
the other utterances of the batch. As far as we know, the sizes of the paper are 128, 32 and 32 (140,481 products). The
sizes here are smaller, because those take more than ten times as long to train. The learning rate is the default of the
training loop. The rate 5e-3 of a public re-implementation was not better on valid, in one run on text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mien.models.batch import Batch, Outputs, real_rows, to_videos
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import SystemSettings, relu_layers, view_sizes
from mien.schema import Modality
from mien.tasks import Task


@dataclass(frozen=True)
class TfnSettings(SystemSettings):
    """Settings of the network `tfn`: sizes of its layers, and dropout rates.

    The network has three ReLU layers per modality and two after the fusion.
    """

    # units of each of the three layers of a modality's sub-network, and so the length of z_t, z_a, z_v
    text_size: int = 64
    acoustic_size: int = 16
    visual_size: int = 16
    # units of the two layers after the fusion
    inference_size: int = 32
    # dropout rates before every layer of the sub-networks, and on the products
    embedding_dropout: float = 0.2
    fusion_dropout: float = 0.4


class Tfn(nn.Module):
    """Tensor fusion network, for any one, two or three modalities.

    Each modality has an embedding vector z. The fused tensor F is the outer product of the vectors [1; z] of all
    modalities. Because of the leading 1, F contains the products for every subset of the modalities. With one modality,
    F is [1; z]. If an utterance lacks a modality, its z for this modality is zero, and so are all products that contain
    it.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: TfnSettings) -> None:
        super().__init__()
        sizes, dropout = view_sizes(settings, n_features), settings.embedding_dropout
        self.modalities = list(sizes)
        self.embedders = nn.ModuleDict(
            {m: relu_layers((n_features[m], size, size, size), dropout) for m, size in sizes.items()}
        )
        n_products = math.prod(size + 1 for size in sizes.values())
        units = settings.inference_size
        self.fusion_dropout = nn.Dropout(settings.fusion_dropout)
        self.inference = relu_layers((n_products, units, units), 0.0)
        self.heads = make_heads(units, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance do not depend on the other utterances of its video.
        """
        embeddings = []
        for modality in self.modalities:
            present = batch.present[modality][batch.real].unsqueeze(-1)  # (n, 1)
            embeddings.append(self.embedders[modality](real_rows(batch, batch.features[modality])) * present)
        fused = self.fusion_dropout(tensor_fusion(embeddings))
        representation = to_videos(batch, self.inference(fused))
        return outputs_from_heads(self.heads, representation)


def tensor_fusion(embeddings: Sequence[Float[Tensor, "n feature"]]) -> Float[Tensor, "n product"]:
    """Compute the outer product of the vectors [1; z] of all embeddings z (paper, section 4.2).

    Returns:
        All products, flattened, one row per utterance.
    """
    fused = functional.pad(embeddings[0], (1, 0), value=1.0)
    for embedding in embeddings[1:]:
        factor = functional.pad(embedding, (1, 0), value=1.0)
        fused = (fused.unsqueeze(2) * factor.unsqueeze(1)).flatten(1)
    return fused
