"""Inputs and outputs of networks, and the kinds of input of a system.

Axes: video, utterance, feature (see `mien.schema`); n = real utterances of a batch.

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
    """The words of a batch's real utterances, padded on the right to the longest utterance.

    Rows are in the order of ``batch.real.nonzero()``: the first video's utterances, then the second's.
    """

    # zero where `present` is False
    features: Mapping[Modality, Float[Tensor, "n word feature"]]
    # True where the word is real and has the modality
    present: Mapping[Modality, Bool[Tensor, "n word"]]
    # number of words of each utterance; 0 where its words are unknown
    lengths: Int[Tensor, "n"]


@dataclass(slots=True)
class Tokens:
    """The transcripts of a batch's real utterances as word pieces of an encoder, in the order of `Words`.

    The pieces include the encoder's begin and end marks.
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
    """Whole videos, padded on the right to the longest of the batch."""

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
    """Logits of a network for each utterance, and the attention weights behind them."""

    # task -> raw output of its head; `heads.ACTIVATIONS` turns it into probabilities or degrees
    logits: Mapping[str, Float[Tensor, "video utterance logit"]]
    # "text->visual": weight of context utterance j (last axis) of VISUAL for target utterance i of TEXT;
    # "fused->fused" where the modalities are fused before the attention
    attention: Mapping[str, Float[Tensor, "video utterance context"]] = field(default_factory=dict)
    # weights within one utterance, by name: "text" for a modality's share, "text->text+visual" for an edge of a graph
    fusion: Mapping[str, Float[Tensor, "video utterance"]] = field(default_factory=dict)


def real_rows(batch: Batch, rows: Float[Tensor, "video utterance feature"]) -> Float[Tensor, "n feature"]:
    """Select the real utterances, for networks that process each utterance alone.

    Args:
        batch: Batch whose `real` mask is applied.
        rows: One vector per place of the batch, padding included.

    Returns:
        The vectors of the real utterances (n, feature), video by video.
    """
    return rows[batch.real]


def to_videos(batch: Batch, rows: Float[Tensor, "n feature"]) -> Float[Tensor, "video utterance feature"]:
    """Put the vectors of real utterances back into their videos; the inverse of `real_rows`.

    Args:
        batch: Batch whose `real` mask gives the places.
        rows: One vector per real utterance, in the order of `real_rows`.

    Returns:
        Vectors (video, utterance, feature); padding is zero.
    """
    videos = rows.new_zeros(*batch.real.shape, *rows.shape[1:])
    videos[batch.real] = rows
    return videos


class InputKind(StrEnum):
    """The input from which a system predicts one utterance."""

    CONTEXT = "context"  # one vector per modality for every utterance of the video
    UTTERANCE = "utterance"  # one vector per modality of this utterance alone
    WORDS = "words"  # the words of this utterance alone
    TRANSCRIPTS = "transcripts"  # as CONTEXT, but with transcripts instead of text vectors, and with times
