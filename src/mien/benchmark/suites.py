"""What a benchmark runs: suites of settings. Adding one is one function and one line in `SUITES`."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.benchmark.view import letters
from mien.commands.reading import SplitLabels, encodes_text, has_transcripts
from mien.errors import DataError, SettingsError, UnknownNameError, UsageError, nearest
from mien.models import MODELS, SystemEntry, model_entry
from mien.models.batch import InputKind
from mien.models.classical.base import ClassicalEntry
from mien.schema import Level, Modality
from mien.settings import override, override_several, read_toml
from mien.storage.dataset import Dataset, open_dataset
from mien.tasks import TASKS
from mien.training.train_settings import TrainSettings

REFERENCE_MODEL = "cim"
FILE_KEYS = ("name", "settings", "reference", "setting")
BEYOND_THE_PAPER = "it is beyond the paper, whose systems hear given features; compare it in a suite of your own"
SETTING_KEYS = ("name", "model", "inputs", "tasks", "settings", "dataset")


@dataclass(frozen=True)
class Setting:
    """One row of a benchmark: a system, what it hears and what it predicts; run once per seed."""

    name: str
    model: str
    inputs: tuple[Modality, ...]
    tasks: tuple[str, ...]
    # flat names, over the defaults of the model and of the training loop
    settings: Mapping[str, Any] = field(default_factory=dict)
    # None: the benchmark's Dataset
    dataset: Dataset | None = None

    @property
    def slug(self) -> str:
        """Its name as a folder's."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower().replace("+", "")).strip("-")


@dataclass(frozen=True)
class Suite:
    """What to run, against which of the settings everything is compared, and what was left out and why."""

    name: str
    settings: tuple[Setting, ...]
    reference: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    # task -> the setting that its scores are compared with, where that is not the reference
    references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetContents:
    """What a Dataset offers to a suite: modalities that occur in train, tasks labelled in train and valid."""

    dataset: Dataset
    modalities: tuple[Modality, ...]
    tasks: tuple[str, ...]

    @property
    def transcripts(self) -> bool:
        """Whether it has transcripts."""
        return has_transcripts(self.dataset)

    @property
    def words(self) -> tuple[Modality, ...]:
        """The modalities that come word by word."""
        spaces = self.dataset.facts.spaces
        return tuple(modality for modality in self.modalities if spaces[modality].level is Level.WORD)


def dataset_contents(dataset: Dataset) -> DatasetContents:
    """Look at the train and valid splits. Raises DataError when one is not there or nothing can be learned.

    Transcripts alone are enough for the systems that read them.
    """
    splits = [dataset.columns(split) for split in ("train", "valid")]
    modalities = tuple(m for m in Modality if m in dataset.facts.spaces and splits[0].present[m].any())
    train, valid = (SplitLabels(each.sentiment, each.emotions, dataset.facts.sentiment_values) for each in splits)
    tasks = tuple(task for task in TASKS if train.admits(task) and valid.labelled(task))
    have = DatasetContents(dataset, modalities, tasks)
    if not tasks or not (modalities or have.transcripts):
        raise DataError(
            f"Expected features or transcripts in train, and labels in train and valid, in {dataset.folder}, but got "
            f"{'no features and no transcripts' if tasks else 'no labels'}; see: mien describe {dataset.folder}"
        )
    return have


def table4(have: DatasetContents) -> Suite:
    """The paper's Table 4: every subset of the modalities x (each task alone, and jointly), by the reference model."""
    entry = model_entry(REFERENCE_MODEL)
    heard = _heard_by_reference(have)
    subsets = [subset for size in range(1, len(heard) + 1) for subset in itertools.combinations(heard, size)]
    claimed = _claimed(entry, have)
    arms = {task: (task,) for task in claimed} | ({"joint": claimed} if len(claimed) > 1 else {})
    settings = tuple(
        Setting(f"{letters(subset)} {name}", REFERENCE_MODEL, subset, tasks)
        for subset in subsets
        for name, tasks in arms.items()
    )
    return Suite("table4", settings, settings[-1].name)


