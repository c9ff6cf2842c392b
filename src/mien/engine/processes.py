"""Jobs in processes of their own, on the machine that calls.

The measured peak memory of a job is then its own, and an accident (no memory left, a crash in native code) costs no
other job. The processes die with whoever started them, so that nobody writes to a folder that was given up.
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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import EngineError

# A forked process counts its peak memory from what its worker holds: only Linux tells it for one process alone.
FORKS = sys.platform == "linux"
# beside the job file
OUTCOME_FILE = "outcome"
# the last words of a process that died, as the reason why its job is lost
REASON_CHARACTERS = 300


@dataclass(frozen=True)
class LostJob:
    """In place of an outcome: the process of the job died."""

    reason: str


class WorkerProcess:
    """A process that does one job after the other, see `mien.engine.worker`."""

    def __init__(self) -> None:
        self.is_busy = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            # -P: the current folder is no place for modules, see `search_path`
            [sys.executable, "-P", "-m", "mien.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": search_path(), "OMP_NUM_THREADS": "1"},
            # a session of its own: Ctrl-C reaches the starter alone, which then ends its workers
            start_new_session=True,
        )

    @property
    def is_alive(self) -> bool:
        """Whether it can take a job."""
        return self._process.poll() is None

    def run(self, call: bytes, imports: Sequence[str]) -> Any:
        """Do a job and wait for it. Returns its outcome, or LostJob."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        silent_until = os.fstat(self._errors.fileno()).st_size
        with tempfile.TemporaryDirectory(prefix="mien-") as folder:
            job = Path(folder, "job")
            job.write_bytes(pickle.dumps((FORKS, tuple(imports), call)))
            answer = b""
            with suppress(BrokenPipeError):  # it has died
                process.stdin.write(f"{job}\n".encode())
                process.stdin.flush()
                answer = process.stdout.readline()
            code = int(answer) if answer else process.wait()
            if code == 0:
                return pickle.loads(job.with_name(OUTCOME_FILE).read_bytes())
        said = os.pread(self._errors.fileno(), os.fstat(self._errors.fileno()).st_size, silent_until)
        return LostJob(f"its process ended {_how(code)}{_last_words(said)}")

    def kill(self) -> None:
        """End it with what it has forked. Whoever waits for an outcome gets LostJob."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End it when nobody waits for an outcome."""
        self.kill()
        with suppress(BrokenPipeError), self._process, self._errors:  # closes the pipes
            pass


_LOCK = threading.Lock()
# token of a call -> the workers that this process has started for it
_WORKERS: defaultdict[str, list[WorkerProcess]] = defaultdict(list)
_ENDED: set[str] = set()


def run_in_process(call: bytes, imports: Sequence[str], token: str) -> Any:
    """Do a pickled (function, job) in a process of its own. Returns its outcome, or LostJob.

    A worker that has done its job is kept for the next one with the same token. Raises EngineError if the function
    does, or after `stop_workers`.
    """
    with _LOCK:
        if token in _ENDED:
            raise EngineError("the work was given up")
        # Left on a cluster's worker by calls whose own process was killed.
        for other in [each for each in _WORKERS if each != token]:
            _close_idle(other)
        worker = next((each for each in _WORKERS[token] if not each.is_busy), None)
        if worker is None:
            worker = WorkerProcess()
            _WORKERS[token].append(worker)
        worker.is_busy = True
    try:
        outcome = worker.run(call, imports)
    except BaseException:
        worker.kill()
        raise
    finally:
        with _LOCK:
            worker.is_busy = False
            if token in _ENDED or not worker.is_alive:
                _WORKERS[token].remove(worker)
                worker.close()
    if isinstance(outcome, EngineError):
        raise outcome
    return outcome


def stop_workers(token: str) -> None:
    """Kill the workers of a call, and start no more for it. A job must bear to be killed at any moment."""
    with _LOCK:
        _ENDED.add(token)
        for worker in _WORKERS[token]:
            worker.kill()
        _close_idle(token)


def _close_idle(token: str) -> None:
    for worker in [each for each in _WORKERS[token] if not each.is_busy]:
        _WORKERS[token].remove(worker)
        worker.close()


def search_path() -> str:
    """Where this process finds modules, for one that it starts: the user's own too.

    The current folder comes last, and only if it is searched here: no file that lies there hides an installed module.
    """
    here = os.getcwd()
    others = [entry for entry in sys.path if entry not in ("", here)]
    return os.pathsep.join([*others, *([here] if len(others) < len(sys.path) else [])])


def _how(code: int) -> str:
    if code >= 0:
        return f"with code {code}"
    name = signal.Signals(-code).name
    return f"by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _last_words(errors: bytes) -> str:
    lines = errors.decode("utf-8", "replace").split("\n")
    said = " ".join(line.strip() for line in lines if line.strip())[-REASON_CHARACTERS:]
    return f": {said}" if said else ""
