"""`mien models`, `mien extractors` and `mien readers`: what there is, with citation and needs."""

from __future__ import annotations

import dataclasses
from typing import Any

from mien.cli.guard import guarded
from mien.cli.options import Json, print_json


@guarded
def models(json: Json = False) -> None:
    """Systems that `mien train --model` knows, with their settings."""
    from mien.models import MODELS
    from mien.models.classical.base import ClassicalEntry
    from mien.training.settings import TrainSettings

    rows: dict[str, dict[str, Any]] = {
        name: {
            "description": entry.description,
            "citation": entry.citation,
            "kind": "classical" if isinstance(entry, ClassicalEntry) else "network",
            "experimental": entry.experimental,
            "reads": entry.reads.value,
            "inputs": list(entry.modalities),
            "tasks": list(entry.tasks),
            "settings": dataclasses.asdict(entry.settings),
            "training_defaults": dict(entry.training),
        }
        for name, entry in MODELS.items()
    }
    if json:
        print_json({"models": rows, "training_settings": dataclasses.asdict(TrainSettings())})
        return
    shown = {f"{name} (experimental)" if row["experimental"] else name: row for name, row in rows.items()}
    _show("Models", shown, ("kind", "reads", "description", "citation"))
    _show_settings({"training loop": dataclasses.asdict(TrainSettings())} | {n: r["settings"] for n, r in rows.items()})


@guarded
def extractors(json: Json = False) -> None:
    """Feature extractors, with what they need."""
    from mien.features import ACOUSTIC_EXTRACTORS, TEXT_EXTRACTORS, VISUAL_EXTRACTORS

    tables = {"text": TEXT_EXTRACTORS, "acoustic": ACOUSTIC_EXTRACTORS, "visual": VISUAL_EXTRACTORS}
    rows = {
        modality: {
            name: {"description": entry.description, "citation": entry.citation, "needs": entry.needs}
            for name, entry in table.items()
        }
        for modality, table in tables.items()
    }
    if json:
        print_json(rows)
        return
    for modality, listed in rows.items():
        _show(f"{modality.capitalize()} extractors", listed, ("description", "citation", "needs"))


@guarded
def readers(json: Json = False) -> None:
    """Formats that `mien import` reads, with the fields that --map can place."""
    from mien.readers import READERS

    rows: dict[str, dict[str, Any]] = {
        name: {
            "description": entry.description,
            "needs": entry.needs,
            "origin": entry.origin,
            "fields": dict(entry.fields),
        }
        for name, entry in READERS.items()
    }
    if json:
        print_json({"readers": rows})
        return
    for row in rows.values():
        row["fields"] = ", ".join(f"{field}={column}" for field, column in row["fields"].items())
    _show("Readers", rows, ("description", "needs", "origin", "fields"))


def _show(title: str, rows: dict[str, dict[str, Any]], keys: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("name", no_wrap=True)
    for header in keys:
        table.add_column(header)
    for name, row in rows.items():
        table.add_row(name, *(str(row[key]) for key in keys))
    # needs such as mien[offline] are no markup
    Console(highlight=False, markup=False).print(table)


def _show_settings(groups: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for name, settings in groups.items():
        text = "  ".join(f"{key}={'none' if value is None else value}" for key, value in settings.items())
        console.print(f"[bold]{name}[/]: {text}")
