"""One run of a benchmark, trained and scored in a process of its own.

A fresh process makes the measured memory that of this run, and keeps an accident (no memory left, a crash in native
code) from the other runs. It dies with whoever started it, so that a killed benchmark leaves nobody who writes to its
folders.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from mien.commands.evaluate import ScoredSplit, score_run
from mien.commands.train import TrainRequest, train
from mien.engine.cluster import require_seen
from mien.errors import DataError, MienError
from mien.evaluation.protocols import PROTOCOLS, Needs
from mien.models import MODELS, SystemEntry
from mien.pretrained import sha256_of
from mien.storage.files import read_json, write_json
from mien.storage.runs import CARD, Run, kept_epochs, open_run
from mien.tasks import TASKS, Task
from mien.version import __version__

SCORES_FILE = "scores.json"
SPLIT = "test"
LENGTH_BYTES = 8
# the last words of a process that died, as the reason of its failure
REASON_CHARACTERS = 300


@dataclass(frozen=True)
class RunJob:
    """What to train and score. `key` is the run's place below the benchmark's folder."""

    key: str
    folder: Path
    dataset: Path
    request: TrainRequest
    # what a run trained for it is, see `Run.identity`
    identity: Mapping[str, Any]
    # the system's row in MODELS, because a fresh process does not know what the user's own code has added to the table;
    # pickled, because only that process needs the code
    entry: bytes
    # the rows of its tasks, for the same reason
    tasks: Mapping[str, Task]
    # a file that the benchmark wrote: who does not see it would train into another folder of the same name
    marker: Path


def pack_entry(entry: SystemEntry) -> bytes:
    """A system's row for `RunJob`; classes of a notebook or a script are taken along."""
    import cloudpickle

    packed: bytes = cloudpickle.dumps(entry)
    return packed


@dataclass(frozen=True)
class RunOutcome:
    """What came of a job: nothing but a reason if it failed."""

    key: str
    failure: str | None = None


def do_run(job: RunJob) -> RunOutcome:
    """Train (or go on training) and score one run in a fresh process.

    Raises EngineError where the folders are not to be seen, and nothing else.
    """
    require_seen(job.marker)
    require_seen(job.dataset)
    try:
        return RunOutcome(job.key, _in_fresh_process(job))
    except Exception as error:
        return RunOutcome(job.key, f"{type(error).__name__}: {error}")


def stored_scores(run: Run) -> dict[str, Any] | None:
    """Protocol -> result as JSON, if this very run was scored by this version; else None."""
    try:
        facts = read_json(run.folder / SCORES_FILE, "the scores of a run")
    except DataError:  # none yet, or damaged: scoring again costs little
        return None
    found: dict[str, Any] | None = facts.get("protocols") if facts.get("of") == _scored_what(run) else None
    return found


def is_done(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Whether there is a finished and scored run that was trained as `identity` says."""
    try:
        run = open_run(folder)
        return run.identity == identity and stored_scores(run) is not None
    except MienError:
        return False


class Processes:
    """The processes at work, so that an interrupt can end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[subprocess.Popen[bytes], Path] = {}

    def add(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Remember one that has begun to work on a run folder."""
        with self._lock:
            self._running[process] = folder

    def discard(self, process: subprocess.Popen[bytes]) -> None:
        """Forget one that has ended."""
        with self._lock:
            self._running.pop(process, None)

    def end_below(self, folder: Path) -> None:
        """Kill those below a folder: a run can be killed at any moment and goes on from its last epoch."""
        with self._lock:
            for process, its_folder in self._running.items():
                if its_folder.is_relative_to(folder):
                    process.kill()


PROCESSES = Processes()


def end_runs(folder: Path) -> None:
    """End the processes of a benchmark's runs, as far as this very process has started them."""
    PROCESSES.end_below(folder)


def _in_fresh_process(job: RunJob) -> str | None:
    """The reason of the failure, or None."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    message = pickle.dumps(job)
    with (
        tempfile.TemporaryFile() as errors,
        # a session of its own: Ctrl-C reaches the benchmark alone, which then ends its processes
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        PROCESSES.add(process, job.folder)
        try:
            # It stays open: its end tells the process that nobody waits for it any more.
            process.stdin.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
            process.stdin.flush()
            answer = process.stdout.read()
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            PROCESSES.discard(process)
        if code == 0 and answer:
            reason: str | None = json.loads(answer)["failure"]
            return reason
        return f"its process ended {_how(code)}{_last_words(errors)}"


def _how(code: int) -> str:
    if code >= 0:
        return f"with code {code}"
    name = signal.Signals(-code).name
    return f"by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").split("\n")
    said = " ".join(line.strip() for line in lines if line.strip())[-REASON_CHARACTERS:]
    return f": {said}" if said else ""


def _scored_what(run: Run) -> dict[str, str]:
    return {"run": sha256_of(run.folder / CARD), "split": SPLIT, "mien": __version__}


def _train_and_score(job: RunJob) -> None:
    MODELS.setdefault(job.request.model, pickle.loads(job.entry))
    for task, row in job.tasks.items():
        TASKS.setdefault(task, row)
    importlib.import_module("sklearn.metrics")  # takes a second, which must not count as the first epoch's
    run = train(job.dataset, job.folder, job.request, resume=True)
    if stored_scores(run) is not None:
        return
    # without the weights of every epoch there is no upper bound; the other protocols do without
    protocols = [name for name, each in PROTOCOLS.items() if each.needs is not Needs.EPOCHS or kept_epochs(run)]
    results = score_run(run, protocols, ScoredSplit(job.dataset, SPLIT))
    named = {
        name: replace(result, identity=replace(result.identity, run=job.key)).to_json()
        for name, result in results.items()
    }
    write_json(job.folder / SCORES_FILE, {"format": "mien-scores", "of": _scored_what(run), "protocols": named})


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else works on a run. Whoever does has lost its benchmark, and will end or be done.

    A cluster gives the run of a worker that it cannot reach to another one, although the first may still be at work.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _die_with_starter() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Do the job on standard input and say on standard output what came of it."""
    length = int.from_bytes(sys.stdin.buffer.read(LENGTH_BYTES), "big")
    job: RunJob = pickle.loads(sys.stdin.buffer.read(length))
    threading.Thread(target=_die_with_starter, daemon=True).start()
    answer, sys.stdout = sys.stdout, sys.stderr
    failure = None
    try:
        with _alone(job.folder):
            _train_and_score(job)
    except MienError as error:
        failure = str(error)
    answer.write(json.dumps({"failure": failure}))
    answer.flush()
    # The thread holds the standard input, which the interpreter would wait for.
    os._exit(0)
