"""Clips of the labelled utterances of a recording: their times, and the words that speech recognition adds."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mien.errors import DataError
from mien.media.container import probe
from mien.media.recognition import Speech
from mien.media.word_times import timed_words, words_inside
from mien.readers.rules import add_note
from mien.schema import Clip, Level, Utterance, Video

WHOLE_FILE = "utterance without start and end: the whole file"
TEXT_RECOGNIZED = "utterance without a transcript: words from speech recognition"


def labelled_clips(labelled: Video, recording: Path) -> list[Clip]:
    """Return a clip for each labelled utterance of a recording.

    Args:
        labelled: The utterances. If there is only one and it has neither start nor end, it is the whole file.
        recording: The media file.

    Returns:
        The clips, with the transcripts that the labels have.

    Raises:
        DataError: An utterance lacks its start or end, or the file is not a media file.
    """
    if is_whole_file(labelled):
        only = labelled.utterances[0]
        return [Clip(only.index, 0.0, probe(recording).duration_s, only.transcript)]
    return [_clip(labelled.id, each) for each in labelled.utterances]


def is_whole_file(labelled: Video) -> bool:
    """Return whether a video has one utterance without times, which is then the whole file."""
    return len(labelled.utterances) == 1 and labelled.utterances[0].start_s is labelled.utterances[0].end_s is None


def _clip(video_id: str, utterance: Utterance) -> Clip:
    start_s, end_s = utterance.start_s, utterance.end_s
    if start_s is None or end_s is None or start_s < 0:
        raise DataError(
            f"Expected start and end in seconds of utterance {utterance.index} of {video_id}, but got {start_s} and "
            f"{end_s}; correct the labels (only a single utterance of a video may have neither: it is the whole file)"
        )
    return Clip(utterance.index, start_s, end_s, utterance.transcript)


def with_recognized_words(clips: Sequence[Clip], speech: Speech, level: Level, notes: Counter[str]) -> list[Clip]:
    """Return the clips with missing transcripts filled by recognised words and, at word level, with word times.

    Args:
        clips: Clips of one recording.
        speech: The recognised words of this recording.
        level: Whether words need times.
        notes: Counter of messages about estimated values and recognised transcripts. It is updated in place.

    Returns:
        The clips in the same order.
    """
    timed = []
    for clip in clips:
        if not clip.transcript:
            words = words_inside(speech.words, clip.start_s, clip.end_s)
            text = speech.separator.join(word.text for word in words)
            add_note(notes, TEXT_RECOGNIZED, bool(text))
            timed.append(dataclasses.replace(clip, transcript=text, words=words))
        elif level is Level.WORD:
            timed.append(dataclasses.replace(clip, words=timed_words(clip, speech.words, notes)))
        else:
            timed.append(clip)
    return timed
