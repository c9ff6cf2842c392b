"""Errors on the command line. An error prints one line and sets an exit code; a traceback is shown only on request."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

import typer

from mien.cli.interrupt import MESSAGE
from mien.cli.progress import print_message
from mien.errors import MienError, SettingsError, UsageError

FAILED = 1
WRONG_USAGE = 2

P = ParamSpec("P")
R = TypeVar("R")
_debug = {"on": False}


def set_debug(on: bool) -> None:
    """Set whether errors of commands show tracebacks."""
    _debug["on"] = on


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that an exception prints one line on standard error and sets the exit code."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (UsageError, SettingsError) as error:
            raise _exit_with_message(error, str(error), WRONG_USAGE) from error
        except MienError as error:
            raise _exit_with_message(error, str(error), FAILED) from error
        except KeyboardInterrupt as error:
            raise _exit_with_message(error, MESSAGE, FAILED) from error
        except BrokenPipeError as error:
            raise _exit_with_message(error, "", FAILED) from error
        except typer.Exit:
            raise
        except Exception as error:
            text = f"Expected this to work, but got {type(error).__name__}: {error}; run again with mien --debug"
            raise _exit_with_message(error, text, FAILED) from error

    return wrapper


def report_failures(failures: Mapping[str, str]) -> None:
    """Print one line on standard error per failure, and exit with code 1 if there is any failure.

    Args:
        failures: Name of the video or run that failed -> reason.
    """
    for name, reason in failures.items():
        print_message(f"mien: {name}: {reason}")
    if failures:
        raise typer.Exit(FAILED)


def _exit_with_message(error: BaseException, text: str, code: int) -> typer.Exit:
    if _debug["on"]:
        raise error
    if text:
        print_message(f"mien: {text}")
    return typer.Exit(code)
