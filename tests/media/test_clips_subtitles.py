"""SubRip and WebVTT as they are found, not as they are specified."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import DataError
from mien.media.clips import BEYOND_THE_END, EMPTY, NO_LENGTH, OUT_OF_ORDER, OVERLAPPING, SHORTENED, read_subtitles

SRT = """1
00:00:01,000 --> 00:00:02,500
Hello there.

2
00:00:03,000 --> 00:00:04,000
<i>Two</i> lines
of <font color="#ff0000">text</font> &amp; more
"""


def said(path, duration_s=100.0):
    clips, notes = read_subtitles(path, duration_s)
    assert [clip.index for clip in clips] == list(range(len(clips)))
    return [(clip.start_s, clip.end_s, clip.transcript) for clip in clips], notes


def written(tmp_path, text, encoding="utf-8", name="a.srt"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


EXPECTED = [(1.0, 2.5, "Hello there."), (3.0, 4.0, "Two lines of text & more")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_marked_encoding_and_newline_reads_the_same(tmp_path, encoding, newline):
    assert said(written(tmp_path, SRT.replace("\n", newline), encoding)) == (EXPECTED, Counter())


def test_utf_16_big_endian_with_mark(tmp_path):
    path = tmp_path / "a.srt"
    path.write_bytes(b"\xfe\xff" + SRT.encode("utf-16-be"))
    assert said(path)[0] == EXPECTED


def test_another_encoding_is_an_error_that_names_byte_and_remedy(tmp_path):
    with pytest.raises(DataError, match=r"byte 0xe9 at offset \d+ \(line 3\).*iconv"):
        said(written(tmp_path, "1\n00:00:01,000 --> 00:00:02,000\ncafé\n", "latin-1"))
    with pytest.raises(DataError, match=r"byte 0x00 at offset \d+: UTF-16"):
        said(written(tmp_path, SRT, "utf-16-le"))


@pytest.mark.parametrize(
    "text", ["", "Dear Sir,\nno subtitles here\n", "[Script Info]\nTitle: x\n", "WEBVTT\n\nNOTE x\n"]
)
def test_a_file_without_entries_is_an_error(tmp_path, text):
    with pytest.raises(DataError, match="SubRip"):
        said(written(tmp_path, text))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="check the path"):
        said(tmp_path / "nothing.srt")


def test_entries_are_sorted_overlaps_kept_and_counted(tmp_path):
    text = """2
00:00:05,000 --> 00:00:08,000
second

1
00:00:01,000 --> 00:00:02,000
first

3
00:00:07,500 --> 00:00:09,000
third
"""
    found, notes = said(written(tmp_path, text))
    assert found == [(1.0, 2.0, "first"), (5.0, 8.0, "second"), (7.5, 9.0, "third")]
    assert notes == {OUT_OF_ORDER: 1, OVERLAPPING: 1}


def test_what_lies_beyond_the_end_is_empty_or_has_no_length_is_dropped_and_counted(tmp_path):
    text = """1
00:00:01,000 --> 00:00:02,000
{\\an8}<i></i>

2
00:00:03,000 --> 00:00:03,000
no length

3
00:00:09,000 --> 00:00:11,000
goes over the end

4
00:00:10,000 --> 00:00:12,000
beyond

5
01:00:10,000 --> 01:00:12,000
far beyond
"""
    found, notes = said(written(tmp_path, text), duration_s=10.0)
    assert found == [(9.0, 10.0, "goes over the end")]
    assert notes == {EMPTY: 1, NO_LENGTH: 1, SHORTENED: 1, BEYOND_THE_END: 2}


def test_careless_subrip(tmp_path):
    text = """1
0:00:01.5 --> 0:00:02,25 X1:10 Y1:20
first
2
00:00:03,000 --> 00:00:04,000
in 42
42
3
00:00:05,000 --> 00:00:06,000
a blank line

goes on

00:00:07,000 --> 00:00:08,000
no number, 1 < 2
"""
    found, notes = said(written(tmp_path, text))
    assert found == [
        (1.5, 2.25, "first"),
        (3.0, 4.0, "in 42 42"),
        (5.0, 6.0, "a blank line goes on"),
        (7.0, 8.0, "no number, 1 < 2"),
    ]
    assert not notes


def test_webvtt(tmp_path):
    text = """WEBVTT - with a title
Kind: captions

STYLE
::cue { color: red }

NOTE
00:00:00.000 --> 00:00:01.000 is only a note

REGION
id:fred

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Erma Sims>Hello <b.loud>there</b>.</v>

00:00:03.000 --> 00:00:04.000
Two<00:00:03.500><c> lines</c>
of text &amp; more

01:00:00.000 --> 01:00:01.000
an hour later
"""
    found, notes = said(written(tmp_path, text, name="a.vtt"), duration_s=4000.0)
    assert found == [*EXPECTED, (3600.0, 3601.0, "an hour later")]
    assert not notes


TIMES = st.integers(0, 100_000)
WORDS = st.lists(st.text("abcdefgh'ü", min_size=1, max_size=8), min_size=1, max_size=6)


@given(st.lists(st.tuples(TIMES, st.integers(1, 5_000), WORDS), min_size=1, max_size=12), st.booleans())
def test_what_is_written_is_read_in_time_order(tmp_path_factory, entries, webvtt):
    def stamp(ms):
        comma = "." if webvtt else ","
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{comma}{ms % 1000:03}"

    blocks = [
        f"{number}\n{stamp(start)} --> {stamp(start + length)}\n" + "\n".join(words) + "\n"
        for number, (start, length, words) in enumerate(entries, 1)
    ]
    path = tmp_path_factory.mktemp("subtitles") / "a"
    path.write_text(("WEBVTT\n\n" if webvtt else "") + "\n".join(blocks), encoding="utf-8")
    found, _ = said(path, 1000.0)
    expected = [(start / 1000, (start + length) / 1000, " ".join(words)) for start, length, words in entries]
    assert sorted(found) == sorted(expected)
    assert [start_s for start_s, _, _ in found] == sorted(start_s for start_s, _, _ in found)
