"""The command `mien`: its global options, and the commands that list models, extractors and readers.

``--plugin MODULE`` imports a user's module that adds entries to the plug-in tables, for one call. Only modules named in
this call are imported: opening a run never runs code.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mien.cli import experiments, video
from mien.cli.doctor import doctor
from mien.cli.guard import guarded, set_debug
from mien.cli.options import Json, print_json
from mien.errors import UnknownNameError, UsageError
from mien.limits import set_limits
from mien.printable import printable
from mien.settings import parse_pairs
from mien.version import __version__

# class of all errors of the parser; it has no public name in typer, which contains its own copy of click
WrongCommandLine: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="mien",
    help="What a person on video feels, utterance by utterance: sentiment and six emotions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("import")(experiments.import_)
app.command("describe")(experiments.describe)
app.command("train")(experiments.train)
app.command("evaluate")(experiments.evaluate)
app.command("compare", cls=experiments.CompareCommand)(experiments.compare)
app.command("diagnose")(experiments.diagnose)
app.command("predict")(experiments.predict)
app.command("export")(experiments.export)
app.command("benchmark")(experiments.benchmark)
app.command("extract")(video.extract)
app.command("analyze")(video.analyze)
app.command("demo")(video.demo)
app.command("doctor")(doctor)


@app.callback(invoke_without_command=True)
def global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Import a module of yours that adds systems, see docs/extending.md."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Change a limit for foreign files, see docs/security.md."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Apply the options that precede the name of a command: tracebacks, plug-ins, limits, and the version."""
    set_debug(debug)
    guarded(set_limits)(parse_pairs(limit or []))
    import_plugins(plugin or [])
    if version:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.command()
@guarded
def models(json: Json = False) -> None:
    """List the systems for `mien train --model`, with their settings."""
    from mien.models import MODELS
    from mien.models.classical.base import ClassicalEntry
    from mien.task_kinds import TASK_KINDS
    from mien.tasks import PAPER_TASKS
    from mien.training.train_settings import TrainSettings

    rows: dict[str, dict[str, Any]] = {
        name: {
            "description": entry.description,
            "citation": entry.citation,
            "kind": "classical" if isinstance(entry, ClassicalEntry) else "network",
            "experimental": entry.experimental,
            "reads": entry.input_kind.value,
            "inputs": list(entry.modalities),
            "tasks": list(entry.claimed(PAPER_TASKS)),
            "task_kinds": [kind for kind, row in TASK_KINDS.items() if entry.claims(row)],
            "settings": dataclasses.asdict(entry.settings),
            "training_defaults": dict(entry.training),
        }
        for name, entry in MODELS.items()
    }
    if json:
        print_json({"models": rows, "training_settings": dataclasses.asdict(TrainSettings())})
        return
    shown = {f"{name} (experimental)" if row["experimental"] else name: row for name, row in rows.items()}
    _show_listing("Models", shown, ("kind", "reads", "description", "citation"))
    _show_settings({"training loop": dataclasses.asdict(TrainSettings())} | {n: r["settings"] for n, r in rows.items()})


@app.command()
@guarded
def extractors(json: Json = False) -> None:
    """List the feature extractors, with what they need."""
    from mien.features.extractors import EXTRACTORS

    rows: dict[str, dict[str, Any]] = {
        modality.value: {
            name: {"description": entry.description, "citation": entry.citation, "needs": entry.needs}
            for name, entry in table.items()
        }
        for modality, table in EXTRACTORS.items()
    }
    if json:
        print_json(rows)
        return
    for modality, listed in rows.items():
        _show_listing(f"{modality.capitalize()} extractors", listed, ("description", "citation", "needs"))


@app.command()
@guarded
def readers(
    name: Annotated[str | None, typer.Argument(help="Reader to describe; without it, all are listed.")] = None,
    json: Json = False,
) -> None:
    """List the formats that `mien import` reads, or show one: its files, where they are had, licence, --map fields."""
    from mien.readers import READERS

    if name is not None and name not in READERS:
        raise UnknownNameError("a reader", name, READERS)
    rows: dict[str, dict[str, Any]] = {
        each: {
            "description": entry.description,
            "needs": entry.needs,
            "origin": entry.origin,
            "layout": entry.layout,
            "source": entry.source,
            "licence": entry.licence,
            "tested_on": entry.tested_on,
            "fields": {field: list(names) for field, names in entry.fields.items()},
            "takes_labels": entry.takes_labels,
        }
        for each, entry in READERS.items()
        if name in (None, each)
    }
    if json:
        print_json({"readers": rows})
    elif name is not None:
        _show_reader(name, rows[name])
    else:
        for row in rows.values():
            row["fields"] = ", ".join(f"{field}={tuple(names)}" for field, names in row["fields"].items())
        _show_listing("Readers", rows, ("description", "needs", "origin", "fields"))


def main() -> None:
    """Run the command line, and exit.

    Control characters are also escaped in the messages of the parser, in warnings and in tracebacks.
    """
    format_warning = warnings.formatwarning
    warnings.formatwarning = lambda *args, **options: printable(format_warning(*args, **options))
    try:
        sys.exit(app(standalone_mode=False))
    except WrongCommandLine as error:
        error.message = printable(error.message)
        error.show()
        sys.exit(error.exit_code)
    except Exception:  # only with --debug, see `guarded`
        sys.exit(printable(traceback.format_exc()))


@guarded
def import_plugins(names: Sequence[str]) -> None:
    """Import the modules with the given names; the current folder is searched last.

    Raises UsageError if a module does not exist.
    """
    current = os.getcwd()
    if names and current not in sys.path:
        sys.path.append(current)  # last, so that its files hide no installed module
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"Expected a module to import for --plugin {name}, but got: {error}; run the command in the folder of "
                f"{name.partition('.')[0]}.py, or install it"
            ) from error


def _show_listing(title: str, rows: dict[str, dict[str, Any]], keys: tuple[str, ...]) -> None:
    from rich.table import Table

    from mien.cli.terminal import PrintableConsole

    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("name", no_wrap=True)
    for header in keys:
        table.add_column(header)
    for name, row in rows.items():
        table.add_row(name, *(str(row[key]) for key in keys))
    PrintableConsole().print(table)


def _show_settings(groups: dict[str, dict[str, Any]]) -> None:
    from rich.text import Text

    from mien.cli.terminal import PrintableConsole

    console = PrintableConsole()
    for name, settings in groups.items():
        text = "  ".join(f"{key}={'none' if value is None else value}" for key, value in settings.items())
        console.print(Text.assemble((printable(name), "bold"), printable(f": {text}")))


def _show_reader(name: str, row: dict[str, Any]) -> None:
    fields = "\n".join(f"{field}: {', '.join(names) or 'only with --map'}" for field, names in row["fields"].items())
    parts = {
        "Reads": row["description"],
        "Files": row["needs"],
        "Layout": row["layout"],
        "Format from": row["origin"],
        "Data": row["source"],
        "Licence": row["licence"],
        "Tested on": row["tested_on"],
        "Fields of --map, and their values or the names that are found": fields or "none",
        "Labels of your own": "--label NAME=COLUMN:KIND[:VALUES]" if row["takes_labels"] else "none",
    }
    lines = [f"mien import {name}"]
    for title, text in parts.items():
        lines += [f"{title}:", *(f"  {line}" for line in text.splitlines())]
    for line in lines:
        typer.echo(printable(line))
