"""`mien predict` and `mien export`: a trained system put to use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.guard import guarded
from mien.cli.options import Json, print_json

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
    from mien.workflows.predict import predict as run_prediction

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
    from mien.errors import UsageError
    from mien.workflows.export import export as run_export

    if not onnx:
        raise UsageError("Expected a format, but got none; say --onnx")
    exported = run_export(run, out)
    if json:
        print_json(exported.to_json())
    else:
        render.show_exported(exported)
