"""Times and words of labelled utterances."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.readers.examples import write_wav

from mien.errors import DataError
from mien.media.recognition import Speech
from mien.schema import Clip, Level, TimedWord, Utterance, Video
from mien.video.labelled_clips import (
    TEXT_RECOGNIZED,
    TIMES_UNUSABLE,
    is_whole_file,
    labelled_clips,
    with_recognized_words,
)


def test_a_single_utterance_without_times_is_the_whole_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "v.wav", n_samples=24_000)
    video = Video("v", [Utterance(3, transcript="hello")])
    assert is_whole_file(video)
    assert labelled_clips(video, path, Counter()) == [Clip(3, 0.0, 1.5, "hello")]


def test_times_are_kept_and_a_row_without_usable_times_costs_only_itself(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "v.wav", n_samples=24_000)
    bad = [Utterance(2), Utterance(3, start_s=1.0), Utterance(4, end_s=1.0), Utterance(5, -1.0, 1.0)]
    video = Video("v", [*bad, Utterance(0, 0.25, 0.5, "a"), Utterance(1, 0.5, 1.0, "b")])
    notes: Counter[str] = Counter()
    assert labelled_clips(video, path, notes) == [Clip(0, 0.25, 0.5, "a"), Clip(1, 0.5, 1.0, "b")]
    assert notes == {TIMES_UNUSABLE: 4}


@pytest.mark.parametrize(
    "utterances",
    [[Utterance(0), Utterance(1)], [Utterance(0, start_s=1.0)], [Utterance(0, end_s=1.0)], [Utterance(0, -1.0, 1.0)]],
)
def test_a_recording_without_any_usable_time_is_refused(utterances: list[Utterance], tmp_path: Path) -> None:
    path = write_wav(tmp_path / "v.wav", n_samples=24_000)
    with pytest.raises(
        DataError, match=r"Expected start and end in seconds of utterance 0 of v, but got .*single utter"
    ):
        labelled_clips(Video("v", utterances), path, Counter())


def test_times_in_milliseconds_are_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "v.wav", n_samples=24_000)
    video = Video("v", [Utterance(0, 250.0, 500.0), Utterance(1, 500.0, 1000.0)])
    with pytest.raises(DataError, match=r"inside the 1\.5 s of v\.wav, but got 1000\.0; .* milliseconds"):
        labelled_clips(video, path, Counter())


def test_words_from_recognition_are_counted() -> None:
    words = (TimedWord("good", 0.1, 0.4), TimedWord("day", 0.5, 0.8))
    speech = Speech(words, (False, True), "en", 1.0)
    notes: Counter[str] = Counter()
    clips = [Clip(0, 0.0, 0.9, ""), Clip(1, 0.0, 0.9, "given"), Clip(2, 5.0, 6.0, "")]
    found = with_recognized_words(clips, speech, Level.UTTERANCE, notes)
    assert [clip.transcript for clip in found] == ["good day", "given", ""]
    assert notes == {TEXT_RECOGNIZED: 1}
