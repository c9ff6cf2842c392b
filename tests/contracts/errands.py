"""Jobs for the workers of the engines' contract test: their processes import this module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from mien.workflows.cluster import require_seen


def square(number):
    return number * number


def wait_and_tell(seconds):
    time.sleep(seconds)
    return seconds


def dies_once(job):
    """The first worker that takes the job writes its id down and waits for its end; the next one does the job."""
    folder, number = job
    note = Path(folder) / f"worker-{number}"
    if number == 0 and not note.exists():
        aside = note.with_suffix(".aside")
        aside.write_text(str(os.getpid()))
        aside.rename(note)
        time.sleep(120)
    return number


def dies_always(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return str(number)


def looks_at(path):
    require_seen(Path(path))
    return path


def fast_or_waiting(folder):
    """Nothing, or the wait for a word that ends it. Where a worker is killed instead, its end is seen by its id."""
    if folder is None:
        return None
    Path(folder, "worker").write_text(str(os.getpid()))
    Path(folder, "begun").touch()
    while not Path(folder, "stopped").exists():
        time.sleep(0.05)
    Path(folder, "ended").touch()
    return folder


def say_stop(folder):
    Path(folder, "stopped").touch()
