from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.readers.examples import MELD_HEADER, meld_row, videos_of, write_text

from mien.errors import DataError
from mien.labels import LabelKind
from mien.readers import open_reader, rules
from mien.readers.base import SourceDataSet
from mien.schema import Utterance

TIMES = ("00:20:57,256", "01:21:00,049")
EMOTIONS_OF_MELD = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def named(utterance: Utterance, source: SourceDataSet) -> tuple[str, str]:
    """Names of the emotion and of the sentiment of an utterance."""
    emotion, sentiment = (space.names[int(utterance.labels[space.name][0])] for space in source.label_spaces)
    return emotion, sentiment


def opened(tmp_path: Path, *rows: str, name: str = "train_sent_emo.csv") -> SourceDataSet:
    return open_reader("meld", [write_text(tmp_path / name, MELD_HEADER + "".join(rows))])


def test_emotion_has_seven_classes_and_sentiment_three(tmp_path: Path) -> None:
    said = [(emotion, sentiment) for emotion in EMOTIONS_OF_MELD for sentiment in ("positive", "negative", "neutral")]
    source = opened(tmp_path, *(meld_row(0, i, "a", *names, TIMES) for i, names in enumerate(said)))
    spaces = {space.name: space for space in source.label_spaces}
    assert {space.kind for space in source.label_spaces} == {LabelKind.CLASSES}
    assert spaces["emotion"].names == EMOTIONS_OF_MELD
    assert spaces["sentiment"].names == ("negative", "neutral", "positive")
    assert [space.neutral for space in source.label_spaces] == ["neutral", "neutral"]
    assert [named(each, source) for each in videos_of(source)["train-dia0"].utterances] == said
    assert source.notes == {}


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
            r"anger, disgust, .* in column 'Emotion', line 2 of .*got 'love'",
        ),
        (meld_row(0, 0, "a", "joy", "good", TIMES), r"negative, neutral, positive in column 'Sentiment', .*got 'good'"),
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


def test_rules_are_counted_only_for_rows_that_are_kept(tmp_path: Path) -> None:
    row = meld_row(0, 0, "a", "neutral", "neutral", ("00:00:02,000", "00:00:01,000"))
    source = opened(tmp_path, row, row, row)
    assert source.notes == {rules.END_NOT_AFTER_START: 1, rules.ROW_REPEATED: 2}


def test_another_separator_is_read(tmp_path: Path) -> None:
    row = meld_row(0, 0, "a; b", "joy", "positive", TIMES)
    text = (MELD_HEADER + row).replace("a; b", "TEXT").replace('"', "").replace(",", ";").replace("TEXT", '"a; b, c"')
    times = [each.replace(",", ";") for each in TIMES]
    for wrong, right in zip(times, TIMES, strict=True):
        text = text.replace(wrong, right)
    source = open_reader("meld", [write_text(tmp_path / "train_sent_emo.csv", text)])
    (utterance,) = videos_of(source)["train-dia0"].utterances
    assert utterance.transcript == "a; b, c"


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
    emotions: dict[str | None, Counter[str]] = {"train": Counter(), "valid": Counter()}
    sentiments: dict[str | None, Counter[str]] = {"train": Counter(), "valid": Counter()}
    for video in videos.values():
        split = source.splits[video.id]
        n_utterances[split] += len(video.utterances)
        numbers = [each.index for each in video.utterances]
        assert numbers == sorted(numbers)
        for each in video.utterances:
            emotion, sentiment = named(each, source)
            emotions[split][emotion] += 1
            sentiments[split][sentiment] += 1
    assert n_dialogues == {"train": 1_038, "valid": 114}
    assert n_utterances == {"train": 9_989, "valid": 1_109}
    assert len({each.speaker for video in videos.values() for each in video.utterances}) == 274
    counts = {"neutral": (4_710, 470), "joy": (1_743, 163), "surprise": (1_205, 150), "anger": (1_109, 153)}
    counts |= {"sadness": (683, 111), "disgust": (271, 22), "fear": (268, 40)}
    assert emotions["train"] == {name: count for name, (count, _) in counts.items()}
    assert emotions["valid"] == {name: count for name, (_, count) in counts.items()}
    assert sentiments["train"] == {"neutral": 4_710, "negative": 2_945, "positive": 2_334}
    assert sentiments["valid"] == {"neutral": 470, "negative": 406, "positive": 233}
    assert "train-dia60" not in videos
    assert source.notes[rules.TRANSCRIPT_SHARED] == 73
    assert set(source.notes) == {rules.TRANSCRIPT_SHARED, rules.START_ORDER_BROKEN}
