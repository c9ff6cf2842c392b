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
from mien.schema import Clip, Level, Video

WHOLE_FILE = "utterance without start and end: the whole file"
TIMES_UNUSABLE = "utterance without a start and an end after it: left out"
# ratio of the last time to the duration of the file if the times are milliseconds
MILLISECONDS = (300.0, 1100.0)
TEXT_RECOGNIZED = "utterance without a transcript: words from speech recognition"


def labelled_clips(labelled: Video, recording: Path, notes: Counter[str]) -> list[Clip]:
    """Return a clip for each labelled utterance of a recording that has a start and an end after it.

    Args:
        labelled: The utterances. If there is only one and it has neither start nor end, it is the whole file.
        recording: The media file.
        notes: Counter of messages. It is updated in place with the utterances that are left out.

    Returns:
        The clips, with the transcripts that the labels have.

    Raises:
        DataError: No utterance has a start and an end after it, the times seem to be milliseconds, or the file is not a
            media file.
    """
    duration_s = probe(recording).duration_s
    if is_whole_file(labelled):
        only = labelled.utterances[0]
        return [Clip(only.index, 0.0, duration_s, only.transcript)]
    clips = []
    for each in labelled.utterances:
        if each.start_s is None or each.end_s is None or not 0 <= each.start_s < each.end_s:
            notes[TIMES_UNUSABLE] += 1
        else:
            clips.append(Clip(each.index, each.start_s, each.end_s, each.transcript))
    first = labelled.utterances[0]
    if not clips:
        raise DataError(
            f"Expected start and end in seconds of utterance {first.index} of {labelled.id}, but got {first.start_s} "
            f"and {first.end_s}; correct the labels (only a single utterance of a video may have neither: it is the "
            "whole file)"
        )
    last_s = max(clip.end_s for clip in clips)
    if duration_s and MILLISECONDS[0] <= last_s / duration_s <= MILLISECONDS[1]:
        raise DataError(
            f"Expected times in seconds, inside the {duration_s:.1f} s of {recording.name}, but got {last_s:.1f}; the "
            "times seem to be milliseconds: divide them by 1000"
        )
    return clips


def is_whole_file(labelled: Video) -> bool:
    """Return whether a video has one utterance without times, which is then the whole file."""
    return len(labelled.utterances) == 1 and labelled.utterances[0].start_s is labelled.utterances[0].end_s is None


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
