"""`mien train`, `mien evaluate` and `mien compare`.

`mien predict` and `mien export`: a trained system put to use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from mien.cli.guard import guarded
from mien.cli.options import Json, Set, one_object, parse_names, parse_rates, print_json
from mien.settings import parse_pairs

DatasetOption = Annotated[Path | None, typer.Option(help="Score another Dataset than the one each run was trained on.")]
SplitOption = Annotated[str, typer.Option(help="Split to score.")]
ResamplesOption = Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples of the video bootstrap; 0: none.")]


class CompareCommand(typer.core.TyperCommand):
    """Lets ``--with`` take several runs: ``compare A1 A2 --with B1 B2`` reads as ``--with B1 --with B2``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat ``--with`` before each word that follows it, up to the next option."""
        spread: list[str] = []
        in_list = False
        for word in args:
            if word.startswith("--"):
                in_list = word == "--with" or word.startswith("--with=")
            elif in_list and spread[-1] != "--with":
                spread.append("--with")
            spread.append(word)
        return super().parse_args(ctx, spread)


@dataclass(frozen=True)
class TrainCall:
    """What the command line says to `mien train`."""

    dataset: Annotated[Path, typer.Argument(help="Folder of a Dataset with train and valid splits.")]
    out: Annotated[Path, typer.Option(help="Folder of the Run.")]
    model: Annotated[str, typer.Option(help="See: mien models")] = "cim"
    inputs: Annotated[str | None, typer.Option(help="Comma-separated modalities; default: all there are.")] = None
    tasks: Annotated[
        str | None,
        typer.Option(help="Comma-separated: sentiment, emotion (the default), sentiment_intensity, emotion_intensity."),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bits (on CPU).")] = 0
    set_: Set = None
    settings: Annotated[Path | None, typer.Option(help="TOML file with settings; --set wins over it.")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False
    json: Json = False


@guarded
@one_object(TrainCall)
def train(call: TrainCall) -> None:
    """Train one system. Only train and valid are opened; a kill loses at most one epoch."""
    from mien.cli import progress, render
    from mien.commands.train import TrainRequest, choose_settings
    from mien.commands.train import train as run_training
    from mien.models import model_entry
    from mien.schema import Modality
    from mien.settings import read_toml
    from mien.tasks import TASKS
    from mien.training.devices import is_first_process

    chosen = (read_toml(call.settings) if call.settings else {}) | parse_pairs(call.set_ or [])
    inputs, tasks = parse_names("modality", call.inputs, Modality), parse_names("task", call.tasks, TASKS)
    request = TrainRequest(call.model, inputs, tasks, call.seed, chosen)
    training = choose_settings(request, model_entry(call.model))["training"]
    if not is_first_process(training.get("devices", 1)):
        # one of several processes that run this command: only the first one speaks
        run_training(call.dataset, call.out, request, resume=call.resume)
        return
    with progress.epochs(f"train {call.model} seed {call.seed}", training.get("epochs", 1)) as report:
        run = run_training(call.dataset, call.out, request, resume=call.resume, report=report)
    if call.json:
        print_json({"run": str(run.folder), **run.identity, **run.outcome})
    else:
        render.show_run(run)


@guarded
def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs, or shipped names.")],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    protocol: Annotated[str, typer.Option(help="clean, fixed or released (an upper bound).")] = "clean",
    bootstrap: ResamplesOption = 1000,
    json: Json = False,
) -> None:
    """Score runs on one split, with mean and s.d. over them and the trivial row beside them."""
    from mien.cli import progress, render
    from mien.commands.evaluate import evaluate as run_evaluation

    with progress.counting("evaluate") as advance:
        evaluation = run_evaluation(
            runs, dataset=dataset, split=split, protocol=protocol, n_resamples=bootstrap, advance=advance
        )
    if json:
        print_json(evaluation.summary)
    else:
        render.show_evaluation(evaluation.summary)


@guarded
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A...", help="Runs of system A, one per seed.")],
    against: Annotated[
        list[Path], typer.Option("--with", metavar="RUN_B", help="Runs of system B with the same seeds. Repeatable.")
    ],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    bootstrap: ResamplesOption = 1000,
    json: Json = False,
) -> None:
    """Is A better than B? Paired t-test over seeds, paired bootstrap over videos, Holm-corrected."""
    from mien.cli import render
    from mien.commands.evaluate import compare as run_comparison

    comparison = run_comparison(runs, against, dataset=dataset, split=split, n_resamples=bootstrap)
    if json:
        print_json(comparison.to_json())
    else:
        render.show_comparison(comparison)


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run, or a shipped name.")]


@guarded
def predict(
    run: RunArgument,
    dataset: Annotated[Path, typer.Option(help="Dataset to predict, of any size.")],
    out: Annotated[Path, typer.Option(help="The table of predictions, a Parquet file.")],
    split: Annotated[str | None, typer.Option(help="One split; default: every video.")] = None,
    json: Json = False,
) -> None:
    """Predict a corpus into one table, a few thousand utterances at a time: memory does not grow with it."""
    from mien.cli import progress, render
    from mien.commands.predict import predict as run_prediction

    with progress.counting("predict") as advance:
        predicted = run_prediction(run, dataset, out, split=split, advance=advance)
    if json:
        print_json(predicted.to_json())
    else:
        render.show_predicted(predicted)


@guarded
def export(
    run: RunArgument,
    onnx: Annotated[bool, typer.Option("--onnx", help="As an ONNX graph for onnxruntime.")] = False,
    out: Annotated[Path | None, typer.Option(help="The file; default: model.onnx in the run's folder.")] = None,
    json: Json = False,
) -> None:
    """Write a run as one file that needs neither mien nor torch; checked against torch before it is written."""
    from mien.cli import render
    from mien.commands.export import export as run_export
    from mien.errors import UsageError

    if not onnx:
        raise UsageError("Expected a format, but got none; say --onnx")
    exported = run_export(run, out)
    if json:
        print_json(exported.to_json())
    else:
        render.show_exported(exported)


@guarded
def diagnose(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Folders of runs that differ in their seed, or a shipped name."),
    ],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    word_errors: Annotated[
        str | None,
        typer.Option(
            metavar="RATES",
            help="Shares of words to put errors on; default: 0.05,0.1,0.2 where the text can be made anew.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Extractor of the text features, where they do not tell it themselves: glove:FILE."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for diagnosis.json, diagnosis.md and figures.")] = None,
    bootstrap: ResamplesOption = 1000,
    json: Json = False,
) -> None:
    """May this run's answers be trusted, and when? Calibration, thresholds, abstention, groups, word errors."""
    from mien.cli import progress
    from mien.cli.render_reports import show_diagnosis
    from mien.diagnosis.diagnose import diagnose as run_diagnosis

    with progress.counting("diagnose") as advance:
        diagnosis = run_diagnosis(
            runs,
            out,
            dataset=dataset,
            split=split,
            word_errors=None if word_errors is None else parse_rates(word_errors),
            text=text,
            n_resamples=bootstrap,
            advance=advance,
        )
    if json:
        print_json(diagnosis.summary)
    else:
        show_diagnosis(diagnosis.summary, out)
