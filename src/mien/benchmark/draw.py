"""Draw the figures of a finished benchmark into its folder `figures`.

`FIGURES` lists them. Each entry has a function that takes a `BenchmarkView` and returns the figure, or the reason why
there is none. This module imports matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from mien.benchmark.figures import paper, systems
from mien.benchmark.finished import BenchmarkFolder, open_benchmark
from mien.benchmark.view import BenchmarkView, OmittedFigure, VideoAttention
from mien.commands.reading import read_split
from mien.errors import DataError, UnknownNameError
from mien.printable import printable
from mien.reports import reliability
from mien.reports.style import FORMATS, write_figure
from mien.reports.table_formats import seeds_text
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import atomic_file
from mien.storage.runs import open_run
from mien.storage.split_columns import SplitColumns
from mien.training.predictor import load_predictor


@dataclass(frozen=True)
class FigureEntry:
    """One figure: the function that draws it, and a description."""

    draw: Callable[[BenchmarkView], Figure | OmittedFigure]
    shows: str


def _attention_figure(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Draw the attention weights in `benchmark.attention`, or return the reason why there are none."""
    video = benchmark.attention
    return video if isinstance(video, OmittedFigure) else paper.attention_maps(video)


def _reliability_figure(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Draw the reliability diagrams of the reference system, one per labelled output.

    If no diagram can be drawn, return the reason.
    """
    runs = benchmark.reference_runs
    if not runs:
        return OmittedFigure(f"the reference {benchmark.reference} has no predictions")
    heading = f"{benchmark.reference} on {benchmark.dataset}, {benchmark.part}, epoch chosen on valid"
    data = reliability.reliability_of_runs(f"{heading}, {seeds_text([len(runs)])}", [run.predictions for run in runs])
    return reliability.draw_reliability(data) if data.curves else OmittedFigure("the split has no labels")


FIGURES: dict[str, FigureEntry] = {
    "figure2-joint-vs-single": FigureEntry(
        paper.joint_vs_single,
        "joint against single-task learning per input set and headline score (the paper's Figure 2)",
    ),
    "figure3-attention": FigureEntry(
        _attention_figure,
        "which utterances of one video are attended to, per pair of modalities (the paper's Figure 3)",
    ),
    "per-emotion": FigureEntry(
        systems.per_emotion,
        "weighted accuracy and weighted F1 of every emotion and system, against the constant predictor",
    ),
    "reliability": FigureEntry(
        _reliability_figure, "whether the reference's probabilities mean what they say, for sentiment and every emotion"
    ),
    "prediction-counts": FigureEntry(
        paper.prediction_counts, "how often each emotion is predicted, jointly and alone, against how often it is there"
    ),
    "seed-spread": FigureEntry(
        systems.seed_spread, "the headline scores of every seed of every system, with video-bootstrap intervals"
    ),
    "protocol-gap": FigureEntry(
        systems.protocol_gap, "every system under clean, fixed and released; released is an upper bound, not a result"
    ),
}


FOLDER = "figures"
README = "README.md"
CHOSEN_BY_RULE = "chosen by rule: of median length"


def write_benchmark_figures(
    folder: Path, *, video: str | None = None, dataset: str | Path | None = None
) -> dict[str, list[Path]]:
    """Draw every figure that a finished benchmark allows, as SVG, PDF and PNG, into its folder `figures`.

    Older files of a figure that cannot be drawn now are deleted.

    Args:
        folder: Folder of the benchmark, with plan.json, results.json and the runs.
        video: Id of the video in the attention figure; if None, `median_video` chooses the video.
        dataset: Folder of the benchmark's Dataset, if it was moved. If None, the path in plan.json is used.

    Returns:
        Name of each drawn figure -> its files. `figures/README.md` gives the reason for each omitted figure.

    Raises:
        DataError: The folder is no finished benchmark, or `dataset` is not the Dataset that the benchmark used.
        UnknownNameError: The split has no such video.
        WriteError: A file cannot be written.
    """
    opened = open_benchmark(folder)
    scored = opened.scores
    runs = [run for each in scored.systems if each.name == scored.reference for run in opened.seed_runs(each.slug)]
    benchmark = replace(scored, reference_runs=tuple(runs), attention=_attention_of_benchmark(opened, video, dataset))
    written: dict[str, list[Path]] = {}
    reasons: dict[str, str] = {}
    for name, entry in FIGURES.items():
        figure = entry.draw(benchmark)
        if isinstance(figure, OmittedFigure):
            reasons[name] = figure.reason
            for ending in FORMATS:
                (opened.folder / FOLDER / f"{name}.{ending}").unlink(missing_ok=True)
        else:
            written[name] = write_figure(opened.folder / FOLDER, name, figure)
    _write_figures_readme(opened.folder / FOLDER / README, benchmark, written, reasons)
    return written


def write_attention_figure(
    run: str | Path, folder: Path, *, video: str | None = None, dataset: str | Path | None = None, split: str = "test"
) -> list[Path]:
    """Draw one run's attention for one video (the paper's Figure 3) into `folder`, as SVG, PDF and PNG.

    Args:
        run: Folder of a finished run whose model has attention between the utterances of a video.
        folder: Folder to write `figure3-attention.*` into.
        video: Id of the video; if None, `median_video` chooses the video.
        dataset: Folder of the Dataset; if None, the Dataset that the run was trained on.
        split: Split that contains the video.

    Returns:
        Paths of the files.

    Raises:
        DataError: The run has no attention, or the video has a single utterance.
        UnknownNameError: The split has no such video.
        WriteError: A file cannot be written.
    """
    opened = open_dataset(dataset or open_run(run).dataset["path"])
    weights = video_attention(run, opened, split, video)
    if isinstance(weights, OmittedFigure):
        raise DataError(f"Expected attention weights of {run} to draw, but got none: {weights.reason}")
    return write_figure(folder, "figure3-attention", paper.attention_maps(weights))


def video_attention(
    run: str | Path, dataset: Dataset, split: str = "test", video: str | None = None
) -> VideoAttention | OmittedFigure:
    """Compute one run's attention weights for one video.

    Args:
        run: Folder of a finished run.
        dataset: Dataset with the features of the run's inputs.
        split: Split that contains the video.
        video: Id of the video; if None, `median_video` chooses the video.

    Returns:
        The weights. If the video has a single utterance, or the model has no attention between utterances, the reason
        is returned instead.

    Raises:
        UnknownNameError: The split has no such video.
    """
    opened = open_run(run)
    predictor = load_predictor(opened)
    columns = read_split(dataset, split, opened)
    if video is not None and video not in columns.video_ids:
        raise UnknownNameError(f"the video of the split {split}", video, columns.video_ids)
    video_id = video or median_video(columns)
    number = columns.video_ids.index(video_id)
    if columns.lengths[number] < 2:
        return OmittedFigure(f"the video {video_id} has one utterance, so there is no context to attend to")
    maps = predictor.attention(columns).get(video_id, {})
    if not maps:
        return OmittedFigure(f"{opened.model} has no attention over the utterances of a video")
    return VideoAttention(
        video_id=video_id,
        utterances=tuple(columns.index[columns.offsets[number] : columns.offsets[number + 1]].tolist()),
        maps=maps,
        system=f"{opened.model} {'+'.join(opened.inputs)} {'+'.join(opened.tasks)}",
        seed=opened.seed,
        dataset=dataset.facts.name,
        split=split,
        chosen_by="" if video else CHOSEN_BY_RULE,
    )


def median_video(columns: SplitColumns) -> str:
    """Return the id of the video with the median number of utterances. This rule prevents a biased choice.

    Videos with equally many utterances are ordered by id. If two videos are in the middle, the first one is returned.
    """
    ordered = sorted(zip(columns.lengths.tolist(), columns.video_ids, strict=True))
    return ordered[(len(ordered) - 1) // 2][1]


def _attention_of_benchmark(
    opened: BenchmarkFolder, video: str | None, dataset: str | Path | None
) -> VideoAttention | OmittedFigure:
    """Compute the attention weights of the reference system, from the run with its first seed.

    If the reference has no attention, the first system in the plan that has attention takes its place. Return the
    reason if no system has attention.
    """
    scored = opened.scores
    reason: OmittedFigure = OmittedFigure("no system has predictions")
    for system in sorted(scored.systems, key=lambda system: system.name != scored.reference):
        seeds = opened.seeds_of(system.slug)
        if not seeds:
            continue
        try:
            run, data = opened.first_run(system.slug, seeds[0], dataset)
        except DataError as error:
            # if the caller named neither a video nor a Dataset, a missing Dataset only omits this figure
            if video is not None or dataset is not None:
                raise
            return OmittedFigure(str(error))
        weights = video_attention(run, data, opened.split, video)
        if not isinstance(weights, OmittedFigure):
            return replace(weights, system=system.name)
        reason = weights
    several = len(scored.systems) > 1
    return OmittedFigure("no system attends over the utterances of a video") if several else reason


def _write_figures_readme(
    path: Path, benchmark: BenchmarkView, written: Mapping[str, list[Path]], reasons: Mapping[str, str]
) -> None:
    lines = [f"# Figures: {benchmark.dataset}, {benchmark.part}", ""]
    lines += [f"- `{name}`: {FIGURES[name].shows}" for name in written]
    if reasons:
        lines += ["", "Left out:", "", *(f"- `{name}`: {reason}" for name, reason in reasons.items())]
    with atomic_file(path) as aside:
        aside.write_text(printable("\n".join(lines)) + "\n", encoding="utf-8")
