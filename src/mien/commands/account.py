"""The account of an import: what was read, kept, changed and ignored, and what is suspicious."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mien.readers import rules
from mien.storage.label_alarms import ALARMS


class AccountPart(StrEnum):
    """Part of the account of an import in which a rule for invalid data is listed."""

    IGNORED = "ignored"  # something was not read or not kept
    SUSPICIOUS = "suspicious"  # something was kept or assumed that may be wrong
    CHANGED = "changed"  # a value was corrected, or is missing


# the rules that are not listed under "changed"
PARTS = {
    AccountPart.IGNORED: (
        rules.LABEL_ROW_UNMATCHED,
        rules.MASK_FOREIGN,
        rules.KEY_UNREAD,
        rules.ARRAY_UNREAD,
        rules.ENTRY_MALFORMED,
        rules.ROW_REPEATED,
        rules.SEGMENT_EMPTY,
        rules.WORD_EMPTY,
        rules.WORD_OUTSIDE,
        rules.VIDEO_UNLABELLED,
        rules.VIDEO_EMPTY,
        rules.SEQUENCE_UNUSED,
        rules.COLUMN_UNUSED,
        rules.FILE_UNUSED,
        rules.FILE_MISNAMED,
        rules.FILE_NOT_MEDIA,
        rules.RECORDING_REPEATED,
        rules.RECORDING_SUNG,
    ),
    AccountPart.SUSPICIOUS: (
        rules.PADDING_IN_FRONT,
        rules.LENGTHS_TOO_LONG,
        rules.SPLIT_UNREAD,
        rules.VECTOR_MALFORMED,
        rules.VALUE_ABSURD,
        rules.TEXT_LIKE_MISSING,
        rules.SEGMENT_UNREAD,
        rules.START_ORDER_BROKEN,
        rules.UTTERANCE_ALONE,
        rules.COLUMN_OF_CLASSES,
        rules.ID_NUMBERED,
        rules.UTTERANCE_SEPARATE,
        rules.TRANSCRIPT_SHARED,
        *ALARMS,
    ),
}


def import_account(description: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the account of an import from the description of the new Dataset.

    Args:
        description: Result of `mien.storage.describe.describe`.

    Returns:
        Dictionary with these keys. "read": reader, files, number of media files whose names were read, and field ->
        column that was read for it. "kept": numbers of videos, utterances, labels of each label space, and utterances
        with each modality. "changed" and "ignored": text of a rule -> how often it was applied. "suspicious": the same
        under "rules", and messages under "findings".
    """
    origin, splits = description["origin"], description["splits"].values()
    parts: dict[AccountPart, dict[str, int]] = {part: {} for part in AccountPart}
    for rule, count in sorted(origin.get("notes", {}).items()):
        # The findings have the messages of the alarms. They also have the transcripts in several splits, counted in the
        # final splits.
        if rule != rules.TRANSCRIPT_SHARED and rule not in ALARMS:
            parts[account_part(rule)][rule] = count
    names = [space["name"] for space in description["label_spaces"]]
    return {
        "read": {
            "reader": origin.get("source", ""),
            "files": list(origin.get("files", {})),
            **({"recordings": origin["recordings"]} if "recordings" in origin else {}),
            "fields": dict(origin.get("mapping", {})),
        },
        "kept": {
            "videos": sum(split["videos"] for split in splits),
            "utterances": sum(split["utterances"] for split in splits),
            "labels": {name: sum(split["labels"][name]["labelled"] for split in splits) for name in names},
            "features": {name: facts["utterances"] for name, facts in description["modalities"].items()},
        },
        "changed": parts[AccountPart.CHANGED],
        "ignored": parts[AccountPart.IGNORED],
        "suspicious": {"rules": parts[AccountPart.SUSPICIOUS], "findings": list(description["suspicious"])},
    }


def account_part(note: str) -> AccountPart:
    """Return the part of the account of an import in which a note is listed.

    Args:
        note: Text of a rule, or the text of a rule, a colon and the names to which it was applied.
    """
    for part, texts in PARTS.items():
        if any(note == text or note.startswith(f"{text}: ") for text in texts):
            return part
    return AccountPart.CHANGED
