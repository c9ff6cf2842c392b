"""Inputs and outputs of networks, and the kinds of input of a system.

Axes: video, utterance, feature (see `mien.schema`); n is the number of utterances of a batch without padding. In
names, `real` marks what is not padding.

The dataclasses are not frozen, because Lightning Fabric traverses inputs and outputs and rejects frozen dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.schema import Modality

# stands for an unknown speaker, and for padding, in `Batch.speakers`
NO_SPEAKER = -1


@dataclass(slots=True)
class Words:
    """The words of all utterances of a batch: their vectors, which words have which modality, and the number of words.

    Each array has one row per utterance that is not padding: first the utterances of the first video, then those of the
    second, and so on. Words are padded on the right to the largest number of words.
    """

    # zero where `present` is False
    features: Mapping[Modality, Float[Tensor, "n word feature"]]
    # True where the word is not padding and has the modality
    present: Mapping[Modality, Bool[Tensor, "n word"]]
    # number of words of each utterance; 0 where its words are unknown
    lengths: Int[Tensor, "n"]


@dataclass(slots=True)
class Tokens:
    """The transcripts of all utterances of a batch, split into the word pieces (tokens) of a text encoder.

    Each array has one row per utterance that is not padding: first the utterances of the first video, then those of the
    second, and so on. The tokens include the begin and end tokens of the encoder.
    """

    # index of each token in the encoder's vocabulary; zero after the last token
    ids: Int[Tensor, "n token"]
    # number of tokens of each utterance; 0 where the transcript is empty
    lengths: Int[Tensor, "n"]


@dataclass(slots=True)
class Times:
    """Start and end of each utterance in seconds from the start of its video, and a mask of the known times."""

    # zero where not `known`
    start_s: Float[Tensor, "video utterance"]
    end_s: Float[Tensor, "video utterance"]
    # True where the utterance is not padding and its start and end are known
    known: Bool[Tensor, "video utterance"]


@dataclass(slots=True)
class Batch:
    """Input of a network: a batch of whole videos, padded on the right to the largest number of utterances."""

    # zero where `present` is False
    features: Mapping[Modality, Float[Tensor, "video utterance feature"]]
    # True where the utterance is not padding and has the modality
    present: Mapping[Modality, Bool[Tensor, "video utterance"]]
    # number of utterances of each video, without padding
    lengths: Int[Tensor, "video"]
    # True where the utterance is not padding
    real: Bool[Tensor, "video utterance"]
    # only for models whose `input_kind` is `InputKind.WORDS`
    words: Words | None = None
    # both only for models whose `input_kind` is `InputKind.TRANSCRIPTS`; tokens only if the model has a text encoder
    tokens: Tokens | None = None
    times: Times | None = None
    # equal numbers are the same speaker; only for models whose `input_kind` is `InputKind.TRANSCRIPTS`
    speakers: Int[Tensor, "video utterance"] | None = None


@dataclass(slots=True)
class Outputs:
    """Output of a network: the logits of each task for every utterance, and the attention and fusion weights.

    Attention weights tell how much one utterance attends to another. Fusion weights tell how much each modality, or
    each edge of a fusion graph, contributes to an utterance. Networks without such weights leave them empty.
    """

    # task -> raw output of its head; `heads.ACTIVATIONS` turns it into probabilities or intensities
    logits: Mapping[str, Float[Tensor, "video utterance logit"]]
    # attention weights by name; "text->visual": weight that utterance i of TEXT (second axis) gives to utterance j of
    # VISUAL (last axis); "fused->fused" if the modalities are fused before the attention
    attention: Mapping[str, Float[Tensor, "video utterance context"]] = field(default_factory=dict)
    # weights within one utterance, by name: "text" for a modality's share, "text->text+visual" for an edge of a graph
    fusion: Mapping[str, Float[Tensor, "video utterance"]] = field(default_factory=dict)


def real_rows(batch: Batch, rows: Float[Tensor, "video utterance feature"]) -> Float[Tensor, "n feature"]:
    """Return only the vectors of the utterances that are not padding.

    Args:
        batch: Batch whose mask `real` is False for padding.
        rows: One vector for every utterance of the padded batch.

    Returns:
        Vectors (n, feature), one row per utterance: first the utterances of the first video, then those of the second,
        and so on.
    """
    return rows[batch.real]


def to_videos(batch: Batch, rows: Float[Tensor, "n feature"]) -> Float[Tensor, "video utterance feature"]:
    """Return vectors of utterances as an array with one row per video and with padding; the inverse of `real_rows`.

    Args:
        batch: Batch whose mask `real` is False for padding.
        rows: One vector for every utterance that is not padding, in the order of `real_rows`.

    Returns:
        Vectors (video, utterance, feature), zero for padding.
    """
    videos = rows.new_zeros(*batch.real.shape, *rows.shape[1:])
    videos[batch.real] = rows
    return videos


class InputKind(StrEnum):
    """Kind of input from which a system predicts an utterance, such as vectors, words or transcripts."""

    CONTEXT = "context"  # one vector per modality for every utterance of the video
    UTTERANCE = "utterance"  # one vector per modality of this utterance alone
    WORDS = "words"  # the words of this utterance alone
    TRANSCRIPTS = "transcripts"  # as CONTEXT, but transcripts replace the text vectors; times and speakers are added
