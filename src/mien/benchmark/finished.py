"""Read a finished benchmark from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.benchmark.folds import FOLDS_FOLDER, fold_slugs, folds_text
from mien.benchmark.scored_runs import PLAN_FILE, RESULTS_FILE, SPLIT, read_seed_run, run_keys
from mien.benchmark.view import BenchmarkView, SystemScores
from mien.commands.train import PREDICTIONS_FOLDER
from mien.errors import DataError
from mien.evaluation.compare import SeedRun
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import read_json, reporting_damage


@dataclass(frozen=True, slots=True)
class BenchmarkFolder:
    """An opened benchmark folder: the content of plan.json and results.json."""

    folder: Path
    scores: BenchmarkView
    seeds: tuple[int, ...]  # planned seeds
    datasets: Mapping[str, Mapping[str, Any]]  # slug -> path and fingerprint of its Dataset
    folds: tuple[str, ...] = ()  # slugs of the folds

    @property
    def split(self) -> str:
        """The scored split."""
        return self.scores.split

    def run_folders(self, slug: str, seed: int) -> list[Path]:
        """Return the folders of the runs with one seed: one per fold, or a single one if there are no folds.

        Args:
            slug: Slug of the setting.
            seed: Seed of the runs.

        Returns:
            The paths, whether or not they exist.
        """
        return [self.folder / key for key in run_keys(slug, seed, self.folds)]

    def seeds_of(self, slug: str) -> list[int]:
        """Return the seeds for which a setting has predictions, of all folds, in the order of the plan."""
        predictions = PREDICTIONS_FOLDER / f"{SPLIT}.parquet"
        return [
            seed
            for seed in self.seeds
            if all((folder / predictions).is_file() for folder in self.run_folders(slug, seed))
        ]

    def seed_runs(self, slug: str, seeds: Sequence[int] | None = None) -> tuple[SeedRun, ...]:
        """Read the predictions and thresholds of the runs of one setting.

        Args:
            slug: Slug of the setting.
            seeds: Seeds to read; if None, all seeds that have predictions.

        Returns:
            One entry per seed.

        Raises:
            DataError: A file of a run is missing or damaged.
        """
        chosen = self.seeds_of(slug) if seeds is None else seeds
        return tuple(read_seed_run(self.run_folders(slug, seed), seed) for seed in chosen)

    def first_run(self, slug: str, seed: int, dataset: str | Path | None = None) -> tuple[Path, Dataset]:
        """Return the folder of one run and the Dataset with its test split: those of the first fold if there are folds.

        Args:
            slug: Slug of the setting.
            seed: Seed of the run.
            dataset: As for `open_dataset`. It is not used if there are folds, whose Datasets are in the benchmark.

        Raises:
            DataError: As for `open_dataset`.
        """
        run = self.run_folders(slug, seed)[0]
        if self.folds:
            return run, open_dataset(self.folder / FOLDS_FOLDER / self.folds[0])
        return run, self.open_dataset(slug, dataset)

    def open_dataset(self, slug: str, dataset: str | Path | None = None) -> Dataset:
        """Open the Dataset that one setting was trained on.

        Args:
            slug: Slug of the setting.
            dataset: Folder of the Dataset, if it was moved. If None, the path in plan.json is used.

        Returns:
            The opened Dataset.

        Raises:
            DataError: The Dataset is missing, or its fingerprint differs from the plan's.
        """
        path = Path(dataset or self.datasets[slug]["path"])
        if dataset is None and not path.exists():
            raise DataError(f"Expected the data set of {self.folder} at {path}, but got nothing there; say where it is")
        opened = open_dataset(path)
        expected = self.datasets[slug]["fingerprint"]
        if opened.fingerprint != expected:
            raise DataError(
                f"Expected the data set that {self.folder} was made with ({expected[:12]}), but got "
                f"{opened.fingerprint[:12]} in {path}; name the original one"
            )
        return opened


def open_benchmark(folder: str | Path) -> BenchmarkFolder:
    """Open a finished benchmark by reading its plan.json and results.json.

    Raises:
        DataError: The folder is no finished benchmark.
        DamagedFileError: plan.json or results.json is truncated or altered.
    """
    folder = Path(folder)
    plan = read_json(folder / PLAN_FILE, "a benchmark")
    results = read_json(folder / RESULTS_FILE, "a finished benchmark")
    with reporting_damage(folder, "the benchmark"):
        settings = {
            each["slug"]: json.dumps([each["settings"], each.get("dataset", {})], sort_keys=True)
            for each in plan["settings"]
        }
        systems = tuple(
            SystemScores(
                name=each["name"],
                slug=each["slug"],
                model=each["model"],
                inputs=tuple(each["inputs"]),
                tasks=tuple(each["tasks"]),
                settings=settings[each["slug"]],
                protocols=each["protocols"],
                experimental=each["experimental"],
            )
            for each in results["settings"]
            if each["protocols"]
        )
        text = folds_text(plan)
        scores = BenchmarkView(plan["dataset"]["name"], plan["split"], plan["reference"], systems, folds=text)
        datasets = {
            setting["slug"]: {key: setting.get("dataset", plan["dataset"])[key] for key in ("path", "fingerprint")}
            for setting in plan["settings"]
        }
        return BenchmarkFolder(folder, scores, tuple(plan["seeds"]), datasets, fold_slugs(plan))
