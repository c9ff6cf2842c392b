"""Progress of long work: a rich bar on a terminal, plain lines elsewhere. Always on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

EpochReport = Callable[[dict[str, float]], None]
# Plain lines come at most this often per hundred per cent.
PLAIN_STEPS = 10


@contextmanager
def counter_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Give ``advance(done, total)``."""
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
    """Give ``report(done, total, what came last)``: few and long items, so each gets a plain line."""
    with _bar(title) as update:

        def report(done: int, total: int, text: str) -> None:
            if update is not None:
                update(completed=done, total=total, description=f"{title}  {text}")
            else:
                print_message(f"{title}: {done} of {total}: {text}")

        yield report


@contextmanager
def epoch_bar(title: str, n_epochs: int) -> Iterator[EpochReport]:
    """Give ``report(history record)``: the bar names the validation score, a plain line everything."""
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
    """One line about what is being done."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def _bar(title: str, total: int | None = None) -> Iterator[Callable[..., None] | None]:
    """What updates a bar on a terminal, None elsewhere."""
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
