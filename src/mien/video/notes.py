"""Notes about recordings: which of them count something, and which are sentences about a whole recording."""

from __future__ import annotations

from mien.media.clips import CONVERSATION
from mien.media.container import READING_STOPPED
from mien.media.sound import CHANNELS_CANCEL, ONE_SPEAKS, POSITIONS_UNKNOWN, TRACK_HEARD
from mien.video.languages import EXTRACTOR_LANGUAGE_UNKNOWN

# beginnings of the notes that are sentences about a whole recording
_STATEMENTS = (
    TRACK_HEARD,
    CHANNELS_CANCEL,
    POSITIONS_UNKNOWN,
    ONE_SPEAKS,
    CONVERSATION,
    READING_STOPPED,
    EXTRACTOR_LANGUAGE_UNKNOWN,
)


def is_statement(note: str) -> bool:
    """Return whether a note is a sentence about a whole recording.

    The count of such a note is the number of recordings, which says nothing if it is 1.
    """
    return note.startswith(_STATEMENTS)
