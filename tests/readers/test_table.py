from __future__ import annotations

from pathlib import Path

import pytest
from tests.readers.examples import by_index, videos_of, write_text

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.schema import SentimentValues

HEADER = "video_id,segment_id,start,end,text,split,sentiment,anger,disgust,fear,happy,sad,surprise\n"


def opened(tmp_path: Path, content: str, **mapping: str) -> SourceDataSet:
    return open_reader("table", [write_text(tmp_path / "t.csv", content)], ReaderOptions(mapping))


def test_every_column_arrives_where_it_belongs(tmp_path: Path) -> None:
    row = '-3g,4,1.5,3,"None, 12 ""ok""",valid,-1.5,0.1,0.2,0.3,0.4,0.5,3.33\n'
    source = opened(tmp_path, "\ufeff" + HEADER + row)
    assert source.splits == {"-3g": "valid"}
    utterance = videos_of(source)["-3g"].utterances[0]
    assert (utterance.index, utterance.start_s, utterance.end_s, utterance.sentiment) == (4, 1.5, 3.0, -1.5)
    assert utterance.transcript == 'None, 12 "ok"'
    assert utterance.emotions is not None
    assert utterance.emotions.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 3.0]
    assert source.notes == {rules.LABEL_CLAMPED: 1}
    assert source.sentiment_values is SentimentValues.INTENSITY
    assert source.mapping["index"] == "segment_id"


def test_ids_and_texts_stay_text_and_empty_cells_are_missing(tmp_path: Path) -> None:
    source = opened(tmp_path, HEADER + "0012,0,,,None,,,,,,,,\n" + "12,0,,,,,0,0,0,0,0,0,0\n")
    videos = videos_of(source)
    assert list(videos) == ["0012", "12"]
    missing, zeros = videos["0012"].utterances[0], videos["12"].utterances[0]
    assert (missing.transcript, missing.sentiment, missing.emotions) == ("None", None, None)
    assert (missing.start_s, missing.end_s, source.splits["0012"]) == (None, None, None)
    assert zeros.sentiment == 0
    assert zeros.emotions is not None
    assert not zeros.emotions.any()
    assert source.notes == {rules.TEXT_LIKE_MISSING: 1}


def test_order_is_by_start_and_the_index_stays(tmp_path: Path) -> None:
    text = "video_id,index,start,end,text\nv,10,5,6,c\nv,2,0.5,1,a\nv,1,2,3,b\n"
    assert [each.index for each in videos_of(opened(tmp_path, text))["v"].utterances] == [2, 1, 10]


def test_order_without_times_is_by_number_not_by_text(tmp_path: Path) -> None:
    text = "video_id,index,text\nv,10,c\nv,2,b\nv,1.0,a\n"
    assert [each.transcript for each in videos_of(opened(tmp_path, text))["v"].utterances] == ["a", "b", "c"]


def test_without_an_index_rows_are_numbered_within_their_video(tmp_path: Path) -> None:
    videos = videos_of(opened(tmp_path, "text,video_id\na,v\nb,w\nc,v\n"))
    assert {index: each.transcript for index, each in by_index(videos["v"]).items()} == {0: "a", 1: "c"}
    assert [each.index for each in videos["w"].utterances] == [0]


def test_the_mapping_renames_columns(tmp_path: Path) -> None:
    source = opened(tmp_path, "id,said,mood\nv,hello,2\n", video_id="id", text="said", sentiment="mood")
    assert videos_of(source)["v"].utterances[0].sentiment == 2
    assert source.mapping == {"video_id": "id", "text": "said", "sentiment": "mood"}


def test_files_are_one_table_even_if_some_have_no_labels(tmp_path: Path) -> None:
    labelled = write_text(tmp_path / "a.csv", "video_id,index,text,mood\nv,0,a,1\n")
    plain = write_text(tmp_path / "b.csv", "video_id,index,text\nv,1,b\n")
    source = open_reader("table", [labelled, plain], ReaderOptions({"sentiment": "mood"}))
    assert [each.sentiment for each in videos_of(source)["v"].utterances] == [1.0, None]
    assert source.files == (labelled, plain)


