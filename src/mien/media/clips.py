"""One call from a media file to its utterances: what is heard in it, or its subtitles, SubRip (.srt) and WebVTT (.vtt).

The subtitle parser is small on purpose and forgiving where files in the wild are careless (no blank line between
entries, a dot for the comma, missing numbers, hours left out), because a subtitle lost is an utterance lost.
"""

from __future__ import annotations

import codecs
import html
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from mien.errors import DataError
from mien.media.container import probe
from mien.media.recognition import Recognizer, SpeechSettings, load_recognizer, recognize
from mien.media.segmentation import SegmentationSettings, fixed_clips, utterances
from mien.schema import Clip

NO_AUDIO = "files without sound"
FIXED_CLIPS = "files cut into clips of one length because nobody speaks"
OUT_OF_ORDER = "subtitles not in time order: sorted"
OVERLAPPING = "subtitles that overlap the one before: kept"
BEYOND_THE_END = "subtitles that begin after the end of the video: dropped"
SHORTENED = "subtitles that end after the end of the video: shortened"
EMPTY = "subtitles without text: dropped"
NO_LENGTH = "subtitles that end before they begin: dropped"

_STAMP = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMES = re.compile(rf"^\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?$")
# an inline time of WebVTT, a tag of either format, or a position like {\an8}
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<(?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3}>|\{\\[^{}]*\}")
_NOT_CUES = ("NOTE", "STYLE", "REGION")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class MediaSettings:
    """How a media file becomes utterances."""

    speech: SpeechSettings = field(default_factory=SpeechSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    # a video in which nobody speaks is cut into clips of about this length, 5 for example; 0: it has no clips
    silent_clip_s: float = 0.0


@dataclass(frozen=True)
class Clips:
    """The utterances of one file."""

    # in time order, inside the file
    clips: list[Clip]
    duration_s: float
    # what was lost, corrected or not there, and how often
    notes: Counter[str] = field(default_factory=Counter)
    # code like "en"; empty if it is not known (subtitles) or nothing was said
    language: str = ""


def clips_of(
    path: Path,
    subtitles: Path | None = None,
    settings: MediaSettings = MediaSettings(),
    *,
    recognizer: Recognizer | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Clips:
    """The utterances of a file: its subtitles if given, else what is heard in it.

    A file without sound or speech has no clips and a note that says so, or clips of one length where the settings ask
    for them and there is video.

    Args:
        path: the media file
        subtitles: SubRip or WebVTT; then nothing is recognised
        settings: how it is done
        recognizer: a loaded model to share between files; without one, one is loaded as the settings say
        on_progress: told the seconds that are done

    Raises:
        DataError: the file is no media file, the subtitles are none
        MissingExtraError: PyAV or faster-whisper is not installed
        MissingWeightsError: there is no recognition model
    """
    facts = probe(path)
    notes: Counter[str] = Counter()
    language, duration_s = "", facts.duration_s
    if subtitles is not None:
        clips, notes = read_subtitles(subtitles, duration_s)
        if not clips:
            raise DataError(
                f"Expected subtitles inside the {duration_s:.1f} s of {path}, but got none of {subtitles} there; "
                "check that they belong to this video"
            )
    elif not facts.has_audio:
        clips = []
        notes[NO_AUDIO] += 1
    else:
        recognizer = recognizer if recognizer is not None else load_recognizer(settings.speech)
        speech = recognize(path, recognizer, notes=notes, on_progress=on_progress)
        language, duration_s = speech.language, max(duration_s, speech.duration_s)
        clips = utterances(
            speech.words, speech.sentence_ends, duration_s, settings.segmentation, separator=speech.separator
        )
    if not clips and facts.has_video and settings.silent_clip_s > 0:
        clips = fixed_clips(duration_s, settings.silent_clip_s)
        notes[FIXED_CLIPS] += 1
    return Clips(clips, duration_s, notes, language)


@dataclass(frozen=True)
class _Entry:
    start_s: float
    end_s: float
    text: str


def read_subtitles(path: Path, duration_s: float) -> tuple[list[Clip], Counter[str]]:
    """One clip per subtitle, in time order, and how many were sorted, shortened or dropped for which reason.

    Tags are stripped. Subtitles that overlap are kept as they are and counted.

    Raises DataError if the file is missing, is in an unknown encoding or holds no subtitles.
    """
    text = _text(path)
    entries = _entries(text)
    if not entries:
        raise DataError(
            f"Expected subtitles as SubRip (.srt) or WebVTT (.vtt), but got {path} without one line like "
            "'00:00:01,000 --> 00:00:02,500'; save the subtitles in one of the two formats"
        )
    notes: Counter[str] = Counter()
    _count(notes, OUT_OF_ORDER, sum(one.start_s > two.start_s for one, two in pairwise(entries)))
    kept = []
    for entry in sorted(entries, key=lambda entry: (entry.start_s, entry.end_s)):
        reason = _reason_to_drop(entry, duration_s)
        if reason:
            notes[reason] += 1
            continue
        _count(notes, SHORTENED, entry.end_s > duration_s)
        kept.append(_Entry(entry.start_s, min(entry.end_s, duration_s), entry.text))
    last_end_s = 0.0
    for entry in kept:
        _count(notes, OVERLAPPING, entry.start_s < last_end_s)
        last_end_s = max(last_end_s, entry.end_s)
    return [Clip(index, each.start_s, each.end_s, each.text) for index, each in enumerate(kept)], notes


def _reason_to_drop(entry: _Entry, duration_s: float) -> str:
    if not entry.text:
        return EMPTY
    if entry.end_s <= entry.start_s:
        return NO_LENGTH
    return BEYOND_THE_END if entry.start_s >= duration_s else ""


def _count(notes: Counter[str], what: str, n: int) -> None:
    if n:
        notes[what] += n


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"Expected subtitles in {path}, but got {error.strerror or error}; check the path") from None
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    # ASCII text in UTF-16 is UTF-8 too, with a zero byte beside every letter
    if encoding == "utf-8" and b"\0" in content:
        raise DataError(
            f"Expected UTF-8 text in {path}, but got byte 0x00 at offset {content.index(0)}: UTF-16 without a byte "
            "order mark, or no text; save the subtitles as UTF-8"
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"Expected {encoding.upper()} text in {path}, but got byte 0x{content[error.start]:02x} at offset "
            f"{error.start} (line {line}); save the subtitles as UTF-8, for example with: "
            "iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
        ) from None


def _entries(text: str) -> list[_Entry]:
    """Every entry in the order of the file; a times line begins one, wherever it stands."""
    lines = text.removeprefix("\ufeff").splitlines()
    webvtt = bool(lines) and lines[0].strip().startswith("WEBVTT")
    entries: list[_Entry] = []
    times: tuple[float, float] | None = None
    said: list[str] = []
    aside = False
    for number, line in enumerate(lines):
        match = None if aside else _TIMES.match(line)
        if not line.strip():
            aside = False
            # In SubRip a blank line may stand inside a text; in WebVTT it ends the entry.
            if webvtt and times is not None:
                entries.append(_Entry(*times, _plain(said)))
                times, said = None, []
        elif match is not None:
            if times is not None:
                entries.append(_Entry(*times, _plain(_without_number(said, lines, number))))
            parts = match.groups()
            times, said = (_seconds(*parts[:4]), _seconds(*parts[4:])), []
        elif times is None:
            aside = webvtt and line.split()[0] in _NOT_CUES
        else:
            said.append(line)
    if times is not None:
        entries.append(_Entry(*times, _plain(said)))
    return entries


def _without_number(said: list[str], lines: list[str], number: int) -> list[str]:
    """The counter above a times line was taken for the last line of the entry before."""
    if said and number > 0 and lines[number - 1] is said[-1] and said[-1].strip().isdigit():
        return said[:-1]
    return said


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    # "5,5" is half a second, not five thousandths; whole milliseconds keep the sum exact
    ms = int((fraction or "0").ljust(3, "0"))
    return ((int(hours or 0) * 60 + int(minutes)) * 60_000 + int(seconds) * 1000 + ms) / 1000


def _plain(lines: list[str]) -> str:
    return " ".join(html.unescape(_TAGS.sub("", " ".join(lines))).split())
