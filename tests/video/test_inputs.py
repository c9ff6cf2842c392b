"""Which recordings an analysis is asked for: files, folders, addresses, and where their outputs go."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from tests.media.examples import tone, write_media

from mien.errors import DataError, UsageError
from mien.video.inputs import find_recordings, refuse_address, require_readable_subtitles


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "talk.wav"
    return write_media(path, (), [(0.0, tone(16_000, 1.0, [(0, 1)])[None])], rate_hz=16_000, layout="mono")


def put(sound, *paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sound, path)
    return paths


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.org/talk.mp4", "https://example.org/talk.mp4"),
        ("HTTP://example.org/a b.mp4", "http://example.org/a b.mp4"),
        (Path("https://example.org/talk.mp4"), "https://example.org/talk.mp4"),
        ("www.example.org/watch?v=1", "https://www.example.org/watch?v=1"),
        ("youtu.be/abc", "https://youtu.be/abc"),
        ("example.org/watch?v=1", "https://example.org/watch?v=1"),
    ],
)
def test_an_address_is_refused_with_the_command_that_downloads_it(address, shown):
    with pytest.raises(UsageError, match="download it first") as caught:
        find_recordings([address])
    assert f"curl -L -o talk.mp4 '{shown}'" in str(caught.value)
    assert f"yt-dlp -o talk.mp4 '{shown}'" in str(caught.value)


def test_other_addresses_get_no_command_that_cannot_work():
    for address in ("rtsp://camera/1", "s3://bucket/talk.mp4"):
        with pytest.raises(UsageError, match="download it first") as caught:
            refuse_address(address)
        assert "curl" not in str(caught.value)
    with pytest.raises(UsageError, match="give its path, such as /home/me/talk.mp4"):
        refuse_address("file:///home/me/talk.mp4")


@pytest.mark.parametrize("path", ["talk.mp4", "C:/talk.mp4", "data.v2/talk.mp4", "a: b.mp4", "why?.mp4", "x.mp4"])
def test_a_path_is_no_address(path):
    refuse_address(path)


def test_a_file_with_the_name_of_an_address_is_a_file(sound, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(sound, tmp_path / "www.wav")
    put(sound, tmp_path / "www.example.org.wav")
    assert find_recordings(["www.example.org.wav"]).failed == {}


def test_bad_files_are_left_out_with_the_reason(sound, tmp_path):
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    names = ("gone.mp4", "text.mp4", "empty.mp4", "nothing")
    found = find_recordings([*(tmp_path / name for name in names), sound])
    assert list(found.names) == [sound]
    assert [path.name for path in found.failed] == [*sorted(names, key=lambda name: name != "nothing")]
    reasons = {path.name: reason for path, reason in found.failed.items()}
    for name, part in zip(
        names, ("no file there", "no media file", "zero bytes", "folder with media files"), strict=True
    ):
        assert part in reasons[name]


def test_a_folder_stands_for_its_media_files(sound, tmp_path):
    put(
        sound,
        tmp_path / "b.wav",
        tmp_path / "day 1" / "a.wav",
        tmp_path / "day 2" / "a.wav",
        tmp_path / ".hidden" / "x.wav",
    )
    (tmp_path / "notes.txt").write_text("mine")
    found = find_recordings([tmp_path])
    assert list(found.names.values()) == ["b", "day 1/a", "day 2/a"]
    assert found.failed == {}
    assert found.folders()[tmp_path / "day 2" / "a.wav"] == Path("mien-report/day 2/a")
    assert found.folders(Path("out"))[tmp_path / "b.wav"] == Path("out/b")


def test_the_default_folder_has_the_name_of_the_recording(sound, tmp_path):
    for name in ("talk.final.wav", "- odd name.wav", unicodedata.normalize("NFD", "é.wav"), "...wav"):
        (path,) = put(sound, tmp_path / "in" / name)
        (folder,) = find_recordings([path]).folders().values()
        assert folder.name in (f"{path.stem}-report", f"{path.name}-report")
        assert folder.parent == Path()
    assert find_recordings([path]).folders(Path("out")) == {path: Path("out")}


def test_two_files_never_share_a_folder(sound, tmp_path):
    first, other, again = put(sound, tmp_path / "a/talk.wav", tmp_path / "a/talk.mp3", tmp_path / "b/talk.wav")
    found = find_recordings([first, other, again, first])
    assert dict(found.names) == {first: "talk", other: "talk.mp3"}
    assert f"but got {first} too" in found.failed[again]


def test_subtitles_are_read_before_the_work(tmp_path):
    with pytest.raises(DataError, match="check the path"):
        require_readable_subtitles(tmp_path / "no.srt", 1)
    with pytest.raises(UsageError, match="download it first"):
        require_readable_subtitles(Path("https://example.org/talk.srt"), 1)
    (tmp_path / "notes.srt").write_text("nothing with a time\n")
    with pytest.raises(DataError, match="Expected subtitles"):
        require_readable_subtitles(tmp_path / "notes.srt", 1)
    with pytest.raises(UsageError, match="subtitles of one recording .* but got 2 recordings"):
        require_readable_subtitles(tmp_path / "notes.srt", 2)
    require_readable_subtitles(tmp_path, 2)
