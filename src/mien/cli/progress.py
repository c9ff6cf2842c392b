"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mien.printable import printable

if TYPE_CHECKING:
    from mien.video.progress import RecordingProgress

EpochReport = Callable[[dict[str, float]], None]
# Maximum number of plain lines from 0 to 100 per cent.
PLAIN_STEPS = 10
# seconds between two plain lines about the same stage of a recording
PLAIN_EVERY_S = 10.0
LINE_BREAK = re.compile(r"\s*\n\s*")


@contextmanager
def counter_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress as the number of items that are done.

    Yields:
        Function ``advance(done, total)`` to call after each item.
    """
    shown = 0
    with _bar(title) as update:

        def advance(done: int, total: int) -> None:
            nonlocal shown
            step = done * PLAIN_STEPS // max(total, 1)
            if update is not None:
                update(completed=done, total=total)
            elif step > shown:
                shown = step
                print_message(f"{title}: {done} of {total}")

        yield advance


@contextmanager
def item_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show progress through a few long items. Without a terminal, print one line per item.

    Yields:
        Function ``report(done, total, text)`` to call after each item; `text` describes this item.
    """
    with _bar(title) as update:

        def report(done: int, total: int, text: str) -> None:
            if update is not None:
                update(completed=done, total=total, description=printable(f"{title}  {text}"))
            else:
                print_message(f"{title}: {done} of {total}: {text}")

        yield report


@contextmanager
def recording_bar(title: str) -> Iterator[Callable[[RecordingProgress], None]]:
    """Show the progress of work on recordings: the recording, its stages, the share that is done, and the time left.

    Without a terminal, print one line when a stage begins or ends, and one line every `PLAIN_EVERY_S` in between.

    Args:
        title: Name of the command.

    Yields:
        Function to call with each `mien.video.progress.RecordingProgress`.
    """
    shown: tuple[str, tuple[str, ...]] | None = None
    shown_s = 0.0
    with _bar(title, 100, share=True) as update:

        def report(progress: RecordingProgress) -> None:
            nonlocal shown, shown_s
            if update is not None:
                update(completed=100 * progress.share, description=printable(progress.text))
                return
            running = tuple(stage for stage, share in progress.stages.items() if share is None or share < 1)
            now_s = time.monotonic()
            if (progress.recording, running) != shown or now_s - shown_s >= PLAIN_EVERY_S:
                shown, shown_s = (progress.recording, running), now_s
                print_message(f"{title}: {progress}")

        yield report


@contextmanager
def epoch_bar(title: str, n_epochs: int) -> Iterator[EpochReport]:
    """Show the progress of a training.

    On a terminal, a bar shows the validation score. Elsewhere, one line per epoch shows all values of the epoch.

    Args:
        title: Text before the progress.
        n_epochs: Maximum number of epochs.

    Yields:
        Function to call after each epoch with its values (name -> number).
    """
    with _bar(title, n_epochs) as update:

        def report(record: dict[str, float]) -> None:
            done = int(record["epoch"])
            if update is not None:
                update(completed=done, description=f"{title}  valid score {record['valid_score']:.4f}")
            else:
                scores = "  ".join(f"{name} {value:.4f}" for name, value in record.items() if name != "epoch")
                print_message(f"{title}: epoch {done} of {n_epochs}  {scores}")

        yield report


def print_message(text: str) -> None:
    """Write one line to standard error, with control characters as escapes."""
    sys.stderr.write(f"{LINE_BREAK.sub(' ', printable(text))}\n")
    sys.stderr.flush()


def print_note(text: str) -> None:
    """Write a message about doubtful data to standard error, as one line that begins with "mien: note:"."""
    print_message(f"mien: note: {text}")


@contextmanager
def _bar(title: str, total: int | None = None, *, share: bool = False) -> Iterator[Callable[..., None] | None]:
    """Show a progress bar if standard error is a terminal.

    Args:
        title: Text before the bar.
        total: Number of steps; None if it is not known yet.
        share: Whether to show the share that is done in per cent, instead of the number of steps.

    Yields:
        Function that updates the bar; None if standard error is not a terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TaskProgressColumn() if share else progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        yield partial(bar.update, bar.add_task(title, total=total))
