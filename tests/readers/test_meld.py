from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.readers.examples import MELD_HEADER, meld_row, videos_of, write_text

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.readers.base import SourceDataSet
from mien.schema import SentimentValues

TIMES = ("00:20:57,256", "01:21:00,049")


def opened(tmp_path: Path, *rows: str, name: str = "train_sent_emo.csv") -> SourceDataSet:
    return open_reader("meld", [write_text(tmp_path / name, MELD_HEADER + "".join(rows))])


@pytest.mark.parametrize(
    ("name", "emotions"),
    [
        ("neutral", [0, 0, 0, 0, 0, 0]),
        ("anger", [1, 0, 0, 0, 0, 0]),
        ("disgust", [0, 1, 0, 0, 0, 0]),
        ("fear", [0, 0, 1, 0, 0, 0]),
        ("joy", [0, 0, 0, 1, 0, 0]),
        ("sadness", [0, 0, 0, 0, 1, 0]),
        ("surprise", [0, 0, 0, 0, 0, 1]),
    ],
)
def test_the_named_emotion_has_intensity_one(tmp_path: Path, name: str, emotions: list[float]) -> None:
    utterance = videos_of(opened(tmp_path, meld_row(0, 0, "a", name, "positive", TIMES)))["train-dia0"].utterances[0]
    assert utterance.emotions is not None
    assert utterance.emotions.tolist() == emotions


def test_sentiment_is_signed_and_neutral_is_missing(tmp_path: Path) -> None:
    rows = [meld_row(0, i, "a", "joy", name, TIMES) for i, name in enumerate(("positive", "negative", "neutral"))]
    source = opened(tmp_path, *rows)
    assert [each.sentiment for each in videos_of(source)["train-dia0"].utterances] == [1.0, -1.0, None]
    assert source.sentiment_values is SentimentValues.SIGNED_CLASS
    assert source.notes == {rules.SENTIMENT_NEUTRAL: 1}


def test_the_speaker_is_kept(tmp_path: Path) -> None:
    rows = [meld_row(0, i, "a", "joy", "positive", TIMES) for i in range(3)]
    rows = [row.replace("Somebody", name) for row, name in zip(rows, ("Joey", " Ross ", ""), strict=True)]
    source = opened(tmp_path, *rows)
    assert source.extra_columns == ("speaker",)
    assert [each.speaker for each in videos_of(source)["train-dia0"].utterances] == ["Joey", "Ross", None]


def test_dialogues_are_kept_apart_by_split(tmp_path: Path) -> None:
    for name, text in (("dev", "He’s lost, it"), ("train", "it"), ("test", "IT ")):
        write_text(tmp_path / f"{name}_sent_emo.csv", MELD_HEADER + meld_row(12, 0, text, "fear", "negative", TIMES))
    write_text(tmp_path / "other.csv", "not MELD")
    source = open_reader("meld", [tmp_path])
    assert source.splits == {"train-dia12": "train", "valid-dia12": "valid", "test-dia12": "test"}
    utterance = videos_of(source)["valid-dia12"].utterances[0]
    assert utterance.transcript == "He’s lost, it"
    assert [utterance.start_s, utterance.end_s] == pytest.approx([1257.256, 4860.049])
    assert source.notes == {rules.TRANSCRIPT_SHARED: 1}


def test_order_is_by_utterance_number_even_against_the_times(tmp_path: Path) -> None:
    rows = [
        meld_row(0, 10, "c", "joy", "positive", ("00:00:01,000", "00:00:02,000")),
        meld_row(0, 2, "b", "joy", "positive", ("00:00:03,000", "00:00:04,000")),
        meld_row(1, 5, "e", "joy", "positive", ("00:00:03,000", "00:00:04,000")),
        meld_row(1, 0, "d", "joy", "positive", ("00:00:01,000", "00:00:02,000")),
    ]
    source = opened(tmp_path, *rows)
    videos = videos_of(source)
    assert [each.index for each in videos["train-dia0"].utterances] == [2, 10]
    assert [each.index for each in videos["train-dia1"].utterances] == [0, 5]
    assert source.notes == {rules.START_ORDER_BROKEN: 1}


def test_a_reversed_time_keeps_the_utterance_and_its_start(tmp_path: Path) -> None:
    source = opened(tmp_path, meld_row(0, 0, "a", "joy", "positive", ("00:00:05,500", "00:00:05,000")))
    utterance = videos_of(source)["train-dia0"].utterances[0]
    assert (utterance.start_s, utterance.end_s) == (5.5, None)
    assert source.notes == {rules.END_NOT_AFTER_START: 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            meld_row(0, 0, "a", "love", "positive", TIMES),
            r"neutral, anger, .* in column 'Emotion', line 2 of .*got 'love'",
        ),
        (meld_row(0, 0, "a", "joy", "good", TIMES), r"positive, negative, neutral in column 'Sentiment', .*got 'good'"),
        (
            meld_row(0, 0, "a", "joy", "positive", ("5.5", "6")),
            r"a time like 00:20:57,256 in column 'StartTime', .*'5\.5'",
        ),
        ("", r"at least one row with an utterance in .*train_sent_emo\.csv, but got none"),
    ],
)
def test_a_cell_of_another_kind_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        opened(tmp_path, row)


def test_another_name_or_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"train_sent_emo\.csv, dev.* but got .*mine\.csv; the name of the file says the split"
    ):
        opened(tmp_path, meld_row(0, 0, "a", "joy", "positive", TIMES), name="mine.csv")
    path = write_text(tmp_path / "dev_sent_emo.csv", "Utterance,Emotion\na,joy\n")
    with pytest.raises(
        DataError, match=r"a column 'Dialogue_ID' in .*, but got Utterance, Emotion; use the file as MELD"
    ):
        open_reader("meld", [path])


@pytest.mark.data
def test_meld_itself(data_dir: Path) -> None:
    source = open_reader("meld", [data_dir / "meld"])
    videos = videos_of(source)
    n_dialogues = Counter(source.splits.values())
    n_utterances: Counter[str | None] = Counter()
    emotions: Counter[tuple[float, ...]] = Counter()
    for video in videos.values():
        n_utterances[source.splits[video.id]] += len(video.utterances)
        numbers = [each.index for each in video.utterances]
        assert numbers == sorted(numbers)
        for each in video.utterances:
            assert each.emotions is not None
            emotions[tuple(each.emotions.tolist())] += source.splits[video.id] == "train"
    assert n_dialogues == {"train": 1_038, "valid": 114}
    assert n_utterances == {"train": 9_989, "valid": 1_109}
    assert len({each.speaker for video in videos.values() for each in video.utterances}) == 274
    assert sorted(emotions.values()) == [268, 271, 683, 1_109, 1_205, 1_743, 4_710]
    assert "train-dia60" not in videos
    assert source.notes[rules.SENTIMENT_NEUTRAL] == 4_710 + 470
    assert source.notes[rules.TRANSCRIPT_SHARED] == 73
    assert set(source.notes) == {rules.SENTIMENT_NEUTRAL, rules.TRANSCRIPT_SHARED, rules.START_ORDER_BROKEN}
