"""Rows become videos: whole splits, repeated rows once, and the ids of utterances in place of those of videos."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from mien.errors import DataError
from mien.readers import rules
from mien.readers.base import Groups, Row, Unit, group
from mien.schema import Utterance

FILE = Path("x.csv")


def test_a_video_in_two_splits_is_an_error_that_names_it() -> None:
    rows = [Row("-x", split, Utterance(number), "") for number, split in enumerate(["train", None])]
    with pytest.raises(DataError, match=r"but got video '-x' in 'train' and no split; split by video"):
        group(rows, Counter(), Path("x.csv"), numbered=True)


def rows_of(ids: Sequence[str], splits: Sequence[str | None] = (None,), indices: Sequence[int] = (0,)) -> list[Row]:
    """A row for each id; `splits` and `indices` are repeated."""
    return [
        Row(
            name,
            splits[number % len(splits)],
            Utterance(indices[number % len(indices)], transcript=f"text {number}"),
            f"row {number}",
        )
        for number, name in enumerate(ids)
    ]


def content(groups: Groups) -> dict[str, list[tuple[int, str]]]:
    return {
        name: [(row.utterance.index, row.utterance.transcript) for row in rows] for name, rows in groups.rows.items()
    }


@pytest.mark.parametrize("notation", ["{}[{}]", "{}$_${}"])
@pytest.mark.parametrize("numbered", [False, True])
def test_a_number_in_an_unambiguous_notation_is_that_of_the_utterance(notation: str, numbered: bool) -> None:
    ids = [notation.format(video, number) for video in "ab" for number in (10, 9)]
    notes: Counter[str] = Counter()
    groups = group(rows_of(ids), notes, FILE, numbered=numbered)
    assert content(groups) == {"a": [(9, "text 1"), (10, "text 0")], "b": [(9, "text 3"), (10, "text 2")]}
    assert notes == {rules.ID_NUMBER_READ: 4}


def test_an_index_that_is_unique_in_each_video_is_kept() -> None:
    ids = [f"{video}[{number}]" for video in "ab" for number in (1, 2)]
    groups = group(rows_of(ids, indices=(7, 5)), Counter(), FILE, numbered=True)
    assert [row.utterance.index for row in groups.rows["a"]] == [5, 7]


def test_other_notations_are_joined_only_if_the_user_states_it() -> None:
    ids = [f"{video}_{number}" for video in "ab" for number in (1, 0)]
    notes: Counter[str] = Counter()
    assert list(group(rows_of(ids), notes, FILE, numbered=False).rows) == ids
    assert notes == {}
    joined = group(rows_of(ids), notes, FILE, numbered=False, unit=Unit.VIDEO)
    assert content(joined) == {"a": [(0, "text 1"), (1, "text 0")], "b": [(0, "text 3"), (1, "text 2")]}
    assert notes == {rules.ID_NUMBER_READ: 4}


def test_numbers_that_occur_twice_in_a_video_give_way_to_the_stored_order() -> None:
    ids = [f"{video}_{letter}0{number}" for video in ("t1", "t2") for number in (0, 1) for letter in "FM"]
    joined = group(rows_of(ids), Counter(), FILE, numbered=False, unit=Unit.VIDEO)
    assert [row.utterance.index for row in joined.rows["t2"]] == [0, 1, 2, 3]


def test_ids_that_the_user_calls_ids_of_videos_stay() -> None:
    ids = [f"{video}[{number}]" for video in "ab" for number in range(3)]
    assert list(group(rows_of(ids), Counter(), FILE, numbered=False, unit=Unit.ID).rows) == ids


def test_an_id_without_a_number_that_others_have_with_one_prevents_the_joining() -> None:
    ids = [*(f"a[{number}]" for number in range(20)), "a"]
    assert list(group(rows_of(ids), Counter(), FILE, numbered=False).rows) == ids


def test_numbered_ids_in_several_splits_are_an_error() -> None:
    ids = [f"{video}[{number}]" for video in "ab" for number in range(2)]
    with pytest.raises(DataError, match=r"video 'a' in 'train' and 'test'; .* --unit utterance"):
        group(rows_of(ids, splits=("train", "test")), Counter(), FILE, numbered=False)


def test_each_utterance_can_be_a_video_of_its_own() -> None:
    rows = rows_of(["a", "a", "b"], splits=("train", "test", "train"), indices=(3, 5, 3))
    groups = group(rows, Counter(), FILE, numbered=True, unit=Unit.UTTERANCE)
    assert groups.splits == {"a[3]": "train", "a[5]": "test", "b[3]": "train"}
    without_index = group(rows_of(["a", "a"]), Counter(), FILE, numbered=False, unit=Unit.UTTERANCE)
    assert list(without_index.splits) == ["a[0]", "a[1]"]


@pytest.mark.parametrize("unit", [None, Unit.UTTERANCE])
def test_rules_are_counted_only_for_rows_that_are_kept(unit: Unit | None) -> None:
    first = dataclasses.replace(rows_of(["a"])[0], applied=Counter({rules.LABEL_CLAMPED: 1}))
    again = dataclasses.replace(
        first, utterance=Utterance(0, transcript="text 0"), applied=Counter({rules.LABEL_CLAMPED: 1})
    )
    notes: Counter[str] = Counter()
    group([first, again], notes, FILE, numbered=True, unit=unit)
    assert notes == {rules.LABEL_CLAMPED: 1, rules.ROW_REPEATED: 1}


def test_names_of_splits_that_differ_only_in_case_are_one_split() -> None:
    groups = group(rows_of(["a", "a"], splits=("Train", "train"), indices=(0, 1)), Counter(), FILE, numbered=True)
    assert groups.splits == {"a": "Train"}
