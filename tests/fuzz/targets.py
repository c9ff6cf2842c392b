"""What the fuzzer opens: per reader a valid file, its mutations, and the call that ends in a value or a MienError."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.fuzz import mutators
from tests.fuzz.mutators import Mutator
from tests.fuzz.pickles import mutate as mutate_pickle
from tests.readers import examples

import mien
from mien.benchmark.suites import dataset_contents, find_suite
from mien.media.container import probe
from mien.media.decode import audio_chunks, frames
from mien.media.subtitles import read_subtitles
from mien.readers import open_reader
from mien.settings import read_toml
from mien.storage.predictions import read_predictions
from mien.storage.runs import open_run
from mien.video.demo import sample_clip

SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i> &amp; welcome\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n"
VTT = "WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.500 align:left\n<v Ann>Hello\n\n00:00:03.000 --> 00:00:04.000\nBye\n"
TABLE = "video_id,text,start,end,split,sentiment,anger,disgust,fear,happy,sad,surprise\n" + "".join(
    f'v{row // 3},"text, {row}",{row},{row + 0.5},{"train" if row < 6 else "test"},{row % 7 - 3},0,0,1,0.5,0,3\n'
    for row in range(9)
)
RECORDS = [
    {"video_id": f"v{row // 3}", "text": f"text {row}", "index": row, "split": "train", "sentiment": row % 7 - 3.0}
    for row in range(9)
]
MELD = examples.MELD_HEADER + "".join(
    examples.meld_row(row // 3, row, "a, b", "joy", "neutral", ("00:20:57,256", "01:21:00,049")) for row in range(6)
)
SUITE = (
    'name = "x"\nreference = "a"\n[settings]\nepochs = 2\n[[setting]]\nname = "a"\nmodel = "cim"\ninputs = ["text"]\n'
)
# parts of the messages for files whose footer is damaged
PARQUET_HEADER = ("magic bytes", "thrift", "footer", "Parquet file size")
SETTINGS = 'epochs = 3\nlearning_rate = 1e-3\nactivation = "relu"\ntags = ["a", "b"]\n[more]\nx = [1, [2, 3]]\n'


@dataclass(frozen=True)
class Target:
    """One reader under test."""

    # makes the valid file below a folder, with everything that stays unchanged beside it
    make: Callable[[Path], Path]
    mutate: Mutator
    # opens the file, which was mutated in place
    open: Callable[[Path], Any]
    # parts of the messages for files that are refused before their content is read
    header_messages: tuple[str, ...] = ()
    # whether a native library parses the file
    is_native: bool = False


def import_with(reader: str) -> Callable[[Path], int]:
    """Read every video with a reader, as an import does."""

    def read(path: Path) -> int:
        return sum(1 for _ in open_reader(reader, [path]).videos)

    return read


def _text_file(name: str, text: str) -> Callable[[Path], Path]:
    return lambda folder: examples.write_text(folder / name, text)


def _make_dataset(folder: Path) -> Path:
    mien.import_dataset("csd", [examples.csd_folder(folder / "csd")], folder / "data")
    return folder / "data"


def _open_dataset(folder: Path) -> int:
    dataset = mien.open_dataset(folder)
    for split in dataset.splits:
        dataset.columns(split)
    return sum(1 for _ in dataset.videos())


def _open_table(path: Path) -> int:
    """Open a Dataset whose card has the sum of the mutated table."""
    card = path.parent / "dataset.json"
    facts = json.loads(card.read_text(encoding="utf-8"))
    facts["sha256"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(json.dumps(facts), encoding="utf-8")
    return _open_dataset(path.parent)


def _make_run(folder: Path) -> Path:
    dataset = mien.import_dataset(
        "planted", [], folder / "data", mien.ImportOptions(mapping={"rule": "text", "videos": "12"})
    )
    request = mien.TrainRequest(
        settings={"epochs": 1, "gru_size": 4, "dense_size": 4, "threads": 1, "keep_epochs": False}
    )
    mien.train(dataset, folder / "run", request)
    mien.evaluate([folder / "run"], split="valid", n_resamples=0)
    return folder / "run"


def _open_run_file(path: Path) -> Any:
    """Load a run whose card has the sum of the mutated file."""
    run = path.parent
    if path.name != "run.json":
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        facts["sha256"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    open_run(run)
    mien.load_model(run)
    return mien.evaluate([run], split="valid", n_resamples=0)


def _open_suite(path: Path) -> Any:
    return find_suite(path, dataset_contents(mien.open_dataset(path.parent / "data")), {})


def _make_suite(folder: Path) -> Path:
    mien.import_dataset("planted", [], folder / "data", mien.ImportOptions(mapping={"rule": "text", "videos": "12"}))
    return examples.write_text(folder / "suite.toml", SUITE)


def _make_arrays(folder: Path) -> Path:
    np.savez(folder / "arrays.npz", **examples.arrays_data())
    return folder / "arrays.npz"


def _make_gzip(folder: Path) -> Path:
    (folder / "x.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    return folder / "x.csv.gz"


def _make_parquet(folder: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(RECORDS), folder / "x.parquet")
    return folder / "x.parquet"


def _make_media(folder: Path) -> Path:
    return Path(shutil.copy(sample_clip(), folder / "clip.mp4"))


def _open_media(path: Path) -> int:
    facts = probe(path)
    n_samples = sum(len(chunk.samples) for chunk in audio_chunks(path)) if facts.has_audio else 0
    return n_samples + sum(1 for _ in frames(path, 1.0)) if facts.has_video else n_samples


TARGETS: dict[str, Target] = {
    "table": Target(
        _text_file("x.csv", TABLE), mutators.mutate_text, import_with("table"), ("Expected a column", "Expected UTF-8")
    ),
    "table.json": Target(
        _text_file("x.json", json.dumps(RECORDS)), mutators.mutate_json, import_with("table"), ("Expected a column",)
    ),
    "table.csv.gz": Target(
        _make_gzip, mutators.mutate_bytes, import_with("table"), ("Expected a column", "Expected a gzip archive")
    ),
    "table.parquet": Target(
        _make_parquet,
        mutators.mutate_parquet,
        import_with("table"),
        ("Expected a column", *PARQUET_HEADER),
        is_native=True,
    ),
    "table.xlsx": Target(
        lambda folder: examples.write_xlsx(folder / "x.xlsx"),
        mutators.mutate_bytes,
        import_with("table"),
        ("Expected a column", "Expected an Excel file"),
    ),
    "meld": Target(
        lambda folder: examples.write_text(folder / "train_sent_emo.csv", MELD),
        mutators.mutate_text,
        import_with("meld"),
        ("Expected a column", "Expected UTF-8"),
    ),
    "arrays": Target(_make_arrays, mutators.mutate_npz, import_with("arrays"), ("Expected an .npz archive",)),
    "npz": Target(
        lambda folder: examples.npz_folder(folder) / "video.npz",
        mutators.mutate_npz,
        lambda path: import_with("npz")(path.parent),
        ("Expected an .npz archive",),
    ),
    "mmsa": Target(
        lambda folder: examples.write_pickle(folder / "a.pkl", examples.mmsa_data()),
        mutate_pickle,
        import_with("mmsa"),
        ("Expected a pickle",),
    ),
    "mult": Target(
        lambda folder: examples.write_pickle(folder / "a.pkl", examples.mult_data()),
        mutate_pickle,
        import_with("mult"),
        ("Expected a pickle",),
    ),
    "csd": Target(
        lambda folder: examples.csd_folder(folder) / "words.csd",
        mutators.mutate_hdf5,
        lambda path: import_with("csd")(path.parent),
        ("Expected a readable HDF5",),
        is_native=True,
    ),
    "dataset.json": Target(
        lambda folder: _make_dataset(folder) / "dataset.json",
        mutators.mutate_json,
        lambda path: _open_dataset(path.parent),
        ("Expected JSON",),
    ),
    "utterances.parquet": Target(
        lambda folder: _make_dataset(folder) / "utterances.parquet",
        mutators.mutate_parquet,
        _open_table,
        PARQUET_HEADER,
        is_native=True,
    ),
    "predictions.parquet": Target(
        lambda folder: _make_run(folder) / "predictions" / "valid.parquet",
        mutators.mutate_parquet,
        read_predictions,
        PARQUET_HEADER,
        is_native=True,
    ),
    "run.json": Target(
        lambda folder: _make_run(folder) / "run.json", mutators.mutate_json, _open_run_file, ("Expected JSON",)
    ),
    "decisions.json": Target(
        lambda folder: _make_run(folder) / "decisions.json", mutators.mutate_json, _open_run_file, ("Expected JSON",)
    ),
    "model.safetensors": Target(
        lambda folder: _make_run(folder) / "model.safetensors", mutators.mutate_bytes, _open_run_file
    ),
    "settings.toml": Target(_text_file("x.toml", SETTINGS), mutators.mutate_text, read_toml, ("Expected TOML",)),
    "suite.toml": Target(_make_suite, mutators.mutate_text, _open_suite, ("Expected TOML",)),
    "srt": Target(
        _text_file("x.srt", SRT), mutators.mutate_text, lambda path: read_subtitles(path, 100.0), ("Expected UTF-8",)
    ),
    "vtt": Target(
        _text_file("x.vtt", VTT), mutators.mutate_text, lambda path: read_subtitles(path, 100.0), ("Expected UTF-8",)
    ),
    "media": Target(_make_media, mutators.mutate_bytes, _open_media, ("Expected a media file",), is_native=True),
}
