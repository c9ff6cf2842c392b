"""Finds the media files of labelled videos in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mien.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".wav", ".mp3", ".m4a", ".flac", ".ogg")


def find_videos(folder: Path) -> dict[str, list[Path]]:
    """Return a folder's media files by file name without suffix. Raise DataError if the folder does not exist."""
    if not folder.is_dir():
        raise DataError(f"Expected a folder of videos at {folder}, but got none; check the path")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            files.setdefault(os.fsencode(path.stem).decode("utf-8", "backslashreplace"), []).append(path)
    return files


def only_file_of(video_id: str, files: Mapping[str, list[Path]]) -> Path:
    """Return the only media file of a video.

    Args:
        video_id: Id of the video.
        files: Media files by name without suffix, from `find_videos`.

    Returns:
        The file.

    Raises:
        DataError: There is no such file, or there are several.
    """
    paths = files.get(video_id, [])
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "no file of this name in the folder"
        raise DataError(f"Expected one file named like the video {video_id}, but got {names}; leave exactly one there")
    return paths[0]
