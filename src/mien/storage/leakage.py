"""Finds what occurs in several splits of a Dataset: videos, transcripts, speakers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from mien.schema import SPLITS
from mien.storage.dataset import Dataset

N_EXAMPLES = 5
# The number of an utterance at the end of an id, in the usual notations: v[3], v(3), v_3, v-3, v#3, v.3, v:3, v/3,
# v$_$3, "v 3". The number needs a sign before it: v3 may be the name of a video.
NUMBERED_ID = re.compile(r"(?P<video>.+?)(?:\[\d+\]|\(\d+\)|\{\d+\}|[-_#.:/$ ]+\d+)")


def find_leakage(dataset: Dataset, speakers: Mapping[str, set[str]]) -> dict[str, Any]:
    """Find the videos, transcripts and speakers that occur in several splits.

    Rows without a split are ignored. Transcripts are compared in lower case and without surrounding blanks, and every
    different transcript counts once. If every video has one utterance, and the ids end in a number, the part before
    the number may be the id of a video; such ids that occur in several splits are listed separately.

    Args:
        dataset: Dataset to search.
        speakers: Names of the speakers of each split, and of "none".

    Returns:
        The statistics that `mien describe` shows under "leakage".
    """
    facts = dataset.table(["video_id", "split", "transcript"]).to_pydict()
    videos, texts = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    text_counts, n_rows = Counter[str](), 0
    for video, split, text in zip(facts["video_id"], facts["split"], facts["transcript"], strict=True):
        if split is not None:
            n_rows += 1
            videos[video].add(split)
            if text and text.strip():
                key = text.strip().lower()
                texts[key].add(split)
                text_counts[key] += 1
    shared = sorted((text for text, splits in texts.items() if len(splits) > 1), key=len, reverse=True)
    single = 1 < len(videos) == n_rows
    return {
        "videos_in_several_splits": sorted(video for video, splits in videos.items() if len(splits) > 1),
        "every_video_has_one_utterance": single,
        "numbered_ids_in_several_splits": _shared_stems(videos) if single else [],
        "texts": len(texts),
        "texts_in_several_splits": len(shared),
        "utterances_with_shared_texts": sum(text_counts[text] for text in shared),
        "longest_shared_texts": shared[:N_EXAMPLES],
        "speakers": _speaker_text(speakers),
    }


def _shared_stems(videos: Mapping[str, set[str]]) -> list[str]:
    """Return the ids without the number at their end that occur in several splits.

    Args:
        videos: Id of a video -> its splits.
    """
    splits = defaultdict[str, set[str]](set)
    for video, own in videos.items():
        match = NUMBERED_ID.fullmatch(video)
        if match:
            splits[match["video"]] |= own
    return sorted(stem for stem, own in splits.items() if len(own) > 1)


def _speaker_text(speakers: Mapping[str, set[str]]) -> str:
    """Return how many speakers occur in several splits, as a text."""
    counts = Counter(name for split, names in speakers.items() if split in SPLITS for name in names)
    if not counts:
        return "not recorded: the same person may stand in several splits"
    return f"{sum(n > 1 for n in counts.values())} of {len(counts)} in several splits"
