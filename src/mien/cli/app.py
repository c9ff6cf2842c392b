"""The commands of `mien`.

``--plugin MODULE``: modules of the user's own that add lines to the plug-in tables, for one call.

Only a module named on this very call is imported: opening somebody's run never runs code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import benchmark, data, listing, runs, video
from mien.cli.guard import guarded, set_debug
from mien.cli.options import Json
from mien.errors import UsageError
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
app.command("diagnose")(runs.diagnose)
app.command("predict")(runs.predict)
app.command("export")(runs.export)
app.command("benchmark")(benchmark.benchmark)
app.command("extract")(video.extract)
app.command("analyze")(video.analyze)
app.command("models")(listing.models)
app.command("extractors")(listing.extractors)
app.command("readers")(listing.readers)


@app.callback(invoke_without_command=True)
def global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Import a module of yours that adds systems, see docs/extending.md."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """What a person on video feels, utterance by utterance: sentiment and six emotions."""
    set_debug(debug)
    import_plugins(plugin or [])
    if version:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.command()
@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Folder for report.html and the other outputs.")] = Path("mien-demo"),
    json: Json = False,
) -> None:
    """The main job on what ships with the package: a short clip in, a report out."""
    from mien.cli import progress, render
    from mien.cli.options import print_json
    from mien.video.analysis_json import to_json
    from mien.video.demo import demo as run_demo

    analysis = run_demo(out, progress.say)
    if json:
        print_json({"analyses": [to_json(analysis)], "failed": {}})
    else:
        render.show_demo(analysis, out)


def main() -> None:
    """Entry point of the command line."""
    app()


@guarded
def import_plugins(names: Sequence[str]) -> None:
    """Import each module, also from the current folder. Raises UsageError when there is none of that name."""
    if names and "" not in sys.path:
        sys.path.insert(0, "")
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"Expected a module to import for --plugin {name}, but got: {error}; run the command in the folder of "
                f"{name.partition('.')[0]}.py, or install it"
            ) from error
