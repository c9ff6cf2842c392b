"""Terminal output of `mien import`, `mien extract` and `mien describe`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mien.cli.terminal import new_console, new_table, print_table
from mien.schema import EMOTION_OUTPUTS

if TYPE_CHECKING:
    from rich.table import Table


def show_import(description: Mapping[str, Any]) -> None:
    """Print the description of an imported Dataset, then how often each rule for invalid data was applied."""
    show_description(description)
    notes = description["origin"].get("notes", {})
    if notes:
        rows = [(rule, f"{count:,}") for rule, count in sorted(notes.items())]
        print_table("Rules applied while importing", ("rule", "count"), rows)
    else:
        new_console().print("No row was dropped or mended.")
    if not description["feature_spaces"]:
        new_console().print("No features yet: import again with --text EXTRACTOR to train on the words.")


def show_description(description: Mapping[str, Any]) -> None:
    """Print the description of a Dataset: splits, labels, available modalities, and leakage between splits."""
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
    leakage = description["leakage"]
    console.print(
        f"Videos in several splits: {len(leakage['videos_in_several_splits'])}. "
        f"Texts in several splits: {leakage['texts_in_several_splits']} of {leakage['texts']} (kept). "
        f"Speakers: {leakage['speakers']}."
    )
    shared = leakage["numbered_ids_in_several_splits"]
    if shared is not None:
        names = f" ({', '.join(shared[:3])}{', ...' if len(shared) > 3 else ''})" if shared else ""
        is_wanted = description["origin"].get("unit") == "utterance"
        remedy = "" if is_wanted else " If they are ids of utterances, import again with --unit video; else --unit id."
        console.print(
            "The ids look like ids of utterances: many differ only in the number at their end. Without this number, "
            f"{len(shared)} videos{names} are in several splits.{remedy}"
        )


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
