"""Splits get their roles: usual names, renamed and carved on request, whole videos only, the same for a seed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from mien.errors import DataError, UsageError
from mien.readers import rules
from mien.readers.splits import assign_splits, same_split, split_role

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


@pytest.mark.parametrize(
    ("role", "spellings"),
    [
        ("train", ["train", "Train", "TRAIN", "training", "tr", " train "]),
        ("valid", ["valid", "val", "dev", "Dev", "devel", "development", "validation", "Validation"]),
        ("test", ["test", "Test", "testing"]),
    ],
)
def test_usual_names_of_splits_are_known_in_any_case(role, spellings):
    assert {split_role(name) for name in spellings} == {role}
    assert [split_role(name) for name in ("extra", "none", "", "1")] == [None] * 4


def test_usual_names_are_read_and_counted_by_video():
    notes = Counter()
    splits = {"a": "Train", "b": "Train", "c": "dev", "d": "test", "e": None, "f": "extra"}
    roles = assign_splits(splits, {}, {}, notes=notes)
    assert roles == {"a": "train", "b": "train", "c": "valid", "d": "test", "e": None, "f": "extra"}
    assert notes == {f"{rules.SPLIT_RENAMED}: Train as train": 2, f"{rules.SPLIT_RENAMED}: dev as valid": 1}


def test_what_the_user_states_comes_before_the_usual_names():
    notes = Counter()
    assert assign_splits({"a": "dev", "b": "val"}, {"dev": "test"}, {}, notes=notes) == {"a": "test", "b": "valid"}
    assert notes == {f"{rules.SPLIT_RENAMED}: val as valid": 1}


def test_names_that_differ_only_in_case_are_one_split():
    assert set(assign_splits({"a": "train", "b": "Train"}, {}, {}).values()) == {"train"}
    assert same_split("Dev", "dev")
    assert same_split(None, None)
    assert not same_split("dev", None)
    assert not same_split("dev", "valid")


def test_two_names_for_one_role_are_refused_with_a_remedy_that_works():
    splits = {"a": "valid", "b": "dev", "c": "train"}
    with pytest.raises(UsageError, match="but got dev and valid for valid; .* --rename-split dev=none"):
        assign_splits(splits, {}, {})
    assert assign_splits(splits, {"dev": "none"}, {}) == {"a": "valid", "b": None, "c": "train"}


def test_the_remedy_for_a_carve_names_the_split_of_the_data_set():
    splits = {"a": "train", "b": "train", "c": "Dev"}
    with pytest.raises(UsageError, match="--rename-split Dev=test"):
        assign_splits(splits, {}, {"valid": 0.5})
    assert set(assign_splits(splits, {"Dev": "test"}, {"valid": 0.5}).values()) == {"train", "valid", "test"}


def test_names_with_a_word_for_split_are_known() -> None:
    names = ("train_set", "Validation Set", "testset", "dev-data", "test_split", "TRAIN ", "set", "eval_set", "dataset")
    assert [split_role(name) for name in names] == [
        "train",
        "valid",
        "test",
        "valid",
        "test",
        "train",
        None,
        None,
        None,
    ]
