"""Corpora of acted speech, read by the names of their files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.readers.examples import by_index, videos_of, write_text, write_wav

from mien.errors import DataError
from mien.labels import LabelSpace
from mien.readers import open_reader
from mien.readers.acted_corpora import ACTED
from mien.readers.rules import (
    FILE_MISNAMED,
    FILE_NOT_MEDIA,
    RECORDING_REPEATED,
    RECORDING_SUNG,
    TEXT_UNLISTED,
)
from mien.schema import EMOTION, Video

SPOKEN = "03-01-05-02-01-01-07"


def class_of(video: Video, spaces: tuple[LabelSpace, ...]) -> str:
    """The class of the only utterance of a video."""
    space = next(each for each in spaces if each.name == EMOTION)
    return space.names[int(by_index(video)[0].labels[EMOTION][0])]


def test_each_file_is_a_video_with_one_utterance(tmp_path: Path) -> None:
    write_wav(tmp_path / "Actor_07" / f"{SPOKEN}.wav")
    write_wav(tmp_path / "Actor_12" / "03-01-01-01-02-01-12.wav")
    source = open_reader("ravdess", [tmp_path])
    videos = videos_of(source)
    assert list(videos) == ["03-01-01-01-02-01-12", SPOKEN]
    video = videos[SPOKEN]
    (utterance,) = video.utterances
    assert (utterance.index, utterance.start_s, utterance.end_s) == (0, None, None)
    assert utterance.transcript == "Kids are talking by the door"
    # the speaker is the fold, so that `mien benchmark --folds fold` leaves one out
    assert utterance.speaker == video.fold == "Actor_07"
    assert class_of(video, source.label_spaces) == "angry"
    assert utterance.labels["intensity"].tolist() == [1.0]
    assert [each.name for each in source.label_spaces] == ["emotion", "intensity"]
    assert source.splits == dict.fromkeys(videos)
    assert source.recordings[SPOKEN] == tmp_path / "Actor_07" / f"{SPOKEN}.wav"
    assert source.licence_note == f"RAVDESS: CC BY-NC-SA 4.0. {ACTED}"
    assert source.notes == {}


def test_a_level_that_no_file_has_is_no_label_space(tmp_path: Path) -> None:
    write_wav(tmp_path / "1001_DFA_ANG_XX.wav")
    assert [each.name for each in open_reader("crema-d", [tmp_path]).label_spaces] == ["emotion"]
    write_wav(tmp_path / "1002_IEO_SAD_MD.wav")
    source = open_reader("crema-d", [tmp_path])
    videos = videos_of(source)
    assert [each.name for each in source.label_spaces] == ["emotion", "intensity"]
    assert "intensity" not in by_index(videos["1001_DFA_ANG_XX"])[0].labels
    assert by_index(videos["1002_IEO_SAD_MD"])[0].labels["intensity"].tolist() == [1.0]


def test_other_files_are_counted_by_name_and_cost_nothing_else(tmp_path: Path) -> None:
    write_wav(tmp_path / f"{SPOKEN}.wav")
    write_wav(tmp_path / "outtake.wav")
    write_wav(tmp_path / "03-01-09-02-01-01-07.wav")
    write_text(tmp_path / "README.txt", "x")
    write_wav(tmp_path / "._03-01-05-02-01-01-08.wav")
    (tmp_path / "03-01-05-02-01-01-09.wav").write_bytes(b"")
    write_text(tmp_path / "03-01-05-02-01-01-10.wav", "<html>not found</html>")
    source = open_reader("ravdess", [tmp_path])
    assert list(videos_of(source)) == [SPOKEN]
    assert source.notes == {
        f"{FILE_MISNAMED}: 03-01-09-02-01-01-07.wav, outtake.wav": 2,
        f"{FILE_NOT_MEDIA}: 03-01-05-02-01-01-09.wav, 03-01-05-02-01-01-10.wav": 2,
    }


def test_a_sentence_that_the_corpus_does_not_have_is_counted(tmp_path: Path) -> None:
    write_wav(tmp_path / "03a01Fa.wav")
    write_wav(tmp_path / "03a03Fa.wav")
    source = open_reader("emodb", [tmp_path])
    assert list(videos_of(source)) == ["03a01Fa"]
    assert source.notes == {f"{FILE_MISNAMED}: 03a03Fa.wav": 1}


def test_songs_are_counted_and_left_out(tmp_path: Path) -> None:
    write_wav(tmp_path / "03-02-03-01-01-01-01.wav")
    with pytest.raises(
        DataError, match=r"Expected recordings of RAVDESS in .*, but got 1 files .*, 1 sung.*; see: mien"
    ):
        open_reader("ravdess", [tmp_path])
    write_wav(tmp_path / f"{SPOKEN}.wav")
    source = open_reader("ravdess", [tmp_path])
    assert list(videos_of(source)) == [SPOKEN]
    assert source.notes == {RECORDING_SUNG: 1}


def test_one_file_of_a_recording_is_read(tmp_path: Path) -> None:
    # with picture and sound, with sound, with picture
    for modality, suffix in (("01", ".mp4"), ("02", ".mp4"), ("03", ".wav")):
        write_wav(tmp_path / f"{modality}{SPOKEN[2:]}{suffix}")
    write_wav(tmp_path / "02-01-03-01-01-01-01.mp4")
    source = open_reader("ravdess", [tmp_path])
    assert list(videos_of(source)) == [f"01{SPOKEN[2:]}", "02-01-03-01-01-01-01"]
    assert source.notes == {RECORDING_REPEATED: 2}


def test_a_video_is_read_before_its_sound_and_copies_once(tmp_path: Path) -> None:
    for folder, suffix in (("AudioWAV", ".wav"), ("AudioMP3", ".mp3"), ("VideoFlash", ".flv"), ("copy", ".flv")):
        write_wav(tmp_path / folder / f"1001_IEO_ANG_HI{suffix}")
    source = open_reader("crema-d", [tmp_path])
    assert source.recordings == {"1001_IEO_ANG_HI": tmp_path / "VideoFlash" / "1001_IEO_ANG_HI.flv"}
    assert source.notes == {RECORDING_REPEATED: 3}
    write_wav(tmp_path / "copy" / "1001_IEO_ANG_HI.flv", n_samples=900)
    with pytest.raises(
        DataError, match=r"Expected one file .*flv of CREMA-D, but got two that differ, .*; give the fol"
    ):
        open_reader("crema-d", [tmp_path])
    assert len(open_reader("crema-d", [tmp_path / "AudioWAV", tmp_path / "AudioWAV"]).recordings) == 1


@pytest.mark.parametrize("speaker", ["EB0", "        EB0"])
def test_texts_of_nemo_come_from_its_table(tmp_path: Path, speaker: str) -> None:
    header = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
    row = f"EB0_anger_1.wav\tanger\t„Lubię” czytać.\tlubię czytać\t{speaker}\tfemale\t27\n"
    write_text(tmp_path / "data.tsv", header + row)
    for name in ("EB0_anger_1.opus", "EB0_fear_2.wav"):
        write_wav(tmp_path / "samples" / name)
    source = open_reader("nemo", [tmp_path])
    texts = {name: by_index(video)[0].transcript for name, video in videos_of(source).items()}
    assert texts == {"EB0_anger_1": "„Lubię” czytać.", "EB0_fear_2": ""}
    assert source.notes == {TEXT_UNLISTED: 1}
    assert source.files == (tmp_path / "data.tsv",)
    assert source.mapping["transcript"] == "raw_text of data.tsv"
    both = open_reader("nemo", [tmp_path / "samples", tmp_path / "data.tsv"])
    assert both.notes == source.notes
    without = open_reader("nemo", [tmp_path / "samples"])
    assert without.notes == {TEXT_UNLISTED: 2}
    assert without.files == ()


def test_a_table_of_texts_without_its_columns_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "data.tsv", "file\ttext\nEB0_anger_1.wav\tx\n")
    write_wav(tmp_path / "EB0_anger_1.wav")
    with pytest.raises(DataError, match=r"Expected a column 'file_id' in .*data\.tsv, but got file, text; "):
        open_reader("nemo", [tmp_path])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"Expected recordings of TESS in .*, with names like OAF_back_angry\.wav, but go"
    ):
        open_reader("tess", [tmp_path])


@pytest.mark.data
@pytest.mark.parametrize("name", ["ravdess", "tess", "emodb", "nemo"])
def test_real_file_names(data_dir: Path, name: str) -> None:
    folder = data_dir / "voices"
    with open(folder / "labels.csv", newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["corpus"] == name]
    source = open_reader(name, [folder / name])
    videos = videos_of(source)
    assert set(videos) == {Path(row["file"]).stem for row in rows}
    assert {each for each in source.notes if each != TEXT_UNLISTED} == set()
    other_names = {"pleasant surprise": "ps", "fearful": "fear"}
    speakers = set()
    for row in rows:
        video = videos[Path(row["file"]).stem]
        own = class_of(video, source.label_spaces)
        assert other_names.get(own, own) == row["native"]
        speakers.add((video.fold, row["speaker"]))
        if row["intensity"]:
            levels = source.label_spaces[1].names
            assert levels[int(by_index(video)[0].labels["intensity"][0])] == row["intensity"]
    assert len(speakers) == len({row["speaker"] for row in rows}) == len({video.fold for video in videos.values()})
