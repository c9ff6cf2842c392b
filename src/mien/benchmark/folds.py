"""Folds of a benchmark: in turn, one group of videos is test, and the others are divided into train and valid.

    DIR/folds/fold-1/                        Dataset with the splits of the first fold, and so on
    DIR/runs/<setting>/fold-1/seed-<n>/      Run that was trained on it

The groups are the values of a text column of the Dataset, such as the sessions of IEMOCAP. The splits of the Dataset
itself are not used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import DataError, MienError, UsageError
from mien.readers.splits import assign_splits
from mien.schema import Video
from mien.storage.dataset import Dataset, open_dataset, write_dataset

FOLDS_FOLDER = "folds"
SEED = 0  # seed of the choice of the valid videos
ORIGIN_KEY = "fold"


@dataclass(frozen=True, slots=True)
class FoldRequest:
    """How folds are made: the column with the groups, and the share of the other videos of a fold that are valid."""

    column: str
    valid_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.valid_share < 1:
            raise UsageError(f"Expected a share between 0 and 1 for valid, but got {self.valid_share}; change --carve")


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold: the name of its group, and the Dataset whose test split is this group."""

    slug: str
    name: str
    dataset: Dataset


def write_folds(dataset: Dataset, request: FoldRequest, folder: Path) -> tuple[Fold, ...]:
    """Write one Dataset per fold. A Dataset that is there already is not written again.

    Args:
        dataset: Dataset of the benchmark.
        request: Column of the groups, and share of the valid split.
        folder: Folder of the benchmark.

    Returns:
        The folds, in the order of the names of their groups.

    Raises:
        DataError: The Dataset has no such column of groups, there are fewer than two, a video is in several groups,
            or too few videos are left for train.
        WriteError: A Dataset cannot be written.
    """
    groups = _groups(dataset, request.column)
    names = sorted(set(groups.values()))
    if len(names) < 2:
        raise DataError(
            f"Expected at least two groups in the column {request.column} of {dataset.folder}, but got "
            f"{', '.join(names) or 'none'}; import again with --map {request.column}=COLUMN"
        )
    splits = [_splits_of_fold(groups, name, request) for name in names]
    return tuple(
        _write_fold(dataset, f"fold-{number}", name, roles, request, folder)
        for number, (name, roles) in enumerate(zip(names, splits, strict=True), 1)
    )


def _groups(dataset: Dataset, column: str) -> dict[str, str]:
    """Return the group of every video; videos without a group are left out."""
    if column not in dataset.facts.extra_columns:
        raise DataError(
            f"Expected a column {column!r} with the groups of the videos in {dataset.folder}, but got "
            f"{', '.join(dataset.facts.extra_columns) or 'none'}; import again with --map fold=COLUMN, and say "
            "--folds fold"
        )
    facts = dataset.table(["video_id", column]).to_pydict()
    groups: dict[str, str | None] = {}
    for video, group in zip(facts["video_id"], facts[column], strict=True):
        if groups.setdefault(video, group) != group:
            raise DataError(
                f"Expected one {column} per video, whose utterances are each other's context, but got "
                f"{groups[video]!r} and {group!r} in {video!r}; choose another column for --folds"
            )
    return {video: group for video, group in groups.items() if group is not None}


def _splits_of_fold(groups: Mapping[str, str], name: str, request: FoldRequest) -> dict[str, str | None]:
    """Return the split of every video that has a group."""
    others = {video: "train" for video, group in groups.items() if group != name}
    carved = assign_splits(others, {}, {"valid": request.valid_share}, SEED)
    return carved | {video: "test" for video, group in groups.items() if group == name}


def _write_fold(
    dataset: Dataset, slug: str, name: str, roles: Mapping[str, str | None], request: FoldRequest, folder: Path
) -> Fold:
    facts = {"of": dataset.fingerprint, "name": name, **dataclasses.asdict(request), "seed": SEED}
    target = folder / FOLDS_FOLDER / slug
    try:
        existing = open_dataset(target)
        if existing.facts.origin.get(ORIGIN_KEY) == facts:
            return Fold(slug, name, existing)
    except MienError:  # it is missing or damaged
        pass

    def videos() -> Iterator[Video]:
        for video in dataset.videos():
            video.split = roles.get(video.id)
            yield video

    written = dataclasses.replace(
        dataset.facts,
        name=f"{dataset.facts.name}, {request.column} {name}",
        origin={**dataset.facts.origin, ORIGIN_KEY: facts},
    )
    return Fold(slug, name, write_dataset(target, videos(), written))


def folds_json(folds: Sequence[Fold], request: FoldRequest) -> dict[str, Any]:
    """Return the entry `folds` of plan.json."""
    return {
        **dataclasses.asdict(request),
        "seed": SEED,
        "datasets": {fold.slug: {"name": fold.name, "fingerprint": fold.dataset.fingerprint} for fold in folds},
    }


def fold_slugs(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the slugs of the folds in a plan; empty if the benchmark has no folds."""
    return tuple(plan.get("folds", {}).get("datasets", {}))


def folds_text(plan: Mapping[str, Any]) -> str:
    """Return the number of folds and their column for titles, such as "5 folds by fold"; empty if there are none."""
    slugs = fold_slugs(plan)
    return f"{len(slugs)} folds by {plan['folds']['column']}" if slugs else ""


def scored_part(plan: Mapping[str, Any]) -> str:
    """Return what is scored, for titles: the split, or all folds."""
    return folds_text(plan) or f"split {plan['split']}"
