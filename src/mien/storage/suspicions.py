"""Messages about what looks wrong in the statistics of a Dataset. Nothing is changed or left out because of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# number of columns or ids that a message names
N_NAMED = 3


def stored_alarms(origin: Mapping[str, Any]) -> list[str]:
    """Return the messages about doubtful labels that an import stored; other values in a foreign card are ignored.

    Args:
        origin: Origin of the Dataset.
    """
    alarms = origin.get("alarms")
    return [text for text in alarms if isinstance(text, str)] if isinstance(alarms, list) else []


def without_splits(splits: Iterable[str]) -> list[str]:
    """Return a message if no utterance is in a split.

    Args:
        splits: Names of the splits that have utterances; "none" stands for utterances without one.
    """
    if set(splits) != {"none"}:
        return []
    return [
        "no utterance is in a split, so that nothing can be trained or scored; import again with --rename-split "
        "none=train --carve valid=0.15 --carve test=0.15, or (reader csd) with a list of folds beside the files"
    ]


def suspicions(
    modalities: Mapping[str, Mapping[str, Any]], leakage: Mapping[str, Any], unit: str | None = None
) -> list[str]:
    """Return one message for each kind of suspicious data.

    Args:
        modalities: Statistics of each modality over all splits, as in the description of a Dataset.
        leakage: Result of `find_leakage`.
        unit: What the ids were said to be at import: "video", "utterance" or "id"; None if nothing was said.

    Returns:
        Messages; empty if nothing is suspicious.
    """
    found: list[str] = []
    for modality, facts in modalities.items():
        found += _feature_suspicions(modality, facts)
    videos = leakage["videos_in_several_splits"]
    if videos:
        found.append(f"{_several(len(videos), 'video')} in several splits ({_named(videos)}): scores are too good")
    numbered = leakage["numbered_ids_in_several_splits"]
    if numbered is not None:
        names = f" ({_named(numbered)})" if numbered else ""
        text = (
            "the ids look like ids of utterances: many differ only in the number at their end. Without this number, "
            f"{_several(len(numbered), 'video')}{names} in several splits"
        )
        remedy = "; if they are ids of utterances, import again with --unit video; else --unit id"
        found.append(text if unit == "utterance" else text + remedy)
    elif leakage["every_video_has_one_utterance"]:
        found.append("every video has one utterance: there is no context")
    if leakage["texts_in_several_splits"]:
        found.append(shared_texts(leakage))
    return found


def shared_texts(leakage: Mapping[str, Any]) -> str:
    """Return a message about the transcripts that occur in several splits.

    Args:
        leakage: Result of `find_leakage`.
    """
    texts = leakage["longest_shared_texts"]
    longest = texts[0] if texts else ""
    shown = longest if len(longest) <= 60 else longest[:57] + "..."
    return (
        f"{leakage['texts_in_several_splits']:,} of {leakage['texts']:,} different transcripts occur in more than one "
        f"split, in {leakage['utterances_with_shared_texts']:,} utterances (case and blanks around them ignored; all "
        f"are kept). Short ones such as a greeting are usual; the longest is {shown!r}"
    )


def column_cell(placeholders: Sequence[Mapping[str, Any]]) -> str:
    """Return the columns with suspected placeholders as a short text, with the value and how often it occurs."""
    shown = ", ".join(
        f"column {each['column']}: {each['value']:g} in {each['utterances']:,} utterances ({each['reason']})"
        for each in placeholders[:N_NAMED]
    )
    more = len(placeholders) - N_NAMED
    return f"{shown} and {more:,} more columns" if more > 0 else shown


def _feature_suspicions(modality: str, facts: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if facts["suspected_placeholders"]:
        found.append(
            f"{modality}: {column_cell(facts['suspected_placeholders'])}. Such a value may stand for a missing one; "
            "when features are scaled, it makes all others of its column nearly equal"
        )
    if facts["all_zero_rows"]:
        found.append(
            f"{modality}: {facts['all_zero_rows']:,} of {facts['utterances']:,} vectors have only zeros, which may "
            "stand for missing features"
        )
    if facts["constant_columns"]:
        found.append(f"{modality}: {_several(facts['constant_columns'], 'column')} with one value in all utterances")
    return found


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:N_NAMED]) + (", ..." if len(names) > N_NAMED else "")
