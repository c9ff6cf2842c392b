"""Tiny source files, written by the tests that read them."""

from __future__ import annotations

import json
import pickle
import wave
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mien.readers import rules
from mien.readers.base import SourceDataSet
from mien.schema import SPLITS, Utterance, Video
from mien.storage.label_alarms import ALARMS

N_TEXT, N_ACOUSTIC, N_VISUAL = 5, 3, 2
LABEL_NAMES = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
# ids of the official train fold that are prefixes of one another
SHORT_ID, LONG_ID = "25522", "255224"


# every rule that a reader may count
RULES = (
    {value for name, value in vars(rules).items() if name.isupper() and isinstance(value, str)}
    | set(rules.STREAM_MISSING.values())
    | ALARMS
)


def is_rule(note: str) -> bool:
    """Whether a note is a rule, or a rule and the name that it was applied to."""
    return any(note == rule or note.startswith(f"{rule}: ") for rule in RULES)


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_csd(
    path: Path,
    root: str,
    entries: Mapping[str, tuple[Any, Any]],
    columns: Sequence[str] | None = None,
) -> Path:
    """Entries: key -> (intervals (n, 2), features (n, feature))."""
    with h5py.File(path, "w") as file:
        for key, (intervals, features) in entries.items():
            group = file.create_group(f"{root}/data/{key}")
            group["intervals"] = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
            group["features"] = np.asarray(features)
        metadata = file.require_group(f"{root}/metadata")
        if columns is not None:
            text = h5py.string_dtype()
            metadata.create_dataset("dimension names", data=[json.dumps(list(columns))], dtype=text)
    return path


def labels(*rows: Sequence[float]) -> tuple[Any, Any]:
    """Rows of (start, end, sentiment, happy, sad, anger, surprise, disgust, fear)."""
    values = np.array(rows, dtype=np.float64)
    return values[:, :2], values[:, 2:].astype(np.float32)


def csd_folder(folder: Path) -> Path:
    """Two videos: words of 1 s from 0 to 6 s, 10 frames a second; segments 0..3 and 3..6 s, stored in reverse."""
    rng = np.random.default_rng(3)
    folder.mkdir(exist_ok=True)
    words = np.array([[start, start + 1.0] for start in range(6)])
    frames = np.arange(60)[:, None] / 10 + np.array([0.0, 0.1])
    segments = labels((3, 6, -1, 0, 1, 0, 0, 0, 0), (0, 3, 2, 1, 0, 0, 0, 0, 0.5))
    tokens = np.array([[b"good"], [b"sp"], [b"day"], ["café".encode()], [b"no"], [b"end"]])
    ids = (SHORT_ID, LONG_ID)
    write_csd(folder / "labels.csd", "All Labels", dict.fromkeys(ids, segments), LABEL_NAMES)
    write_csd(folder / "words.csd", "words", dict.fromkeys(ids, (words, tokens)))
    for name, root, width, times in (
        ("text.csd", "glove_vectors", N_TEXT, words),
        ("voice.csd", "COVAREP", N_ACOUSTIC, frames),
        ("face.csd", "FACET 4.2", N_VISUAL, frames),
    ):
        write_csd(folder / name, root, {key: (times, rng.normal(size=(len(times), width))) for key in ids})
    return folder


def npz_folder(folder: Path, n_slots: int = 3) -> Path:
    """Lengths 3, 1 in train, 2 in valid, 1 in test; padding holds sevens, so that only lengths can tell it."""
    rng = np.random.default_rng(5)
    folder.mkdir(exist_ok=True)
    lengths = {"train": np.array([3, 1]), "valid": np.array([2]), "test": np.array([1])}
    extra: dict[str, Any] = {}
    for split in SPLITS:
        n_videos = len(lengths[split])
        extra[f"{split}SentiLabel"] = np.full((n_videos, n_slots), 7.0)
        extra[f"{split}EmoLabel"] = np.full((n_videos, n_slots, 6), 7.0)
        extra[f"{split}_length"] = lengths[split]
        for row, length in enumerate(lengths[split]):
            extra[f"{split}SentiLabel"][row, :length] = np.arange(length)
            extra[f"{split}EmoLabel"][row, :length] = [0.0, 0.25, 0.5, 1.0, 2.0, 3.0]
    for name, width in (("text", N_TEXT), ("audio", N_ACOUSTIC), ("video", N_VISUAL)):
        data: dict[str, Any] = {
            f"{split}_data": rng.normal(size=(len(lengths[split]), n_slots, width)) for split in SPLITS
        }
        np.savez(folder / f"{name}.npz", **data, **(extra if name == "video" else {}))
    return folder


