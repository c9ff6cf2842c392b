"""Splits of a data set: usual spellings of their names, renaming, and moving whole videos from train to a new split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from mien.errors import DataError, UsageError
from mien.readers.rules import SPLIT_RENAMED
from mien.schema import SPLIT_SPELLINGS, SPLITS

# `--rename-split test=none` excludes a split from training and scoring; `none=train` trains on videos without a split
NO_SPLIT = "none"
# "train_set", "Test split", "trainset"
SUFFIX = re.compile(r"[\W_]*(?:set|split|data)$")


def split_role(name: str) -> str | None:
    """Return which of train, valid and test a name usually stands for, in any case; None if it is unknown."""
    plain = name.strip().casefold()
    return SPLIT_SPELLINGS.get(plain) or SPLIT_SPELLINGS.get(SUFFIX.sub("", plain))


def same_split(first: str | None, second: str | None) -> bool:
    """Compare two names of splits.

    Args:
        first: Name of a split; None if there is none.
        second: The same.

    Returns:
        Whether the names are equal, apart from upper and lower case.
    """
    return first == second or (first is not None and second is not None and first.casefold() == second.casefold())


def assign_splits(
    splits: Mapping[str, str | None],
    renames: Mapping[str, str],
    carves: Mapping[str, float],
    seed: int = 0,
    notes: Counter[str] | None = None,
) -> dict[str, str | None]:
    """Assign each video to the train, valid or test split.

    First, the splits of the data set are renamed: as `renames` says, and usual names such as "dev" and "Train" to the
    split that they stand for. Then new splits are carved: randomly chosen videos move from train to the new split. The
    choice depends on the seed and not on the order of the ids.

    Args:
        splits: Video id -> name of its split in the data set; None if the video has no split.
        renames: Name of a split in the data set -> train, valid, test or none. As a key, "none" stands for the videos
            without a split. As a value, it removes the videos from all splits.
        carves: Split to create (valid or test) -> share of the train videos that it takes, between 0 and 1.
        seed: Seed of the random choice.
        notes: Counter: text of a rule -> how often it was applied. It is updated in place: each video whose split has
            a usual name other than train, valid and test is counted.

    Returns:
        Video id -> train, valid or test, or None if the video is in no split. A split with an unknown name keeps it.

    Raises:
        UsageError: An entry of `renames` or `carves` is invalid, or two splits of the data set have the same role.
        DataError: There are fewer than two train videos to carve from.
    """
    own_names = {split or NO_SPLIT for split in splits.values()}
    _check_renames(renames, own_names)
    role_of = {name: renames.get(name) or split_role(name) or name for name in own_names}
    _require_one_split_per_role(role_of, renames)
    roles: dict[str, str | None] = {}
    for video, split in splits.items():
        role = role_of[split or NO_SPLIT]
        roles[video] = None if role == NO_SPLIT else role
        if notes is not None and split is not None and split not in renames and role != split:
            notes[f"{SPLIT_RENAMED}: {split} as {role}"] += 1
    for role, share in carves.items():
        train = sorted(video for video, video_role in roles.items() if video_role == "train")
        _check_carve(role, share, role_of, set(roles.values()), len(train))
        n_carved = min(max(1, round(share * len(train))), len(train) - 1)
        for number in np.random.default_rng(seed).permutation(len(train))[:n_carved]:
            roles[train[number]] = role
    return roles


def _check_renames(renames: Mapping[str, str], own_names: set[str]) -> None:
    for old, new in renames.items():
        if old not in own_names:
            raise UsageError(
                f"Expected --rename-split to name a split of the data set ({', '.join(sorted(own_names))}), "
                f"but got {old!r}; check its spelling"
            )
        if new not in (*SPLITS, NO_SPLIT):
            raise UsageError(f"Expected a split to become one of {', '.join(SPLITS)}, none, but got {new!r}")


def _require_one_split_per_role(role_of: Mapping[str, str], renames: Mapping[str, str]) -> None:
    """Raise UsageError if two splits get the same role, unless their names differ only in upper and lower case."""
    for role in SPLITS:
        merged = sorted(name for name, its_role in role_of.items() if its_role == role)
        if len({name.strip().casefold() for name in merged}) > 1:
            # a split that the user has not renamed, so that the advice does not contradict the command line
            other = next((name for name in merged if name not in renames), merged[-1])
            raise UsageError(
                f"Expected one split of the data set per role, but got {' and '.join(merged)} for {role}; "
                f"rename the other one too, for example --rename-split {other}={NO_SPLIT}"
            )


def _check_carve(role: str, share: float, role_of: Mapping[str, str], taken: set[str | None], n_train: int) -> None:
    if role not in ("valid", "test") or not 0 < share < 1:
        raise UsageError(f"Expected --carve valid=SHARE or test=SHARE with 0 < SHARE < 1, but got {role}={share:g}")
    if role in taken:
        name = next((name for name, its_role in role_of.items() if its_role == role), role)
        free = "test" if "test" not in taken else NO_SPLIT
        raise UsageError(
            f"Expected no {role} split before carving one, but the data set has it; "
            f"give the old one another role first, for example --rename-split {name}={free}"
        )
    if n_train < 2:
        raise DataError(f"Expected at least two train videos to carve {role} from, but got {n_train}")
