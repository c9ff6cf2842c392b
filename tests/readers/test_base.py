"""Splits get their roles: renamed and carved on request, whole videos only, the same for a seed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from mien.errors import DataError, UsageError
from mien.readers import rules
from mien.readers.base import Row, SharedTranscripts, group
from mien.readers.splits import assign_splits
from mien.schema import Utterance

SPLITS = {f"t{number}": "train" for number in range(19)} | {"v": "valid", "x": "test", "o": None}


def names(roles, role):
    return {video for video, its_role in roles.items() if its_role == role}


def test_without_requests_every_video_keeps_its_split():
    assert assign_splits(SPLITS, {}, {}) == SPLITS


def test_a_rename_moves_whole_splits():
    roles = assign_splits(SPLITS, {"valid": "test", "test": "none"}, {})
    assert names(roles, "test") == {"v"}
    assert names(roles, None) == {"x", "o"}
    swapped = assign_splits(SPLITS, {"valid": "test", "test": "valid"}, {})
    assert (swapped["v"], swapped["x"]) == ("test", "valid")
    assert assign_splits({"a": "dev"}, {"dev": "valid"}, {}) == {"a": "valid"}
    assert assign_splits({"a": "extra"}, {}, {}) == {"a": "extra"}


def test_videos_without_a_split_can_be_given_one():
    assert assign_splits({"a": None, "b": None}, {"none": "train"}, {}) == {"a": "train", "b": "train"}
    roles = assign_splits(dict.fromkeys("abcdefghijk"), {"none": "train"}, {"valid": 0.2, "test": 0.2})
    assert {role: len(names(roles, role)) for role in ("train", "valid", "test")} == {"train": 7, "valid": 2, "test": 2}


def test_carving_takes_the_share_from_train_and_touches_nothing_else():
    roles = assign_splits(SPLITS, {"valid": "test", "test": "none"}, {"valid": 0.25})
    carved = names(roles, "valid")
    assert len(carved) == 5
    assert carved < names(SPLITS, "train")
    assert names(roles, "train") == names(SPLITS, "train") - carved
    assert names(roles, "test") == {"v"}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_videos_are_carved_for_a_seed_whatever_their_order(seed):
    carve = {"valid": 0.3}
    splits = {name: split for name, split in SPLITS.items() if name != "v"}
    first = assign_splits(splits, {}, carve, seed)
    shuffled = list(splits.items())
    random.Random(seed).shuffle(shuffled)
    assert assign_splits(dict(shuffled), {}, carve, seed) == first
    assert names(assign_splits(splits, {}, carve, seed + 1), "valid") != names(first, "valid")


@pytest.mark.parametrize(("share", "n_carved"), [(0.001, 1), (0.999, 18), (0.5, 10)])
def test_a_carve_takes_at_least_one_video_and_leaves_at_least_one(share, n_carved):
    splits = {f"t{number}": "train" for number in range(19)}
    assert len(names(assign_splits(splits, {}, {"valid": share}), "valid")) == n_carved


@pytest.mark.parametrize(
    ("splits", "renames", "carves", "message"),
    [
        pytest.param(
            {"a": "train", "b": "dev"},
            {"devel": "valid"},
            {},
            "Expected --rename-split to name a split of the data set (dev, train), but got 'devel'; check its spelling",
            id="unknown",
        ),
        pytest.param(
            {"a": "train"},
            {"none": "valid"},
            {},
            "Expected --rename-split to name a split of the data set (train), but got 'none'; check its spelling",
            id="all-have-one",
        ),
        pytest.param(
            {"a": "train", "b": "dev"},
            {"dev": "validation"},
            {},
            "Expected a split to become one of train, valid, test, none, but got 'validation'",
            id="unknown-role",
        ),
        pytest.param(
            SPLITS,
            {"valid": "test"},
            {},
            "Expected one split of the data set per role, but got test and valid for test; "
            "rename the other one too, for example --rename-split test=none",
            id="merge",
        ),
        pytest.param(
            SPLITS,
            {},
            {"valid": 0.1},
            "Expected no valid split before carving one, but the data set has it; "
            "give the old one another role first, for example --rename-split valid=none",
            id="taken",
        ),
        *(
            pytest.param(
                {"a": "train", "b": "train"},
                {},
                {role: share},
                f"Expected --carve valid=SHARE or test=SHARE with 0 < SHARE < 1, but got {role}={share:g}",
                id=f"{role}-{share}",
            )
            for role, share in (("valid", 0.0), ("valid", 1.0), ("test", -0.1), ("test", float("nan")), ("train", 0.1))
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(splits, renames, carves, message):
    with pytest.raises(UsageError) as caught:
        assign_splits(splits, renames, carves)
    assert str(caught.value) == message


@pytest.mark.parametrize("splits", [{}, {"a": "train"}, {"a": "extra", "b": None}])
def test_there_must_be_two_train_videos_to_carve_from(splits):
    with pytest.raises(DataError, match="Expected at least two train videos to carve valid from, but got [01]"):
        assign_splits(splits, {}, {"valid": 0.1})


def test_a_video_in_two_splits_is_an_error_that_names_it() -> None:
    rows = [Row("-x", split, Utterance(number), "") for number, split in enumerate(["train", None])]
    with pytest.raises(DataError, match=r"but got video '-x' in 'train' and no split; split by video"):
        group(rows, Counter(), Path("x.csv"), numbered=True)


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