def table7(have: DatasetContents) -> Suite:
    """The paper's Table 7: every system that the data admits, jointly on all labelled tasks, with all it can hear."""
    _heard_by_reference(have)
    settings, left_out = [], {}
    for name, entry in MODELS.items():
        inputs, tasks = accepted_modalities(entry, have), _claimed(entry, have)
        if entry.input_kind is InputKind.TRANSCRIPTS:
            left_out[name] = BEYOND_THE_PAPER
        elif not inputs:
            left_out[name] = why_unsupported(entry, have)
        elif not tasks:
            left_out[name] = f"it predicts {', '.join(entry.tasks)}, and the labels are for {', '.join(have.tasks)}"
        else:
            settings.append(Setting(name, name, inputs, tasks))
    return Suite("table7", tuple(settings), REFERENCE_MODEL, left_out)


def tasks(have: DatasetContents) -> Suite:
    """Which task helps which: every subset of the labelled tasks, each task's scores against it learned alone."""
    entry = model_entry(REFERENCE_MODEL)
    heard, learnable = _heard_by_reference(have), [task for task in have.tasks if task in entry.tasks]
    subsets = [subset for size in range(1, len(learnable) + 1) for subset in itertools.combinations(learnable, size)]
    settings = tuple(Setting(task_letters(subset), REFERENCE_MODEL, heard, subset) for subset in subsets)
    joint = task_letters(_claimed(entry, have)) or settings[-1].name
    return Suite("tasks", settings, joint, references={task: TASKS[task].letters for task in learnable})


SUITES: dict[str, Callable[[DatasetContents], Suite]] = {"table4": table4, "table7": table7, "tasks": tasks}


def find_suite(name: str | Path, have: DatasetContents, common: Mapping[str, Any]) -> Suite:
    """The suite of that name, or the one in that TOML file; `common` are training settings for all of its settings.

    Raises UnknownNameError, DataError, UsageError or SettingsError.
    """
    if str(name) in SUITES:
        suite = SUITES[str(name)](have)
    elif Path(name).suffix == ".toml":
        suite = _read_suite(Path(name), have)
    else:
        raise UnknownNameError("suite", str(name), [*SUITES, "FILE.toml"])
    settings = _with_common(suite.settings, training_settings(common))
    _require_distinct(settings)
    return dataclasses.replace(suite, settings=settings)


def training_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the training loop, each in its own type. Raises SettingsError, also for a model's own settings."""
    typed = dataclasses.asdict(override(TrainSettings(), values))
    return {name: typed[name] for name in values}


def _with_common(settings: Sequence[Setting], common: Mapping[str, Any]) -> tuple[Setting, ...]:
    """The settings with the loop's common ones below their own; a system that is fitted once has no loop.

    Runs stand side by side on the cores, so that each has one thread unless somebody says otherwise.
    """
    completed = []
    for each in settings:
        entry = model_entry(each.model)
        if isinstance(entry, ClassicalEntry):
            completed.append(each)
        else:
            alone = {"threads": 1} if "threads" in entry.training else {}
            completed.append(dataclasses.replace(each, settings={**alone, **common, **each.settings}))
    return tuple(completed)


def accepted_modalities(
    entry: SystemEntry, have: DatasetContents, settings: Mapping[str, Any] | None = None
) -> tuple[Modality, ...]:
    """The modalities of the Dataset that a system of these settings takes."""
    offered = have.words if entry.input_kind is InputKind.WORDS else have.modalities
    if encodes_text(entry, settings or {}) and have.transcripts:
        offered = tuple(modality for modality in Modality if modality in (Modality.TEXT, *offered))
    return tuple(modality for modality in offered if modality in entry.modalities)


def task_letters(several: Sequence[str]) -> str:
    """(sentiment, emotion_intensity) -> S+EI."""
    return "+".join(TASKS[task].letters for task in several)


def _claimed(entry: SystemEntry, have: DatasetContents) -> tuple[str, ...]:
    """What a suite asks of a system unless it says otherwise: as `mien train`, what is not for requests alone."""
    return tuple(task for task in have.tasks if task in entry.tasks and not TASKS[task].on_request)


