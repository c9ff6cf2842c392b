"""Suites: the settings that a benchmark runs. To add one, write a function and register it in `SUITES`."""

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
from mien.schema import MODALITY_ALIASES, Level, Modality
from mien.settings import override, override_several, read_toml
from mien.storage.dataset import Dataset, open_dataset
from mien.tasks import Task, tasks_of
from mien.training.train_settings import TrainSettings

REFERENCE_MODEL = "cim"
FILE_KEYS = ("name", "settings", "reference", "setting")
BEYOND_THE_PAPER = "it is beyond the paper, whose systems hear given features; compare it in a suite of your own"
SETTING_KEYS = ("name", "model", "inputs", "tasks", "settings", "dataset")


@dataclass(frozen=True)
class Setting:
    """One setting of a benchmark: a system with its inputs and tasks, which is trained once per seed."""

    name: str
    model: str
    inputs: tuple[Modality, ...]
    tasks: tuple[str, ...]
    # name -> value that overrides the default of the model or of the training loop
    settings: Mapping[str, Any] = field(default_factory=dict)
    # the Dataset to train on; None means the Dataset of the benchmark
    dataset: Dataset | None = None

    @property
    def slug(self) -> str:
        """The name in lower case with hyphens, as used in paths."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower().replace("+", "")).strip("-")


@dataclass(frozen=True)
class Suite:
    """Settings to train, the setting that the others are compared with, and the reasons why systems are left out."""

    name: str
    settings: tuple[Setting, ...]
    reference: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    # task -> name of the setting that its scores are compared with; if empty, `reference` serves all tasks
    references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetContents:
    """What a suite can use of a Dataset: modalities in the train split, and tasks with labels in train and valid."""

    dataset: Dataset
    modalities: tuple[Modality, ...]
    tasks: tuple[str, ...]
    # all tasks of the label spaces, with their default kinds
    task_table: Mapping[str, Task]

    def letters(self, several: Sequence[str]) -> str:
        """Abbreviate a list of tasks. For example, sentiment and emotion_intensity become "S+EI"."""
        return "+".join(self.task_table[task].letters for task in several)

    @property
    def transcripts(self) -> bool:
        """Whether any utterance of the Dataset has a transcript."""
        return has_transcripts(self.dataset)

    @property
    def words(self) -> tuple[Modality, ...]:
        """The modalities that the Dataset stores as one vector per word."""
        spaces = self.dataset.facts.spaces
        return tuple(modality for modality in self.modalities if spaces[modality].level is Level.WORD)


def dataset_contents(dataset: Dataset) -> DatasetContents:
    """Find what a suite can use of a Dataset, from its train and valid splits.

    Raises:
        DataError: A split is missing, no task is labelled, or there are neither features nor transcripts.
    """
    splits = [dataset.columns(split) for split in ("train", "valid")]
    modalities = tuple(m for m in Modality if m in dataset.facts.spaces and splits[0].present[m].any())
    train, valid = (SplitLabels(each, dataset.facts.sentiment_values) for each in splits)
    table = tasks_of(dataset.facts.label_spaces)
    tasks = tuple(name for name, task in table.items() if train.admits(task) and valid.labelled(task))
    contents = DatasetContents(dataset, modalities, tasks, table)
    if not tasks or not (modalities or contents.transcripts):
        raise DataError(
            f"Expected features or transcripts in train, and labels in train and valid, in {dataset.folder}, but got "
            f"{'no features and no transcripts' if tasks else 'no labels'}; see: mien describe {dataset.folder}"
        )
    return contents


def table4(have: DatasetContents) -> Suite:
    """Make the suite of the paper's Table 4: the model `cim` with every set of modalities.

    With each set of modalities, the model is trained for every task alone and for all tasks jointly.
    """
    entry = model_entry(REFERENCE_MODEL)
    inputs = _inputs_of_reference(have)
    subsets = [subset for size in range(1, len(inputs) + 1) for subset in itertools.combinations(inputs, size)]
    joint = _default_tasks(entry, have)
    arms = {task: (task,) for task in joint} | ({"joint": joint} if len(joint) > 1 else {})
    settings = tuple(
        Setting(f"{letters(subset)} {name}", REFERENCE_MODEL, subset, tasks)
        for subset in subsets
        for name, tasks in arms.items()
    )
    return Suite("table4", settings, settings[-1].name)


def table7(have: DatasetContents) -> Suite:
    """Make the suite of the paper's Table 7: every system that fits the Dataset, trained for all its tasks jointly.

    Each system gets all inputs that it can use. Systems that find no usable inputs or labels in the Dataset are left
    out, and so are all systems that take transcripts as input.
    """
    _inputs_of_reference(have)
    settings, left_out = [], {}
    for name, entry in MODELS.items():
        inputs, tasks = accepted_modalities(entry, have), _default_tasks(entry, have)
        if entry.input_kind is InputKind.TRANSCRIPTS:
            left_out[name] = BEYOND_THE_PAPER
        elif not inputs:
            left_out[name] = why_unsupported(entry, have)
        elif not tasks:
            left_out[name] = f"it cannot predict any of {', '.join(have.tasks)}, for which there are labels"
        else:
            settings.append(Setting(name, name, inputs, tasks))
    return Suite("table7", tuple(settings), REFERENCE_MODEL, left_out)


def tasks(have: DatasetContents) -> Suite:
    """Make the suite that shows how tasks help each other.

    The model `cim` is trained for every subset of the labelled tasks. Every score is compared with the score of the
    system that is trained for this task alone.
    """
    entry = model_entry(REFERENCE_MODEL)
    inputs, learnable = (
        _inputs_of_reference(have),
        [task for task in have.tasks if task in entry.claimed(have.task_table)],
    )
    subsets = [subset for size in range(1, len(learnable) + 1) for subset in itertools.combinations(learnable, size)]
    settings = tuple(Setting(have.letters(subset), REFERENCE_MODEL, inputs, subset) for subset in subsets)
    joint = have.letters(_default_tasks(entry, have)) or settings[-1].name
    return Suite("tasks", settings, joint, references={task: have.letters([task]) for task in learnable})


SUITES: dict[str, Callable[[DatasetContents], Suite]] = {"table4": table4, "table7": table7, "tasks": tasks}


def find_suite(name: str | Path, have: DatasetContents, common: Mapping[str, Any]) -> Suite:
    """Make a suite for a Dataset.

    Args:
        name: Name in `SUITES`, or path of a TOML file.
        have: Modalities, tasks and transcripts of the Dataset.
        common: Options of the training loop by name, which are added to every setting whose system has a training loop.
            A setting of the suite that gives an option itself keeps its value.

    Returns:
        The suite. No two of its settings have the same slug (the name as used in paths).

    Raises:
        UnknownNameError: There is no such suite, model, modality, task or reference.
        DataError: The file is missing or lists no setting, or the Dataset has no inputs for the reference model.
        UsageError: A setting does not fit its Dataset, or two settings have the same slug.
        SettingsError: A key or setting is unknown or ill-typed.
    """
    if str(name) in SUITES:
        suite = SUITES[str(name)](have)
    elif Path(name).suffix == ".toml":
        suite = _read_suite(Path(name), have)
    else:
        raise UnknownNameError("suite", str(name), [*SUITES, "FILE.toml"])
    settings = _with_common_settings(suite.settings, training_settings(common))
    _require_distinct_slugs(settings)
    return dataclasses.replace(suite, settings=settings)


def training_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert training-loop settings to the types that `TrainSettings` declares.

    Raises:
        SettingsError: A setting is ill-typed, or does not belong to the training loop.
    """
    typed = dataclasses.asdict(override(TrainSettings(), values))
    return {name: typed[name] for name in values}