def arrays_data() -> dict[str, Any]:
    """Five utterances of two videos, rows out of order."""
    rng = np.random.default_rng(6)
    return {
        "video_id": np.array(["b_1", "a", "b_1", "a", "a"]),
        "segment": np.array([10, 1, 2, 3, 2]),
        "split_bclstm": np.array(["test", "train", "test", "train", "train"]),
        "transcript": np.array(["TEN", "ONE", "TWO", "THREE", "None"]),
        "text": rng.normal(size=(5, N_TEXT)).astype(np.float32),
        "audio": rng.normal(size=(5, N_ACOUSTIC)).astype(np.float32),
        "video": rng.normal(size=(5, N_VISUAL)).astype(np.float32),
        "label": np.array([1, 0, 1, 1, 0]),
    }


def mmsa_data(aligned: bool = True) -> dict[str, Any]:
    """Per split one video with clips 10 and 9; four slots, of which the first has 2 tokens and the second 4."""
    rng = np.random.default_rng(8)
    n_slots = 4
    data: dict[str, Any] = {}
    for split in SPLITS:
        mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
        tokens = np.stack([mask * 7, mask, mask * 0], axis=1)
        n_frames = n_slots if aligned else 6
        data[split] = {
            "raw_text": np.array([f"{split} ten", f"{split} nine"]),
            "id": np.array([f"-{split}_v$_$10", f"-{split}_v$_$9"]),
            "text": rng.normal(size=(2, n_slots, N_TEXT)).astype(np.float32),
            "audio": rng.normal(size=(2, n_frames, N_ACOUSTIC)).astype(np.float32),
            "vision": rng.normal(size=(2, n_frames, N_VISUAL)).astype(np.float32),
            "text_bert": tokens,
            "annotations": np.array(["Positive", "Neutral"]),
            "regression_labels": np.array([1.5, 0.0], dtype=np.float32),
        }
        if not aligned:
            data[split] |= {"audio_lengths": [5, 0], "vision_lengths": [6, 1]}
    return data


def sims_data() -> dict[str, Any]:
    """Made-up values in the structure of CH-SIMS in MMSA's layout: scores in [-1, 1], also of each modality alone."""
    data = mmsa_data(aligned=False)
    for number, split in enumerate(SPLITS):
        data[split]["regression_labels"] = np.array([(1.0, -0.8), (0.2, 0.0), (-1.0, 0.6)][number], dtype=np.float32)
        data[split] |= {f"regression_labels_{letter}": np.zeros(2, dtype=np.float32) for letter in "TAV"}
    return data


def mult_data() -> dict[str, Any]:
    """Per split one video with two utterances out of start order; two and one rows of zeros in front."""
    rng = np.random.default_rng(9)
    data: dict[str, Any] = {}
    for split in SPLITS:
        streams = {
            "text": rng.normal(size=(2, 4, N_TEXT)).astype(np.float32),
            "audio": rng.normal(size=(2, 4, N_ACOUSTIC)).astype(np.float32),
            "vision": rng.normal(size=(2, 4, N_VISUAL)).astype(np.float32),
        }
        for stream in streams.values():
            stream[0, :2] = 0
            stream[1, :1] = 0
        names = np.array([[f"{split}_v", "7.5", "9"], [f"{split}_v", "1.5", "4"]])
        data[split] = {**streams, "labels": np.array([[[1.0]], [[-2.0]]], dtype=np.float32), "id": names}
    return data