def test_a_folder_is_its_csv_files(tmp_path: Path) -> None:
    write_text(tmp_path / "b.csv", "video_id,text\nw,b\n")
    write_text(tmp_path / "a.csv", "video_id,text\nv,a\n")
    write_text(tmp_path / "README.md", "no table")
    assert list(open_reader("table", [tmp_path]).splits) == ["v", "w"]


def test_repeated_rows_are_kept_once(tmp_path: Path) -> None:
    source = opened(tmp_path, "video_id,index,text\nv,0,a\nv,0,a\nv,1,a\n")
    assert len(videos_of(source)["v"].utterances) == 2
    assert source.notes == {rules.ROW_REPEATED: 1}


def test_without_numbers_only_times_tell_a_repetition_from_a_phrase_said_twice(tmp_path: Path) -> None:
    timed = opened(tmp_path, "video_id,start,end,text\nv,0,1,a\nv,0,1,a\nv,2,3,a\n")
    assert [each.index for each in videos_of(timed)["v"].utterances] == [0, 1]
    untimed = opened(tmp_path, "video_id,text\nv,yes\nv,yes\n")
    assert len(videos_of(untimed)["v"].utterances) == 2
    assert (timed.notes[rules.ROW_REPEATED], untimed.notes[rules.ROW_REPEATED]) == (1, 0)


def test_one_index_with_two_contents_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one utterance 0 in video 'v', but got two .* line 2 of .* and line 3 of"):
        opened(tmp_path, "video_id,index,text\nv,0,a\nv,0,b\n")


def test_a_video_in_two_splits_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got video 'v' in 'train' and 'test'; split by video"):
        opened(tmp_path, "video_id,text,split\nv,a,train\nv,b,test\n")


def test_doubtful_values_are_counted(tmp_path: Path) -> None:
    rows = "v,0,2,2,yes,train,,1,,0,0,0,0\nw,0,0,1,YES ,test,,,,,,,\n"
    source = opened(tmp_path, HEADER + rows)
    utterance = videos_of(source)["v"].utterances[0]
    assert (utterance.start_s, utterance.end_s, utterance.emotions) == (2.0, None, None)
    assert source.notes == {
        rules.END_NOT_AFTER_START: 1,
        rules.EMOTIONS_IN_PART: 1,
        rules.TRANSCRIPT_SHARED: 1,
    }


@pytest.mark.parametrize("value", ["x", "nan", "inf", "1_0", "1,5"])
def test_a_label_that_is_no_number_is_named_with_its_place(tmp_path: Path, value: str) -> None:
    text = f'video_id,text,sentiment\nv,"two\nlines",1\nw,b,"{value}"\n'
    with pytest.raises(
        DataError, match=rf"a number in column 'sentiment', line 4 of .*t\.csv, but got '{value}'; correct"
    ):
        opened(tmp_path, text)


