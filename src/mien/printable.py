"""Escapes for characters that a terminal, a player or an editor obeys instead of showing; HTML entities of texts.

Names and texts come from other people's files. Raw control characters in them could change the title or the clipboard
of a terminal, hide text, or reverse the order in which it is shown. They are therefore shown as escapes.
"""

from __future__ import annotations

import html
import re

# control characters except tab and line feed; line separators; characters that change the direction of text; halves of
# surrogate pairs, which no encoding can write (Python uses them for the bytes of a file name that is not UTF-8). The
# joiners and marks U+200B to U+200F are kept, because some scripts need them.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
# html.unescape fails at entities with thousands of digits; none of a character is so long
_LONG_ENTITY = re.compile(r"&#\w{10,};?")


def printable(text: str) -> str:
    r"""Return a text with control characters replaced by escapes such as \x1b or \u202e.

    Tabs and line feeds remain unchanged, and CR LF becomes a line feed.
    """
    return UNPRINTABLE.sub(_escape, text.replace("\r\n", "\n"))


def printable_json(text: str) -> str:
    """Return a JSON text with control characters in its strings replaced by JSON escapes. Its values stay the same."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def unescape_entities(text: str) -> str:
    """Replace HTML entities such as ``&amp;`` by their characters.

    An entity whose number is too large for a character becomes U+FFFD, the replacement character.
    """
    return html.unescape(_LONG_ENTITY.sub("\N{REPLACEMENT CHARACTER}", text))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