def write_pickle(path: Path, data: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return path


def iemocap_data() -> tuple[Any, ...]:
    """Made-up values in the structure of IEMOCAP_features.pkl: four dialogues, three sessions, one without a split."""
    rng = np.random.default_rng(10)
    sizes = {"Ses01F_impro01": 3, "Ses01M_script01_1": 2, "Ses03M_impro05b": 2, "Ses05F_impro02": 4}
    classes = iter((0, 1, 2, 3, 4, 5, 2, 0, 1, 5, 3))

    def by_dialogue(value: Callable[[str, int], Any]) -> dict[str, list[Any]]:
        return {name: [value(name, index) for index in range(n)] for name, n in sizes.items()}

    parts = (
        by_dialogue(lambda name, index: f"{name}_{'FM'[index % 2]}{index:03d}"),
        by_dialogue(lambda _, index: "FM"[index % 2]),
        by_dialogue(lambda *_: next(classes)),
        by_dialogue(lambda *_: rng.normal(size=N_TEXT).astype(np.float32)),
        by_dialogue(lambda *_: rng.normal(size=N_ACOUSTIC).tolist()),
        {name: rng.normal(size=(n, N_VISUAL)) for name, n in sizes.items()},
        by_dialogue(lambda name, index: f"{name} says caf\xe9 {index}"),
    )
    return (*parts, {"Ses01F_impro01", "Ses01M_script01_1"}, {"Ses05F_impro02"})


def meld_features_data() -> list[Any]:
    """Made-up values in the structure of MELD_features_raw.pkl: three dialogues, one in neither split."""
    rng = np.random.default_rng(11)
    sizes = {0: 3, 7: 2, 1038: 1}
    emotions, sentiments = iter((0, 1, 2, 3, 4, 6)), iter((0, 1, 2, 2, 1, 0))

    def by_dialogue(value: Callable[[int, int], Any]) -> dict[int, list[Any]]:
        return {number: [value(number, index) for index in range(n)] for number, n in sizes.items()}

    return [
        by_dialogue(lambda _, index: index),
        by_dialogue(lambda _, index: np.eye(9)[index % 2].tolist()),
        {number: np.array([next(emotions) for _ in range(n)]) for number, n in sizes.items()},
        by_dialogue(lambda *_: rng.normal(size=N_TEXT).astype(np.float32)),
        by_dialogue(lambda *_: rng.normal(size=N_ACOUSTIC).tolist()),
        by_dialogue(lambda number, index: f"dialogue {number}, utterance {index}"),
        [0],
        [7],
        by_dialogue(lambda *_: next(sentiments)),
    ]


MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"


def meld_row(dialogue: int, number: int, text: str, emotion: str, sentiment: str, times: tuple[str, str]) -> str:
    start, end = times
    return f'1,"{text}",Somebody,{emotion},{sentiment},{dialogue},{number},4,7,"{start}","{end}"\n'


SHARED_TEXTS = ("video_id", "text", "sentiment", "it is")
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
XLSX_ROWS = """
<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>
<row r="2"><c r="A2" t="inlineStr"><is><t>v</t></is></c><c r="B2" t="s"><v>3</v></c><c r="C2"><v>-1.5</v></c></row>
"""


def write_xlsx(path: Path, rows: str = XLSX_ROWS, prolog: str = "", encoding: str = "utf-8") -> Path:
    """The XML files that Excel writes for two sheets, of which the first has the rows; a text has two parts."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    shared = "".join(f"<si><r><t>{text[:3]}</t></r><r><t>{text[3:]}</t></r></si>" for text in SHARED_TEXTS)
    parts = {
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{RELATIONS}"><sheets><sheet name="Labels" r:id="rId7"/>'
        '<sheet name="Other" r:id="rId8"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="x"><Relationship Id="rId8" Target="worksheets/b.xml"/>'
        '<Relationship Id="rId7" Target="worksheets/a.xml"/></Relationships>',
        "xl/sharedStrings.xml": f"<sst {main}>{shared}</sst>",
        "xl/worksheets/a.xml": f"{prolog}<worksheet {main}><sheetData>{rows}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text.encode(encoding))
    return path


def write_wav(path: Path, n_samples: int = 800) -> Path:
    """A short tone of 16 kHz; its folder is made, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (3000 * np.sin(np.arange(n_samples) / 8)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


def videos_of(source: SourceDataSet) -> dict[str, Video]:
    """All videos by id; the notes are complete afterwards."""
    return {video.id: video for video in source.videos}


def by_index(video: Video) -> dict[int, Utterance]:
    return {utterance.index: utterance for utterance in video.utterances}
