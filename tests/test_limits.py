"""Limits of foreign files: the child process that enforces memory and time, and bombs that the readers refuse."""

from __future__ import annotations

import gc
import os
import signal
import sys
import zipfile
import zlib
from importlib.resources import files
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from tests.readers import examples

from mien.errors import DamagedFileError, DataError, SettingsError, WorkerError
from mien.limits import MIB, VARIABLE, Limits, current_limits, read_limited, require_shallow, set_limits
from mien.readers import open_reader
from mien.settings import read_toml
from mien.storage.files import read_json

FILES = [Path(__file__)]


@pytest.fixture(autouse=True)
def _keep_limits(monkeypatch):
    monkeypatch.setenv(VARIABLE, "seconds=1")


def listed(read):
    return list(read_limited("numbers", FILES, read))


def test_items_arrive_in_order_and_an_early_stop_ends_the_child():
    assert [each.tolist() for each in listed(lambda: iter([np.arange(2), np.arange(3)]))] == [[0, 1], [0, 1, 2]]

    def with_process_id():
        while True:
            yield os.getpid()

    items = read_limited("numbers", FILES, with_process_id)
    process_id = next(items)
    assert process_id != os.getpid()
    items.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_an_error_of_mien_stays_itself_and_any_other_one_becomes_a_damaged_file():
    def refuse(error):
        yield 1
        raise error

    with pytest.raises(DataError, match="^Expected x$"):
        listed(lambda: refuse(DataError("Expected x")))
    with pytest.raises(
        DamagedFileError, match=r"Expected numbers in .*test_limits.py, but got KeyError: 'a'; it is cut"
    ):
        listed(lambda: refuse(KeyError("a")))


@pytest.mark.skipif(sys.platform != "linux", reason="the limits hold on Linux")
def test_a_loop_a_flood_of_memory_and_a_crash_end_in_an_error():
    def loop():
        while True:
            pass
        yield

    def allocate():
        yield np.ones(1 << 30, dtype=np.uint8).sum()

    def die(number):
        os.kill(os.getpid(), number)
        yield

    with pytest.raises(DamagedFileError, match=r"had not finished after 1 s of processor time \(--limit seconds=N"):
        listed(loop)
    with pytest.raises(DamagedFileError, match="but got MemoryError"):
        listed(allocate)
    with pytest.raises(DamagedFileError, match="ended by SIGSEGV"):
        listed(lambda: die(signal.SIGSEGV))
    with pytest.raises(WorkerError, match="it was killed, perhaps because memory ran out"):
        listed(lambda: die(signal.SIGKILL))


@pytest.mark.timeout(60)
def test_a_decoder_that_the_parent_no_longer_uses_is_not_freed_in_the_child():
    """It would wait for the threads of the parent, which do not exist in the child."""

    def read():
        gc.collect()
        yield 1

    gc.disable()
    try:
        container = av.open(str(files("mien") / "sample" / "sample.mp4"))
        container.streams.video[0].thread_type = "AUTO"
        cycle = [container, next(container.decode(video=0))]
        cycle.append(cycle)
        del container, cycle
        assert list(read_limited("numbers", FILES, read)) == [1]
    finally:
        gc.enable()


def test_limits_are_set_by_name_and_wrong_ones_are_refused(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    assert current_limits() == Limits()
    set_limits({"nesting": "7"})
    set_limits({"seconds": 3})
    assert current_limits() == Limits(nesting=7, seconds=3)
    for values, match in (
        ({"nestng": "1"}, "did you mean 'nesting'"),
        ({"nesting": "0"}, "above zero"),
        ({"seconds": "-1"}, "above"),
    ):
        with pytest.raises(SettingsError, match=match):
            set_limits(values)
    assert current_limits() == Limits(nesting=7, seconds=3)


def test_small_files_may_expand_freely_and_larger_ones_by_the_ratio():
    limits = Limits(unpacked_mib=1000, unpacked_ratio=10)
    assert limits.largest_unpacked(1) == 128 * MIB
    assert limits.largest_unpacked(50 * MIB) == 500 * MIB
    assert limits.largest_unpacked(500 * MIB) == 1000 * MIB


def test_nesting_is_counted_through_lists_and_mappings(monkeypatch):
    monkeypatch.setenv(VARIABLE, "nesting=3")
    require_shallow({"a": [{"b": 1}]})
    with pytest.raises(ValueError, match="more than 3 levels"):
        require_shallow({"a": [{"b": []}, [[1]]]})


def npz_bomb(path):
    """An archive of 1 MiB that would become 160 MiB."""
    header = np.lib.format.header_data_from_array_1_0(np.empty(0, np.uint8)) | {"shape": (160 * MIB,)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("video_id.npy", "w") as member,
    ):
        np.lib.format.write_array_header_2_0(member, header)
        for _ in range(160):
            member.write(bytes(MIB))
    return path


def hdf5_bomb(path):
    """A file of 2 MiB whose only entry would become 1.5 GiB."""
    chunk = zlib.compress(bytes(190 * 4 << 14))
    with h5py.File(path, "w") as file:
        entry = file.create_group("words/data/v")
        entry["intervals"] = np.zeros((1, 2))
        rows = entry.create_dataset("features", (1 << 21, 190), "f4", chunks=(1 << 14, 190), compression="gzip")
        for start in range(0, len(rows), 1 << 14):
            rows.id.write_direct_chunk((start, 0), chunk)
    return path


def test_an_archive_that_expands_a_thousandfold_is_refused_before_it_is_decompressed(tmp_path):
    path = npz_bomb(tmp_path / "a.npz")
    assert path.stat().st_size < 2 * MIB
    with pytest.raises(DataError, match=r"but got 160 MiB of an archive of \d MiB \(--limit unpacked_ratio=N"):
        open_reader("arrays", [path])


def test_a_line_without_end_is_refused_before_it_is_in_memory(tmp_path):
    path = tmp_path / "a.csv"
    with open(path, "wb") as handle:
        handle.write(b"video_id,text\n" + b"v,a\n" * 200)
        handle.truncate(4 << 30)  # a sparse file: zero bytes without a line end
    with pytest.raises(DataError, match=r"more than 8388608 characters \(--limit cell_characters=N"):
        list(open_reader("table", [path]).videos)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "Expected TOML"),
        ("x = " + "9" * 5000, "Expected TOML"),
        ("x = 1\n" * 3, "Expected TOML"),
    ],
    ids=["nesting", "digits", "repeated key"],
)
def test_a_hostile_toml_file_is_refused(tmp_path, text, match):
    with pytest.raises(DataError, match=match):
        read_toml(examples.write_text(tmp_path / "a.toml", text))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": NaN}', '{"a": "\\ud800"}', '{"a": ' + "9" * 5000 + "}", "[]"])
def test_a_hostile_json_file_is_refused(tmp_path, text):
    with pytest.raises(DamagedFileError, match=r"Expected JSON in .*a.json, but got "):
        read_json(examples.write_text(tmp_path / "a.json", text), "a Run")


def test_text_files_beyond_the_limit_are_refused_unread(tmp_path):
    path = tmp_path / "a.json"
    with open(path, "wb") as handle:
        handle.truncate(8 << 30)
    with pytest.raises(DamagedFileError, match="more than 64 MiB"):
        read_json(path, "a Run")


def test_a_compressed_sequence_that_expands_a_thousandfold_is_refused(tmp_path):
    examples.csd_folder(tmp_path)
    hdf5_bomb(tmp_path / "words.csd")
    with pytest.raises(DataError, match=r"Expected at most \d+ MiB in features of video 'v'"):
        list(open_reader("csd", [tmp_path]).videos)
