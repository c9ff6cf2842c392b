"""Counts the transcripts that occur in more than one split of a data set."""

from __future__ import annotations

import hashlib
from collections import Counter

from mien.readers.rules import TRANSCRIPT_SHARED


class SharedTranscripts:
    """Counts the transcripts that occur in more than one split, ignoring case and surrounding blanks.

    To save memory on a large data set, a hash of eight bytes per transcript is stored instead of the text.
    """

    def __init__(self, notes: Counter[str]) -> None:
        self._notes = notes
        self._split_of: dict[bytes, str] = {}
        self._shared: set[bytes] = set()

    def see(self, transcript: str, split: str | None) -> None:
        """Record the transcript of one utterance. A transcript that occurs in more than one split is counted once.

        Args:
            transcript: Text of the utterance; a blank text is ignored.
            split: Split of the utterance's video, in any case. If it is None, the transcript is ignored.
        """
        text = transcript.strip().lower()
        if not text or split is None:
            return
        split = split.casefold()
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if self._split_of.setdefault(key, split) != split and key not in self._shared:
            self._shared.add(key)
            self._notes[TRANSCRIPT_SHARED] += 1
