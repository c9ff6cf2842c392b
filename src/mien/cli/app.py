"""The commands of `mien`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from mien.cli import benchmark, data, listing, runs, video
from mien.cli.guard import guarded, set_debug
from mien.cli.options import Json
from mien.version import __version__

app = typer.Typer(
    name="mien",
    help="What a person on video feels, utterance by utterance: sentiment and six emotions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("import")(data.import_)
app.command("describe")(data.describe)
app.command("train")(runs.train)
app.command("evaluate")(runs.evaluate)
app.command("compare", cls=runs.CompareCommand)(runs.compare)
app.command("benchmark")(benchmark.benchmark)
app.command("extract")(video.extract)
app.command("analyze")(video.analyze)
app.command("models")(listing.models)
app.command("extractors")(listing.extractors)
app.command("sources")(listing.sources)


@app.callback(invoke_without_command=True)
def global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """What a person on video feels, utterance by utterance: sentiment and six emotions."""
    set_debug(debug)
    if version:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.command()
@guarded
def demo(json: Json = False) -> None:
    """Run the main job on what ships with the package: today a planted set, with and without context."""
    from mien.cli import progress, render
    from mien.cli.options import print_json
    from mien.workflows.demo import SETTINGS
    from mien.workflows.demo import demo as run_demo

    with ExitStack() as stack:
        reports: dict[str, progress.EpochReport] = {}

        def report(arm: str, record: dict[str, float]) -> None:
            if arm not in reports:
                stack.close()
                reports[arm] = stack.enter_context(progress.epochs(arm, int(str(SETTINGS["epochs"]))))
            reports[arm](record)

        result = run_demo(report)
    if json:
        print_json({"with_context": result.with_context.summary, "without_context": result.without_context.summary})
    else:
        render.show_demo(result)


def main() -> None:
    """Entry point of the command line."""
    app()
