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
class JobLost:
    """In place of an outcome: the process of the job died."""

    reason: str


class WorkerProcess:
    """A process that does one job after the other, see `mien.engine.worker`."""

    def __init__(self) -> None:
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
        """Do a job and wait for it. Returns its outcome, or JobLost."""
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
        return JobLost(f"its process ended {_how(code)}{_last_words(said)}")

    def kill(self) -> None:
        """End it with what it has forked. Whoever waits for an outcome gets JobLost."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End it when nobody waits for an outcome."""
        self.kill()
        with suppress(BrokenPipeError), self._process, self._errors:  # closes the pipes
            pass


class Workers:
    """The worker processes that this process has started. A worker that has done its job is kept for the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # token of a call -> its workers
        self._idle: defaultdict[str, list[WorkerProcess]] = defaultdict(list)
        self._busy: defaultdict[str, list[WorkerProcess]] = defaultdict(list)
        self._ended: set[str] = set()

    def run(self, call: bytes, imports: Sequence[str], token: str) -> Any:
        """Do a pickled (function, job) in a process of its own. Returns its outcome, or JobLost.

        Raises EngineError if the function does, or after `end` with the same token.
        """
        worker = self._take(token)
        try:
            outcome = worker.run(call, imports)
        except BaseException:
            worker.kill()
            raise
        finally:
            self._put_back(worker, token)
        if isinstance(outcome, EngineError):
            raise outcome
        return outcome

    def end(self, token: str) -> None:
        """Kill the workers of a call, and start no more for it. A job must bear to be killed at any moment."""
        with self._lock:
            self._ended.add(token)
            for worker in self._busy[token]:
                worker.kill()
            self._close_idle(token)

    def _take(self, token: str) -> WorkerProcess:
        with self._lock:
            if token in self._ended:
                raise EngineError("the work was given up")
            # Left on a cluster's worker by a call whose own process was killed.
            for other in [each for each in self._idle if each != token]:
                self._close_idle(other)
            worker = self._idle[token].pop() if self._idle[token] else WorkerProcess()
            self._busy[token].append(worker)
            return worker

    def _put_back(self, worker: WorkerProcess, token: str) -> None:
        with self._lock:
            self._busy[token].remove(worker)
            if worker.is_alive and token not in self._ended:
                self._idle[token].append(worker)
            else:
                worker.close()

    def _close_idle(self, token: str) -> None:
        for worker in self._idle.pop(token, []):
            worker.close()


WORKERS = Workers()


def end_workers(token: str) -> None:
    """Kill the workers of a call that this very process has started."""
    WORKERS.end(token)


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
