"""The account of an import: what was read, kept, changed and ignored, and what is suspicious."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.readers.rules import ALARMS, TRANSCRIPT_SHARED, AccountPart, account_part


def import_account(description: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the account of an import from the description of the new Dataset.

    Args:
        description: Result of `mien.storage.describe.describe`.

    Returns:
        Dictionary with these keys. "read": reader, files, and field -> column that was read for it. "kept": numbers of
        videos, utterances, labels of each label space, and utterances with each modality. "changed" and "ignored":
        text of a rule -> how often it was applied. "suspicious": the same under "rules", and messages under "findings".
    """
    origin, splits = description["origin"], description["splits"].values()
    parts: dict[AccountPart, dict[str, int]] = {part: {} for part in AccountPart}
    for rule, count in sorted(origin.get("notes", {}).items()):
        # The findings have the messages of the alarms. They also have the transcripts in several splits, counted in the
        # final splits.
        if rule != TRANSCRIPT_SHARED and rule not in ALARMS:
            parts[account_part(rule)][rule] = count
    names = [space["name"] for space in description["label_spaces"]]
    return {
        "read": {
            "reader": origin.get("source", ""),
            "files": list(origin.get("files", {})),
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
