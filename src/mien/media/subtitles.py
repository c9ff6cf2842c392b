"""Subtitles as utterances: SubRip (.srt), WebVTT (.vtt), and the further formats that the library pysubs2 reads.

SubRip and WebVTT are parsed here. The parser accepts common errors, because each lost subtitle is a lost utterance:
a missing blank line, a full stop instead of a comma, missing numbers or hours, fractions of one to nine digits. What it
cannot read is an error that names the line. pysubs2 skips such lines or reads them as text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from mien.errors import DataError, MissingExtraError, UsageError
from mien.limits import READ_ERRORS, SHOWN_CHARACTERS, describe_error
from mien.media.caption_text import SpokenPart, plain_lines, recurring_names, spoken_parts, voice_of
from mien.media.subtitle_encoding import read_text
from mien.media.word_times import spread_words
from mien.schema import Clip, TimedWord

OUT_OF_ORDER = "subtitles not in time order: sorted"
OVERLAPPING = "subtitles that overlap the one before: kept"
BEYOND_THE_END = "subtitles that begin after the end of the video: dropped"
SHORTENED = "subtitles that end after the end of the video: shortened"
EMPTY = "subtitles without text: dropped"
NO_LENGTH = "subtitles that end before they begin: dropped"
ROLLING = "lines of rolling subtitles that were shown before: left out"
SOUNDS = "subtitles of sounds or songs only: no prediction"

SUFFIXES = (".srt", ".vtt")
# suffix -> format of pysubs2
OTHER_FORMATS = {".ass": "ass", ".ssa": "ssa", ".ttml": "ttml", ".smi": "sami", ".sami": "sami"}
_STAMP = r"(?:(\d{1,4})\s*:\s*)?(\d{1,3})\s*:\s*(\d{1,2})(?:\s*[.,]\s*(\d{1,9}))?"
_TIMES = re.compile(rf"^\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?$")
_ARROW = "-->"
_INNER_TIME = re.compile(r"<(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,9})>")
_NON_CUE_BLOCKS = ("NOTE", "STYLE", "REGION")
# Rolling captions show a line again within this time after the subtitle before.
TOUCHING_S = 0.1
# Captions between two lines that roll; nobody can read a subtitle of this duration.
UNREADABLE_S = 0.05
# share of the subtitles of a file that repeat lines of the one before, from which on its captions are rolling ones
ROLLING_SHARE = 0.3


@dataclass(frozen=True)
class Subtitle:
    """One subtitle of a file: its times in seconds, and its lines with tags."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]
    speaker: str | None = None


def read_subtitles(path: Path, duration_s: float) -> tuple[list[Clip], Counter[str]]:
    """Read subtitles as clips.

    Tags are removed. Each line of rolling captions is one clip, at the time at which it is first shown. Names of
    speakers become `Clip.speaker`; a subtitle with words of several speakers becomes several clips, which share its
    time in proportion to the lengths of their texts. Descriptions of sounds and lyrics are kept as clips that may not
    be judged, or removed if they stand beside spoken words. Overlapping subtitles are kept unchanged and counted.

    Args:
        path: Subtitle file.
        duration_s: Duration of the video in seconds. A subtitle that ends later is shortened, and a subtitle that
            starts later is dropped.

    Returns:
        The clips in time order, and a counter of messages about what was changed or dropped.

    Raises:
        DataError: The file is missing, has an unknown encoding, contains no subtitles, or has a line with times that
            cannot be read; or all subtitles begin after the end of the video.
        MissingExtraError: The format needs pysubs2, which is not installed.
    """
    text = read_text(path)
    notes: Counter[str] = Counter()
    subtitles = _parse_other(path, text) if path.suffix.lower() in OTHER_FORMATS else _parse(path, text)
    if not subtitles:
        raise DataError(
            f"Expected subtitles as SubRip (.srt) or WebVTT (.vtt), but got {path} without one line like "
            "'00:00:01,000 --> 00:00:02,500'; save the subtitles in one of the two formats"
        )
    _count(notes, OUT_OF_ORDER, sum(one.start_s > two.start_s for one, two in pairwise(subtitles)))
    subtitles = sorted(subtitles, key=lambda each: (each.start_s, each.end_s))
    _require_inside(path, subtitles, duration_s)
    names = recurring_names(plain_lines(each.lines) for each in subtitles)
    clips: list[Clip] = []
    last_end_s = 0.0
    for subtitle in _without_rolling(subtitles, notes):
        if reason := _reason_to_drop(subtitle, duration_s):
            notes[reason] += 1
            continue
        _count(notes, SHORTENED, subtitle.end_s > duration_s)
        shortened = replace(subtitle, end_s=min(subtitle.end_s, duration_s))
        parts = spoken_parts(plain_lines(subtitle.lines), names, notes)
        _count(notes, EMPTY, not parts)
        _count(notes, OVERLAPPING, bool(parts) and subtitle.start_s < last_end_s)
        last_end_s = max(last_end_s, shortened.end_s) if parts else last_end_s
        _count(notes, SOUNDS, bool(parts) and all(part.not_judged for part in parts))
        clips += _clips(shortened, parts, len(clips))
    return clips, notes


