"""Readers of corpora of acted speech whose file names contain the labels, which `acted_corpora` lists.

A recording is a video with one utterance, the whole file.
"""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import LabelSpace
from mien.readers.acted_corpora import ACTED, INTENSITY_SPACE, SONG, TEXTS_COLUMNS, TEXTS_FILE, Corpus
from mien.readers.base import ReaderOptions, Row, SourceDataSet, Unit, group
from mien.readers.input_files import require_file
from mien.readers.rules import (
    FILE_MISNAMED,
    FILE_NOT_MEDIA,
    RECORDING_REPEATED,
    RECORDING_SUNG,
    TEXT_UNLISTED,
    add_note,
    with_names,
)
from mien.readers.table_files import open_table_file, require_columns
from mien.recordings import HEAD_BYTES, VIDEO_SUFFIXES, looks_like_media, media_files, readable_name
from mien.schema import EMOTION, FloatArray, Utterance


@dataclass(frozen=True, slots=True)
class _Recording:
    """A media file, and the parts of its name."""

    path: Path
    id: str
    parts: Mapping[str, str]

    @property
    def key(self) -> str:
        """What is the same in all files of one recording: the name without the modality, which is at its beginning."""
        return self.id.lower().removeprefix(self.parts.get("modality", ""))

    def rank(self, modalities: tuple[str, ...]) -> tuple[int, int, str]:
        """Return the place of the file among the files of one recording; the first is read."""
        modality = modalities.index(self.parts["modality"]) if modalities else 0
        return modality, VIDEO_SUFFIXES.index(self.path.suffix.lower()), self.path.as_posix()


