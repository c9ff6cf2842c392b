"""What `mien describe` finds in several splits."""

from __future__ import annotations

import numpy as np
import pytest

from mien.schema import SPLITS, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.storage.leakage import find_leakage

NOTATIONS = ("{video}[{number}]", "{video}_{number}", "{video}-{number}", "{video}$_${number}", "{video} ({number})")


def leakage_of(folder, videos):
    return find_leakage(write_dataset(folder, videos, DatasetFacts("ids", {})), {})


def single(ids, splits):
    return [Video(name, [Utterance(0, transcript=name)], split) for name, split in zip(ids, splits, strict=True)]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_ids_of_utterances_in_place_of_videos_are_found(tmp_path, notation):
    """Every utterance of six videos has a split of its own, drawn at random."""
    rng = np.random.default_rng(0)
    ids = [notation.format(video=f"vid{video}", number=number) for video in range(6) for number in range(5)]
    leakage = leakage_of(tmp_path / "data", single(ids, rng.choice(SPLITS, size=len(ids))))
    assert leakage["videos_in_several_splits"] == []
    assert leakage["every_video_has_one_utterance"]
    stems = leakage["numbered_ids_in_several_splits"]
    assert {stem.split()[0].rstrip("[(_-$") for stem in stems} == {f"vid{video}" for video in range(6)}


def test_ids_that_keep_to_one_split_or_have_no_number_are_not(tmp_path):
    ids = [f"vid{video}[{number}]" for video in range(6) for number in range(3)]
    sound = leakage_of(tmp_path / "a", single(ids, [SPLITS[row // 3 % 3] for row in range(18)]))
    assert sound["numbered_ids_in_several_splits"] == []
    named = leakage_of(tmp_path / "b", single([f"vid{number}" for number in range(6)], SPLITS * 2))
    assert named["numbered_ids_in_several_splits"] is None
    both = [Video(f"talk_{number}", [Utterance(0), Utterance(1)], SPLITS[number % 3]) for number in range(6)]
    assert leakage_of(tmp_path / "c", both)["numbered_ids_in_several_splits"] is None


def test_shared_transcripts_are_counted_once_each_with_their_utterances(tmp_path):
    videos = [
        Video("a", [Utterance(0, transcript="Yeah."), Utterance(1, transcript="yeah."), Utterance(2)], "train"),
        Video("b", [Utterance(0, transcript=" YEAH. "), Utterance(1, transcript="No.")], "test"),
        Video("c", [Utterance(0, transcript="No.")], None),
    ]
    leakage = leakage_of(tmp_path / "data", videos)
    assert (leakage["texts"], leakage["texts_in_several_splits"]) == (2, 1)
    assert leakage["utterances_with_shared_texts"] == 3
    assert not leakage["every_video_has_one_utterance"]


@pytest.mark.parametrize(
    ("speakers", "text"),
    [
        ({"train": {"a", "b"}, "test": {"b"}, "none": set()}, "1 of 2 in several splits"),
        ({"train": set(), "none": {"a", "b"}}, "2, in no split"),
        ({"train": set(), "none": set()}, "not recorded: the same person may stand in several splits"),
    ],
)
def test_speakers_in_several_splits(tmp_path, speakers, text):
    dataset = write_dataset(tmp_path / "data", single(["v"], ["train"]), DatasetFacts("speakers", {}))
    assert find_leakage(dataset, speakers)["speakers"] == text
