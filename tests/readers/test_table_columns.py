"""Columns are found by their usual names, and those that are not read are named in the notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.readers.examples import videos_of, write_text

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.readers.label_columns import parse_labels
from mien.readers.table_columns import MOST_COLUMNS_NAMED
from mien.schema import EMOTIONS


def opened(tmp_path: Path, content: str, labels: Sequence[str] = (), **mapping: str) -> SourceDataSet:
    options = ReaderOptions(mapping, labels=parse_labels(labels))
    return open_reader("table", [write_text(tmp_path / "t.csv", content)], options)


def renamed(**names: str) -> dict[str, int]:
    return {f"{rules.COLUMN_RENAMED}: {column} as {field}": 1 for field, column in names.items()}


@pytest.mark.parametrize(
    "columns",
    [
        ("Anger", "Disgust", "Fear", "Happy", "Sad", "Surprise"),
        ("ANGRY", "Disgusted", "fearful", "Happiness", "Sadness", "Surprised"),
        ("angry", "disgust", "afraid", "joy", "sadness", "surprise"),
    ],
)
def test_emotions_are_known_by_their_usual_names_in_any_case(tmp_path: Path, columns: Sequence[str]) -> None:
    # in another order than that of the fields
    header = "video_id,text," + ",".join(reversed(columns))
    source = opened(tmp_path, f"{header}\nv,a,0.5,0.4,0.3,0.2,0.1,0\n")
    emotions = videos_of(source)["v"].utterances[0].emotions
    assert emotions is not None
    assert emotions.tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    others = {field: column for field, column in zip(EMOTIONS, columns, strict=True) if field != column}
    assert source.notes == renamed(**others)
    assert source.mapping["happy"] == columns[3]


def test_the_exact_name_comes_first_and_two_usual_names_are_ambiguous(tmp_path: Path) -> None:
    rest = "anger,disgust,fear,sad,surprise"
    exact = opened(tmp_path, f"video_id,text,{rest},Joy,happy\nv,a,0,0,0,0,0,2,1\n")
    assert exact.mapping["happy"] == "happy"
    assert exact.notes == {f"{rules.COLUMN_UNUSED}: Joy": 1}
    with pytest.raises(DataError, match="a column 'happy' in .*--map happy=COLUMN"):
        opened(tmp_path, f"video_id,text,{rest},Joy,happiness\nv,a,0,0,0,0,0,2,1\n")


def test_usual_names_of_some_emotions_only_are_not_read_but_named(tmp_path: Path) -> None:
    source = opened(tmp_path, "video_id,text,joy,Anger\nv,a,1,0\n")
    assert videos_of(source)["v"].utterances[0].emotions is None
    assert source.notes == {f"{rules.COLUMN_UNUSED}: joy": 1, f"{rules.COLUMN_UNUSED}: Anger": 1}


def test_a_usual_name_over_words_is_not_read(tmp_path: Path) -> None:
    text = "video_id,text,Sentiment,Start,End\nv,a,positive,00:01,00:02\nw,b,negative,00:01,00:02\n"
    source = opened(tmp_path, text)
    option = "(to read it: --label sentiment=Sentiment:classes)"
    assert source.notes == {
        f"{rules.COLUMN_OF_CLASSES}: Sentiment {option}": 1,
        f"{rules.COLUMN_UNUSED}: Start": 1,
        f"{rules.COLUMN_UNUSED}: End": 1,
    }


def test_required_columns_are_known_in_any_case(tmp_path: Path) -> None:
    source = opened(tmp_path, "Video ID,TEXT,Split,Sentiment\nv,a,train,-2\n")
    assert (source.splits, videos_of(source)["v"].utterances[0].sentiment) == ({"v": "train"}, -2)
    assert source.notes == renamed(video_id="Video ID", text="TEXT", split="Split", sentiment="Sentiment")


def test_a_column_that_may_be_another_thing_needs_its_exact_name(tmp_path: Path) -> None:
    source = opened(tmp_path, "video_id,text,Index,Fold\nv,a,0,1\nv,b,0,2\n")
    assert source.notes == {f"{rules.COLUMN_UNUSED}: Index": 1, f"{rules.COLUMN_UNUSED}: Fold": 1}


@pytest.mark.parametrize(
    ("column", "classes", "space"),
    [
        ("emotion", ("Joy", "anger"), "emotion"),
        ("Emotion", ("neutral", "sadness"), "emotion"),
        ("class label", ("fear", "joy"), "emotion"),
        ("target", ("fear", "joy", "boredom"), "emotion"),
        ("polarity", ("negative", "neutral", "positive"), "sentiment"),
        ("label", ("sarcastic", "serious"), "NAME"),
    ],
)
def test_a_column_with_names_of_classes_is_named_with_an_option_that_reads_it(
    tmp_path: Path, column: str, classes: Sequence[str], space: str
) -> None:
    rows = "".join(f"v{number},a,{name}\n" for number, name in enumerate((*classes, "", *classes)))
    (note,) = opened(tmp_path, f"video_id,text,{column}\n{rows}").notes
    option = f"{space}={column}:classes"
    shown = f"'{option}'" if " " in option else option
    assert note == f"{rules.COLUMN_OF_CLASSES}: {column} (to read it: --label {shown})"
    labelled = opened(tmp_path, f"video_id,text,{column}\n{rows}", [option.replace("NAME", "tone")])
    assert labelled.notes == {}
    (labels,) = labelled.label_spaces
    assert labels.names == tuple(sorted(classes))


def test_the_option_takes_no_name_that_is_in_use(tmp_path: Path) -> None:
    text = "video_id,text,emotion,emotion2\nv,a,joy,fear\nw,b,fear,joy\n"
    (note,) = opened(tmp_path, text, ["emotion=emotion:classes"]).notes
    assert note.endswith("--label NAME=emotion2:classes)")


def test_a_column_of_numbers_free_text_or_names_of_other_things_has_no_names_of_classes(tmp_path: Path) -> None:
    people = ("Joy", "Ann", "Ben", "Cho")
    rows = "".join(f"v{number},a,{number % 3},note {number},{people[number % 4]}\n" for number in range(60))
    source = opened(tmp_path, f"video_id,text,emotion,annotation,who\n{rows}")
    assert source.notes == {f"{rules.COLUMN_UNUSED}: {name}": 1 for name in ("emotion", "annotation", "who")}


def test_unread_columns_are_counted_by_file_and_not_all_named(tmp_path: Path) -> None:
    first = write_text(tmp_path / "a.csv", "video_id,text,extra,\nv,a,1,2\n")
    second = write_text(tmp_path / "b.csv", "video_id,text,extra\nw,a,1\n")
    notes = open_reader("table", [first, second]).notes
    assert notes == {f"{rules.COLUMN_UNUSED}: extra": 2, f"{rules.COLUMN_UNUSED}: (without a name)": 1}
    names = [f"feature{number}" for number in range(MOST_COLUMNS_NAMED + 7)]
    wide = opened(tmp_path, f"video_id,text,{','.join(names)}\nv,a,{','.join('1' for _ in names)}\n")
    assert len(wide.notes) == MOST_COLUMNS_NAMED + 1
    assert wide.notes[f"{rules.COLUMN_UNUSED}: 7 more"] == 1


def test_decimal_commas_are_read_and_named(tmp_path: Path) -> None:
    text = "video_id;text;start;end;sentiment;Arousal\nv;1,5;0,5;1,25;-1,5;0,5\nw;b;2;3;;1\n"
    source = opened(tmp_path, text, ["arousal=Arousal:score:-1..1"])
    utterance = videos_of(source)["v"].utterances[0]
    assert (utterance.transcript, utterance.start_s, utterance.end_s) == ("1,5", 0.5, 1.25)
    assert utterance.sentiment == -1.5
    assert utterance.labels["arousal"].tolist() == [0.5]
    names = ("Arousal", "end", "sentiment", "start")
    assert source.notes == {f"{rules.COLUMN_DECIMAL_COMMA}: {name}": 1 for name in names}


def test_names_of_classes_as_scores_are_refused_with_the_option_that_reads_them(tmp_path: Path) -> None:
    text = "video_id,text,sentiment\nv,a,positive\nw,b,negative\n"
    with pytest.raises(DataError, match="but got 'positive'; .*--label sentiment=sentiment:classes"):
        opened(tmp_path, text)
    assert opened(tmp_path, text, ["sentiment=sentiment:classes"]).label_spaces[0].names == ("negative", "positive")


def test_a_folder_is_the_files_of_one_kind_and_the_others_are_named(tmp_path: Path) -> None:
    write_text(tmp_path / "a.tsv", "video_id\ttext\nv\ta\n")
    write_text(tmp_path / "b.TSV", "video_id\ttext\nw\ta\n")
    write_text(tmp_path / "c.jsonl", '{"video_id": "x", "text": "a"}')
    write_text(tmp_path / "README.md", "no table")
    source = open_reader("table", [tmp_path])
    assert list(source.splits) == ["v", "w"]
    assert source.notes == {f"{rules.FILE_UNUSED}: c.jsonl": 1}


def test_rules_are_counted_only_for_rows_that_are_kept(tmp_path: Path) -> None:
    row = "v,0,2,1,a,5,0,0,0,0,,0\n"
    source = opened(tmp_path, f"video_id,index,start,end,text,sentiment,{','.join(EMOTIONS)}\n{row}{row}{row}")
    assert source.notes == {
        rules.ROW_REPEATED: 2,
        rules.LABEL_CLAMPED: 1,
        rules.END_NOT_AFTER_START: 1,
        rules.EMOTIONS_IN_PART: 1,
    }