def why_unsupported(entry: SystemEntry, have: DatasetContents) -> str:
    """The reason why a system cannot be trained on the Dataset."""
    if entry.input_kind is InputKind.WORDS and not have.words:
        return (
            "it reads word by word, and the Dataset has one vector per utterance; import again with words "
            "(mien import csd, mult or mmsa, or table --text glove-6b-50d --words; mien extract --level word)"
        )
    offered = have.words if entry.input_kind is InputKind.WORDS else have.modalities
    return f"it hears {', '.join(entry.modalities)}, and the Dataset has {', '.join(offered)}"


def _read_suite(path: Path, have: DatasetContents) -> Suite:
    """Anybody's own suite, against the setting it names as reference; else against `cim`, which is added if missing."""
    facts = read_toml(path)
    _require_keys(facts, FILE_KEYS, str(path))
    rows = facts.get("setting", [])
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"Expected at least one [[setting]] in {path}, but got none; see docs/protocol.md")
    common = training_settings(facts.get("settings", {}))
    settings = [_read_setting(row, f"setting {number} of {path}", have, path) for number, row in enumerate(rows, 1)]
    if "reference" in facts:
        name = str(facts["reference"])
        if name not in (names := [each.name for each in settings]):
            raise UnknownNameError(f"setting as the reference of {path}", name, names)
    else:
        claimed = _claimed(model_entry(REFERENCE_MODEL), have)
        reference = Setting(f"{REFERENCE_MODEL} joint", REFERENCE_MODEL, _heard_by_reference(have), claimed)
        same = [each for each in settings if dataclasses.replace(each, name=reference.name) == reference]
        if not same:
            settings.append(reference)
        name = (same or [reference])[0].name
    return Suite(str(facts.get("name", path.stem)), _with_common(settings, common), name)


def _heard_by_reference(have: DatasetContents) -> tuple[Modality, ...]:
    if heard := accepted_modalities(model_entry(REFERENCE_MODEL), have):
        return heard
    raise DataError(
        f"Expected features in {have.dataset.folder} for {REFERENCE_MODEL}, the reference of this suite, but got "
        "transcripts alone; import again with --text minilm, or name another reference in a suite of your own"
    )


def _read_setting(row: Mapping[str, Any], where: str, have: DatasetContents, path: Path) -> Setting:
    _require_keys(row, SETTING_KEYS, where)
    if "dataset" in row:
        have = dataset_contents(open_dataset(path.parent / str(row["dataset"])))
    model = str(row.get("model", REFERENCE_MODEL))
    entry = model_entry(model)
    own = row.get("settings", {})
    groups: tuple[Any, ...] = (entry.settings, override(TrainSettings(), entry.training))
    typed = override_several(groups[:1] if isinstance(entry, ClassicalEntry) else groups, own)
    known = {name: value for part in typed for name, value in dataclasses.asdict(part).items()}
    setting = Setting(
        name=str(row.get("name", model)),
        model=model,
        inputs=_members("modality", row.get("inputs", accepted_modalities(entry, have, own)), Modality, where),
        tasks=_members("task", row.get("tasks", _claimed(entry, have)), TASKS, where),
        settings={name: known[name] for name in own},
        dataset=have.dataset if "dataset" in row else None,
    )
    if not setting.inputs or not setting.tasks:
        reason = f"{model} cannot be trained on it: {why_unsupported(entry, have)}" if not setting.inputs else "no task"
        raise UsageError(f"Expected {where} to fit {have.dataset.folder}, but got {reason}; change or remove it")
    return setting


def _members(kind: str, names: Any, known: Iterable[Any], where: str) -> tuple[Any, ...]:
    members = {str(member): member for member in known}
    for name in names:
        if name not in members:
            raise UnknownNameError(f"{kind} in {where}", str(name), members)
    return tuple(member for name, member in members.items() if name in names)


def _require_keys(facts: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [f"{key!r}{nearest(key, known)}" for key in facts if key not in known]
    if unknown:
        raise SettingsError(f"Expected the keys {', '.join(known)} in {where}, but got {'; '.join(unknown)}")


def _require_distinct(settings: Sequence[Setting]) -> None:
    seen: dict[str, str] = {}
    for setting in settings:
        if not setting.slug or setting.slug in seen:
            raise UsageError(
                f"Expected settings with names that differ in letters and digits, but got {setting.name!r}"
                + (f" and {seen[setting.slug]!r}" if setting.slug else "")
                + "; rename one"
            )
        seen[setting.slug] = setting.name
