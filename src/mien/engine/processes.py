"""Runs each job in a separate process on this machine.

The peak memory can thus be measured for each job, and a failure (out of memory, a native crash) affects only one job.
A process ends when the process that started it ends, so that no process writes to a folder that is no longer in use.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import EngineError

# The peak memory of a forked process starts at the memory of its worker. Only Linux reports it per process.
FORKS = sys.platform == "linux"
# file name, in the folder of the job file
OUTCOME_FILE = "outcome"
# how much of the error output of a dead process is reported
REASON_CHARACTERS = 300


@dataclass(frozen=True)
class LostJob:
    """Replaces the outcome of a job whose process died."""

    reason: str


class WorkerProcess:
    """A process that runs jobs one after another; see `mien.engine.worker`."""

    def __init__(self) -> None:
        self.is_busy = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mien.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | path_variables() | {"OMP_NUM_THREADS": "1"},
            # A separate session: Ctrl-C reaches only this process, which then ends its workers.
            start_new_session=True,
        )

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def run(self, call: bytes, imports: Sequence[str]) -> Any:
        """Run a job and wait for it.

        Args:
            call: Pickle of (function, job).
            imports: Modules that the process imports before the job.

        Returns:
            Outcome of the job; LostJob if its process died.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        errors_before = os.fstat(self._errors.fileno()).st_size
        with tempfile.TemporaryDirectory(prefix="mien-") as folder:
            job = Path(folder, "job")
            job.write_bytes(pickle.dumps((FORKS, tuple(imports), call)))
            reply = b""
            with suppress(BrokenPipeError):  # the process has died
                process.stdin.write(f"{job}\n".encode())
                process.stdin.flush()
                reply = process.stdout.readline()
            code = int(reply) if reply else process.wait()
            if code == 0:
                return pickle.loads(job.with_name(OUTCOME_FILE).read_bytes())
        errors = os.pread(self._errors.fileno(), os.fstat(self._errors.fileno()).st_size, errors_before)
        return LostJob(f"its process ended {_exit_description(code)}{_error_tail(errors)}")

    def kill(self) -> None:
        """Kill the process and its children. A call of `run` that waits in another thread then returns LostJob."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Kill the process and close its files. Call this only when no thread waits in `run`."""
        self.kill()
        with suppress(BrokenPipeError), self._process, self._errors:  # closes the pipes
            pass


_WORKERS_LOCK = threading.Lock()
# token of a `run_jobs` call -> the workers that this process has started for it
_WORKERS_OF_CALL: defaultdict[str, list[WorkerProcess]] = defaultdict(list)
_STOPPED_TOKENS: set[str] = set()


def run_in_process(call: bytes, imports: Sequence[str], token: str) -> Any:
    """Run a job in a separate process and wait for it.

    An idle worker is reused for the next job with the same token.

    Args:
        call: Pickle of (function, job).
        imports: Modules that the process imports before the job.
        token: Id of the call of `run_jobs` to which the job belongs.

    Returns:
        Outcome of the job; LostJob if its process died.

    Raises:
        EngineError: The function of the job raised EngineError, or `stop_workers` was called for the token.
    """
    with _WORKERS_LOCK:
        if token in _STOPPED_TOKENS:
            raise EngineError("the work was given up")
        # On a cluster's worker, a call whose process was killed leaves its workers behind.
        for other_token in [each for each in _WORKERS_OF_CALL if each != token]:
            _close_idle(other_token)
        worker = next((each for each in _WORKERS_OF_CALL[token] if not each.is_busy), None)
        if worker is None:
            worker = WorkerProcess()
            _WORKERS_OF_CALL[token].append(worker)
        worker.is_busy = True
    try:
        outcome = worker.run(call, imports)
    except BaseException:
        worker.kill()
        raise
    finally:
        with _WORKERS_LOCK:
            worker.is_busy = False
            if token in _STOPPED_TOKENS or not worker.is_alive:
                _WORKERS_OF_CALL[token].remove(worker)
                worker.close()
    if isinstance(outcome, EngineError):
        raise outcome
    return outcome


def stop_workers(token: str) -> None:
    """Kill the worker processes of one call of `run_jobs`, and start no more of them.

    The jobs of this call must tolerate a kill at any time. `token` identifies the call.
    """
    with _WORKERS_LOCK:
        _STOPPED_TOKENS.add(token)
        for worker in _WORKERS_OF_CALL[token]:
            worker.kill()
        _close_idle(token)


def _close_idle(token: str) -> None:
    """Close the idle worker processes of the `run_jobs` call with this token. The caller must hold the lock."""
    for worker in [each for each in _WORKERS_OF_CALL[token] if not each.is_busy]:
        _WORKERS_OF_CALL[token].remove(worker)
        worker.close()


@contextmanager
def safe_children() -> Iterator[None]:
    """Context manager that sets the environment variables of `path_variables` in this process, then restores them.

    Child processes that a library starts inside the block inherit these variables.
    """
    variables = path_variables()
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def path_variables() -> dict[str, str]:
    """Return environment variables that give a child process the same module search path as this process.

    The current folder is included only if this process searches it. It comes last, so that a file in it cannot hide an
    installed module.
    """
    current = os.getcwd()
    entries = [entry for entry in sys.path if os.path.realpath(entry) != current]
    path = os.pathsep.join([*entries, *([current] if len(entries) < len(sys.path) else [])])
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def _exit_description(code: int) -> str:
    """Describe the exit code of a process. The code -n means that signal number n ended the process."""
    if code >= 0:
        return f"with code {code}"
    name = signal.Signals(-code).name
    return f"by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _error_tail(errors: bytes) -> str:
    """Return a colon and the last `REASON_CHARACTERS` of an error output on one line; "" if there is no output."""
    lines = errors.decode("utf-8", "replace").split("\n")
    tail = " ".join(line.strip() for line in lines if line.strip())[-REASON_CHARACTERS:]
    return f": {tail}" if tail else ""
