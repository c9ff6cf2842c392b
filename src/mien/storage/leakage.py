"""Finds what occurs in several splits of a Dataset: videos, transcripts, speakers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from mien.schema import SPLITS
from mien.storage.dataset import Dataset
from mien.storage.video_ids import numbered_ids

N_EXAMPLES = 5


def find_leakage(dataset: Dataset, speakers: Mapping[str, set[str]]) -> dict[str, Any]:
    """Find the videos, transcripts and speakers that occur in several splits.

    Rows without a split are ignored. Transcripts are compared in lower case and without surrounding blanks, and every
    different transcript counts once. If the ids of the videos seem to be ids of utterances, such as "talk_3", the
    videos that these ids name are compared, too.

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
    # the importer stores "id" if the ids are known to be those of videos
    is_stated = dataset.facts.origin.get("unit") == "id"
    numbered = None if is_stated else numbered_ids(Counter(facts["video_id"]))
    split_of = dict(zip(facts["video_id"], facts["split"], strict=True))
    return {
        "videos_in_several_splits": sorted(video for video, splits in videos.items() if len(splits) > 1),
        "every_video_has_one_utterance": 1 < len(videos) == n_rows,
        # None: the ids are those of videos
        "numbered_ids_in_several_splits": None if numbered is None else numbered.videos_in_several_splits(split_of),
        "texts": len(texts),
        "texts_in_several_splits": len(shared),
        "utterances_with_shared_texts": sum(text_counts[text] for text in shared),
        "longest_shared_texts": shared[:N_EXAMPLES],
        "speakers": _speaker_text(speakers),
    }


def _speaker_text(speakers: Mapping[str, set[str]]) -> str:
    """Return how many speakers occur in several splits, as a text."""
    counts = Counter(name for split, names in speakers.items() if split in SPLITS for name in names)
    if not counts and (names := set[str]().union(*speakers.values())):
        return f"{len(names)}, in no split"
    if not counts:
        return "not recorded: the same person may stand in several splits"
    return f"{sum(n > 1 for n in counts.values())} of {len(counts)} in several splits"