@pytest.mark.parametrize("value", ["", "1.5", "one", "1e30"])
def test_an_index_that_is_no_whole_number_is_an_error(tmp_path: Path, value: str) -> None:
    with pytest.raises(DataError, match=rf"a whole number in column 'index', line 2 of .*but got '{value}'; correct"):
        opened(tmp_path, f"video_id,index,text\nv,{value},a\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id,words\nv,a\n", r"a column 'text' in .*t\.csv, but got video_id, words; name .* --map text=COLUMN"),
        ("id,text\nv,a\n", r"a column 'video_id' in .*, but got id, text; .*--map video_id=COLUMN"),
        ("video_id,text,start\nv,a,1\n", r"a column 'end' in .*--map end=COLUMN"),
        ("video_id,text,happy,sad\nv,a,1,1\n", r"a column 'anger' in .*happy, sad; .*--map anger=COLUMN"),
        ("video_id,text\n", r"at least one row with an utterance in .*t\.csv, but got none; check the file"),
        ("video_id,text\nv,a,b\n", r"2 cells in line 2 of .*, but got 3; quote cells"),
        ("video_id,text\nv\n", r"2 cells in line 2 of .*, but got 1; quote cells"),
        (
            'video_id,text\nv,"open\nw,b\n',
            r"a CSV file in .*, but got unexpected end of data in line 2; check its quotes",
        ),
        ("video_id,text,text\nv,a,b\n", r"every column once in .*, but got text twice; rename one"),
        ("video_id,text\n,a\n", r"a video id in column 'video_id', line 2 of .*, but got ''; give every row its video"),
        (",\nv,a\n", r"a header with column names in .*, but got an empty line; add the header"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        opened(tmp_path, text)


def test_speakers_and_folds_are_kept_by_name_or_by_mapping(tmp_path: Path) -> None:
    source = opened(tmp_path, "video_id,text,speaker,fold\nv,a,Zoë ,1\nv,b,,1\nw,c,Ross,\n")
    videos = videos_of(source)
    assert source.extra_columns == ("speaker", "fold")
    assert [each.speaker for each in videos["v"].utterances] == ["Zoë", None]
    assert {name: video.fold for name, video in videos.items()} == {"v": "1", "w": None}
    mapped = opened(tmp_path, "video_id,text,who,session\nv,a,Ross,Ses01\n", speaker="who", fold="session")
    video = videos_of(mapped)["v"]
    assert (video.utterances[0].speaker, video.fold) == ("Ross", "Ses01")
    assert mapped.mapping["fold"] == "session"
    assert opened(tmp_path, "video_id,text\nv,a\n").extra_columns == ()


def test_a_video_in_two_folds_and_an_utterance_of_two_speakers_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"every video in one fold, but got video 'v' in '1' and no fold"):
        opened(tmp_path, "video_id,text,fold\nv,a,1\nv,b,\n")
    with pytest.raises(DataError, match=r"one utterance 0 in video 'v', but got two that differ"):
        opened(tmp_path, "video_id,index,text,speaker\nv,0,a,Zoë\nv,0,a,Ross\n")


def test_a_mapped_column_that_no_file_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a column 'mood' in .*, but got video_id, text; .*--map sentiment=COLUMN"):
        opened(tmp_path, "video_id,text\nv,a\n", sentiment="mood")


def test_an_index_in_some_files_only_is_an_error(tmp_path: Path) -> None:
    first = write_text(tmp_path / "a.csv", "video_id,index,text\nv,0,a\n")
    second = write_text(tmp_path / "b.csv", "video_id,text\nv,b\n")
    with pytest.raises(DataError, match=r"every file or in none, but got one in .*a\.csv and none in .*b\.csv; add it"):
        open_reader("table", [first, second])


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"video_id,text\nv,caf\xe9\n")
    with pytest.raises(
        DataError, match=r"UTF-8 text in .*t\.csv, but got byte 0xe9 that is none; save the file as CSV"
    ):
        open_reader("table", [tmp_path / "t.csv"])


@pytest.mark.data
def test_mosei_table(data_dir: Path) -> None:
    folder = data_dir / "mosei"
    source = open_reader("table", [folder / f"{name}.csv" for name in ("train", "valid", "test_text")])
    videos = videos_of(source)
    counts = dict.fromkeys(("train", "valid", "test"), 0)
    for video in videos.values():
        starts = [each.start_s for each in video.utterances]
        assert starts == sorted(starts, key=float)  # type: ignore[arg-type]
        counts[str(source.splits[video.id])] += len(video.utterances)
    assert counts == {"train": 16_274, "valid": 1_861, "test": 4_653}
    assert len(videos) == 2_244 + 298 + 675
    unused = {f"{rules.COLUMN_UNUSED}: clip_start": 3, f"{rules.COLUMN_UNUSED}: std_fold": 2}
    assert source.notes == {rules.TRANSCRIPT_SHARED: 37} | unused
    train = [each for video in videos.values() if source.splits[video.id] == "train" for each in video.utterances]
    present = [sum(each.emotions[column] > 0 for each in train if each.emotions is not None) for column in range(6)]
    assert present == [3_522, 2_953, 1_327, 8_698, 4_265, 1_641]
    assert sum(each.sentiment is not None and each.sentiment < 0 for each in train) == 4_732
    assert all(each.sentiment is None for each in videos_of_split(videos, source, "test"))


def videos_of_split(videos: dict, source: SourceDataSet, split: str) -> list:  # type: ignore[type-arg]
    return [each for video in videos.values() if source.splits[video.id] == split for each in video.utterances]
