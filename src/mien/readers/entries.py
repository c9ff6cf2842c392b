"""Entries of the table of readers, whose modules are loaded when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

from mien.readers.base import ReaderOptions, SourceDataSet

Opener = Callable[[Sequence[Path], ReaderOptions], SourceDataSet]


def opener_at(place: str, *arguments: Any) -> Opener:
    """Return a function that opens data sets, and whose module is loaded only when it is called.

    Args:
        place: Module and function, such as "mien.readers.table:open_table".
        arguments: Arguments of the function before the paths and the options.

    Returns:
        Function of the paths and the options.
    """

    def open_source(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
        return cast(SourceDataSet, resolve_name(place)(*arguments, paths, options))

    return open_source


@dataclass(frozen=True, slots=True)
class ReaderEntry:
    """Entry of the table of readers: the function that opens data sets of one format, and a description for users."""

    open: Opener
    description: str
    needs: str
    # software or publication that the format comes from
    origin: str
    # what the files look like, with an example; several lines
    layout: str = ""
    # where the data set can be had, and its terms of use
    source: str = ""
    licence: str = ""
    # the files on which the reader was tested: published ones, or files rebuilt in the layout
    tested_on: str = ""
    # For each field that `ReaderOptions.mapping` may set: names to look for in the file, in this order. A generator has
    # options instead: option -> its values, the default first.
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # False for a generator, which makes its videos instead of reading files
    takes_files: bool = True
    # whether the user may name columns with labels of other kinds
    takes_labels: bool = False
    # whether ids of utterances can be given in place of ids of videos, see `Unit.VIDEO`
    takes_utterance_ids: bool = False
