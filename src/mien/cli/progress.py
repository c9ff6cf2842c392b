"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

EpochReport = Callable[[dict[str, float]], None]
# Maximum number of plain lines from 0 to 100 per cent.
PLAIN_STEPS = 10


@contextmanager
def counter_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress as a count; yields ``advance(done, total)``."""
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
    """Show progress of few and long items, with a plain line each; yields ``report(done, total, latest item)``."""
    with _bar(title) as update:

        def report(done: int, total: int, text: str) -> None:
            if update is not None:
                update(completed=done, total=total, description=f"{title}  {text}")
            else:
                print_message(f"{title}: {done} of {total}: {text}")

        yield report


@contextmanager
def epoch_bar(title: str, n_epochs: int) -> Iterator[EpochReport]:
    """Show progress of epochs: the bar shows the validation score, a plain line the whole record.

    Args:
        title: Name of the work.
        n_epochs: Maximum number of epochs.

    Yields:
        Function to call with the history record of each epoch.
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
    """Write one line to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def _bar(title: str, total: int | None = None) -> Iterator[Callable[..., None] | None]:
    """Yield a function that updates a bar on a terminal, None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        yield partial(bar.update, bar.add_task(title, total=total))
