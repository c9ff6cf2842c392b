"""Inputs and outputs of networks, and the kinds of input of a system.

Axes: video, utterance, feature (see `mien.schema`); n = all real utterances of a batch, which are those that are not
padding.

The dataclasses are not frozen, because Lightning Fabric traverses inputs and outputs and rejects frozen dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.schema import Modality


@dataclass(slots=True)
class Words:
    """The words of the real utterances of a batch, padded on the right to the longest utterance.

    Utterances are in the order of ``batch.real.nonzero()``: those of the first video, then those of the second.
    """

    # zero where `present` is False
    features: Mapping[Modality, Float[Tensor, "n word feature"]]
    # True where the word is real and has the modality
    present: Mapping[Modality, Bool[Tensor, "n word"]]
    # number of words of each utterance; 0 where its words are unknown
    lengths: Int[Tensor, "n"]


@dataclass(slots=True)
class Tokens:
    """The transcripts of the real utterances of a batch, split into the word pieces (tokens) of a text encoder.

    Utterances are in the order of `Words`. The pieces include the begin and end marks of the encoder.
    """

    # index of each piece in the encoder's vocabulary; zero after the last piece
    ids: Int[Tensor, "n token"]
    # number of pieces of each utterance; 0 where the transcript is empty
    lengths: Int[Tensor, "n"]


@dataclass(slots=True)
class Times:
    """Start and end of utterances in seconds from the start of their video."""

    # zero where not `known`
    start_s: Float[Tensor, "video utterance"]
    end_s: Float[Tensor, "video utterance"]
    # True where the utterance is real and its start and end are known
    known: Bool[Tensor, "video utterance"]


@dataclass(slots=True)
class Batch:
    """A batch of whole videos, padded on the right to the longest video."""

    # zero where `present` is False
    features: Mapping[Modality, Float[Tensor, "video utterance feature"]]
    # True where the utterance is real and has the modality
    present: Mapping[Modality, Bool[Tensor, "video utterance"]]
    # number of real utterances of each video
    lengths: Int[Tensor, "video"]
    # True where the utterance is real
    real: Bool[Tensor, "video utterance"]
    # only for models whose `input_kind` is `InputKind.WORDS`
    words: Words | None = None
    # both only for models whose `input_kind` is `InputKind.TRANSCRIPTS`; tokens only if the model has a text encoder
    tokens: Tokens | None = None
    times: Times | None = None


@dataclass(slots=True)
class Outputs:
    """Logits of a network for every utterance, and the attention and fusion weights that it computed."""

    # task -> raw output of its head; `heads.ACTIVATIONS` turns it into probabilities or intensities
    logits: Mapping[str, Float[Tensor, "video utterance logit"]]
    # attention weights by name; "text->visual": weight that utterance i of TEXT (second axis) gives to utterance j of
    # VISUAL (last axis); "fused->fused" if the modalities are fused before the attention
    attention: Mapping[str, Float[Tensor, "video utterance context"]] = field(default_factory=dict)
    # weights within one utterance, by name: "text" for a modality's share, "text->text+visual" for an edge of a graph
    fusion: Mapping[str, Float[Tensor, "video utterance"]] = field(default_factory=dict)


def real_rows(batch: Batch, rows: Float[Tensor, "video utterance feature"]) -> Float[Tensor, "n feature"]:
    """Return the vectors of the real utterances, for networks that process each utterance alone.

    Args:
        batch: Batch whose mask `real` tells real utterances from padding.
        rows: One vector for every utterance of the padded batch.

    Returns:
        Vectors (n, feature) of the real utterances of the first video, then of the second, and so on.
    """
    return rows[batch.real]


def to_videos(batch: Batch, rows: Float[Tensor, "n feature"]) -> Float[Tensor, "video utterance feature"]:
    """Put the vectors of real utterances back into their videos; the inverse of `real_rows`.

    Args:
        batch: Batch whose mask `real` marks the places of the real utterances.
        rows: One vector per real utterance, in the order of `real_rows`.

    Returns:
        Vectors (video, utterance, feature); padding is zero.
    """
    videos = rows.new_zeros(*batch.real.shape, *rows.shape[1:])
    videos[batch.real] = rows
    return videos


class InputKind(StrEnum):
    """The kind of input from which a system predicts an utterance."""

    CONTEXT = "context"  # one vector per modality for every utterance of the video
    UTTERANCE = "utterance"  # one vector per modality of this utterance alone
    WORDS = "words"  # the words of this utterance alone
    TRANSCRIPTS = "transcripts"  # as CONTEXT, but transcripts replace the text vectors, and times are added
