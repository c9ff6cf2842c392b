"""A finished benchmark on disk: its plan, its results, and the predictions of its runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.benchmark.view import Benchmark
from mien.errors import DataError
from mien.evaluation.compare import SeedRun
from mien.evaluation.decisions import Decisions
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import damage_told, read_json
from mien.storage.predictions import read_predictions

PLAN, RESULTS = "plan.json", "results.json"
RUNS, PREDICTIONS, DECISIONS = "runs", "predictions", "decisions.json"


@dataclass(frozen=True, slots=True)
class BenchmarkFolder:
    """What plan.json and results.json say, opened."""

    folder: Path
    scores: Benchmark
    seeds: tuple[int, ...]  # that were planned
    datasets: Mapping[str, Mapping[str, Any]]  # slug -> path and fingerprint of what it was trained on

    @property
    def split(self) -> str:
        """The scored split."""
        return self.scores.split

    def run_folder(self, slug: str, seed: int) -> Path:
        """Where one run is."""
        return self.folder / RUNS / slug / f"seed-{seed}"

    def seeds_of(self, slug: str) -> list[int]:
        """Seeds of one setting whose run left predictions, in the order of the plan."""
        name = f"{PREDICTIONS}/{self.split}.parquet"
        return [seed for seed in self.seeds if (self.run_folder(slug, seed) / name).is_file()]

    def seed_runs(self, slug: str, seeds: Sequence[int] | None = None) -> tuple[SeedRun, ...]:
        """Predictions and frozen thresholds of one setting, of all its seeds or of those named."""
        return tuple(self._seed_runs(slug, self.seeds_of(slug) if seeds is None else seeds))

    def _seed_runs(self, slug: str, seeds: Sequence[int]) -> Iterator[SeedRun]:
        for seed in seeds:
            run = self.run_folder(slug, seed)
            decisions = Decisions.from_json(read_json(run / DECISIONS, "the Run"))
            yield SeedRun(read_predictions(run / PREDICTIONS / f"{self.split}.parquet"), decisions, seed)

    def open_dataset(self, slug: str, dataset: str | Path | None = None) -> Dataset:
        """One setting's Dataset, at `dataset` if it has moved. Raises DataError if it is missing or another one."""
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
    """Open a finished benchmark. Raises DataError if it is none, DamagedFileError if a card is cut or altered."""
    folder = Path(folder)
    plan = read_json(folder / PLAN, "a benchmark")
    results = read_json(folder / RESULTS, "a finished benchmark")
    with damage_told(folder, "the benchmark"):
        scores = Benchmark.from_json(plan, results)
        datasets = {
            setting["slug"]: {key: setting.get("dataset", plan["dataset"])[key] for key in ("path", "fingerprint")}
            for setting in plan["settings"]
        }
        return BenchmarkFolder(folder, scores, tuple(plan["seeds"]), datasets)
