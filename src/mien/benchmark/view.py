"""A finished benchmark: its folder on disk, and what figures take from it (scores, predictions, attention)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.scored_runs import PLAN_FILE, RESULTS_FILE, run_key
from mien.benchmark.tables import value_at
from mien.commands.train import DECISIONS_FILE, PREDICTIONS_FOLDER
from mien.errors import DataError
from mien.evaluation.compare import SeedRun
from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import all_headlines
from mien.reports.table_formats import seeds_text
from mien.schema import FloatArray, Modality
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import read_json, reporting_damage
from mien.storage.predictions import read_predictions
from mien.tasks import EMOTION, SENTIMENT

# the two of the paper, which its figures compare jointly and alone
PAPER_TASKS = frozenset({SENTIMENT, EMOTION})
LETTERS = {Modality.TEXT: "T", Modality.ACOUSTIC: "A", Modality.VISUAL: "V"}
# the paper's order of input sets
INPUT_SETS = ("T", "A", "V", "T+V", "T+A", "A+V", "T+A+V")


@dataclass(frozen=True, slots=True)
class OmittedFigure:
    """Why there is no such figure of this benchmark."""

    reason: str


@dataclass(frozen=True, slots=True)
class SystemScores:
    """One setting of a benchmark: who it is, and its results as results.json has them. Scores are fractions."""

    name: str
    slug: str
    model: str
    inputs: tuple[str, ...]
    tasks: tuple[str, ...]
    # whatever else was set, a Dataset of its own too, as text: settings of different text are different systems
    settings: str
    protocols: Mapping[str, Mapping[str, Any]]
    experimental: bool = False

    def seeds(self, protocol: str) -> tuple[int, ...]:
        """Seeds that have a result."""
        return tuple(run["seed"] for run in self.protocols.get(protocol, {}).get("runs", ()))

    def per_seed(self, protocol: str, path: str) -> FloatArray:
        """One score of every run (seed,), NaN where it is undefined."""
        return np.array([number_at(run, path) for run in self.protocols.get(protocol, {}).get("runs", ())])

    def mean(self, protocol: str, path: str) -> float:
        """Mean over the seeds; NaN where undefined or not predicted."""
        return number_at(self.protocols.get(protocol, {}).get("mean"), path)

    def sd(self, protocol: str, path: str) -> float:
        """Standard deviation over the seeds; NaN with one."""
        return number_at(self.protocols.get(protocol, {}).get("sd"), path)

    def interval(self, protocol: str, path: str) -> tuple[float, float] | None:
        """95 % interval of the mean over the seeds by bootstrap over videos, if there is one."""
        found = self.protocols.get(protocol, {}).get("intervals", {}).get(path)
        return None if found is None or None in found else (float(found[0]), float(found[1]))

    @property
    def letters(self) -> str:
        """The inputs as the paper writes them: T+V."""
        return letters(self.inputs)

    @property
    def label(self) -> str:
        """Its name, with a dagger where it is experimental."""
        return f"{self.name} †" if self.experimental else self.name


@dataclass(frozen=True, slots=True)
class SystemFamily:
    """One model on one input set with the same settings: trained for both tasks, and for each alone."""

    joint: SystemScores | None
    single: Mapping[str, SystemScores]  # task -> the system trained for it alone

    def any(self) -> SystemScores:
        """One of its systems: all have the same model and inputs."""
        return self.joint or next(iter(self.single.values()))


@dataclass(frozen=True, slots=True)
class VideoAttention:
    """Attention weights of one run for one video."""

    video_id: str
    utterances: tuple[int, ...]  # index of every utterance, in start order
    # "text->visual": (utterance, context) weights of VISUAL's utterances for each utterance of TEXT
    maps: Mapping[str, FloatArray]
    system: str
    seed: int
    dataset: str
    split: str
    chosen_by: str = ""  # how the video was chosen


@dataclass(frozen=True, slots=True)
class BenchmarkView:
    """Everything the figures show."""

    dataset: str
    split: str
    reference: str  # name of the system the others are held against
    systems: tuple[SystemScores, ...]  # those with results, in the order of the plan
    reference_runs: tuple[SeedRun, ...] = ()
    attention: VideoAttention | OmittedFigure = field(default=OmittedFigure("no run was asked for its attention"))

    def trivial(self, path: str, protocol: str = "clean") -> float:
        """The same score of the constant predictor, the reference's first; NaN if no system was held against it."""
        systems = sorted(self.systems, key=lambda system: system.name != self.reference)
        values = [system.mean(protocol, f"trivial.{path}") for system in systems]
        return next((value for value in values if not np.isnan(value)), float("nan"))

    def scored(self, path: str, protocol: str = "clean") -> list[SystemScores]:
        """The systems that have a score."""
        return [system for system in self.systems if not np.isnan(system.mean(protocol, path))]

    def headline(self, protocol: str = "clean") -> dict[str, str]:
        """The part of `figure_titles` that some system has."""
        return {path: name for path, name in figure_titles().items() if self.scored(path, protocol)}

    def families(self) -> list[SystemFamily]:
        """Systems that differ in their tasks alone, put together, by input set in the paper's order.

        Those that predict other tasks than the paper's are not among them.
        """
        groups: dict[tuple[str, str, str], list[SystemScores]] = {}
        for system in (each for each in self.systems if set(each.tasks) <= PAPER_TASKS):
            groups.setdefault((system.model, system.letters, system.settings), []).append(system)
        families = [
            SystemFamily(
                next((system for system in group if set(system.tasks) == PAPER_TASKS), None),
                {system.tasks[0]: system for system in reversed(group) if len(system.tasks) == 1},
            )
            for group in groups.values()
        ]
        return sorted(families, key=lambda family: INPUT_SETS.index(family.any().letters))

    def reference_family(self) -> SystemFamily | None:
        """The family of the reference; if that has no single-task part, the one with most inputs that has both."""
        families = self.families()
        own = next(
            (each for each in families if self.reference in [s.name for s in (each.joint, *each.single.values()) if s]),
            None,
        )
        if own is not None and own.joint is not None and own.single:
            return own
        return next((each for each in reversed(families) if each.joint and each.single), own)

    def heading(self, protocols: str = "protocol clean", protocol: str = "clean") -> str:
        """Data set, split, protocol and number of seeds, for a title."""
        counts = sorted({len(system.seeds(protocol)) for system in self.systems})
        return f"{self.dataset}, {self.split} split, {protocols}, {seeds_text(counts)}"


