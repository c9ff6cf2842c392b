"""Progress of `mien analyze` and `mien extract`: which recording is at which stage, how much is done, and time left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mien.media.container import probe


class Stage(StrEnum):
    """A stage of the work on recordings, by the words that the progress shows."""

    LOADING = "loading the models"
    LISTENING = "listening"
    WATCHING = "watching"
    MEASURING_VOICE = "measuring the voice"
    PREDICTING = "predicting"
    WRITING = "writing"
    DONE = "done"


# Share of the work on one recording that is done after its measured tasks, and at the start of the later stages. The
# measured tasks, such as listening and watching, take nearly all of the time and report their own shares.
MEASURED_SHARE = 0.95
STAGE_SHARES = {Stage.WRITING: 0.98, Stage.DONE: 1.0}
# A report is made when the share of a stage has grown by this much.
STEP = 0.01
# An estimate of the time left from less than this would be a guess.
LEAST_SHARE = 0.03
LEAST_ELAPSED_S = 3.0
# The duration of an empty recording is taken to be this long.
SHORTEST_S = 0.1
# A shorter time left is not worth a number.
LEAST_LEFT_S = 2.5


@dataclass(frozen=True)
class RecordingProgress:
    """The state of the work on recordings at one moment. `str()` gives one line.

    Attributes:
        recording: Name of the recording; empty while the models are loaded, or all recordings are written together.
        stages: Stages that it is at, each with its share from 0 to 1; None if a stage has no measured share.
        number: Position of the recording among all recordings, from 1 on.
        total: Number of recordings.
        share: Share of the whole work that is done, from 0 to 1.
        left_s: Estimated time in seconds until all recordings are done; None if it is too early to say.
    """

    recording: str
    stages: Mapping[Stage, float | None]
    number: int = 1
    total: int = 1
    share: float = 0.0
    left_s: float | None = None

    @property
    def text(self) -> str:
        """The recording and its stages, such as ``talk.mp4 (2 of 3): listening 40 %, watching 100 %``."""
        stages = ", ".join(
            stage if share is None else f"{stage} {int(100 * share)} %" for stage, share in self.stages.items()
        )
        of = f" ({self.number} of {self.total})" if self.total > 1 else ""
        return f"{self.recording}{of}: {stages}" if self.recording else stages

    def __str__(self) -> str:
        return self.text if self.left_s is None else f"{self.text}; about {duration_text(self.left_s)} left"


Advance = Callable[[RecordingProgress], None]


def duration_text(seconds: float) -> str:
    """Return a rounded duration, such as ``40 s``, ``3 min`` or ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class ProgressMeter:
    """Collects the progress of all recordings, also from several threads, and reports that of one recording."""

    def __init__(self, advance: Advance, recordings: Sequence[Path]) -> None:
        self._advance = advance
        self._numbers = {path: number for number, path in enumerate(recordings, start=1)}
        # recording -> (stage, name of the task) -> share; several extractors may watch one recording
        self._measured: dict[Path, dict[tuple[Stage, str], float]] = {}
        self._stages: dict[Path, Stage] = {}
        self._shown: Path | None = None
        self._started_s: float | None = None
        self._lock = threading.RLock()

    def load(self) -> None:
        """Report that the models are loaded."""
        self._advance(RecordingProgress("", {Stage.LOADING: None}, total=len(self._numbers)))

    def expect(self, path: Path, tasks: Iterable[tuple[Stage, str]]) -> None:
        """Register the tasks that measure a recording.

        Args:
            path: The recording.
            tasks: Stage and name of each task.
        """
        with self._lock:
            self._measured.setdefault(path, dict.fromkeys(tasks, 0.0))

    def show(self, path: Path, stage: Stage | None = None) -> None:
        """Report the progress of this recording from now on. The measurements of the next one may run already.

        Args:
            path: The recording.
            stage: Stage after the measurements that it has reached; None if it has reached none.
        """
        with self._lock:
            self._shown = path
            self._started_s = self._started_s or time.monotonic()
            if stage is not None:
                self._stages[path] = stage
            self._report()

    def measure(self, path: Path, task: tuple[Stage, str], share: float) -> None:
        """Set the share of a task that is done. A smaller share than before changes nothing.

        Args:
            path: The recording.
            task: Stage and name of the task, as registered by `expect`.
            share: Share that is done, from 0 to 1.
        """
        with self._lock:
            tasks = self._measured[path]
            share = min(share, 1.0)
            if share < 1.0 and share - tasks[task] < STEP:
                return
            tasks[task] = max(share, tasks[task])
            if path == self._shown and self._stages.get(path) in (None, Stage.PREDICTING):
                self._report()

    def in_seconds(self, path: Path, task: tuple[Stage, str]) -> Callable[[float], None]:
        """Return a function that takes the number of seconds of a recording for which a task is done.

        Args:
            path: The recording.
            task: Stage and name of the task, as registered by `expect`.
        """
        duration_s = 0.0

        def report(seconds: float) -> None:
            nonlocal duration_s
            # the file has been opened when the first seconds are processed
            duration_s = duration_s or max(probe(path).duration_s, SHORTEST_S)
            self.measure(path, task, seconds / duration_s)

        return report

    def _share_of(self, path: Path) -> float:
        stage = self._stages.get(path)
        if stage in STAGE_SHARES:
            return STAGE_SHARES[stage]
        shares = self._measured.get(path, {}).values()
        if not shares:
            return 0.0 if stage is None else MEASURED_SHARE
        return MEASURED_SHARE * sum(shares) / len(shares)

    def _report(self) -> None:
        path = self._shown
        if path is None:
            return
        share = sum(map(self._share_of, self._numbers)) / len(self._numbers)
        elapsed_s = 0.0 if self._started_s is None else time.monotonic() - self._started_s
        left_s = elapsed_s * (1 - share) / share if share >= LEAST_SHARE and elapsed_s >= LEAST_ELAPSED_S else None
        if left_s is not None and left_s < LEAST_LEFT_S:
            left_s = None
        self._advance(
            RecordingProgress(path.name, self._stages_of(path), self._numbers[path], len(self._numbers), share, left_s)
        )

    def _stages_of(self, path: Path) -> dict[Stage, float | None]:
        reached = self._stages.get(path)
        if reached in STAGE_SHARES:
            return {reached: None}
        shares: dict[Stage, list[float]] = {}
        for (stage, _), share in self._measured.get(path, {}).items():
            shares.setdefault(stage, []).append(share)
        shown: dict[Stage, float | None] = {stage: sum(values) / len(values) for stage, values in shares.items()}
        if reached is None:
            # what predicts may still be loaded when a short recording has been measured
            waiting = bool(shares) and all(share == 1.0 for share in shown.values())
            return shown | {Stage.LOADING: None} if waiting else shown
        # a model of words predicts while the faces are still measured for the report
        return {stage: share for stage, share in shown.items() if share is not None and share < 1} | {reached: None}
