"""Media files: which files are recordings, by suffix and first bytes, and which of them a video id names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePath

from mien.errors import DataError

# Suffixes of media files. Where a recording has several files, a file with pictures comes before one with sound only,
# and sound without loss before compressed sound.
VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".flv", ".mpeg", ".ts", ".mts", ".m2ts", ".vob"),
    *(".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".f4v", ".mxf", ".rm", ".rmvb", ".dv", ".divx"),
    *(".wav", ".flac", ".aiff", ".aif", ".caf", ".w64", ".au", ".wv", ".ape", ".tta"),
    *(
        ".mp3",
        ".m4a",
        ".ogg",
        ".opus",
        ".aac",
        ".ac3",
        ".eac3",
        ".wma",
        ".amr",
        ".oga",
        ".mka",
        ".mp2",
        ".weba",
        ".spx",
    ),
)
# offset and first bytes of the files that usually have these suffixes
_MAGIC = (
    *((0, b"RIFF"), (0, b"RF64"), (0, b"fLaC"), (0, b"OggS"), (0, b"ID3"), (0, b"FLV"), (0, b"\x1aE\xdf\xa3")),
    *(
        (0, b"\0\0\1\xba"),
        (0, b"\0\0\1\xb3"),
        *((4, name) for name in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
    ),
)
HEAD_BYTES = 12


def looks_like_media(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (at least `HEAD_BYTES`) may be a sound or a video file."""
    # MPEG audio has no name: it begins with eleven bits that are set. FF FE is the byte order mark of UTF-16.
    is_mpeg = len(head) > 1 and head[0] == 0xFF and 0xE0 <= head[1] < 0xFE
    return is_mpeg or any(head[offset:].startswith(magic) for offset, magic in _MAGIC)


def media_files(folder: Path) -> list[Path]:
    """List the media files in a folder and its subfolders, sorted by path.

    Files and folders whose names begin with a dot are left out: systems write such files beside the media files.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    return sorted(found)


def find_videos(folder: Path) -> dict[str, list[Path]]:
    """Find the media files of a folder and its subfolders by all names that a table of labels may give them.

    Args:
        folder: Folder to search.

    Returns:
        Name in Unicode normal form C -> files. A name is the path of a file within the folder, or its file name, each
        with and without suffix. If a path and the file name of another file are the same, the name stands for the path.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"Expected a folder of videos at {folder}, but got none; check the path")
    by_path: dict[str, list[Path]] = {}
    by_file_name: dict[str, list[Path]] = {}
    for path in media_files(folder):
        inside = path.relative_to(folder)
        for names, part in ((by_path, inside), (by_file_name, PurePath(inside.name))):
            for name in dict.fromkeys((readable_name(part), readable_name(part.with_suffix("")))):
                names.setdefault(_compared(name), []).append(path)
    return by_file_name | by_path


def readable_name(path: PurePath) -> str:
    r"""Return a path with slashes as text. A byte that is not UTF-8 becomes four characters, such as ``\xe9``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _compared(name: str) -> str:
    """Return a name in Unicode normal form C, because some systems store accents as characters of their own."""
    return unicodedata.normalize("NFC", name)


def only_file_of(video_id: str, files: Mapping[str, list[Path]]) -> Path:
    """Return the only media file of a video.

    Args:
        video_id: Id of the video.
        files: Media files by name, from `find_videos`.

    Returns:
        The file.

    Raises:
        DataError: There is no such file, or there are several.
    """
    name = _compared(video_id)
    paths = files.get(name, [])
    if not paths:  # a suffix that the file does not have, or other capital letters
        stem = next((name[: -len(each)] for each in VIDEO_SUFFIXES if name.lower().endswith(each)), name)
        alike = {
            path
            for key, found in files.items()
            if key.casefold() in (name.casefold(), stem.casefold())
            for path in found
        }
        paths = files.get(stem, []) or sorted(alike)
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "no file of this name in the folder"
        raise DataError(f"Expected one file named like the video {video_id}, but got {names}; leave exactly one there")
    return paths[0]