def subtitles_beside(recording: Path) -> Path | None:
    """Return the subtitle file that has the name of a recording and lies in the same folder; None if there is none.

    Besides ``talk.srt``, a language may stand before the suffix, as in ``talk.en.srt``.
    """
    return subtitles_in(recording.parent, recording)


def require_fitting_subtitles(given: Path, n_recordings: int) -> None:
    """Check that subtitles exist, and are not one file for several recordings.

    Args:
        given: Subtitle file, or folder with a file of the name of each recording.
        n_recordings: Number of recordings.

    Raises:
        DataError: There is nothing at the path.
        UsageError: One file is given for several recordings.
    """
    if not given.exists():
        raise DataError(f"Expected subtitles in {given}, but got nothing there; check the path")
    if n_recordings > 1 and not given.is_dir():
        raise UsageError(
            f"Expected the subtitles of one recording in {given}, but got {n_recordings} recordings; analyse them "
            "one after the other, or give a folder with a file of the name of each recording"
        )


def subtitles_of(recording: Path, given: Path) -> Path:
    """Return the subtitle file of a recording.

    Args:
        recording: Media file.
        given: Subtitle file, or folder of subtitle files.

    Returns:
        The given file, or the one in the given folder that has the name of the recording.

    Raises:
        DataError: The folder has no such file.
    """
    if not given.is_dir():
        return given
    found = subtitles_in(given, recording)
    if found is None:
        raise DataError(
            f"Expected subtitles of {recording.name} in {given}, but got no file such as {recording.stem}.srt; add it, "
            "or analyse this recording without --subtitles"
        )
    return found


def subtitles_in(folder: Path, recording: Path) -> Path | None:
    """Find the subtitles of a recording in a folder, by their name.

    Args:
        folder: Folder of the subtitles.
        recording: Media file.

    Returns:
        The file with the name of the recording, or None if there is none.
    """
    stem = unicodedata.normalize("NFC", recording.stem)
    suffixes = [*SUFFIXES, *OTHER_FORMATS]
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        name, suffix = unicodedata.normalize("NFC", path.stem), path.suffix.lower()
        has_name = name == stem or re.fullmatch(r"[A-Za-z]{2,3}(-\w+)?", name.removeprefix(f"{stem}."))
        if suffix in suffixes and has_name and path.is_file():
            found.append((name != stem, suffixes.index(suffix), path))
    return min(found)[2] if found else None


def _require_inside(path: Path, subtitles: Sequence[Subtitle], duration_s: float) -> None:
    """Raise DataError if all subtitles begin after the end of the recording, with a guess at the reason."""
    first_s, end_s = subtitles[0].start_s, max(each.end_s for each in subtitles)
    if first_s < duration_s:
        return
    raise DataError(
        f"Expected subtitles inside the {duration_s:.1f} s of the recording, but got {path} with times from "
        f"{first_s:.1f} s to {end_s:.1f} s; {_guessed_reason(first_s, end_s, duration_s)}"
    )


