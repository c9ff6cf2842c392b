"""Jobs for the workers of the engines' contract test: their processes import this module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from mien.engine.cluster import require_visible_paths


def mortal(job):
    """A number. The first worker that takes 0 writes its id down and waits for its end; 1 kills whoever takes it."""
    folder, number = job
    note = Path(folder) / "worker"
    if number == 0 and not note.exists():
        aside = note.with_suffix(".aside")
        aside.write_text(str(os.getpid()))
        aside.rename(note)
        time.sleep(300)
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def looks_at(path):
    require_visible_paths(Path(path))
    return path


def first_or_wait(job):
    """Whoever is first does nothing, all others work for ever."""
    folder, number = job
    if not Path(folder, "first").exists():
        Path(folder, "first").touch()
        return
    aside = Path(folder, f"{number}.aside")
    aside.write_text(str(os.getpid()))
    aside.rename(Path(folder, f"begun-{number}"))
    while True:
        time.sleep(0.05)
