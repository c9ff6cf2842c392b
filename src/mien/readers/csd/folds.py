"""Folds of the videos of a .csd data set: the official ones of CMU-MOSEI and CMU-MOSI, or those of a list."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from mien.errors import DataError
from mien.readers.splits import split_role
from mien.readers.table_files import open_table_file, require_columns

FOLD_LIST_SUFFIX = ".csv"
VIDEO_COLUMN = "video_id"
# the columns that may have the fold, in this order
FOLD_COLUMNS = ("fold", "split")


def official_folds() -> dict[str, str]:
    """Return the folds of CMU-MOSEI and CMU-MOSI, which have no video in common.

    Both are published in A2Zadeh/CMU-MultimodalSDK. The list of CMU-MOSI was taken from three programs that repeat it
    and agree.

    Returns:
        Video id -> train (2,249 and 52 videos), valid (300 and 10 videos) or test (678 and 31 videos).
    """
    return mosei_folds() | _stored_folds("mosi_folds.csv")


def mosei_folds() -> dict[str, str]:
    """Return the folds of CMU-MOSEI: video id -> train, valid or test."""
    return _stored_folds("mosei_folds.csv")


def _stored_folds(name: str) -> dict[str, str]:
    with resources.files("mien.readers.csd").joinpath(name).open(encoding="utf-8") as handle:
        return {row["video_id"]: row["fold"] for row in csv.DictReader(handle)}


def listed_folds(paths: Sequence[Path]) -> dict[str, str]:
    """Read the folds of videos from CSV files with the columns video_id and fold (or split).

    Args:
        paths: The files. A fold has a usual name of a split, such as train, dev, valid or test.

    Returns:
        Video id -> train, valid or test.

    Raises:
        DataError: A column is missing, a fold has another name, or a video is in two folds.
    """
    folds: dict[str, str] = {}
    for path in paths:
        table = open_table_file(path, "csd")
        column = next((name for name in FOLD_COLUMNS if name in table.header), FOLD_COLUMNS[0])
        require_columns(table, {name: name for name in (VIDEO_COLUMN, column)})
        for row in table.rows():
            role = split_role(row.cells[column])
            if role is None:
                raise row.refuse(column, "train, valid or test", "correct the cell, or leave the row out")
            video_id = row.cells[VIDEO_COLUMN].strip()
            if folds.setdefault(video_id, role) != role:
                raise DataError(
                    f"Expected every video in one fold, but got {video_id!r} in {folds[video_id]} and {role} "
                    f"({row.where}); correct the list"
                )
    return folds
