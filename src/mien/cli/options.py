"""Options that several commands share, and functions to parse their values and print results."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections import abc
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from mien.errors import UnknownNameError, UsageError
from mien.settings import parse_pairs

CallT = TypeVar("CallT")
NameT = TypeVar("NameT", bound=str)

EngineName = Annotated[str, typer.Option("--engine", help="Where to work: local, dask or ray; see docs/cluster.md.")]
EngineAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Of a running Dask or Ray cluster; without it one is started on this machine for as long as it is needed.",
    ),
]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field. Repeatable.")
]
RenameSplit = Annotated[
    list[str] | None, typer.Option(metavar="OLD=NEW", help="Give a split another role (or =none). Repeatable.")
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME=COLUMN:KIND[:VALUES]",
        help="Labels of your own. COLUMN: of a CSV, or an array or key. KIND: score, ordinal, classes or multilabel. "
        "VALUES: LOW..HIGH or a,b,c. Repeatable.",
    ),
]
Carve = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=SHARE", help="Carve whole videos from train, e.g. valid=0.1. Repeatable."),
]
Unit = Annotated[
    str | None,
    typer.Option(
        metavar="video|utterance|id",
        help="What an id such as talk_3 stands for: utterance 3 of a video (video), a video (id). utterance: makes "
        "every utterance a video of its own, without context.",
    ),
]
SpeechModel = Annotated[
    str,
    typer.Option(
        metavar="NAME|FOLDER",
        help="Of recognition: tiny, base, small, medium or large-v3, or a CTranslate2 folder. Default: tiny.en for "
        "English; base, where it is installed, for other languages.",
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        metavar="CODE", help="Language of the words, such as en, fr or pl. Default: it is identified in the speech."
    ),
]
AudioTrack = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Sound track, from 1. Default: the one that players take, or with speech."),
]
TrustModel = Annotated[
    bool,
    typer.Option("--trust-model", help="Open model files without a recorded sha256; see docs/security.md."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; see: mien models. Repeatable.")
]


def one_object(kind: type[CallT]) -> Callable[[Callable[[CallT], None]], Callable[..., None]]:
    """Return a decorator for a command that takes one object of a dataclass instead of many parameters.

    Every field of the dataclass becomes an argument or option of the command.
    """
    hints = get_type_hints(kind, include_extras=True)

    def decorate(function: Callable[[CallT], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**values: Any) -> None:
            function(kind(**values))

        parameters = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in dataclasses.fields(kind)  # type: ignore[arg-type]  # bound to dataclasses by its only users
        ]
        vars(command)["__signature__"] = inspect.Signature(parameters)
        command.__annotations__ = hints
        return command

    return decorate


def print_json(facts: Any) -> None:
    """Print a result as one JSON object on standard output."""
    from mien.storage.files import to_json_text

    sys.stdout.write(to_json_text(facts) + "\n")


def print_result(as_json: bool, facts: Any, show: Callable[[], None]) -> None:
    """Print a result as JSON or as text.

    Args:
        as_json: Whether to print one JSON object.
        facts: Result as JSON values.
        show: Function that prints the result as text.
    """
    if as_json:
        print_json(facts)
    else:
        show()


def parse_shares(pairs: list[str] | None) -> dict[str, float]:
    """Parse ``["valid=0.1"]`` into ``{"valid": 0.1}``. Raises UsageError if a share is not a number."""
    try:
        return {name: float(value) for name, value in parse_pairs(pairs or []).items()}
    except ValueError:
        raise UsageError(f"Expected --carve NAME=SHARE with a number, but got {', '.join(pairs or [])}") from None


def parse_rates(text: str) -> tuple[float, ...]:
    """Parse ``"0.05,0.1"`` into ``(0.05, 0.1)``, and an empty text into ``()``.

    Raises:
        UsageError: A part of the text is not a number.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"Expected --word-errors as numbers like 0.05,0.1, but got {text!r}") from None


def parse_names(
    kind: str, text: str | None, known: Iterable[NameT], aliases: abc.Mapping[str, NameT] | None = None
) -> tuple[NameT, ...]:
    """Parse a comma-separated list of names, such as ``"text,visual"``.

    Args:
        kind: What the names stand for, such as "task"; used in the error message.
        text: Names, separated by commas. Duplicates count once. If None, the result is empty.
        known: Allowed names.
        aliases: Other names, case-insensitive -> member of `known`.

    Returns:
        Members of `known`, in the order of the text, each once.

    Raises:
        UnknownNameError: A name is not in `known`.
    """
    names = dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip())
    by_name = {str(each): each for each in known}
    others = aliases or {}
    for name in names:
        if name not in by_name and name.lower() not in others:
            raise UnknownNameError(kind, name, by_name)
    members = (by_name[name] if name in by_name else others[name.lower()] for name in names)
    return tuple(dict.fromkeys(members))
