"""Ids of utterances are recognised among ids of videos, and ids of videos are left alone."""

from __future__ import annotations

import random

import pytest

from mien.storage.video_ids import LONGEST_ID, numbered_ids, split_ids

NOTATIONS = [
    "{}[{}]",
    "{}$_${}",
    "{}_{}",
    "{}-{}",
    "{}/{}",
    "{}#{}",
    "{}_utt{:03d}",
    "{}clip{}",
    "{}-F{:02d}",
    "{}.{}.wav",
    "{} ({})",
]


def ids_of(notation: str, n_videos: int = 7, n_utterances: int = 5) -> list[str]:
    return [notation.format(f"v{video}x", number) for video in range(n_videos) for number in range(n_utterances)]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_numbered_ids_are_recognised_in_every_notation(notation: str) -> None:
    found = numbered_ids(dict.fromkeys(ids_of(notation), 1))
    assert found is not None
    assert len(found.parts) == 35
    assert {video for video, _ in found.parts.values()} == {f"v{number}x" for number in range(7)}
    assert found.parts[notation.format("v3x", 4)] == ("v3x", 4)
    assert found.is_unambiguous == (notation in NOTATIONS[:2])


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_a_random_split_of_numbered_ids_is_always_found(notation: str, seed: int) -> None:
    chooser = random.Random(seed)
    splits = {name: chooser.choice(("train", "valid", "test", None)) for name in ids_of(notation)}
    expected = []
    for video in range(7):
        own = {splits[notation.format(f"v{video}x", number)] for number in range(5)} - {None}
        expected += [f"v{video}x"] if len(own) > 1 else []
    found = numbered_ids(dict.fromkeys(splits, 1))
    assert found is not None
    assert expected
    assert found.videos_in_several_splits(splits) == expected


def test_ids_that_end_in_times_have_no_number() -> None:
    names = [f"talk{video}_{number * 1.5}_{number * 1.5 + 1.25}" for video in range(3) for number in range(5)]
    found = numbered_ids(dict.fromkeys(names, 1))
    assert found is not None
    assert found.parts["talk2_1.5_2.75"] == ("talk2", None)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([], id="none"),
        pytest.param(["talk"], id="one"),
        pytest.param([f"talk_{number}" for number in range(11)], id="one-series"),
        pytest.param(
            [f"{split}-{number:05d}" for split in ("train", "valid", "test") for number in range(5)], id="splits"
        ),
        pytest.param(["--qXJuDtHPw", "-3g5yACwYnA", "-6rXp3zJ3kc", "a_7bcdefghi", "b_7bcdefghi"], id="random"),
        pytest.param([f"talk{number}" for number in range(11)], id="no-separator"),
        pytest.param([f"{name}[0]" for name in "abcdefg"], id="nothing-shared"),
        pytest.param([f"{'x' * LONGEST_ID}{video}_{number}" for video in "ab" for number in range(5)], id="too-long"),
    ],
)
def test_ids_of_videos_are_left_alone(names: list[str]) -> None:
    assert numbered_ids(dict.fromkeys(names, 1)) is None


def test_videos_of_several_utterances_are_videos() -> None:
    assert numbered_ids(dict.fromkeys(ids_of("{}_{}"), 2)) is None
    nearly = dict.fromkeys(ids_of("{}_{}"), 1) | {"v0x_0": 2}
    assert numbered_ids(nearly) is not None


def test_a_number_in_brackets_may_be_the_only_notation_that_is_wanted() -> None:
    assert split_ids(["a[3]", "a_3", "a"]) == {"a[3]": ("a", 3), "a_3": ("a", 3)}
    assert split_ids(["-3g$_$07"]) == {"-3g$_$07": ("-3g", 7)}


def test_numbers_right_after_a_letter_are_recognised_if_nearly_all_ids_share_their_video() -> None:
    found = numbered_ids({f"talk{letter}{number:02d}": 1 for letter in "abcd" for number in range(5)})
    assert found is not None
    assert found.parts["talkb03"] == ("talkb", 3)
    assert numbered_ids({f"dia{number:02d}": 1 for number in range(40)}) is None
    assert numbered_ids({f"{letter}x{number}": 1 for number, letter in enumerate("abcdefghij", 10)}) is None