def _with_common_settings(settings: Sequence[Setting], common: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Add common options of the training loop to the settings. An option that a setting already has keeps its value.

    Classical systems have no training loop, so their settings stay unchanged. The number of threads is 1 unless it is
    given, because the runs share the CPU cores.
    """
    completed = []
    for each in settings:
        entry = model_entry(each.model)
        if isinstance(entry, ClassicalEntry):
            completed.append(each)
        else:
            default = {"threads": 1} if "threads" in entry.training else {}
            completed.append(dataclasses.replace(each, settings={**default, **common, **each.settings}))
    return tuple(completed)


def accepted_modalities(
    entry: SystemEntry, have: DatasetContents, settings: Mapping[str, Any] | None = None
) -> tuple[Modality, ...]:
    """List the modalities of a Dataset that a system can use.

    Args:
        entry: The system's entry in `MODELS`.
        have: Contents of the Dataset.
        settings: Settings of the system by name; if None, its defaults.

    Returns:
        The modalities in the order of `Modality`, possibly none. Text is included if the system encodes transcripts and
        the Dataset has them.
    """
    offered = have.words if entry.input_kind is InputKind.WORDS else have.modalities
    if encodes_text(entry, settings or {}) and have.transcripts:
        offered = tuple(modality for modality in Modality if modality in (Modality.TEXT, *offered))
    return tuple(modality for modality in offered if modality in entry.modalities)


def _default_tasks(entry: SystemEntry, contents: DatasetContents) -> tuple[str, ...]:
    """Return the tasks that a system is trained for by default.

    These are the tasks that it supports and for which the Dataset has labels, without those trained only on request.
    """
    table = contents.task_table
    return tuple(task for task in contents.tasks if entry.claims(table[task].row) and not table[task].on_request)


def why_unsupported(entry: SystemEntry, have: DatasetContents) -> str:
    """Explain why a system has no usable input in a Dataset.

    Args:
        entry: The system's entry in `MODELS`.
        have: Contents of the Dataset, for which `accepted_modalities` returns no modality.

    Returns:
        The reason, as part of a sentence.
    """
    if entry.input_kind is InputKind.WORDS and not have.words:
        return (
            "it reads word by word, and the Dataset has one vector per utterance; import again with words "
            "(mien import csd, mult or mmsa, or table --text glove-6b-50d --words; mien extract --level word)"
        )
    offered = have.words if entry.input_kind is InputKind.WORDS else have.modalities
    return f"it hears {', '.join(entry.modalities)}, and the Dataset has {', '.join(offered)}"


def _read_suite(path: Path, contents: DatasetContents) -> Suite:
    """Read a suite from a TOML file.

    If the file names no reference, the model `cim` trained jointly on all its default tasks is the reference. It is
    added to the settings unless the file lists it.
    """
    facts = read_toml(path)
    _require_known_keys(facts, FILE_KEYS, str(path))
    rows = facts.get("setting", [])
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"Expected at least one [[setting]] in {path}, but got none; see docs/protocol.md")
    common = training_settings(facts.get("settings", {}))
    settings = [_read_setting(row, f"setting {number} of {path}", contents, path) for number, row in enumerate(rows, 1)]
    if "reference" in facts:
        name = str(facts["reference"])
        if name not in (names := [each.name for each in settings]):
            raise UnknownNameError(f"setting as the reference of {path}", name, names)
    else:
        joint = _default_tasks(model_entry(REFERENCE_MODEL), contents)
        reference = Setting(f"{REFERENCE_MODEL} joint", REFERENCE_MODEL, _inputs_of_reference(contents), joint)
        same = [each for each in settings if dataclasses.replace(each, name=reference.name) == reference]
        if not same:
            settings.append(reference)
        name = (same or [reference])[0].name
    return Suite(str(facts.get("name", path.stem)), _with_common_settings(settings, common), name)


def _inputs_of_reference(contents: DatasetContents) -> tuple[Modality, ...]:
    if inputs := accepted_modalities(model_entry(REFERENCE_MODEL), contents):
        return inputs
    raise DataError(
        f"Expected features in {contents.dataset.folder} for {REFERENCE_MODEL}, the reference of this suite, but got "
        "transcripts alone; import again with --text minilm, or name another reference in a suite of your own"
    )


def _read_setting(row: Mapping[str, Any], where: str, contents: DatasetContents, path: Path) -> Setting:
    _require_known_keys(row, SETTING_KEYS, where)
    if "dataset" in row:
        contents = dataset_contents(open_dataset(path.parent / str(row["dataset"])))
    model = str(row.get("model", REFERENCE_MODEL))
    entry = model_entry(model)
    own = row.get("settings", {})
    groups: tuple[Any, ...] = (entry.settings, override(TrainSettings(), entry.training))
    typed = override_several(groups[:1] if isinstance(entry, ClassicalEntry) else groups, own)
    known = {name: value for part in typed for name, value in dataclasses.asdict(part).items()}
    setting = Setting(
        name=str(row.get("name", model)),
        model=model,
        inputs=_parse_names("modality", row.get("inputs", accepted_modalities(entry, contents, own)), Modality, where),
        tasks=_parse_names("task", row.get("tasks", _default_tasks(entry, contents)), contents.task_table, where),
        settings={name: known[name] for name in own},
        dataset=contents.dataset if "dataset" in row else None,
    )
    if not setting.inputs or not setting.tasks:
        reason = (
            f"{model} cannot be trained on it: {why_unsupported(entry, contents)}" if not setting.inputs else "no task"
        )
        raise UsageError(f"Expected {where} to fit {contents.dataset.folder}, but got {reason}; change or remove it")
    return setting


def _parse_names(kind: str, names: Any, known: Iterable[Any], where: str) -> tuple[Any, ...]:
    members = {str(member): member for member in known}
    # a setting may say "audio" for acoustic
    others = {name: str(modality) for name, modality in MODALITY_ALIASES.items() if known is Modality}
    names = [others.get(name, name) if isinstance(name, str) else name for name in names]
    for name in names:
        if name not in members:
            raise UnknownNameError(f"{kind} in {where}", str(name), members)
    return tuple(member for name, member in members.items() if name in names)


def _require_known_keys(facts: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [f"{key!r}{nearest(key, known)}" for key in facts if key not in known]
    if unknown:
        raise SettingsError(f"Expected the keys {', '.join(known)} in {where}, but got {'; '.join(unknown)}")


def _require_distinct_slugs(settings: Sequence[Setting]) -> None:
    names: dict[str, str] = {}  # slug -> name
    for setting in settings:
        if not setting.slug or setting.slug in names:
            raise UsageError(
                f"Expected settings with names that differ in letters and digits, but got {setting.name!r}"
                + (f" and {names[setting.slug]!r}" if setting.slug else "")
                + "; rename one"
            )
        names[setting.slug] = setting.name
