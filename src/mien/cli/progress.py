"""Progress of long work: a rich bar on a terminal, plain lines elsewhere. Always on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

EpochReport = Callable[[dict[str, float]], None]
# Plain lines come at most this often per hundred per cent.
PLAIN_STEPS = 10


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """Give ``advance(done, total)``."""
    if sys.stderr.isatty():
        with _bar() as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    shown = 0

    def advance(done: int, total: int) -> None:
        nonlocal shown
        step = done * PLAIN_STEPS // max(total, 1)
        if step > shown:
            shown = step
            sys.stderr.write(f"{title}: {done} of {total}\n")

    yield advance


def say(text: str) -> None:
    """One line about what is being done."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def epochs(title: str, n_epochs: int) -> Iterator[EpochReport]:
    """Give ``report(history record)``: the bar names the validation score, a plain line everything."""
    if sys.stderr.isatty():
        with _bar() as bar:
            task = bar.add_task(title, total=n_epochs)

            def show(record: dict[str, float]) -> None:
                text = f"{title}  valid score {record['valid_score']:.4f}"
                bar.update(task, completed=int(record["epoch"]), description=text)

            yield show
        return

    def line(record: dict[str, float]) -> None:
        scores = "  ".join(f"{name} {value:.4f}" for name, value in record.items() if name != "epoch")
        sys.stderr.write(f"{title}: epoch {int(record['epoch'])} of {n_epochs}  {scores}\n")
        sys.stderr.flush()

    yield line


@contextmanager
def items(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Give ``report(done, total, what came last)``: few and long items, so each gets a plain line."""
    if sys.stderr.isatty():
        with _bar() as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total, text: bar.update(
                task, completed=done, total=total, description=f"{title}  {text}"
            )
        return

    def line(done: int, total: int, text: str) -> None:
        sys.stderr.write(f"{title}: {done} of {total}: {text}\n")
        sys.stderr.flush()

    yield line


def _bar() -> Progress:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=Console(stderr=True))
