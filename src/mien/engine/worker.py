"""A worker process, which `mien.engine.processes` starts to run jobs.

    python -P -m mien.engine.worker

The worker reads the paths of job files from standard input, one per line, and writes the exit code of each job to
standard output. On Linux, the worker imports the libraries once and forks a process for each job. The measured peak
memory of such a process starts at the memory of the worker, which equals that of a new process after the imports. On
other systems, the worker runs one job and exits. See docs/cluster.md for the costs of both ways.
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
    """Read paths of job files from standard input and run these jobs, until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # The output of a job goes to standard error, the end of which explains a crash.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # During imports, the worker does not read standard input. A timer therefore checks whether it has been closed. A
    # thread could check, too, but would still be running at the time of a fork.
    signal.signal(signal.SIGALRM, _exit_if_orphaned)
    signal.setitimer(signal.ITIMER_REAL, WATCH_EVERY_S, WATCH_EVERY_S)
    for line in sys.stdin:
        job = Path(line.rstrip("\n"))
        forks, imports, call = pickle.loads(job.read_bytes())
        for name in imports:
            importlib.import_module(name)
        child = os.fork() if forks else 0
        if child == 0:
            os._exit(_run_job(call, job.with_name(OUTCOME_FILE)))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(f"{code}\n")
        answers.flush()


def _run_job(call: bytes, outcome_file: Path) -> int:
    """Run a pickled job, write its outcome to a file, and return the exit code of the process.

    Args:
        call: Pickle of (function, job).
        outcome_file: File for the pickled outcome. It is not written if the job fails.

    Returns:
        0 on success, 1 on an error. An EngineError is written as the outcome and counts as success.
    """
    import cloudpickle

    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_starter, daemon=True).start()
    try:
        function, job = pickle.loads(call)
        try:
            outcome = function(job)
        except EngineError as error:  # the error would stop every job, so the starter must raise it
            outcome = error
        outcome_file.write_bytes(cloudpickle.dumps(outcome))
        return 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _exit_if_orphaned(_signal: int, _frame: Any) -> None:
    """Exit if standard input is closed, which means that the process that started the worker has ended."""
    input_poll = select.poll()
    input_poll.register(sys.stdin.fileno(), 0)
    if input_poll.poll(0):
        os._exit(1)


def _exit_with_starter() -> None:
    """Wait until standard input closes, then exit.

    Standard input closes when the process that started the worker ends. No data arrive on it during a job.
    """
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main()
