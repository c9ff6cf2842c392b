"""Times and words of labelled utterances."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.readers.examples import write_wav

from mien.errors import DataError
from mien.media.recognition import Speech
from mien.schema import Clip, Level, TimedWord, Utterance, Video
from mien.video.labelled_clips import TEXT_RECOGNIZED, is_whole_file, labelled_clips, with_recognized_words


def test_a_single_utterance_without_times_is_the_whole_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "v.wav", n_samples=24_000)
    video = Video("v", [Utterance(3, transcript="hello")])
    assert is_whole_file(video)
    assert labelled_clips(video, path) == [Clip(3, 0.0, 1.5, "hello")]


def test_times_are_kept(tmp_path: Path) -> None:
    video = Video("v", [Utterance(0, 0.25, 0.5, "a"), Utterance(1, 0.5, 1.0, "b")])
    assert labelled_clips(video, tmp_path / "v.wav") == [Clip(0, 0.25, 0.5, "a"), Clip(1, 0.5, 1.0, "b")]


@pytest.mark.parametrize(
    "utterances",
    [[Utterance(0), Utterance(1)], [Utterance(0, start_s=1.0)], [Utterance(0, end_s=1.0)], [Utterance(0, -1.0, 1.0)]],
)
def test_other_missing_times_are_refused(utterances: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"Expected start and end in seconds of utterance 0 of v, but got .*single utter"
    ):
        labelled_clips(Video("v", utterances), tmp_path / "v.wav")


def test_words_from_recognition_are_counted() -> None:
    words = (TimedWord("good", 0.1, 0.4), TimedWord("day", 0.5, 0.8))
    speech = Speech(words, (False, True), "en", 1.0)
    notes: Counter[str] = Counter()
    clips = [Clip(0, 0.0, 0.9, ""), Clip(1, 0.0, 0.9, "given"), Clip(2, 5.0, 6.0, "")]
    found = with_recognized_words(clips, speech, Level.UTTERANCE, notes)
    assert [clip.transcript for clip in found] == ["good day", "given", ""]
    assert notes == {TEXT_RECOGNIZED: 1}
