"""What every place to work has in common, and the errand that is sent to another process or machine.

An errand is one pickle of bytes: Dask would otherwise spread large arguments over the workers' memory, where they are
lost with a worker, and code of a notebook or a script travels inside it.
"""

from __future__ import annotations

import pickle
import platform
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mien.errors import EngineError
from mien.version import __version__

# What decides the bits of a result wherever it is made: numbers, training, decoding, hearing, reading, watching.
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
MOST_RETRIES = 3
# A scheduler that is there answers within a second, and workers that are there have told it so.
CONNECT_TIMEOUT_S = 30


class WorkersLostError(Exception):
    """One worker after the other died with the same job."""


@dataclass(frozen=True)
class Cluster:
    """A place to work that is ready."""

    # does one job and waits for its outcome; raises WorkersLostError, and EngineError where no other job can be done
    do: Callable[[Callable[[Any], Any], Any], Any]
    # gives up all jobs; what has begun ends by a function that is called in every process that works
    give_up: Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Errand:
    """A function with its job, packed, and the versions it was packed under."""

    packed: bytes
    versions: Mapping[str, str]


def versions_here() -> dict[str, str]:
    """Python and the packages that decide what comes out."""
    return {"Python": platform.python_version(), "mien": __version__} | {
        name: _version(name) for name in DECIDING_PACKAGES
    }


def pack(function: Callable[[Any], Any], job: Any) -> Errand:
    """Make an errand. Functions and classes of an installed module are named in it, others are taken along."""
    import cloudpickle

    return Errand(cloudpickle.dumps((function, job)), versions_here())


def run_errand(errand: Errand) -> Any:
    """Do an errand, on a worker. Raises EngineError where this worker has other versions."""
    here = versions_here()
    differing = [
        f"{name} {here[name]} instead of {expected}"
        for name, expected in errand.versions.items()
        if here[name] != expected
    ]
    if differing:
        raise EngineError(
            f"Expected the versions of this machine on the worker {socket.gethostname()}, but got "
            f"{', '.join(differing)}; install the same everywhere, or the numbers depend on who made them"
        )
    function, job = pickle.loads(errand.packed)
    return function(job)


def require_seen(path: Path) -> None:
    """Raises EngineError when whoever calls, a worker, does not see a file or folder of the one who sent it."""
    if not path.exists():
        raise EngineError(
            f"Expected the worker {socket.gethostname()} to see {path}, but got nothing there; put it on a file system "
            "that all workers share under the same path"
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
