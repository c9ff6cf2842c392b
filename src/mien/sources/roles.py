"""Which split a video plays in: the source's own names, renamed and carved on request. Whole videos only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mien.errors import DataError, UsageError
from mien.schema import SPLITS

# `--rename-split test=none` leaves a split out of training and scoring; `none=train` puts videos without a split to use
NO_SPLIT = "none"


def assign_roles(
    splits: Mapping[str, str | None], renames: Mapping[str, str], carves: Mapping[str, float], seed: int = 0
) -> dict[str, str | None]:
    """Video id -> role, after `renames` (source name -> role) and `carves` (role -> share of the train videos).

    Carving takes whole videos from train at random, the same ones for a seed whatever the order of the ids. Raises
    UsageError on a rename or carve that makes no sense, DataError when there is nothing to carve from.
    """
    _check_renames(renames, {split or NO_SPLIT for split in splits.values()})
    roles = {video: renames.get(split or NO_SPLIT, split) for video, split in splits.items()}
    roles = {video: None if role == NO_SPLIT else role for video, role in roles.items()}
    for role, share in carves.items():
        train = sorted(video for video, its_role in roles.items() if its_role == "train")
        _check_carve(role, share, set(roles.values()), len(train))
        n_carved = min(max(1, round(share * len(train))), len(train) - 1)
        for number in np.random.default_rng(seed).permutation(len(train))[:n_carved]:
            roles[train[number]] = role
    return roles


def _check_renames(renames: Mapping[str, str], own_names: set[str]) -> None:
    for old, new in renames.items():
        if old not in own_names:
            raise UsageError(
                f"Expected --rename-split to name a split of the source ({', '.join(sorted(own_names))}), "
                f"but got {old!r}; check its spelling"
            )
        if new not in (*SPLITS, NO_SPLIT):
            raise UsageError(f"Expected a split to become one of {', '.join(SPLITS)}, none, but got {new!r}")
    targets = [renames.get(name, name) for name in own_names]
    for role in SPLITS:
        if targets.count(role) > 1:
            merged = sorted(name for name in own_names if renames.get(name, name) == role)
            raise UsageError(
                f"Expected one source split per role, but got {' and '.join(merged)} for {role}; "
                f"rename the other one too, for example --rename-split {role}=none"
            )


def _check_carve(role: str, share: float, taken: set[str | None], n_train: int) -> None:
    if role not in ("valid", "test") or not 0 < share < 1:
        raise UsageError(f"Expected --carve valid=SHARE or test=SHARE with 0 < SHARE < 1, but got {role}={share:g}")
    if role in taken:
        raise UsageError(
            f"Expected no {role} split before carving one, but the source has it; "
            f"give the old one another role first, for example --rename-split {role}=test"
        )
    if n_train < 2:
        raise DataError(f"Expected at least two train videos to carve {role} from, but got {n_train}")
