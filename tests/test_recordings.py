"""Finding media files by the names that labels give them."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from tests.readers.examples import write_wav

from mien.errors import DataError
from mien.recordings import VIDEO_SUFFIXES, find_videos, looks_like_media, media_files, only_file_of, readable_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "deep/er/b.OPUS", "deep/a.wav", "deep/c.wav", "c.flv", ".hidden/d.wav", "._a.wav"):
        write_wav(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_media_files_of_subfolders_are_listed_but_no_hidden_ones(folder: Path) -> None:
    names = [path.relative_to(folder).as_posix() for path in media_files(folder)]
    assert names == ["a.wav", "c.flv", "deep/a.wav", "deep/c.wav", "deep/er/b.OPUS"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "a.wav"),  # the path comes first; before, files in subfolders were not searched
        ("a.wav", "a.wav"),
        ("deep/a", "deep/a.wav"),
        ("deep/a.wav", "deep/a.wav"),
        ("b", "deep/er/b.OPUS"),
        ("b.OPUS", "deep/er/b.OPUS"),
        ("c", "c.flv"),
        ("c.wav", "deep/c.wav"),
    ],
)
def test_a_video_id_is_a_path_or_a_file_name_with_or_without_suffix(folder: Path, name: str, path: str) -> None:
    assert only_file_of(name, find_videos(folder)) == folder / path


def test_a_name_of_several_files_or_of_none_is_refused(folder: Path) -> None:
    write_wav(folder / "other" / "b.wav")
    for name, got in (("b", "b.OPUS, b.wav"), ("d", "no file of this name in the folder")):
        with pytest.raises(DataError, match=f"Expected one file named like the video {name}, but got {got}; leave"):
            only_file_of(name, find_videos(folder))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected a folder of videos at .*, but got none; check the path"):
        find_videos(tmp_path / "none")


def test_names_that_are_not_utf8_are_readable() -> None:
    assert readable_name(PurePath("deep/caf\udce9.wav")) == "deep/caf\\xe9.wav"


def test_first_bytes_of_media_files() -> None:
    heads = (b"RIFF\0\0\0\0WAVE", b"OggS\0\0\0\0\0\0\0\0", b"\xff\xfb\x90\x64", b"\0\0\0\x20ftypisom", b"FLV\1\5\0\0\0")
    assert all(map(looks_like_media, heads))
    assert not any(map(looks_like_media, (b"", b"video_id,text", b"\xff\xfev\0i\0", b"PK\3\4", b"\0" * 12)))


def test_suffixes_are_in_lower_case_and_once() -> None:
    assert len(set(VIDEO_SUFFIXES)) == len(VIDEO_SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in VIDEO_SUFFIXES)
    assert {".opus", ".ogg", ".flv"} <= set(VIDEO_SUFFIXES)


def test_names_are_compared_in_one_normal_form_and_without_regard_to_suffix_and_capitals(tmp_path):
    names = ("Zoe\u0308.flv", "Talk.MP4", "notes.txt", "b.vob")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    files = find_videos(tmp_path)
    same = {"Zo\u00eb": 0, "Zoe\u0308.flv": 0, "Zo\u00eb.wav": 0, "talk": 1, "TALK.mp4": 1, "b": 3}
    for video_id, number in same.items():
        assert only_file_of(video_id, files).name == names[number]
    with pytest.raises(DataError, match="no file of this name"):
        only_file_of("notes.txt", files)
    (tmp_path / "TALK.wav").write_bytes(b"x")
    with pytest.raises(DataError, match="leave exactly one there"):
        only_file_of("talk", find_videos(tmp_path))
