"""Division of a media file into utterances by speech recognition, or by SubRip (.srt) or WebVTT (.vtt) subtitles.

The subtitle parser accepts common errors, because each lost subtitle is a lost utterance. Examples are a missing blank
line between subtitles, a full stop instead of a comma, and missing numbers or hours.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from mien.errors import DataError
from mien.limits import read_small_file
from mien.media.container import probe
from mien.media.recognition import Recognizer, SpeechSettings, load_recognizer, recognize
from mien.media.segmentation import SegmentationSettings, fixed_clips, utterances
from mien.printable import unescape_entities
from mien.schema import Clip

NO_AUDIO = "files without sound"
FIXED_CLIPS = "files cut into clips of one length because nobody speaks"
OUT_OF_ORDER = "subtitles not in time order: sorted"
OVERLAPPING = "subtitles that overlap the one before: kept"
BEYOND_THE_END = "subtitles that begin after the end of the video: dropped"
SHORTENED = "subtitles that end after the end of the video: shortened"
EMPTY = "subtitles without text: dropped"
NO_LENGTH = "subtitles that end before they begin: dropped"

_STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMES = re.compile(rf"^\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?$")
# a tag of either format, a time inside the text of a WebVTT subtitle, or a position like {\an8}
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<(?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3}>|\{\\[^{}]*\}")
_NON_CUE_BLOCKS = ("NOTE", "STYLE", "REGION")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class MediaSettings:
    """Settings for dividing a media file into utterances."""

    speech: SpeechSettings = field(default_factory=SpeechSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    # Approximate length in seconds of the clips of a video without speech. If it is 0, such a video has no clips.
    silent_clip_s: float = 0.0


@dataclass(frozen=True)
class Clips:
    """The utterances of one media file, and what was found out about the file.

    Attributes:
        clips: The utterances in time order. None starts or ends outside the file.
        duration_s: Duration of the file in seconds.
        notes: Messages about dropped, corrected or missing data, and how often each applies.
        language: Language code like "en"; empty for subtitles and for files without speech.
    """

    clips: list[Clip]
    duration_s: float
    notes: Counter[str] = field(default_factory=Counter)
    language: str = ""


def clips_of(
    path: Path,
    subtitles: Path | None = None,
    settings: MediaSettings = MediaSettings(),
    *,
    recognizer: Recognizer | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Clips:
    """Divide a media file into utterances, by its subtitles or by speech recognition.

    A file without audio or speech has no utterances; a message in the result's `notes` then gives the reason. If such a
    file has video, and `settings.silent_clip_s` is above 0, it is divided into clips of equal length instead.

    Args:
        path: Media file.
        subtitles: SubRip or WebVTT file. If it is None, speech recognition runs.
        settings: Settings of recognition and segmentation.
        recognizer: Loaded recognition model, which several calls can share. If it is None, the model named in
            `settings.speech` is loaded.
        on_progress: Function that is called repeatedly with the number of seconds of audio recognised so far.

    Returns:
        The utterances as clips in time order, the duration and language of the file, and a counter of messages about
        problems.

    Raises:
        DataError: The media file or the subtitle file is unreadable, or no subtitle lies within the file's duration.
        MissingExtraError: PyAV or faster-whisper is not installed.
        MissingWeightsError: The recognition model is missing.
        UnknownNameError: No recognition model has the name in the settings.
        UsageError: The model does not support the language in the settings.
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
    """One subtitle with its times in seconds."""

    start_s: float
    end_s: float
    text: str


def read_subtitles(path: Path, duration_s: float) -> tuple[list[Clip], Counter[str]]:
    """Read SubRip or WebVTT subtitles as clips.

    Tags in the text are removed. Overlapping subtitles are kept unchanged and counted.

    Args:
        path: Subtitle file.
        duration_s: Duration of the video in seconds. A subtitle that ends later is shortened, and a subtitle that
            starts later is dropped.

    Returns:
        One clip per subtitle, in time order; and a counter of messages. The messages tell how many subtitles were not
        in time order, overlap, were shortened, or were dropped.

    Raises:
        DataError: The file is missing, has an unknown encoding or contains no subtitles.
    """
    text = _read_text(path)
    entries = _parse_subtitles(text)
    if not entries:
        raise DataError(
            f"Expected subtitles as SubRip (.srt) or WebVTT (.vtt), but got {path} without one line like "
            "'00:00:01,000 --> 00:00:02,500'; save the subtitles in one of the two formats"
        )
    notes: Counter[str] = Counter()
    _count(notes, OUT_OF_ORDER, sum(one.start_s > two.start_s for one, two in pairwise(entries)))
    subtitles = []
    for entry in sorted(entries, key=lambda entry: (entry.start_s, entry.end_s)):
        reason = _reason_to_drop(entry, duration_s)
        if reason:
            notes[reason] += 1
            continue
        _count(notes, SHORTENED, entry.end_s > duration_s)
        subtitles.append(_Entry(entry.start_s, min(entry.end_s, duration_s), entry.text))
    last_end_s = 0.0
    for entry in subtitles:
        _count(notes, OVERLAPPING, entry.start_s < last_end_s)
        last_end_s = max(last_end_s, entry.end_s)
    return [Clip(index, entry.start_s, entry.end_s, entry.text) for index, entry in enumerate(subtitles)], notes


