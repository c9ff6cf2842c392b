"""`mien import` and `mien describe`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.guard import guarded
from mien.cli.options import Carve, Json, Mapping, RenameSplit, one_object, parse_shares, print_json
from mien.settings import parse_pairs


@dataclass(frozen=True)
class ImportCall:
    """What the command line says to `mien import`."""

    reader: Annotated[
        str, typer.Argument(help="table, arrays, npz, csd, mmsa, mult, meld or planted; see: mien readers")
    ]
    out: Annotated[Path, typer.Option(help="Folder of the Dataset; an old Dataset there is replaced.")]
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="SRC...", help="The files to read or their folder; planted: none.")
    ] = None
    text: Annotated[
        str | None, typer.Option(metavar="EXTRACTOR", help="Text features from the transcripts; see: mien extractors")
    ] = None
    mapping: Mapping = None
    rename_split: RenameSplit = None
    carve: Carve = None
    carve_seed: Annotated[int, typer.Option(min=0, help="Which videos are carved.")] = 0
    words: Annotated[
        bool | None, typer.Option("--words/--no-words", help="Keep word vectors. Default: where the data set has them.")
    ] = None
    name: Annotated[str | None, typer.Option(help="Name of the Dataset; default: the folder's.")] = None
    workers: Annotated[int, typer.Option(min=1, help="Processes that read videos side by side; csd only.")] = 1
    json: Json = False


@guarded
@one_object(ImportCall)
def import_(call: ImportCall) -> None:
    """Read a published data set into a Dataset; everything dropped or mended is counted."""
    from mien.cli import progress, render_dataset
    from mien.commands.import_ import ImportOptions, import_dataset
    from mien.storage.describe import describe as describe_dataset

    options = ImportOptions(
        text=call.text,
        mapping=parse_pairs(call.mapping or []),
        rename_splits=parse_pairs(call.rename_split or []),
        carve=parse_shares(call.carve),
        carve_seed=call.carve_seed,
        words=call.words,
        name=call.name,
        workers=call.workers,
    )
    with progress.counting(f"import {call.reader}") as advance:
        dataset = import_dataset(call.reader, call.paths or [], call.out, options, advance)
    description = describe_dataset(dataset)
    if call.json:
        print_json(description)
    else:
        render_dataset.show_import(description)


@guarded
def describe(
    dataset: Annotated[Path, typer.Argument(help="Folder of a Dataset.")],
    json: Json = False,
) -> None:
    """Counts, label distributions, missing modalities, leakage between splits, feature spaces."""
    from mien.cli import render_dataset
    from mien.storage.dataset import open_dataset
    from mien.storage.describe import describe as describe_dataset

    description = describe_dataset(open_dataset(dataset))
    if json:
        print_json(description)
    else:
        render_dataset.show_description(description)
