"""Terminal output of `mien import`, `mien extract` and `mien describe`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mien.cli.terminal import new_console, new_table, print_table
from mien.schema import EMOTION_OUTPUTS
from mien.storage.suspicions import column_cell

if TYPE_CHECKING:
    from rich.table import Table

# number of files or fields that the account of an import names
N_LISTED = 12


def show_import(description: Mapping[str, Any]) -> None:
    """Print the description of an imported Dataset, then the account of the import."""
    show_description(description, with_suspicions=False)
    _show_account(description["account"])
    read = description["account"]["read"]
    if not description["feature_spaces"] and "recordings" in read:
        new_console().print(
            f"No features yet: read them from the files, mien extract FOLDER --reader {read['reader']} --out DATASET."
        )
    elif not description["feature_spaces"]:
        new_console().print("No features yet: import again with --text EXTRACTOR to train on the words.")


def _show_account(account: Mapping[str, Any]) -> None:
    """Print what an import read, kept, changed and ignored, and what is suspicious."""
    console = new_console()
    read, kept = account["read"], account["kept"]
    sources = [*read["files"], *([f"the names of {read['recordings']:,} recordings"] if "recordings" in read else [])]
    files = f" from {_listed(sources)}" if sources else ""
    console.print(f"Read: reader {read['reader']}{files}.")
    if read["fields"]:
        console.print(f"  fields: {_listed([f'{field} = {column}' for field, column in read['fields'].items()])}")
    counts = [f"{count:,} with {name} labels" for name, count in kept["labels"].items()]
    counts += [f"{count:,} with {name} features" for name, count in kept["features"].items()]
    total = f"{kept['utterances']:,} utterances of {kept['videos']:,} videos"
    console.print(f"Kept: {', '.join([total, *counts])}.")
    suspicious = account["suspicious"]
    for title, rules in (("Changed", account["changed"]), ("Ignored", account["ignored"])):
        console.print(f"{title}: {'' if rules else 'nothing.'}".rstrip())
        for rule, count in rules.items():
            console.print(f"  {_counted(rule, count)}")
    _show_suspicious([*(_counted(rule, n) for rule, n in suspicious["rules"].items()), *suspicious["findings"]])


def _counted(rule: str, count: int) -> str:
    """Return a rule with its count, such as ``2 x row repeated``. A count of 1 is left out of a sentence."""
    from mien.video.notes import is_statement

    if is_statement(rule):
        return rule if count == 1 else f"{rule} ({count:,} recordings)"
    return f"{count:,} x {rule}"


def _show_suspicious(found: Sequence[str]) -> None:
    console = new_console()
    console.print("Suspicious:" if found else "Suspicious: nothing.")
    for text in found:
        console.print(f"  {text}", style="yellow")


def _listed(names: Sequence[str]) -> str:
    """Return up to `N_LISTED` names, and the number of further ones."""
    more = len(names) - N_LISTED
    return ", ".join(names[:N_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def show_description(description: Mapping[str, Any], *, with_suspicions: bool = True) -> None:
    """Print the description of a Dataset: splits, labels, modalities, and leakage between splits.

    Args:
        description: Result of `mien.storage.describe.describe`.
        with_suspicions: Whether to print what looks wrong in the Dataset, too.
    """
    splits = description["splits"]
    table = new_table(f"{description['name']}  {description['fingerprint'][:12]}", "", *splits)
    table.add_row("videos", *(f"{split['videos']:,}" for split in splits.values()))
    table.add_row("utterances", *(f"{split['utterances']:,}" for split in splits.values()))
    per_video = [split["utterances_per_video"] for split in splits.values()]
    table.add_row("per video: min / median / max", *(f"{n['min']} / {n['median']:g} / {n['max']}" for n in per_video))
    table.add_row("hours", *("-" if not split["hours"] else f"{split['hours']:.1f}" for split in splits.values()))
    if any(split["speakers"] is not None for split in splits.values()):
        table.add_row("speakers", *(f"{split['speakers'] or 0:,}" for split in splits.values()))
    has_sentiment, has_emotion = (all(name in split for split in splits.values()) for name in ("sentiment", "emotion"))
    for name in ("labelled", "negative", "zero", "positive") if has_sentiment else ():
        table.add_row(f"sentiment {name}", *(f"{split['sentiment'][name]:,}" for split in splits.values()))
    if has_emotion:
        table.add_row("emotion labelled", *(f"{split['emotion']['labelled']:,}" for split in splits.values()))
    any_emotion = has_emotion and any(split["emotion"]["labelled"] for split in splits.values())
    for name in EMOTION_OUTPUTS if any_emotion else ():
        table.add_row(f"  {name}", *(_present_cell(split["emotion"], name) for split in splits.values()))
    for name in next(iter(splits.values()))["labels"]:
        if not (name == "sentiment" and has_sentiment) and not (name == "emotion" and has_emotion):
            _add_label_rows(table, name, [split["labels"][name] for split in splits.values()])
    for modality, space in description["feature_spaces"].items():
        label = f"{modality}: {space['name']} ({space['n_features']}, {space['level']} level)"
        table.add_row(label, *(_coverage_cell(split["coverage"][modality]) for split in splits.values()))
    console = new_console()
    console.print(table)
    if description["folds"]:
        folds = ", ".join(f"{name} {count:,}" for name, count in description["folds"].items())
        console.print(f"Videos by fold: {folds}.")
    if description["modalities"]:
        _show_modalities(description["modalities"])
    leakage = description["leakage"]
    console.print(
        f"Videos in several splits: {len(leakage['videos_in_several_splits'])}. "
        f"Texts in several splits: {leakage['texts_in_several_splits']} of {leakage['texts']} (kept). "
        f"Speakers: {leakage['speakers']}."
    )
    if with_suspicions:
        _show_suspicious(description["suspicious"])


def _show_modalities(modalities: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the statistics of each modality over all splits."""
    headers = ("", "utterances", "coverage", "constant columns", "vectors of zeros", "range", "suspected placeholders")
    rows = [
        (
            name,
            f"{facts['utterances']:,}",
            f"{100 * facts['share']:.1f} %",
            f"{facts['constant_columns']:,}",
            f"{facts['all_zero_rows']:,}",
            "-" if facts["min"] is None else f"{facts['min']:g} to {facts['max']:g}",
            column_cell(facts["suspected_placeholders"]) or "none",
        )
        for name, facts in modalities.items()
    ]
    print_table("Features of all splits", headers, rows)


def _add_label_rows(table: Table, name: str, parts: Sequence[Mapping[str, Any]]) -> None:
    """Add rows with the statistics of one label space in every split."""
    table.add_row(f"{name} labelled", *(f"{part['labelled']:,}" for part in parts))
    if "counts" not in parts[0]:
        cells = (
            "-" if part["mean"] is None else f"{part['mean']:.3f} [{part['min']:g}, {part['max']:g}]" for part in parts
        )
        table.add_row("  mean [min, max]", *cells)
        return
    for each in parts[0]["counts"]:
        shares = ((part["counts"][each], max(part["labelled"], 1)) for part in parts)
        table.add_row(f"  {each}", *(f"{count:,} ({100 * count / n:.1f} %)" for count, n in shares))


def _present_cell(emotion: Mapping[str, Any], name: str) -> str:
    count = emotion["present"][name]
    return f"{count:,} ({100 * count / max(emotion['labelled'], 1):.1f} %)"


def _coverage_cell(coverage: Mapping[str, Any]) -> str:
    constant = f", {coverage['constant_columns']} constant columns" if coverage["constant_columns"] else ""
    return f"{100 * coverage['share']:.1f} %{constant}"
