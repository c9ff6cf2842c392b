"""Which computational sequence plays which role, by the name of its root group."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mien.errors import DataError
from mien.readers.csd.files import Sequence
from mien.readers.rules import SEQUENCE_UNUSED, count
from mien.schema import EMOTIONS, Modality

LABELS = "labels"
WORDS = "words"
# role -> root names seen, normalised; docs/formats.md lists them as they are written
KNOWN_ROOTS: dict[str, tuple[str, ...]] = {
    LABELS: ("alllabels", "sentimentlabels", "emotionlabels"),
    WORDS: ("words", "timestampedwords", "cmumoseitimestampedwords"),
    Modality.TEXT.value: ("glovevectors", "timestampedwordvectors", "cmumoseitimestampedwordvectors"),
    Modality.ACOUSTIC.value: ("covarep",),
    Modality.VISUAL.value: ("facet", "openface"),
}
OLD_PAIR = ("sentimentlabels", "emotionlabels")
# the order of "All Labels" by its documentation, when the file does not name its columns; not the order of EMOTIONS
LABEL_COLUMNS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
VERSION = re.compile(r"[ _-]*v?\d+([._]\d+)*$")


@dataclass(frozen=True, slots=True)
class Roles:
    """The sequences to read."""

    labels: tuple[Sequence, ...]
    # "words" and modalities -> sequence
    streams: Mapping[str, Sequence]

    @property
    def mapping(self) -> dict[str, str]:
        """Role -> root name."""
        labels = {LABELS: " + ".join(sequence.root for sequence in self.labels)}
        return labels | {role: sequence.root for role, sequence in self.streams.items()}


def normalised(root: str) -> str:
    """A root name without case, blanks, underscores and version: "FACET 4.2" and "facet_4.1" are "facet"."""
    return re.sub(r"[\s_-]+", "", VERSION.sub("", root.lower()))


def assign_roles(sequences: list[Sequence], mapping: Mapping[str, str], notes: Counter[str]) -> Roles:
    """Find each role's sequence. Raises DataError when a role has two, or labels or words have none."""
    of_role = {role: _candidates(role, sequences, mapping) for role in KNOWN_ROOTS}
    used = [id(sequence) for found in of_role.values() for sequence in found]
    for role, found in of_role.items():
        names = {normalised(sequence.root) for sequence in found}
        is_pair = role == LABELS and len(found) == 2 and names == set(OLD_PAIR)
        if len(found) > 1 and not is_pair:
            raise DataError(
                f"Expected one sequence of {role}, but got "
                f"{', '.join(f'{each.root!r} in {each.path}' for each in found)}; "
                f"choose one with --map {role}=ROOT, or leave a file out"
            )
    have = ", ".join(repr(sequence.root) for sequence in sequences)
    if not of_role[LABELS]:
        raise DataError(
            f"Expected a sequence of labels such as 'All Labels', but got {have}; add its file, or name it with "
            "--map labels=ROOT"
        )
    if not of_role[Modality.TEXT] and not of_role[WORDS]:
        raise DataError(
            f"Expected text vectors or words to align to, but got {have}; add such a file, or name it with "
            "--map text=ROOT or --map words=ROOT"
        )
    count(notes, SEQUENCE_UNUSED, sum(id(sequence) not in used for sequence in sequences))
    # "Sentiment Labels" leads, its rows number the utterances
    labels = sorted(of_role[LABELS], key=lambda sequence: normalised(sequence.root) == "emotionlabels")
    return Roles(tuple(labels), {role: found[0] for role, found in of_role.items() if found and role != LABELS})


def label_columns(sequence: Sequence) -> tuple[str, ...]:
    """What each column of a label sequence holds, by the names in the file, else by its width.

    Raises DataError when neither tells.
    """
    named = tuple(name.strip().lower() for name in sequence.columns)
    if len(named) == sequence.n_features and any(
        set(named) == set(columns) for columns in (LABEL_COLUMNS, EMOTIONS, LABEL_COLUMNS[:1])
    ):
        return named
    by_width = {len(LABEL_COLUMNS): LABEL_COLUMNS, len(EMOTIONS): LABEL_COLUMNS[1:], 1: LABEL_COLUMNS[:1]}
    if sequence.n_features not in by_width:
        raise DataError(
            f"Expected 7 columns ({', '.join(LABEL_COLUMNS)}), 6 or 1 in {sequence.root!r} of {sequence.path}, but got "
            f"{sequence.n_features}; name the sequence of labels with --map labels=ROOT"
        )
    return by_width[sequence.n_features]


def _candidates(role: str, sequences: list[Sequence], mapping: Mapping[str, str]) -> list[Sequence]:
    if role not in mapping:
        mapped = set(mapping.values())
        known = KNOWN_ROOTS[role]
        return [each for each in sequences if normalised(each.root) in known and each.root not in mapped]
    exact = [each for each in sequences if each.root == mapping[role]]
    found = exact or [each for each in sequences if normalised(each.root) == normalised(mapping[role])]
    if not found:
        raise DataError(
            f"Expected a sequence {mapping[role]!r} for the role {role!r}, but got "
            f"{', '.join(repr(each.root) for each in sequences)}; name one of these with --map {role}=ROOT"
        )
    return found
