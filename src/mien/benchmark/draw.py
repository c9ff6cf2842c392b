"""The figures of `mien benchmark`: a finished benchmark folder -> pictures in its `figures` folder.

Every figure has a function that draws it from a `BenchmarkView`, or says why there is none; `FIGURES` lists them.
Importing this loads matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from mien.benchmark.figures import paper, systems
from mien.benchmark.view import BenchmarkFolder, BenchmarkView, OmittedFigure, VideoAttention, open_benchmark
from mien.commands.reading import read_split
from mien.errors import DataError, UnknownNameError
from mien.reports import reliability
from mien.reports.style import write_figure
from mien.reports.table_formats import seeds_text
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import atomic_file
from mien.storage.runs import open_run
from mien.storage.split_columns import SplitColumns
from mien.training.predictor import load_predictor


@dataclass(frozen=True)
class FigureEntry:
    """One figure: how it is drawn, and what it shows."""

    draw: Callable[[BenchmarkView], Figure | OmittedFigure]
    shows: str


def _attention(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Of the video that `write_benchmark_figures` asked a run about."""
    video = benchmark.attention
    return video if isinstance(video, OmittedFigure) else paper.attention_maps(video)


def _reliability_of_reference(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Every output of the reference that the split has labels for."""
    runs = benchmark.reference_runs
    if not runs:
        return OmittedFigure(f"the reference {benchmark.reference} has no predictions")
    heading = f"{benchmark.reference} on {benchmark.dataset}, {benchmark.split} split, epoch chosen on valid"
    data = reliability.reliability_of_runs(f"{heading}, {seeds_text([len(runs)])}", [run.predictions for run in runs])
    return reliability.draw_reliability(data) if data.curves else OmittedFigure("the split has no labels")


FIGURES: dict[str, FigureEntry] = {
    "figure2-joint-vs-single": FigureEntry(
        paper.joint_vs_single,
        "joint against single-task learning per input set and headline score (the paper's Figure 2)",
    ),
    "figure3-attention": FigureEntry(
        _attention,
        "which utterances of one video are attended to, per pair of modalities (the paper's Figure 3)",
    ),
    "per-emotion": FigureEntry(
        systems.per_emotion,
        "weighted accuracy and weighted F1 of every emotion and system, against the constant predictor",
    ),
    "reliability": FigureEntry(
        _reliability_of_reference,
        "whether the reference's probabilities mean what they say, for sentiment and every emotion",
    ),
    "prediction-counts": FigureEntry(
        paper.prediction_counts,
        "how often each emotion is predicted, jointly and alone, against how often it is there",
    ),
    "seed-spread": FigureEntry(
        systems.seed_spread,
        "the headline scores of every seed of every system, with video-bootstrap intervals",
    ),
    "protocol-gap": FigureEntry(
        systems.protocol_gap,
        "every system under clean, fixed and released; released is an upper bound, not a result",
    ),
}


FOLDER = "figures"
README = "README.md"
CHOSEN_BY_RULE = "chosen by rule: of median length"


def write_benchmark_figures(
    folder: Path, *, video: str | None = None, dataset: str | Path | None = None
) -> dict[str, list[Path]]:
    """Draw every figure that a finished benchmark allows, as SVG, PDF and PNG, into its folder `figures`.

    Args:
        folder: of the benchmark, with plan.json, results.json and the runs.
        video: whose attention is drawn; default: see `median_video`.
        dataset: where the benchmark's Dataset is now, if not where the plan says.

    Returns:
        Figure -> its files. A figure that does not apply is not in it; `figures/README.md` says why.

    Raises:
        DataError: no benchmark, or not its Dataset.
        UnknownNameError: the split has no such video.
        WriteError: the system refuses.
    """
    opened = open_benchmark(folder)
    scored = opened.scores
    runs = [run for each in scored.systems if each.name == scored.reference for run in opened.seed_runs(each.slug)]
    benchmark = replace(scored, reference_runs=tuple(runs), attention=_attention_of(opened, video, dataset))
    written: dict[str, list[Path]] = {}
    reasons: dict[str, str] = {}
    for name, entry in FIGURES.items():
        figure = entry.draw(benchmark)
        if isinstance(figure, OmittedFigure):
            reasons[name] = figure.reason
            for stale in (opened.folder / FOLDER).glob(f"{name}.*"):
                stale.unlink()
        else:
            written[name] = write_figure(opened.folder / FOLDER, name, figure)
    _write_readme(opened.folder / FOLDER / README, benchmark, written, reasons)
    return written


def write_attention_figure(
    run: str | Path,
    folder: Path,
    *,
    video: str | None = None,
    dataset: str | Path | None = None,
    split: str = "test",
) -> list[Path]:
    """Draw one run's attention for one video (the paper's Figure 3) into `folder`, as SVG, PDF and PNG.

    Args:
        run: folder of a finished run whose network attends over the utterances of a video.
        folder: where to write `figure3-attention`.
        video: id of the video; default: see `median_video`.
        dataset: default: the one the run was trained on.
        split: of the video.

    Raises:
        DataError: the run has no attention, or the video a single utterance.
        UnknownNameError: the split has no such video.
    """
    opened = open_dataset(dataset or open_run(run).dataset["path"])
    weights = video_attention(run, opened, split, video)
    if isinstance(weights, OmittedFigure):
        raise DataError(f"Expected attention weights of {run} to draw, but got none: {weights.reason}")
    return write_figure(folder, "figure3-attention", paper.attention_maps(weights))


def video_attention(
    run: str | Path, dataset: Dataset, split: str = "test", video: str | None = None
) -> VideoAttention | OmittedFigure:
    """One run's attention weights for one video of a split. Raises UnknownNameError if there is no such video."""
    opened = open_run(run)
    predictor = load_predictor(opened)
    columns = read_split(dataset, split, opened)
    if video is not None and video not in columns.video_ids:
        raise UnknownNameError(f"the video of the split {split}", video, columns.video_ids)
    chosen = video or median_video(columns)
    at = columns.video_ids.index(chosen)
    if columns.lengths[at] < 2:
        return OmittedFigure(f"the video {chosen} has one utterance, so there is no context to attend to")
    maps = predictor.attention(columns).get(chosen, {})
    if not maps:
        return OmittedFigure(f"{opened.model} has no attention over the utterances of a video")
    return VideoAttention(
        video_id=chosen,
        utterances=tuple(columns.index[columns.offsets[at] : columns.offsets[at + 1]].tolist()),
        maps=maps,
        system=f"{opened.model} {'+'.join(opened.inputs)} {'+'.join(opened.tasks)}",
        seed=opened.seed,
        dataset=dataset.facts.name,
        split=split,
        chosen_by="" if video else CHOSEN_BY_RULE,
    )


