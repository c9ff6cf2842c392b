"""What every network takes and gives, and what a system reads. Axes: video, utterance, feature (see `mien.schema`).

Not frozen, because Lightning Fabric walks over what enters and leaves a network and refuses frozen dataclasses.
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
    """The words of a batch's real utterances, padded on the right to the longest. n = real utterances.

    Rows stand in the order of ``batch.real.nonzero()``: the first video's utterances, then the second's.
    """

    # zero where `present` is False
    features: Mapping[Modality, Float[Tensor, "n word feature"]]
    # True where the word is real and has the modality
    present: Mapping[Modality, Bool[Tensor, "n word"]]
    # words of each utterance; 0 where nothing is known of its words
    lengths: Int[Tensor, "n"]


@dataclass(slots=True)
class Tokens:
    """What was said in a batch's real utterances, as word pieces of an encoder. n = real utterances, as in `Words`.

    Begin and end marks are among them.
    """

    # number of each piece in the encoder's vocabulary; zero behind the last
    ids: Int[Tensor, "n token"]
    # pieces of each utterance; 0 where nothing was written down
    lengths: Int[Tensor, "n"]


@dataclass(slots=True)
class Times:
    """When utterances were said, in seconds of their video."""

    # zero where not `known`
    start_s: Float[Tensor, "video utterance"]
    end_s: Float[Tensor, "video utterance"]
    # True where the utterance is real and both its times are known
    known: Bool[Tensor, "video utterance"]


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
    # only for the models whose entry says `Reads.WORDS`
    words: Words | None = None
    # both only for the models whose entry says `Reads.TRANSCRIPTS`; tokens only if their text is read by an encoder
    tokens: Tokens | None = None
    times: Times | None = None


@dataclass(slots=True)
class Outputs:
    """What a network says of each utterance, and the attention that produced it."""

    # task -> raw output of its head; `heads.ACTIVATIONS` makes probabilities or degrees of it
    logits: Mapping[str, Float[Tensor, "video utterance logit"]]
    # "text->visual": weight of context utterance j (last axis) of VISUAL for target utterance i of TEXT;
    # "fused->fused" where the modalities were fused before
    attention: Mapping[str, Float[Tensor, "video utterance context"]] = field(default_factory=dict)
    # weights inside one utterance, by name: "text" for a modality's share, "text->text+visual" for an edge of a graph
    fusion: Mapping[str, Float[Tensor, "video utterance"]] = field(default_factory=dict)


def real_rows(batch: Batch, rows: Float[Tensor, "video utterance feature"]) -> Float[Tensor, "n feature"]:
    """The real utterances one after another, for systems that look at each alone."""
    return rows[batch.real]


def to_videos(batch: Batch, rows: Float[Tensor, "n feature"]) -> Float[Tensor, "video utterance feature"]:
    """Back to whole videos from `real_rows`' order; padding is zero."""
    videos = rows.new_zeros(*batch.real.shape, *rows.shape[1:])
    videos[batch.real] = rows
    return videos


class InputKind(StrEnum):
    """What a system takes in to judge one utterance."""

    CONTEXT = "context"  # one vector per modality and utterance, of all utterances of the video
    UTTERANCE = "utterance"  # one vector per modality, of this utterance alone
    WORDS = "words"  # the words of this utterance alone
    TRANSCRIPTS = "transcripts"  # as CONTEXT, but for text what was said, and beside it when