def open_corpus(corpus: Corpus, paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:  # noqa: ARG001 - one signature for all readers
    """Open a corpus by the names of its files. Only their first bytes are read.

    The speaker is also the fold of a video, so that ``mien benchmark --folds fold`` leaves one speaker out. There are
    no splits.

    Args:
        corpus: The corpus.
        paths: Folders with subfolders, or single files.
        options: Ignored; the labels come from the names of files, and there are no words.

    Returns:
        The data set, without features.

    Raises:
        DataError: No file is a recording of the corpus, or two files of the same name have different contents.
    """
    notes: Counter[str] = Counter()
    texts_file = _texts_file(paths) if corpus.has_texts_file else None
    recordings = _chosen(_recordings(corpus, paths, notes), corpus, notes)
    texts = None if texts_file is None else _texts(texts_file, corpus.reader)
    rows = list(_corpus_rows(corpus, recordings, texts, notes))
    groups = group(rows, notes, paths[0], numbered=False, unit=Unit.ID)
    labelled = {name for row in rows for name in row.utterance.labels}
    fields = ["speaker", *labelled, *(["transcript"] if corpus.sentences or corpus.carrier else [])]
    return SourceDataSet(
        splits=groups.splits,
        spaces={},
        videos=groups.videos(),
        notes=notes,
        mapping=dict.fromkeys(sorted(fields), "file name")
        | ({} if texts_file is None else {"transcript": f"{TEXTS_COLUMNS[1]} of {texts_file.name}"}),
        files=() if texts_file is None else (texts_file,),
        licence_note=f"{corpus.title}: {corpus.licence}. {ACTED}",
        label_spaces=tuple(space for space in corpus.label_spaces if space.name in labelled),
        extra_columns=("speaker", "fold"),
        ids_are_videos=True,
        recordings={each.id: each.path for each in recordings},
    )


def _recordings(corpus: Corpus, paths: Sequence[Path], notes: Counter[str]) -> list[_Recording]:
    """Return the media files whose names fit the corpus. The others are counted by name."""
    files = [path for given in paths for path in (media_files(given) if given.is_dir() else [given])]
    files = [path for path in dict.fromkeys(files) if path.name != TEXTS_FILE or not corpus.has_texts_file]
    for path in files:
        if path in paths:
            require_file(path, corpus.reader)
    found: list[_Recording] = []
    misnamed, not_media, n_sung = [], [], 0
    for path in files:
        match = corpus.file_name.fullmatch(path.stem)
        parts = {name: code.lower() for name, code in match.groupdict().items() if code} if match else {}
        if not match or not _is_known(corpus, parts) or path.suffix.lower() not in VIDEO_SUFFIXES:
            misnamed.append(path)
        elif not _is_media(path):
            not_media.append(path)
        elif parts.get("channel") == SONG:
            n_sung += 1
        else:
            found.append(_Recording(path, path.stem, parts))
    for rule, unread in ((FILE_MISNAMED, misnamed), (FILE_NOT_MEDIA, not_media)):
        if unread:
            notes[with_names(rule, [readable_name(Path(path.name)) for path in unread])] = len(unread)
    add_note(notes, RECORDING_SUNG, n_sung)
    if not found:
        reasons = [f"{len(misnamed)} with other names", f"{len(not_media)} without sound or picture", f"{n_sung} sung"]
        names = f", such as {readable_name(Path(files[0].name))}" if files else ""
        raise DataError(
            f"Expected recordings of {corpus.title} in {', '.join(map(str, paths))}, with names like {corpus.example}, "
            f"but got {len(files)} files ({', '.join(reasons)}){names}; see: mien readers {corpus.reader}"
        )
    return found


def _is_known(corpus: Corpus, parts: Mapping[str, str]) -> bool:
    """Return whether the corpus has the emotion and the sentence of a file name."""
    return parts["emotion"] in corpus.classes and (not corpus.sentences or parts["sentence"] in corpus.sentences)


def _is_media(path: Path) -> bool:
    with open(path, "rb") as file:
        return looks_like_media(file.read(HEAD_BYTES))


def _chosen(recordings: Sequence[_Recording], corpus: Corpus, notes: Counter[str]) -> list[_Recording]:
    """Return one file of each recording, in the order of their ids. The other files are counted.

    A recording has several files if a corpus has it with and without picture, in several formats, or copied.

    Raises:
        DataError: Two files differ only in their folder and their contents.
    """
    files: dict[str, list[_Recording]] = {}
    for each in recordings:
        files.setdefault(each.key, []).append(each)
    chosen: list[_Recording] = []
    for group_of_files in files.values():
        first, *others = sorted(group_of_files, key=lambda each: each.rank(corpus.modalities))
        for other in others:
            is_copy = (first.id.lower(), first.path.suffix) == (other.id.lower(), other.path.suffix)
            if is_copy and not filecmp.cmp(first.path, other.path, shallow=False):
                raise DataError(
                    f"Expected one file {first.path.name} of {corpus.title}, but got two that differ, {first.path} and "
                    f"{other.path}; give the folder of one of them"
                )
        add_note(notes, RECORDING_REPEATED, len(others))
        chosen.append(first)
    return sorted(chosen, key=lambda each: each.id)


def _texts_file(paths: Sequence[Path]) -> Path | None:
    """Return the table of the texts, if it is among the paths or in one of the folders."""
    candidates = [path / TEXTS_FILE if path.is_dir() else path for path in paths]
    return next((path for path in candidates if path.name == TEXTS_FILE and path.is_file()), None)


def _texts(path: Path, reader: str) -> dict[str, str]:
    """Return the text of each file, by its name without suffix. Raise DataError if the table lacks a column."""
    table = open_table_file(path, reader)
    require_columns(table, {name: name for name in TEXTS_COLUMNS})
    name, text = TEXTS_COLUMNS
    return {Path(row.cells[name].strip()).stem: row.cells[text].strip() for row in table.rows()}


def _corpus_rows(
    corpus: Corpus, recordings: Sequence[_Recording], texts: Mapping[str, str] | None, notes: Counter[str]
) -> Iterator[Row]:
    spaces = {space.name: space for space in corpus.label_spaces}
    for each in recordings:
        parts = each.parts
        if corpus.has_texts_file:
            transcript = (texts or {}).get(each.id, "")
            add_note(notes, TEXT_UNLISTED, not transcript)
        else:
            transcript = corpus.sentences.get(parts["sentence"]) or corpus.carrier.format(parts["sentence"])
        labels: dict[str, FloatArray] = {EMOTION: _index(spaces[EMOTION], corpus.classes[parts["emotion"]])}
        if parts.get("level") in corpus.levels:
            labels[INTENSITY_SPACE] = _index(spaces[INTENSITY_SPACE], corpus.levels[parts["level"]])
        speaker = corpus.speaker.format(parts["speaker"].upper())
        utterance = Utterance(0, transcript=transcript, speaker=speaker, labels=labels)
        yield Row(each.id, None, utterance, str(each.path), fold=speaker)


def _index(space: LabelSpace, name: str) -> FloatArray:
    return np.array([float(space.names.index(name))])


# the entries of `readers.READERS`
