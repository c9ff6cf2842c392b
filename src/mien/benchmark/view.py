"""The scores, predictions and attention weights of a benchmark that its figures show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.benchmark.tables import value_at
from mien.evaluation.compare import SeedRun
from mien.evaluation.headline import all_headlines, tasks_of_settings
from mien.reports.table_formats import seeds_text
from mien.schema import EMOTION, SENTIMENT, FloatArray, Modality

# the tasks whose joint and separate learning the paper's figures compare
PAPER_TASKS = frozenset({SENTIMENT, EMOTION})
LETTERS = {Modality.TEXT: "T", Modality.ACOUSTIC: "A", Modality.VISUAL: "V"}
# the paper's order of input sets
INPUT_SETS = ("T", "A", "V", "T+V", "T+A", "A+V", "T+A+V")


@dataclass(frozen=True, slots=True)
class OmittedFigure:
    """The reason why a benchmark lacks a figure; returned in place of the figure."""

    reason: str


@dataclass(frozen=True, slots=True)
class SystemScores:
    """One setting of a benchmark with its scores from results.json. Scores like accuracy are fractions in [0, 1]."""

    name: str
    slug: str
    model: str
    inputs: tuple[str, ...]
    tasks: tuple[str, ...]
    # overridden defaults, and the Dataset if it is not that of the benchmark, as JSON text; systems with different
    # texts belong to different families
    settings: str
    protocols: Mapping[str, Mapping[str, Any]]
    experimental: bool = False

    def seeds(self, protocol: str) -> tuple[int, ...]:
        """Return the seeds of the runs that were scored under a protocol."""
        return tuple(run["seed"] for run in self.protocols.get(protocol, {}).get("runs", ()))

    def per_seed(self, protocol: str, path: str) -> FloatArray:
        """Return the values of one score, one per run.

        Args:
            protocol: Name of the protocol.
            path: Keys of the score in a result, joined by dots.

        Returns:
            Scores (seed,), NaN where undefined; an empty array if the system was not scored under the protocol.
        """
        return np.array([number_at(run, path) for run in self.protocols.get(protocol, {}).get("runs", ())])

    def mean(self, protocol: str, path: str) -> float:
        """Return the mean of one score over the seeds.

        Args:
            protocol: Name of the protocol.
            path: Keys of the score in a result, joined by dots.

        Returns:
            The mean; NaN if the score is undefined or the system does not have it.
        """
        return number_at(self.protocols.get(protocol, {}).get("mean"), path)

    def sd(self, protocol: str, path: str) -> float:
        """Return the standard deviation of one score over the seeds.

        Args:
            protocol: Name of the protocol.
            path: Keys of the score in a result, joined by dots.

        Returns:
            The standard deviation; NaN if there is a single seed or no such score.
        """
        return number_at(self.protocols.get(protocol, {}).get("sd"), path)

    def interval(self, protocol: str, path: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a score's mean over the seeds, by bootstrap over videos.

        Args:
            protocol: Name of the protocol.
            path: Keys of the score in a result, joined by dots.

        Returns:
            (low, high), or None if there is no interval.
        """
        limits = self.protocols.get(protocol, {}).get("intervals", {}).get(path)
        return None if limits is None or None in limits else (float(limits[0]), float(limits[1]))

    @property
    def letters(self) -> str:
        """The inputs in the paper's notation, for example T+V for text and visual."""
        return letters(self.inputs)

    @property
    def label(self) -> str:
        """The name, with a dagger if the system is experimental."""
        return f"{self.name} †" if self.experimental else self.name


@dataclass(frozen=True, slots=True)
class SystemFamily:
    """Systems that differ only in their tasks.

    The system `joint` was trained on sentiment and emotion together. Each system in `single` was trained on one of
    these two tasks alone.
    """

    joint: SystemScores | None
    single: Mapping[str, SystemScores]  # task -> the system trained for it alone

    def any(self) -> SystemScores:
        """Return one of the systems, to look up what all of them share, such as model and inputs."""
        return self.joint or next(iter(self.single.values()))


@dataclass(frozen=True, slots=True)
class VideoAttention:
    """Attention weights of one run for one video."""

    video_id: str
    utterances: tuple[int, ...]  # index of every utterance, ordered by start time
    # direction -> weights (utterance, context). In the direction "text->visual", the text of each utterance attends to
    # the visual features of all utterances.
    maps: Mapping[str, FloatArray]
    system: str
    seed: int
    dataset: str
    split: str
    chosen_by: str = ""  # how the video was chosen; empty if the user named it


