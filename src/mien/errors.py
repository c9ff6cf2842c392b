"""All exceptions that mien raises, in one hierarchy.

MienError
├── UsageError                 request that is invalid for any data (exit code 2)
│   └── UnknownNameError       unknown name; the message suggests the nearest valid one
├── SettingsError              unknown or invalid settings; the message lists all of them
├── DataError                  input data that differ from what is expected
│   ├── UnsafePickleError      pickle with anything other than arrays and plain containers
│   └── DamagedFileError       truncated, altered or incomplete file (sha256 mismatch)
├── FeatureSpaceError          features that belong to another feature space than the model's
├── MissingWeightsError        weights of a pretrained model not found
├── MissingExtraError          optional dependency not installed
├── ExportError                model export that failed or changes the predictions
├── WorkerError                worker process killed
├── TrainingError              training that cannot continue, or an unsuitable run folder
├── EngineError                cluster that is missing, runs other versions, or cannot access the files
└── WriteError                 writing failed; an existing file is unchanged
    └── ReadOnlyError          the place may not be written to

Messages have the form "Expected ..., but got ...; do ...".
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MienError(Exception):
    """Base class of all exceptions that mien raises. The messages are written for users."""


class UsageError(MienError):
    """The request itself is invalid. It would be invalid with any data."""


class UnknownNameError(UsageError):
    """A name is unknown. The message suggests the nearest valid name.

    Args:
        kind: Kind of the name, with an article: "a reader".
        name: The unknown name.
        known: All valid names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(map(str, known))
        super().__init__(f"Expected {kind} to be one of {', '.join(names)}, but got {name!r}{nearest(name, names)}")


class SettingsError(MienError):
    """Settings are unknown or invalid. The message lists all mistakes."""


class DataError(MienError):
    """The input data are not as expected."""


class UnsafePickleError(DataError):
    """A pickle contains something other than arrays and plain containers. None of its code was executed."""


class DamagedFileError(DataError):
    """A file is truncated, altered or incomplete."""


class FeatureSpaceError(MienError):
    """The features are of another kind than the features on which the model was trained."""


class MissingWeightsError(MienError):
    """The weights of a pretrained model were not found."""


class MissingExtraError(MienError):
    """An optional dependency is not installed. The message says how to install it.

    Args:
        package: The missing package.
        extra: Name of the extra of mien ("mien[extra]") that contains the package.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"Expected the package {package!r} to be installed, but it is not; run: pip install 'mien[{extra}]'"
        )


class WorkerError(MienError):
    """A worker process was killed by another program or by the operating system."""


class TrainingError(MienError):
    """Training cannot continue, or a run folder does not suit the command."""


class ExportError(MienError):
    """A trained system cannot be exported, or the exported model gives other predictions than the system."""


class EngineError(MienError):
    """A cluster does not work: it cannot be reached, runs other software versions, or cannot access the files."""


class WriteError(MienError):
    """A file could not be written. If the file existed before, it is unchanged."""


class ReadOnlyError(WriteError):
    """A file could not be written, because its place is read-only for this user."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the valid name most similar to an unknown one.

    Args:
        name: The unknown name.
        known: All valid names.

    Returns:
        The text "; did you mean ...?", or an empty string if no valid name is similar.
    """
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
