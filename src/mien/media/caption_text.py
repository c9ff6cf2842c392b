"""What is said in a subtitle: tags, names of speakers, sounds and lyrics are told apart from spoken words.

Captions for the hard of hearing describe sounds in brackets and name the speaker before the words. Nobody says these.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mien.printable import unescape_entities

SOUND_IN_SPEECH = "sounds described inside subtitles: not read as words"
NOT_SPEECH = "a sound, not speech"
SUNG = "a song, not speech"

# a tag of either format, a time inside the text of a WebVTT subtitle, or a position like {\an8}
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<(?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,9}>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]+)>")
# line breaks and hard spaces as SubStation Alpha writes them
_BREAK = re.compile(r"\\[Nn]")
_HARD_SPACE = r"\h"
_NOTES = "♪♫♬♩"
_SONG = re.compile(rf"[{_NOTES}][^{_NOTES}]*[{_NOTES}]?")
_HASH_SONG = re.compile(r"#\s[^#]*#")
_SQUARE = re.compile(r"\[[^\[\]]*\]|［[^［］]*］|【[^【】]*】")
_ROUND = re.compile(r"\([^()]*\)|（[^（）]*）")
_STARRED = re.compile(r"(?<!\w)\*[^*\s][^*]*\*(?!\w)")
# Longer text in round brackets may be words that are said, unless it is in capital letters or has a line to itself.
MOST_WORDS_OF_SOUND = 3
_DASH = re.compile(r"^\s*[-–—‐‑]\s*(?=\S)")
_INNER_DASH = re.compile(r"(?<=[.?!…\"”’)\]♪])\s+[-–—]\s*(?=\S)")
_ARROWS = re.compile(r"^\s*(?:>>+|＞＞+|»)\s*")
# a name, perhaps with a remark such as (V.O.), before a colon that no digit follows
_NAME = re.compile(r"^\s*(\[[^\[\]:]{1,40}\]|[^\W\d_][\w .'’&#-]{0,39}?)\s*(?:\([^()]{1,30}\)\s*)?[:：](?!\d|//)\s*")
MOST_WORDS_OF_NAME = 4
# beginnings of sentences that look like the name of a speaker
_NO_NAMES = frozenset({"note", "warning", "ps", "p.s.", "re", "question", "answer", "example", "tip", "remember", "ok"})


@dataclass(frozen=True)
class SpokenPart:
    """A part of a subtitle by one speaker.

    Attributes:
        text: The spoken words; the description of the sound if nobody speaks.
        speaker: Name of the speaker; None if the subtitle does not tell.
        not_judged: Why the text is no speech, as in `mien.schema.Clip`; empty if it is.
    """

    text: str
    speaker: str | None = None
    not_judged: str = ""


def plain_lines(lines: Iterable[str]) -> list[str]:
    """Return the lines of a subtitle without tags and repeated white space, with HTML entities decoded.

    Empty lines are left out.
    """
    broken = (part for line in lines for part in _BREAK.split(line.replace(_HARD_SPACE, " ")))
    plain = (" ".join(unescape_entities(_TAGS.sub("", line)).split()) for line in broken)
    return [line for line in plain if line]


def voice_of(lines: Iterable[str]) -> str | None:
    """Return the name in a WebVTT voice tag such as ``<v Ann>``; None if there is none."""
    found = _VOICE.search(" ".join(lines))
    return " ".join(unescape_entities(found[1]).split()) or None if found else None


def recurring_names(texts: Iterable[Sequence[str]]) -> frozenset[str]:
    """Return the names in mixed case that stand before a colon at the start of lines at least twice in a file.

    Args:
        texts: Plain lines of every subtitle.
    """
    counts: Counter[str] = Counter()
    for lines in texts:
        for line in lines:
            found = _NAME.match(_ARROWS.sub("", _DASH.sub("", line)))
            if found and all(word[:1].isupper() or word[:1] in "#&" for word in found[1].split()):
                counts[found[1]] += 1
    return frozenset(name for name, count in counts.items() if count > 1)


def spoken_parts(lines: Sequence[str], names: frozenset[str], notes: Counter[str]) -> list[SpokenPart]:
    """Divide the text of a subtitle between speakers, and tell sounds and lyrics apart from speech.

    A new part begins at a dash that another speaker's dash follows, at ``>>``, and at the name of a speaker before a
    colon: a name in capital letters, in square brackets, or in `names`.

    Args:
        lines: Plain lines of the subtitle.
        names: Names of speakers in mixed case, from `recurring_names`.
        notes: Counter of messages, updated with the number of sounds that were removed from speech.

    Returns:
        The parts in order. A part without words has `not_judged`.
    """
    parts: list[tuple[str | None, list[str]]] = []
    with_dashes = [piece for line in lines for piece in _split_at_dashes(line)]
    dashed = sum(bool(_DASH.match(line)) for line in with_dashes) > 1
    for line in with_dashes:
        starts = dashed and bool(_DASH.match(line))
        rest = _DASH.sub("", line)
        if _ARROWS.match(rest):
            starts, rest = True, _ARROWS.sub("", rest)
        speaker, rest = _split_name(rest, names)
        if starts or speaker is not None or not parts:
            parts.append((speaker, [rest]))
        else:
            parts[-1][1].append(rest)
    spoken = []
    for speaker, texts in parts:
        part = _without_sounds([text for text in texts if text], notes)
        if part.text:
            spoken.append(SpokenPart(part.text, speaker, part.not_judged))
    return spoken


def _split_at_dashes(line: str) -> list[str]:
    """Divide a line such as "- I hate you! - I love you." before its dashes."""
    if not _DASH.match(line):
        return [line]
    first, *others = _INNER_DASH.split(line)
    return [first, *(f"- {part}" for part in others)]


def _split_name(line: str, names: frozenset[str]) -> tuple[str | None, str]:
    """Return the name of a speaker at the start of a line and the rest; None and the line if there is none."""
    found = _NAME.match(line)
    if found is None:
        return None, line
    name, rest = found[1], line[found.end() :]
    if name.startswith("["):
        return name.strip("[] ") or None, rest
    is_capital = name.isupper() and len(name.replace(".", "")) > 1
    if name.lower() in _NO_NAMES or len(name.split()) > MOST_WORDS_OF_NAME or not (is_capital or name in names):
        return None, line
    return name, rest


def _without_sounds(lines: Sequence[str], notes: Counter[str]) -> SpokenPart:
    """Return the spoken words of one speaker, or the descriptions of sounds if there are no words."""
    n_sounds = 0
    songs = False

    def replace(match: re.Match[str]) -> str:
        nonlocal n_sounds, songs
        n_sounds += 1
        songs |= match[0][0] in _NOTES + "#"
        return " "

    def replace_round(match: re.Match[str]) -> str:
        inner = match[0][1:-1].strip()
        is_sound = len(inner.split()) <= MOST_WORDS_OF_SOUND or inner.isupper() or match[0] == match.string.strip()
        return replace(match) if is_sound else match[0]

    whole = " ".join(lines)
    text = _HASH_SONG.sub(replace, _SONG.sub(replace, whole))
    text = _STARRED.sub(replace, _SQUARE.sub(replace, text))
    text = " ".join(_ROUND.sub(replace_round, text).split()).lstrip("-–— ")
    if any(letter.isalnum() for letter in text):
        if n_sounds:
            notes[SOUND_IN_SPEECH] += n_sounds
        return SpokenPart(text)
    if not n_sounds and not any(letter in _NOTES for letter in whole):
        return SpokenPart(whole)
    return SpokenPart(whole, not_judged=SUNG if songs else NOT_SPEECH)