@dataclass(frozen=True, slots=True)
class BenchmarkView:
    """All data that the figures of a benchmark show."""

    dataset: str
    split: str
    reference: str  # name of the system that the others are compared with
    systems: tuple[SystemScores, ...]  # those with results, in the order of the plan
    folds: str = ""  # number and column of the folds, such as "5 folds by fold"; empty if there are none
    reference_runs: tuple[SeedRun, ...] = ()
    attention: VideoAttention | OmittedFigure = field(default=OmittedFigure("no run was asked for its attention"))

    @property
    def part(self) -> str:
        """What is scored, for titles: the split, or all folds."""
        return self.folds or f"{self.split} split"

    def trivial(self, path: str, protocol: str = "clean") -> float:
        """Return one score of the constant predictor.

        Args:
            path: Keys of the score in a result, joined by dots.
            protocol: Name of the protocol.

        Returns:
            The value that is stored with the reference system. If it has none, the first value that is stored with
            another system. If no system has one, NaN.
        """
        systems = sorted(self.systems, key=lambda system: system.name != self.reference)
        values = [system.mean(protocol, f"trivial.{path}") for system in systems]
        return next((value for value in values if not np.isnan(value)), float("nan"))

    def scored(self, path: str, protocol: str = "clean") -> list[SystemScores]:
        """List the systems for which a score is defined.

        Args:
            path: Keys of the score in a result, joined by dots.
            protocol: Name of the protocol.

        Returns:
            The systems in the order of the plan.
        """
        return [system for system in self.systems if not np.isnan(system.mean(protocol, path))]

    def headline(self, protocol: str = "clean") -> dict[str, str]:
        """Return path -> title of each headline score that figures show and that at least one system has."""
        return {path: name for path, name in figure_titles(self.systems).items() if self.scored(path, protocol)}

    def families(self) -> list[SystemFamily]:
        """Group the systems that differ only in their tasks.

        Systems that predict tasks other than sentiment and emotion are left out. The groups are ordered by their
        inputs, as in the paper.
        """
        groups: dict[tuple[str, str, str], list[SystemScores]] = {}
        for system in (each for each in self.systems if set(each.tasks) <= PAPER_TASKS):
            groups.setdefault((system.model, system.letters, system.settings), []).append(system)
        families = [
            SystemFamily(
                next((system for system in group if set(system.tasks) == PAPER_TASKS), None),
                {system.tasks[0]: system for system in reversed(group) if len(system.tasks) == 1},
            )
            for group in groups.values()
        ]
        return sorted(families, key=lambda family: INPUT_SETS.index(family.any().letters))

    def reference_family(self) -> SystemFamily | None:
        """Choose the family in which joint and single-task learning are compared.

        A family is the systems that differ only in their tasks.

        Returns:
            The family of the reference, if it has a joint and a single-task system. Otherwise, of the families that
            have both, the one with the most inputs. If no family has both, the family of the reference, or None if the
            reference has other tasks than sentiment and emotion.
        """
        families = self.families()
        own = next(
            (each for each in families if self.reference in [s.name for s in (each.joint, *each.single.values()) if s]),
            None,
        )
        if own is not None and own.joint is not None and own.single:
            return own
        return next((each for each in reversed(families) if each.joint and each.single), own)

    def heading(self, protocols: str = "protocol clean", protocol: str = "clean") -> str:
        """Return a title line with data set, split, protocols and number of seeds.

        Args:
            protocols: Text that names the protocols.
            protocol: Protocol whose seeds are counted.

        Returns:
            The line.
        """
        counts = sorted({len(system.seeds(protocol)) for system in self.systems})
        return f"{self.dataset}, {self.part}, {protocols}, {seeds_text(counts)}"


def figure_titles(systems: Iterable[SystemScores]) -> dict[str, str]:
    """Return the titles of the headline scores of these systems that figures show, by path of the score."""
    tasks = tasks_of_settings({"protocols": each.protocols} for each in systems)
    return {path: headline.title for path, headline in all_headlines(tasks).items() if headline.title}


def letters(modalities: Collection[str]) -> str:
    """Abbreviate modalities in the order of the paper: text and visual become "T+V"."""
    return "+".join(letter for modality, letter in LETTERS.items() if modality in modalities)


def means_and_sds(systems: Sequence[SystemScores | None], path: str) -> tuple[FloatArray, FloatArray]:
    """Return the means and s.d. of one score, for several systems under the protocol clean.

    Args:
        systems: Systems; an entry that is None gives NaN.
        path: Keys of the score in a result, joined by dots.

    Returns:
        Means and standard deviations over the seeds, both (system,); NaN where undefined.
    """
    nan = float("nan")
    means = [nan if system is None else system.mean("clean", path) for system in systems]
    sds = [nan if system is None else system.sd("clean", path) for system in systems]
    return np.array(means), np.array(sds)


def number_at(part: Mapping[str, Any] | None, path: str) -> float:
    """Look up a number in nested dictionaries.

    Args:
        part: The outer dictionary. If it is None, the result is NaN.
        path: Keys joined by dots.

    Returns:
        The number; NaN where a key is missing or the value is None.
    """
    value = value_at(part, path)
    return float("nan") if value is None else float(value)
