"""What every network takes and gives. Axes: video, utterance, feature (see `mien.schema`).

Not frozen, because Lightning Fabric walks over what enters and leaves a network and refuses frozen dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.schema import Modality


@dataclass(slots=True)
class Batch:
    """Whole videos, padded on the right to the longest of the batch."""

    # zero where `present` is False
    features: Mapping[Modality, Float[Tensor, "video utterance feature"]]
    # True where the utterance is real and has the modality
    present: Mapping[Modality, Bool[Tensor, "video utterance"]]
    # real utterances of each video
    lengths: Int[Tensor, "video"]
    # True where the utterance is real
    real: Bool[Tensor, "video utterance"]


@dataclass(slots=True)
class Outputs:
    """Logits per utterance (None without that head) and the attention that produced them."""

    sentiment_logits: Float[Tensor, "video utterance 2"] | None
    # six emotions in the order of EMOTIONS, then "none"
    emotion_logits: Float[Tensor, "video utterance 7"] | None
    # "text->visual": weight of context utterance j (last axis) of VISUAL for target utterance i of TEXT
    attention: Mapping[str, Float[Tensor, "video utterance context"]] = field(default_factory=dict)
