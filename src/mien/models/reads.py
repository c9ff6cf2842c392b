"""What a system looks at to judge one utterance."""

from __future__ import annotations

from enum import StrEnum


class Reads(StrEnum):
    """What a system takes in to judge one utterance."""

    CONTEXT = "context"  # one vector per modality and utterance, of all utterances of the video
    UTTERANCE = "utterance"  # one vector per modality, of this utterance alone
    WORDS = "words"  # the words of this utterance alone
    TRANSCRIPTS = "transcripts"  # as CONTEXT, but for text what was said, and beside it when
