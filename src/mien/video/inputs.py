"""The recordings that `mien analyze` and `mien extract` are asked for, checked before anything is loaded.

Each check here takes milliseconds. Loading the models takes many seconds, so a wrong path must not wait for it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DataError, MienError, UsageError
from mien.media.container import open_media
from mien.media.subtitles import read_subtitles, require_fitting_subtitles
from mien.recordings import HEAD_BYTES, VIDEO_SUFFIXES, looks_like_media, media_files, readable_name

# "https://host/talk.mp4", also as a Path, which merges the slashes; a scheme of one letter is a drive
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
# addresses that are often written without a scheme
_BARE_ADDRESS = re.compile(r"www\.|youtu\.be/|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}/[^?]*\?", re.IGNORECASE)
# schemes for which the message names the commands that download the file
CURL_SCHEMES = ("http", "https", "ftp")
REPORT_SUFFIX = "-report"
SHARED_REPORT = "mien-report"


@dataclass(frozen=True)
class Recordings:
    """The recordings of one call of `mien analyze`.

    Attributes:
        names: Media file -> path of its outputs below the folder of all outputs, without suffix.
        failed: Path that was given or found -> reason why it is left out.
        subfolders: Whether each recording has a subfolder of its own. This is so if several files, or a folder, were
            given.
    """

    names: Mapping[Path, str]
    failed: Mapping[Path, str]
    subfolders: bool

    def folders(self, out: Path | None = None) -> dict[Path, Path]:
        """Return the folder of the outputs of each recording.

        Args:
            out: Folder that the user named. If it is None, it is `NAME-report` in the current folder for one file, and
                `mien-report` otherwise.

        Returns:
            Media file -> folder.
        """
        if (shared := self.shared_folder(out)) is not None:
            return {path: shared / name for path, name in self.names.items()}
        return {path: out or Path(f"{name}{REPORT_SUFFIX}") for path, name in self.names.items()}

    def shared_folder(self, out: Path | None = None) -> Path | None:
        """Return the folder that holds the folders of all recordings; None if the outputs have no subfolders."""
        return (out or Path(SHARED_REPORT)) if self.subfolders else None


def find_recordings(given: Sequence[str | Path]) -> Recordings:
    """Find the media files that a user named, and check them without decoding them.

    A folder stands for all media files in it and its subfolders. A file that was named twice counts once.

    Args:
        given: Media files and folders.

    Returns:
        The files to analyse, and the reasons why others are left out: a file is missing, empty, unreadable or no media
        file, a folder has no media files, or two files would have the same folder of outputs.

    Raises:
        UsageError: An address on the web was given.
    """
    for text in given:
        refuse_address(text)
    names: dict[Path, str] = {}
    failed: dict[Path, str] = {}
    owners: dict[str, Path] = {}
    paths = [Path(text) for text in given]
    for path, name in _named_files(paths, failed):
        if path in names or path in failed:
            continue
        # talk.mp4 and talk.wav: the second one keeps its suffix
        taken = owners.get(name)
        full_name = name if taken is None or taken.suffix == path.suffix else f"{name}{path.suffix}"
        if reason := why_unreadable(path):
            failed[path] = reason
        elif (other := owners.get(full_name)) is not None:
            failed[path] = (
                f"Expected videos of different names, but got {other} too; "
                "analyse them one after the other, each with its own --out"
            )
        else:
            owners[full_name] = path
            names[path] = full_name
    return Recordings(names, failed, subfolders=len(paths) > 1 or any(path.is_dir() for path in paths))


def find_video_folder(given: str | Path) -> Path:
    """Check that a path is a folder with media files, in itself or in its subfolders.

    Args:
        given: The folder.

    Returns:
        Its absolute path.

    Raises:
        UsageError: An address on the web was given.
        DataError: The folder is missing, is a file, or has no media files.
    """
    refuse_address(given)
    folder = Path(os.path.abspath(given))
    if folder.is_file():
        raise DataError(f"Expected a folder of videos, but got the file {folder}; give the folder that holds it")
    if not folder.is_dir():
        raise DataError(f"Expected a folder of videos at {folder}, but got none; check the path")
    if not media_files(folder):
        raise DataError(_without_media(folder))
    return folder


def refuse_address(text: str | Path) -> None:
    """Raise UsageError if a text is an address on the web (a URL) instead of a path of this machine."""
    match = _ADDRESS.match(str(text))
    if (match is None and _BARE_ADDRESS.match(str(text)) is None) or os.path.lexists(text):
        return
    scheme, rest = ("https", str(text)) if match is None else (match["scheme"].lower(), match["rest"])
    if scheme == "file":
        raise UsageError(f"Expected the path of a file, but got the address {text}; give its path, such as /{rest}")
    address = f"{scheme}://{rest}"
    commands = f": curl -L -o talk.mp4 '{address}', or from a page with a player: yt-dlp -o talk.mp4 '{address}'"
    raise UsageError(
        f"Expected the path of a file, but got the address {address}; download it first, and give the path of the copy"
        f"{commands if scheme in CURL_SCHEMES else ''}"
    )


def why_unreadable(path: Path) -> str:
    """Return why a media file cannot be read, or an empty text if its first bytes are those of a media file."""
    try:
        if path.is_file():
            with open(path, "rb") as handle:
                if looks_like_media(handle.read(HEAD_BYTES)):
                    return ""
        # no usual first bytes: FFmpeg knows more formats, and its message says what is wrong
        with open_media(path):
            return ""
    except MienError as error:
        return str(error)
    except PermissionError:
        return f"Expected {path} to be readable, but got no permission; change its permissions"
    except OSError as error:
        return str(DataError(f"Expected a video or audio file at {readable_name(path)}, but got {error.strerror}"))


def require_readable_subtitles(path: Path, n_recordings: int) -> None:
    """Check that a file holds subtitles, or that a path is a folder of them. Times are checked later.

    Args:
        path: Subtitle file, or folder with a file of the name of each recording.
        n_recordings: Number of recordings; one file cannot have the subtitles of several.

    Raises:
        UsageError: The path is an address on the web, or one file is given for several recordings.
        DataError: The path is missing, or the file is unreadable or holds no subtitles.
    """
    refuse_address(path)
    require_fitting_subtitles(path, n_recordings)
    if not path.is_dir():
        read_subtitles(path, math.inf)


def _named_files(paths: Sequence[Path], failed: dict[Path, str]) -> list[tuple[Path, str]]:
    """Return the media files with the names of their outputs. A folder without media files is added to `failed`."""
    found = []
    for path in paths:
        if not path.is_dir():
            found.append((path, _stem(path).name))
            continue
        inside = media_files(path)
        found += [(file, _stem(file.relative_to(path)).as_posix()) for file in inside]
        if not inside:
            failed[path] = _without_media(path)
    return found


def _without_media(folder: Path) -> str:
    return (
        f"Expected a folder with media files ({', '.join(VIDEO_SUFFIXES)}), but got none in {folder}; check the path, "
        "or the suffixes of the files"
    )


def _stem(path: Path) -> Path:
    """Return a path without its suffix. A name of dots only, such as that of `...mp4`, keeps its suffix."""
    return path.with_name(path.stem) if path.stem.strip(".") else path