@dataclass(frozen=True, slots=True)
class BenchmarkFolder:
    """What plan.json and results.json say, opened."""

    folder: Path
    scores: BenchmarkView
    seeds: tuple[int, ...]  # that were planned
    datasets: Mapping[str, Mapping[str, Any]]  # slug -> path and fingerprint of what it was trained on

    @property
    def split(self) -> str:
        """The scored split."""
        return self.scores.split

    def run_folder(self, slug: str, seed: int) -> Path:
        """Where one run is."""
        return self.folder / run_key(slug, seed)

    def seeds_of(self, slug: str) -> list[int]:
        """Seeds of one setting whose run left predictions, in the order of the plan."""
        predictions = PREDICTIONS_FOLDER / f"{self.split}.parquet"
        return [seed for seed in self.seeds if (self.run_folder(slug, seed) / predictions).is_file()]

    def seed_runs(self, slug: str, seeds: Sequence[int] | None = None) -> tuple[SeedRun, ...]:
        """Predictions and frozen thresholds of one setting, of all its seeds or of those named."""
        runs = []
        for seed in self.seeds_of(slug) if seeds is None else seeds:
            run = self.run_folder(slug, seed)
            decisions = Decisions.from_json(read_json(run / DECISIONS_FILE, "the Run"))
            runs.append(SeedRun(read_predictions(run / PREDICTIONS_FOLDER / f"{self.split}.parquet"), decisions, seed))
        return tuple(runs)

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
        scores = BenchmarkView(plan["dataset"]["name"], plan["split"], plan["reference"], systems)
        datasets = {
            setting["slug"]: {key: setting.get("dataset", plan["dataset"])[key] for key in ("path", "fingerprint")}
            for setting in plan["settings"]
        }
        return BenchmarkFolder(folder, scores, tuple(plan["seeds"]), datasets)


def figure_titles() -> dict[str, str]:
    """The headline scores that a figure has a panel for: path in a result -> what it is called."""
    return {path: headline.title for path, headline in all_headlines().items() if headline.title}


def letters(modalities: Collection[str]) -> str:
    """(text, visual) -> T+V, in the paper's order."""
    return "+".join(letter for modality, letter in LETTERS.items() if modality in modalities)


def means_and_sds(systems: Sequence[SystemScores | None], path: str) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations over the seeds under the protocol clean, both (system,); NaN where undefined."""
    nan = float("nan")
    means = [nan if system is None else system.mean("clean", path) for system in systems]
    sds = [nan if system is None else system.sd("clean", path) for system in systems]
    return np.array(means), np.array(sds)


def number_at(part: Mapping[str, Any] | None, path: str) -> float:
    """The number at a path of keys joined by dots; NaN where there is none."""
    found = value_at(part, path)
    return float("nan") if found is None else float(found)
