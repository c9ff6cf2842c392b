"""Control characters become visible, everything else stays, and JSON keeps its values."""

from __future__ import annotations

import json
import unicodedata

from mien.printable import printable, printable_json

# formatting characters that change the direction in which text is shown
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
DEPRECATED = set(map(chr, range(0x206A, 0x2070)))


def is_dangerous(character):
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return character not in "\t\n"
    return unicodedata.bidirectional(character) in DIRECTIONS or character in DEPRECATED


def test_dangerous_characters_are_shown_and_all_others_stay():
    for character in map(chr, range(0x11000)):
        shown = printable(character)
        if is_dangerous(character):
            assert shown.isprintable()
            assert shown.startswith("\\")
        else:
            assert shown == character


def test_what_is_shown():
    assert printable("a\x1b]0;x\x07\r\nb\rc\td\x9b\u202e") == "a\\x1b]0;x\\x07\nb\\x0dc\td\\x9b\\u202e"
    assert printable("caf\udce9 \ud800") == "caf\\xe9 \\ud800"
    # joiners of Persian, Hindi and emoji
    assert printable("می‌خواهم क्‍ष 👩‍🚀") == "می‌خواهم क्‍ष 👩‍🚀"


def test_json_keeps_its_values():
    values = {"\x1b\u2028": "-".join(map(chr, range(0x10000))), "é\t\n": ["\udce9", "\\x1b"]}
    text = printable_json(json.dumps(values, ensure_ascii=False))
    assert printable(text) == text
    assert json.loads(text) == values
