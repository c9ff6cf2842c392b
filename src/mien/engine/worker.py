"""A worker process: does the job files that are named on standard input, a line each, and answers with exit codes.

    python -P -m mien.engine.worker

On Linux it imports the libraries once and forks for every job, whose measured peak memory is therefore its own: a
forked process counts from what the worker holds, which is what a fresh one holds after the imports. Elsewhere it does
one job and ends. `mien.engine.processes` starts it; docs/cluster.md has what both ways cost.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from mien.engine.processes import OUTCOME_FILE
from mien.errors import EngineError

WATCH_EVERY_S = 0.5


def main() -> None:
    """Work until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # what a job prints belongs to its last words
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # While it imports, a worker reads no input; a thread that watched would be there when it forks.
    signal.signal(signal.SIGALRM, _end_if_alone)
    signal.setitimer(signal.ITIMER_REAL, WATCH_EVERY_S, WATCH_EVERY_S)
    for line in sys.stdin:
        job = Path(line.rstrip("\n"))
        forks, imports, call = pickle.loads(job.read_bytes())
        for name in imports:
            importlib.import_module(name)
        child = os.fork() if forks else 0
        if child == 0:
            os._exit(_do(call, job.with_name(OUTCOME_FILE)))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(f"{code}\n")
        answers.flush()


def _do(call: bytes, outcome_file: Path) -> int:
    """Call the function with its job and write what it gives. Returns the exit code."""
    import cloudpickle

    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    try:
        function, job = pickle.loads(call)
        try:
            outcome = function(job)
        except EngineError as error:  # it would stop every job
            outcome = error
        outcome_file.write_bytes(cloudpickle.dumps(outcome))
        return 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _end_if_alone(_signal: int, _frame: Any) -> None:
    hung_up = select.poll()
    hung_up.register(sys.stdin.fileno(), 0)
    if hung_up.poll(0):
        os._exit(1)


def _end_with_starter() -> None:
    """Standard input ends when whoever started the worker is gone; until the job is done, nothing comes through it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main()