def _reason_to_drop(entry: _Entry, duration_s: float) -> str:
    """Return the message that says why a subtitle is dropped; an empty text if it is kept."""
    if not entry.text:
        return EMPTY
    if entry.end_s <= entry.start_s:
        return NO_LENGTH
    return BEYOND_THE_END if entry.start_s >= duration_s else ""


def _count(notes: Counter[str], what: str, n: int) -> None:
    """Add `n` to the count of the message `what` in `notes`. If `n` is 0, `notes` remains unchanged."""
    if n:
        notes[what] += n


def _read_text(path: Path) -> str:
    """Read and decode a subtitle file. Raises DataError if it is unreadable or has an unknown encoding."""
    try:
        content = read_small_file(path)
    except (OSError, ValueError) as error:
        raise DataError(f"Expected subtitles in {path}, but got {error}; check the path") from None
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    # ASCII text in UTF-16 is also valid UTF-8, in which a zero byte precedes or follows every letter.
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


def _parse_subtitles(text: str) -> list[_Entry]:
    """Parse the text of a SubRip or WebVTT file, and return its subtitles in the order of the file.

    Each line with times starts a new subtitle, even without a blank line before it.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    webvtt = bool(lines) and lines[0].strip().startswith("WEBVTT")
    entries: list[_Entry] = []
    times: tuple[float, float] | None = None
    text_lines: list[str] = []
    in_non_cue = False
    for number, line in enumerate(lines):
        match = None if in_non_cue else _TIMES.match(line)
        if not line.strip():
            in_non_cue = False
            # A blank line ends a subtitle in WebVTT. In SubRip, it can be part of the text.
            if webvtt and times is not None:
                entries.append(_Entry(*times, _subtitle_text(text_lines)))
                times, text_lines = None, []
        elif match is not None:
            if times is not None:
                entries.append(_Entry(*times, _subtitle_text(_without_next_number(text_lines, lines, number))))
            parts = match.groups()
            times, text_lines = (_timestamp_s(*parts[:4]), _timestamp_s(*parts[4:])), []
        elif times is None:
            in_non_cue = webvtt and line.split()[0] in _NON_CUE_BLOCKS
        else:
            text_lines.append(line)
    if times is not None:
        entries.append(_Entry(*times, _subtitle_text(text_lines)))
    return entries


def _without_next_number(text_lines: list[str], lines: list[str], number: int) -> list[str]:
    """Return the lines of a subtitle. If the last line is the number of the next subtitle, this line is left out.

    Args:
        text_lines: Lines between the times of the subtitle and the times of the next subtitle.
        lines: All lines of the file.
        number: Index in `lines` of the line with the times of the next subtitle.
    """
    if text_lines and number > 0 and lines[number - 1] is text_lines[-1] and text_lines[-1].strip().isdigit():
        return text_lines[:-1]
    return text_lines


def _timestamp_s(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    """Convert the digits of a time in a subtitle file to seconds. Hours and the fraction of a second can be None."""
    # "5,5" is 5.5 s, not 5.005 s. Integer milliseconds keep the sum exact.
    ms = int((fraction or "0").ljust(3, "0"))
    return ((int(hours or 0) * 60 + int(minutes)) * 60_000 + int(seconds) * 1000 + ms) / 1000


def _subtitle_text(lines: list[str]) -> str:
    """Join the lines of a subtitle, remove tags and repeated white space, and decode HTML entities."""
    return " ".join(unescape_entities(_TAGS.sub("", " ".join(lines))).split())
