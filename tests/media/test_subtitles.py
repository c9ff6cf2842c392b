"""SubRip and WebVTT as they are found, not as they are specified."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import DataError
from mien.media.caption_text import NOT_SPEECH
from mien.media.subtitles import (
    BEYOND_THE_END,
    EMPTY,
    NO_LENGTH,
    OUT_OF_ORDER,
    OVERLAPPING,
    ROLLING,
    SHORTENED,
    SOUNDS,
    read_subtitles,
    subtitles_beside,
)

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

    # different texts, because equal ones that touch would be rolling captions
    entries = [(start, length, [f"s{number}", *words]) for number, (start, length, words) in enumerate(entries)]
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


def read(tmp_path, text, name="a.srt", duration_s=100.0):
    clips, notes = read_subtitles(written(tmp_path, text, name=name), duration_s)
    return clips, notes


def cue(number, start, end, *lines):
    return f"{number}\n00:00:{start} --> 00:00:{end}\n" + "\n".join(lines) + "\n\n"


def test_fractions_have_any_number_of_digits_and_arrows_may_be_escaped(tmp_path):
    text = "1\n0:0:1,5-->00:00:02.1234567\none\n\n2\n123:00:03,0001 --&gt; 123:00:04\ntwo\n"
    assert said(written(tmp_path, text), 1e6)[0] == [
        (1.5, 2.1234567, "one"),
        (123 * 3600 + 3.0001, 123 * 3600 + 4.0, "two"),
    ]


@pytest.mark.parametrize(
    "line", ["00:00:0x,000 --> 00:00:05,000", "-00:00:03 --> 00:00:05", "00:00:03:12 --> 00:00:05:01"]
)
def test_a_line_of_times_that_cannot_be_read_is_an_error_with_its_number(tmp_path, line):
    with pytest.raises(DataError, match=r"two times such as .* in line 5 of .*a\.srt, but got '") as caught:
        read(tmp_path, cue(1, "01,000", "02,000", "hello") + f"2\n{line}\nthere\n".replace("2\n", "", 1))
    assert repr(line) in str(caught.value)


ROLLING_VTT = """WEBVTT

00:00:01.000 --> 00:00:03.000 align:start
{blank}
we<00:00:01.500><c> sold</c><00:00:02.000><c> it</c>

00:00:03.000 --> 00:00:03.010
we sold it
{blank}

00:00:03.010 --> 00:00:05.000
we sold it
on<00:00:03.400><c> Monday</c>

00:00:05.000 --> 00:00:05.010
on Monday
{blank}

00:00:05.010 --> 00:00:08.000
on Monday
[Applause]
"""


def test_each_line_of_rolling_captions_is_read_once_at_the_times_of_its_words(tmp_path):
    clips, notes = read(tmp_path, ROLLING_VTT.replace("{blank}", " "), "a.vtt")
    assert [(clip.start_s, clip.end_s, clip.transcript, clip.not_judged) for clip in clips] == [
        (1.0, 3.0, "we sold it", ""),
        (3.01, 5.0, "on Monday", ""),
        (5.01, 8.0, "[Applause]", NOT_SPEECH),
    ]
    assert [(word.text, word.start_s, word.end_s) for word in clips[0].words] == [
        ("we", 1.0, 1.5),
        ("sold", 1.5, 2.0),
        ("it", 2.0, 3.0),
    ]
    assert notes == {ROLLING: 4, SOUNDS: 1}


def test_captions_that_roll_by_two_lines_or_grow_are_read_once(tmp_path):
    rolling = (
        cue(1, "01,000", "02,000", "first line")
        + cue(2, "02,000", "03,000", "first line", "second line")
        + cue(3, "03,000", "04,000", "second line", "third line")
    )
    assert said(written(tmp_path, rolling))[0] == [(1, 2, "first line"), (2, 3, "second line"), (3, 4, "third line")]
    growing = (
        cue(1, "01,000", "02,000", "I love")
        + cue(2, "02,000", "03,000", "I love it.")
        + cue(3, "05,000", "06,000", "Bye.")
    )
    assert said(written(tmp_path, growing))[0] == [(1, 3, "I love it."), (5, 6, "Bye.")]


def test_what_somebody_says_twice_is_kept(tmp_path):
    text = cue(1, "01,000", "02,000", "No.") + cue(2, "02,000", "03,000", "No.") + cue(3, "05,000", "06,000", "No.")
    found, notes = said(written(tmp_path, text))
    assert (len(found), notes) == (3, {})


def test_speakers_of_one_subtitle_share_its_time_by_the_length_of_their_words(tmp_path):
    clips, _ = read(tmp_path, cue(1, "10,000", "14,000", "- I hate you!", "- MARY (O.S.): Do you?!!!!"))
    assert [(clip.start_s, clip.end_s, clip.transcript, clip.speaker) for clip in clips] == [
        (10.0, 12.0, "I hate you!", None),
        (12.0, 14.0, "Do you?!!!!", "MARY"),
    ]


def test_times_outside_the_recording_are_refused_with_a_guess(tmp_path):
    hour_later = "1\n01:00:01,000 --> 01:00:02,000\nhello\n"
    with pytest.raises(DataError, match="10.0 s .* from 3601.0 s to 3602.0 s; they seem to begin at 01:00"):
        read(tmp_path, hour_later, duration_s=10.0)
    milliseconds = "1\n00:50:00,000 --> 01:00:00,000\na\n\n2\n02:00:00,000 --> 02:40:00,000\nb\n"
    with pytest.raises(DataError, match="their times seem to be milliseconds"):
        read(tmp_path, milliseconds, duration_s=10.0)
    with pytest.raises(DataError, match="they seem to belong to a longer recording"):
        read(tmp_path, cue(1, "11,000", "12,000", "later"), duration_s=10.0)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("GB18030", "我今天很高兴，你好吗"),
        ("BIG5", "我今天很高興，你好嗎，這是我的家"),
        ("SHIFT_JIS", "とてもうれしいです、ありがとう"),
        ("EUC-KR", "오늘은 정말 행복합니다"),
        ("WINDOWS-1251", "Сегодня я очень рад"),
        ("WINDOWS-1252", "C'était très déçu, à côté"),
    ],
)
def test_the_remedy_names_the_likely_encoding(tmp_path, encoding, text):
    with pytest.raises(DataError, match=f"iconv -f {encoding} -t UTF-8"):
        said(written(tmp_path, f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n", encoding))


def test_substation_alpha_is_read_by_pysubs2(tmp_path):
    text = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not shown
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ann,0,0,0,,{\\an8}I am\\Nhappy
"""
    (clip,), _ = read(tmp_path, text, "a.ass")
    assert (clip.start_s, clip.end_s, clip.transcript, clip.speaker) == (1.0, 2.5, "I am happy", "Ann")


def test_the_subtitles_of_a_recording_are_found_by_its_name(tmp_path):
    recording = tmp_path / "Zoe\u0308.mp4"
    assert subtitles_beside(recording) is None
    for name in ("Zo\u00eb.en.vtt", "Zo\u00eb.part2.srt", "other.srt"):
        written(tmp_path, SRT, name=name)
    assert subtitles_beside(recording).name == "Zo\u00eb.en.vtt"
    written(tmp_path, SRT, name="Zo\u00eb.srt")
    assert subtitles_beside(recording).name == "Zo\u00eb.srt"
