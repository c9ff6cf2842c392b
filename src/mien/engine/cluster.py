"""What every engine has in common, and the job as it is sent to another process or machine.

A job is serialised once, into bytes: Dask would otherwise spread large arguments over the workers' memory, where they
are lost with a worker, and code of a notebook or a script travels inside them.
"""

from __future__ import annotations

import pickle
import platform
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mien.engine.processes import run_in_process, stop_workers
from mien.errors import EngineError, MienError
from mien.version import __version__

# What decides the bits of a result wherever it is made: numbers, training, decoding, recognition, reading, faces.
DECIDING_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "lightning-fabric",
    "av",
    "faster-whisper",
    "ctranslate2",
    "tokenizers",
    "transformers",
    "peft",
    "opencv-python-headless",
    "ai-edge-litert",
    "afx-audio",
)
# A job goes to another worker this often when its worker dies, then it is put aside. Dask's and Ray's default.
MAX_RETRIES = 3
# A scheduler that is there answers within a second, and workers that are there have told it so.
CONNECT_TIMEOUT_S = 30


class WorkersLostError(Exception):
    """One worker after the other died with the same job."""


@dataclass(frozen=True)
class PackedJob:
    """A job with what is done with it, and the versions it was packed under."""

    # pickle of (function, job)
    call: bytes
    versions: Mapping[str, str]
    # pickle of what makes the context; None without
    context: bytes | None
    process_imports: tuple[str, ...] | None
    token: str


@dataclass(frozen=True)
class JobSpec:
    """What is done with every job of a call, see `run_jobs`."""

    function: Callable[..., Any]
    context: Callable[[], Any] | None = None
    process_imports: tuple[str, ...] | None = None
    # names the call on every worker
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def pickled(self, job: Any) -> bytes:
        """Functions and classes of an installed module are named in it, others are taken along."""
        import cloudpickle

        call: bytes = cloudpickle.dumps((self.function, job))
        return call

    def pack(self, job: Any) -> PackedJob:
        """A job for another machine."""
        import cloudpickle

        context = None if self.context is None else cloudpickle.dumps(self.context)
        return PackedJob(self.pickled(job), installed_versions(), context, self.process_imports, self.token)


@dataclass(frozen=True)
class Cluster:
    """A place to work that is ready."""

    # does one job and waits for its outcome; raises WorkersLostError, and EngineError where no other job can be done
    run: Callable[[Any], Any]
    # gives up what has not begun, and ends the processes of their own; more than one call does nothing more
    close: Callable[[], None]


# A kind of place to work: work, address (None: start it here), number of workers to start -> the place, closed on
# leaving.
Engine = Callable[[JobSpec, str | None, int], AbstractContextManager[Cluster]]


@contextmanager
def local_cluster(work: JobSpec, _address: str | None, _workers: int) -> Iterator[Cluster]:
    """Nothing to connect to: jobs run in this process, or each in a process of its own."""
    imports, token = work.process_imports, work.token
    if imports is not None:
        yield Cluster(lambda job: run_in_process(work.pickled(job), imports, token), lambda: stop_workers(token))
    elif work.context is not None:
        yield Cluster(partial(work.function, context=work.context()), lambda: None)
    else:
        yield Cluster(work.function, lambda: None)


# A worker may have several threads; contexts are made for one job at a time.
_CONTEXT_LOCK = threading.Lock()


@lru_cache(maxsize=1)
def _shared_context(packed: bytes) -> Any:
    """Kept for the next job of the same call, or of another that needs the same."""
    return pickle.loads(packed)()


def run_packed(packed: PackedJob) -> Any:
    """Do a job, on a worker. Raises EngineError for what would stop every job, and where versions differ."""
    _require_versions(packed.versions)
    try:
        if packed.process_imports is not None:
            return run_in_process(packed.call, packed.process_imports, packed.token)
        function, job = pickle.loads(packed.call)
        if packed.context is None:
            return function(job)
        with _CONTEXT_LOCK:
            return function(job, context=_shared_context(packed.context))
    except EngineError:
        raise
    except MienError as error:
        _shared_context.cache_clear()  # what was missing may be there the next time
        raise EngineError(
            f"Expected the worker {socket.gethostname()} to be able to do its job, but got: {error}"
        ) from error


def installed_versions() -> dict[str, str]:
    """Python and the packages that decide what comes out."""
    return {"Python": platform.python_version(), "mien": __version__} | {
        name: _version(name) for name in DECIDING_PACKAGES
    }


def require_visible_paths(*paths: Path) -> None:
    """Raises EngineError when whoever calls, a worker, does not see a file or folder of the one who sent it."""
    for path in paths:
        if not path.exists():
            raise EngineError(
                f"Expected the worker {socket.gethostname()} to see {path}, but got nothing there; put it on a file "
                "system that all workers share under the same path"
            )


def _require_versions(expected: Mapping[str, str]) -> None:
    here = installed_versions()
    differing = [f"{name} {here[name]} instead of {other}" for name, other in expected.items() if here[name] != other]
    if differing:
        raise EngineError(
            f"Expected the versions of this machine on the worker {socket.gethostname()}, but got "
            f"{', '.join(differing)}; install the same everywhere, or the numbers depend on who made them"
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