def median_video(columns: SplitColumns) -> str:
    """The video of median length, so that nobody picks a pretty one: by utterances, then by id, the lower middle."""
    ordered = sorted(zip(columns.lengths.tolist(), columns.video_ids, strict=True))
    return ordered[(len(ordered) - 1) // 2][1]


def _attention_of(
    opened: BenchmarkFolder, video: str | None, dataset: str | Path | None
) -> VideoAttention | OmittedFigure:
    """Of the first seed of the reference, or where that does not attend, of the first system of the plan that does."""
    scored = opened.scores
    reason: OmittedFigure = OmittedFigure("no system has predictions")
    for system in sorted(scored.systems, key=lambda system: system.name != scored.reference):
        seeds = opened.seeds_of(system.slug)
        if not seeds:
            continue
        try:
            data = opened.open_dataset(system.slug, dataset)
        except DataError as error:
            # whoever names a video or a Dataset wants this figure; else the others can do without the data
            if video is not None or dataset is not None:
                raise
            return OmittedFigure(str(error))
        weights = video_attention(opened.run_folder(system.slug, seeds[0]), data, opened.split, video)
        if not isinstance(weights, OmittedFigure):
            return replace(weights, system=system.name)
        reason = weights
    several = len(scored.systems) > 1
    return OmittedFigure("no system attends over the utterances of a video") if several else reason


def _write_readme(
    path: Path, benchmark: BenchmarkView, written: Mapping[str, list[Path]], reasons: Mapping[str, str]
) -> None:

    lines = [f"# Figures: {benchmark.dataset}, {benchmark.split} split", ""]
    lines += [f"- `{name}`: {FIGURES[name].shows}" for name in written]
    if reasons:
        lines += ["", "Left out:", "", *(f"- `{name}`: {reason}" for name, reason in reasons.items())]
    with atomic_file(path) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