def _guessed_reason(first_s: float, end_s: float, duration_s: float) -> str:
    hours = int(first_s // 3600)
    if hours and end_s - 3600 * hours <= 1.05 * duration_s:
        return f"they seem to begin at {hours:02d}:00:00, as tapes do: shift them by {hours} h"
    if end_s <= 3 * duration_s:
        return "they seem to belong to a longer recording: give those of this one"
    for factor, unit in ((1000, "milliseconds"), (60, "minutes in place of seconds"), (25, "frames"), (30, "frames")):
        if 0.5 <= end_s / (factor * duration_s) <= 1.1:
            return f"their times seem to be {unit}: convert them to hours, minutes and seconds"
    return "check that they belong to this video"


def _reason_to_drop(subtitle: Subtitle, duration_s: float) -> str:
    """Return the message that says why a subtitle is dropped; an empty text if it is kept."""
    if not plain_lines(subtitle.lines):
        return EMPTY
    if subtitle.end_s <= subtitle.start_s:
        return NO_LENGTH
    return BEYOND_THE_END if subtitle.start_s >= duration_s else ""


def _count(notes: Counter[str], what: str, n: int) -> None:
    """Add `n` to the count of the message `what` in `notes`. If `n` is 0, `notes` remains unchanged."""
    if n:
        notes[what] += n


def _clips(subtitle: Subtitle, parts: Sequence[SpokenPart], index: int) -> list[Clip]:
    """Return one clip per part of a subtitle, numbered from `index`."""
    words = _inner_words(subtitle) if len(parts) == 1 else ()
    if words and " ".join(word.text for word in words) != parts[0].text:
        words = ()
    voice = subtitle.speaker or voice_of(subtitle.lines)
    n_letters = [len(part.text) for part in parts]
    length_s = subtitle.end_s - subtitle.start_s
    clips, position = [], 0
    for number, part in enumerate(parts):
        start_s = subtitle.start_s + length_s * position / max(1, sum(n_letters))
        position += n_letters[number]
        end_s = subtitle.start_s + length_s * position / max(1, sum(n_letters))
        if number + 1 == len(parts):
            end_s = subtitle.end_s
        speaker = part.speaker or voice
        clips.append(Clip(index + number, start_s, end_s, part.text, words, speaker, part.not_judged))
    return clips


def _inner_words(subtitle: Subtitle) -> tuple[TimedWord, ...]:
    """Return the words of a subtitle with the times inside its text; empty if there are none or they contradict it."""
    pieces = _INNER_TIME.split(" ".join(subtitle.lines))
    times_s = [
        subtitle.start_s,
        *(_timestamp_s(*pieces[place : place + 4]) for place in range(1, len(pieces), 5)),
        subtitle.end_s,
    ]
    if len(times_s) < 3 or times_s != sorted(times_s):
        return ()
    spoken = [plain_lines([text]) for text in pieces[0::5]]
    return tuple(
        word
        for lines, start_s, end_s in zip(spoken, times_s, times_s[1:], strict=False)
        for word in spread_words(" ".join(lines).split(), start_s, end_s)
    )


def _without_rolling(subtitles: Sequence[Subtitle], notes: Counter[str]) -> list[Subtitle]:
    """Return the subtitles of a file, without lines that rolling captions show again.

    Args:
        subtitles: Subtitles in time order.
        notes: Counter of messages, updated with the number of lines that were left out.

    Returns:
        The same subtitles if the captions do not roll.
    """
    texts = [plain_lines(each.lines) for each in subtitles]
    shared = [0]
    n_rolled = 0
    for (one, two), (before, after) in zip(pairwise(subtitles), pairwise(texts), strict=True):
        touches = two.start_s - one.end_s <= TOUCHING_S
        shared.append(_n_repeated(before, after) if touches else 0)
        is_short = two.end_s - two.start_s <= UNREADABLE_S < one.end_s - one.start_s
        n_rolled += bool(shared[-1]) and (shared[-1] < len(after) or is_short)
        if touches and not shared[-1] and _grows(before, after):
            shared[-1] = -1
            n_rolled += 1
    if not n_rolled or sum(map(bool, shared)) < ROLLING_SHARE * (len(subtitles) - 1):
        return list(subtitles)
    kept: list[Subtitle] = []
    for subtitle, text, n_repeated in zip(subtitles, texts, shared, strict=True):
        if n_repeated < 0 and kept:
            kept[-1] = replace(subtitle, start_s=kept[-1].start_s)
            notes[ROLLING] += 1
            continue
        _count(notes, ROLLING, max(0, n_repeated))
        lines = [line for line in subtitle.lines if plain_lines([line])][max(0, n_repeated) :]
        if lines or not text:
            kept.append(replace(subtitle, lines=tuple(lines)))
    return [each for each in kept if plain_lines(each.lines)]


def _n_repeated(before: Sequence[str], after: Sequence[str]) -> int:
    """Return the number of first lines of a subtitle that are the last lines of the subtitle before."""
    for n in range(min(len(before), len(after)), 0, -1):
        if before[-n:] == after[:n]:
            return n
    return 0


def _grows(before: Sequence[str], after: Sequence[str]) -> bool:
    """Return whether a subtitle consists of the text of the subtitle before and further words."""
    return bool(before) and " ".join(after).startswith(" ".join(before) + " ")


def _parse(path: Path, text: str) -> list[Subtitle]:
    """Parse the text of a SubRip or WebVTT file, and return its subtitles in the order of the file.

    Each line with times starts a new subtitle, even without a blank line before it. Raises DataError if a line has an
    arrow between times that cannot be read.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    webvtt = bool(lines) and lines[0].strip().startswith("WEBVTT")
    subtitles: list[Subtitle] = []
    times: tuple[float, float] | None = None
    text_lines: list[str] = []
    in_non_cue = False
    for number, written in enumerate(lines):
        line = written.replace("--&gt;", _ARROW)
        match = None if in_non_cue else _TIMES.match(line)
        if not line.strip():
            in_non_cue = False
            # A blank line ends a subtitle in WebVTT. In SubRip, it can be part of the text. Rolling captions of WebVTT
            # have lines with a space before their text.
            if webvtt and times is not None and (text_lines or not line):
                subtitles.append(Subtitle(*times, tuple(text_lines)))
                times, text_lines = None, []
        elif match is not None:
            if times is not None:
                subtitles.append(Subtitle(*times, tuple(_without_next_number(text_lines, lines, number))))
            parts = match.groups()
            times, text_lines = (_timestamp_s(*parts[:4]), _timestamp_s(*parts[4:])), []
        elif _ARROW in line and not in_non_cue:
            raise DataError(
                f"Expected two times such as 00:00:01,000 --> 00:00:02,500 in line {number + 1} of {path}, but got "
                f"{written.strip()[:SHOWN_CHARACTERS]!r}; correct the line"
            )
        elif times is None:
            in_non_cue = webvtt and line.split()[0] in _NON_CUE_BLOCKS
        else:
            text_lines.append(line)
    if times is not None:
        subtitles.append(Subtitle(*times, tuple(text_lines)))
    return subtitles


def _parse_other(path: Path, text: str) -> list[Subtitle]:
    """Parse a file of another format with pysubs2."""
    try:
        import pysubs2
    except ImportError as error:
        raise MissingExtraError("pysubs2", "media") from error
    try:
        events = pysubs2.SSAFile.from_string(text, OTHER_FORMATS[path.suffix.lower()]).events
    except (*READ_ERRORS, pysubs2.Pysubs2Error) as error:
        raise DataError(
            f"Expected subtitles in {path}, but got {describe_error(error)}; save them as SubRip (.srt)"
        ) from None
    return [
        Subtitle(each.start / 1000, each.end / 1000, tuple(each.text.split("\n")), each.name.strip() or None)
        for each in events
        if not each.is_comment and not each.is_drawing
    ]


def _without_next_number(text_lines: list[str], lines: list[str], number: int) -> list[str]:
    """Return the lines of a subtitle. If the last line is the number of the next subtitle, this line is left out.

    Args:
        text_lines: Lines between the times of the subtitle and the times of the next subtitle.
        lines: All lines of the file.
        number: Index in `lines` of the line with the times of the next subtitle.
    """
    if text_lines and number > 0 and lines[number - 1] == text_lines[-1] and text_lines[-1].strip().isdigit():
        return text_lines[:-1]
    return text_lines


def _timestamp_s(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    """Convert the digits of a time in a subtitle file to seconds. Hours and the fraction of a second can be None."""
    # "5,5" is 5.5 s, not 5.005 s. Integers keep the sum exact.
    ns = int((fraction or "0").ljust(9, "0"))
    return (((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000_000 + ns) / 1_000_000_000
