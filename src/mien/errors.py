"""Everything that can go wrong on purpose. One tree, so that a caller can catch as widely as it likes.

MienError
├── UsageError                 the request itself makes no sense (exit code 2)
│   └── UnknownNameError       a name that is in no table; the nearest valid one is offered
├── SettingsError              unknown or ill-typed settings, all reported at once
├── DataError                  what was read is not what was expected
│   ├── UnsafePickleError      a pickle names something other than arrays and plain containers
│   └── DamagedFileError       truncated, altered or half-written files (sha256 mismatch)
├── FeatureSpaceError          features of one space given to a model of another
├── MissingWeightsError        an extractor's weights are nowhere to be found
├── MissingExtraError          an optional dependency is not installed
├── ExportError                a trained system cannot be written in another format, or not without other numbers
├── WorkerError                a process that shared the work was killed
├── TrainingError              training cannot go on, or a run folder is not what the command needs
├── EngineError                a cluster is not there, has other versions, or does not see the files
└── WriteError                 nothing was lost: the old file is still there

Messages follow one sentence pattern: "Expected ..., but got ...; do ...".
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MienError(Exception):
    """Base of every error that mien raises on purpose; its text is fit for a user's eyes."""


class UsageError(MienError):
    """The request itself makes no sense, whatever the data."""


class UnknownNameError(UsageError):
    """A name that is in no table."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(map(str, known))
        super().__init__(f"Expected {kind} to be one of {', '.join(names)}, but got {name!r}{nearest(name, names)}")


class SettingsError(MienError):
    """Unknown or ill-typed settings, all of them in one message."""


class DataError(MienError):
    """What was read is not what was expected."""


class UnsafePickleError(DataError):
    """A pickle names something other than arrays and plain containers; nothing of it was executed."""


class DamagedFileError(DataError):
    """A truncated, altered or half-written file."""


class FeatureSpaceError(MienError):
    """Features of one space were given to a model trained on another."""


class MissingWeightsError(MienError):
    """An extractor's weights are nowhere to be found."""


class MissingExtraError(MienError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"Expected the package {package!r} to be installed, but it is not; run: pip install 'mien[{extra}]'"
        )


class WorkerError(MienError):
    """A process that shared the work was killed from outside."""


class TrainingError(MienError):
    """Training cannot go on, or a run folder is not what the command needs."""


class ExportError(MienError):
    """A trained system cannot be written in another format, or what was written gives other numbers."""


class EngineError(MienError):
    """A cluster is not there, has other versions, or does not see the files."""


class WriteError(MienError):
    """Writing failed; whatever stood there before still does."""


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' with the nearest of `known`, or an empty string."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
