"""Decoding of subtitle files, and a guess at the encoding of those that are not Unicode."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from mien.errors import DataError
from mien.limits import read_small_file

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# encodings to suggest, and the script of their languages, as in the names of Unicode characters
_EAST_ASIAN = (
    *(("SHIFT_JIS", ("HIRAGANA", "KATAKANA")), ("EUC-JP", ("HIRAGANA", "KATAKANA"))),
    *(("EUC-KR", ("HANGUL",)), ("GB18030", ("CJK",)), ("BIG5", ("CJK",))),
)
_ALPHABETS = (("WINDOWS-1251", ("CYRILLIC",)), ("WINDOWS-1253", ("GREEK",)), ("WINDOWS-1256", ("ARABIC",)))
# share of the letters beyond ASCII that must be in the script of an encoding; Japanese has Chinese letters, too
SCRIPT_SHARE = {"HIRAGANA": 0.3, "CJK": 0.9, "HANGUL": 0.9, "CYRILLIC": 0.9, "GREEK": 0.9, "ARABIC": 0.9}
# frequent letters of Chinese, in simplified and in traditional form
_FREQUENT_CHINESE = frozenset("的一是不了我在人他有这這中大来來上个個们們你好很就也说說")


def read_text(path: Path) -> str:
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
            f"iconv -f {_likely_encoding(content)} -t UTF-8 OLD > NEW"
        ) from None


def _likely_encoding(content: bytes) -> str:
    """Guess the encoding of a text that is not UTF-8, from the script of its letters beyond ASCII."""
    n_frequent = {}
    for encoding, scripts in _EAST_ASIAN:
        letters = _letters(content, encoding, scripts)
        n_frequent[encoding] = sum(letter in _FREQUENT_CHINESE for letter in letters)
        if letters and scripts != ("CJK",):
            return encoding
    if best := max(n_frequent.values()):
        return next(encoding for encoding, n in n_frequent.items() if n == best)
    # accents stand beside letters of Latin words
    runs = re.findall(rb"[A-Za-z]?[\x80-\xff]+[A-Za-z]?", content)
    if 2 * sum(chr(run[0]).isascii() or chr(run[-1]).isascii() for run in runs) > len(runs):
        return "WINDOWS-1252"
    return next((name for name, scripts in _ALPHABETS if _letters(content, name, scripts)), "WINDOWS-1252")


def _letters(content: bytes, encoding: str, scripts: tuple[str, ...]) -> list[str]:
    """Return the letters beyond ASCII of a text in an encoding; none if they are not in the script of its languages."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return []
    letters = [letter for letter in text if ord(letter) > 127 and letter.isalpha()]
    n_fitting = sum(unicodedata.name(letter, "").startswith(scripts) for letter in letters)
    return letters if n_fitting >= SCRIPT_SHARE[scripts[0]] * len(letters) else []
