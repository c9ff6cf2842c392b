"""Code that all engines share, and the form in which a job is sent to another process or machine.

An engine runs jobs on this machine, with Dask, or with Ray. A job is serialised once, into bytes. Otherwise, Dask would
keep large arguments in the memory of workers and lose them when a worker dies. The bytes also contain the code of
functions that are defined in a notebook or script.
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

# Packages whose version can change a result. They are used for numerics, training, the decoding of video, speech
# recognition, the text encoder and faces.
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
# How often a job is retried on another worker after its worker dies. This is the default of Dask and Ray.
MAX_RETRIES = 3
# A running scheduler answers within a second, and knows its running workers by then, so this is a generous limit.
CONNECT_TIMEOUT_S = 30


class WorkersLostError(Exception):
    """Several workers died, one after another, while they ran the same job."""


@dataclass(frozen=True)
class PackedJob:
    """A serialised job with its function and context, and the package versions of the machine that sends the job."""

    # pickle of (function, job)
    call: bytes
    versions: Mapping[str, str]
    # pickle of the function that makes the context; None if there is no context
    context: bytes | None
    # as for `run_jobs`
    process_imports: tuple[str, ...] | None
    # identifies the call of `run_jobs` that the job belongs to
    token: str


@dataclass(frozen=True)
class JobSpec:
    """How to run the jobs of one call of `run_jobs`. Its fields are the parameters of `run_jobs` of the same names."""

    function: Callable[..., Any]
    context: Callable[[], Any] | None = None
    process_imports: tuple[str, ...] | None = None
    # identifies the call of `run_jobs` on every worker
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def pickled(self, job: Any) -> bytes:
        """Serialise the pair (function, job).

        Functions of installed modules are stored by name, other functions with their code.
        """
        import cloudpickle

        call: bytes = cloudpickle.dumps((self.function, job))
        return call

    def pack(self, job: Any) -> PackedJob:
        """Serialise a job, with all that another machine needs to run it."""
        import cloudpickle

        context = None if self.context is None else cloudpickle.dumps(self.context)
        return PackedJob(self.pickled(job), installed_versions(), context, self.process_imports, self.token)


@dataclass(frozen=True)
class Cluster:
    """A running engine that accepts jobs."""

    # runs one job and waits for its outcome; raises WorkersLostError, and EngineError if no further job can run
    run: Callable[[Any], Any]
    # cancels jobs that have not started and ends the separate processes of jobs; further calls have no effect
    close: Callable[[], None]


# Function that takes how to run a job, the address of a cluster (None to start a local one) and the number of workers
# to start. Returns a context manager of the cluster, which is closed on exit.
Engine = Callable[[JobSpec, str | None, int], AbstractContextManager[Cluster]]


@contextmanager
def local_cluster(work: JobSpec, _address: str | None, _workers: int) -> Iterator[Cluster]:
    """Make the cluster of the engine "local", which runs jobs on this machine without a scheduler.

    Args:
        work: How to run each job. Each job gets a separate process if the `process_imports` of `work` are not None.
        _address: Ignored; all engines have the same signature.
        _workers: Ignored; the caller decides how many jobs run at a time.

    Yields:
        Cluster that runs each job in the calling thread or in a separate process.
    """
    imports, token = work.process_imports, work.token
    if imports is not None:
        yield Cluster(lambda job: run_in_process(work.pickled(job), imports, token), lambda: stop_workers(token))
    elif work.context is not None:
        yield Cluster(partial(work.function, context=work.context()), lambda: None)
    else:
        yield Cluster(work.function, lambda: None)


# A worker may have several threads, but only one job at a time may use a context.
_CONTEXT_LOCK = threading.Lock()


@lru_cache(maxsize=1)
def _shared_context(packed: bytes) -> Any:
    """Call the pickled function `packed`, and return the object that it makes. Jobs share this object as their context.

    The object is cached. A later call with the same function returns it again.
    """
    return pickle.loads(packed)()


def run_packed(packed: PackedJob) -> Any:
    """Run a packed job on a worker and return its outcome.

    Raises:
        EngineError: The package versions differ from those of the sending machine, or an error occurred that would stop
            every job.
    """
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
        _shared_context.cache_clear()  # a missing file may exist at the next call
        raise EngineError(
            f"Expected the worker {socket.gethostname()} to be able to do its job, but got: {error}"
        ) from error


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, mien and the `DECIDING_PACKAGES`, by name; "none" if not installed."""
    return {"Python": platform.python_version(), "mien": __version__} | {
        name: _package_version(name) for name in DECIDING_PACKAGES
    }


def require_visible_paths(*paths: Path) -> None:
    """Check, on a worker, that it can see the paths of a job.

    The paths were given on another machine, so they exist here only if both machines share the file system.

    Raises:
        EngineError: A path does not exist on the worker.
    """
    for path in paths:
        if not path.exists():
            raise EngineError(
                f"Expected the worker {socket.gethostname()} to see {path}, but got nothing there; put it on a file "
                "system that all workers share under the same path"
            )


def _require_versions(expected: Mapping[str, str]) -> None:
    """Raise EngineError if this machine has other versions than `expected` (name -> version)."""
    # the sender may name packages that this version of mien does not
    installed = {name: _package_version(name) for name in expected} | installed_versions()
    differing = [
        f"{name} {installed[name]} instead of {other}" for name, other in expected.items() if installed[name] != other
    ]
    if differing:
        raise EngineError(
            f"Expected the versions of this machine on the worker {socket.gethostname()}, but got "
            f"{', '.join(differing)}; install the same everywhere, or the numbers depend on who made them"
        )


def _package_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
