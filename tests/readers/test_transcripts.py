"""Transcripts that occur in more than one split are counted."""

from __future__ import annotations

from collections import Counter

from mien.readers import rules
from mien.readers.transcripts import SharedTranscripts


def test_a_shared_transcript_counts_once_however_it_is_written() -> None:
    notes: Counter[str] = Counter()
    watch = SharedTranscripts(notes)
    for text, split in [
        ("Yeah.", "train"),
        (" yeah. ", "test"),
        ("YEAH.", "valid"),
        ("only", "train"),
        ("only", "train"),
    ]:
        watch.see(text, split)
    watch.see("", "train")
    watch.see("", "test")
    watch.see("only", None)
    assert notes == {rules.TRANSCRIPT_SHARED: 1}


def test_names_of_splits_that_differ_only_in_case_are_one_split() -> None:
    notes: Counter[str] = Counter()
    watch = SharedTranscripts(notes)
    watch.see("Yeah.", "Train")
    watch.see("Yeah.", "train")
    assert notes == {}
