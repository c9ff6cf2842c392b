"""The cases of `mien benchmark`: where joint learning beats single-task learning, and the reverse (Table 8)."""

from __future__ import annotations

from pathlib import Path

from mien.evaluation import SeedRun, SingleRuns, find_cases
from mien.evaluation.cases import N_CASES
from mien.reports.cases import CasesReport, write_cases_csv, write_cases_md
from mien.schema import Task
from mien.tables import Dataset
from mien.workflows.benchmark_folder import BenchmarkFolder, open_benchmark

CASES_CSV, CASES_MD = "cases.csv", "cases.md"


def write_benchmark_cases(
    folder: Path, *, k: int = N_CASES, dataset: str | Path | None = None
) -> tuple[list[Path], str]:
    """Write cases.csv and cases.md of a finished benchmark, by the rule in `mien.evaluation.cases`.

    Compared are the reference and the same model on the same inputs trained for one task; if the reference has no such
    partner, the family with the most inputs that has one. Only seeds that all of them have are used.

    Args:
        folder: of the benchmark.
        k: how many utterances to list each way.
        dataset: where the benchmark's Dataset is now, if not where the plan says; it has the transcripts.

    Returns:
        The files and an empty text; or no file and the reason.

    Raises:
        DataError: no benchmark, or not its Dataset.
        WriteError: the system refuses.
    """
    opened = open_benchmark(folder)
    family = opened.scores.reference_family()
    if family is None or family.joint is None or not family.single:
        return [], "no system was trained both for the two tasks together and for one of them alone"
    systems = {"joint": family.joint, **family.single}
    seeds = [seed for seed in opened.seeds if all(seed in opened.seeds_of(s.slug) for s in systems.values())]
    if not seeds:
        return [], "no seed was finished both jointly and alone"
    runs: dict[str, tuple[SeedRun, ...]] = {
        name: opened.seed_runs(system.slug, seeds) for name, system in systems.items()
    }
    single = SingleRuns(runs.get(Task.EMOTION, ()), runs.get(Task.SENTIMENT, ()))
    data = opened.open_dataset(family.joint.slug, dataset)
    report = CasesReport(
        find_cases(runs["joint"], single, k),
        family.joint.name,
        tuple(system.name for system in family.single.values()),
        f"{data.facts.name}, {opened.split} split",
        _transcripts(data, opened),
    )
    paths = [opened.folder / CASES_CSV, opened.folder / CASES_MD]
    write_cases_csv(paths[0], report)
    write_cases_md(paths[1], report)
    return paths, ""


def _transcripts(dataset: Dataset, opened: BenchmarkFolder) -> dict[tuple[str, int], str]:
    rows = dataset.table(["video_id", "index", "split", "transcript"]).to_pydict()
    return {
        (video, index): transcript or ""
        for video, index, split, transcript in zip(
            rows["video_id"], rows["index"], rows["split"], rows["transcript"], strict=True
        )
        if split == opened.split
    }
