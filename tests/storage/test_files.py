"""Writing aside: whatever happens in the middle, the old file or the new one is there, never half of one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from tests.storage.processes import in_a_process

from mien.errors import DamagedFileError, DataError, ReadOnlyError, WriteError
from mien.pretrained import require_sha256, sha256_of
from mien.storage.files import (
    atomic_file,
    exclusive_lock,
    read_json,
    refuse_links,
    remove_partial,
    require_same_kind,
    to_json_text,
    write_json,
)


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "x.txt"
    with atomic_file(path) as aside:
        aside.write_text("half")
        assert not path.exists()
        aside.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_goes_wrong_in_the_middle_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail():
        with atomic_file(path) as aside:
            aside.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_without_space_leaves_the_old_file(tmp_path):
    process = in_a_process(
        """
        import resource
        from mien.errors import WriteError
        from mien.storage.files import write_json
        resource.setrlimit(resource.RLIMIT_FSIZE, (997, 997))
        try:
            write_json(Path(sys.argv[1]), {"many": list(range(997))})
        except WriteError as error:
            print(error)
        """,
        tmp_path / "x.json",
    )
    (tmp_path / "x.json").write_text("{}")
    said, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert said == (
        f"Expected to write {tmp_path / 'x.json'}, but got File too large; what stood there before is unchanged: "
        "free some space or choose another place\n"
    )
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("x.json", "{}")]


def test_a_place_that_cannot_be_written_is_a_write_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"Expected to write .*/file/x.json, but got .*; what stood there before"):
        write_json(tmp_path / "file" / "x.json", {})


def test_json_has_null_for_what_is_no_number():
    facts = {
        "nan": float("nan"),
        "infinities": [np.inf, -np.inf],
        "numpy": np.float32(0.5),
        "array": np.array([[1.0, np.nan]]),
        "count": np.int64(3),
        "tuple": (np.bool_(True), None),
        7: "é",
    }
    text = to_json_text(facts)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "nan": None,
        "infinities": [None, None],
        "numpy": 0.5,
        "array": [[1.0, None]],
        "count": 3,
        "tuple": [True, None],
        "7": "é",
    }
    assert "é" in text


def test_reading_json_says_what_is_wrong(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(DataError, match=r"Expected a Card with the file .*x.json, but got nothing there"):
        read_json(path, "a Card")
    with pytest.raises(DataError, match="but got nothing there"):
        read_json(tmp_path, "a Card")
    write_json(path, {"a": 1})
    assert read_json(path, "a Card") == {"a": 1}
    for content in (b'{"a": ', b"\xff\xfe", b"[1]", b""):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match="Expected JSON in .* cut or altered: make a Card again"):
            read_json(path, "a Card")


def test_sha256_is_that_of_hashlib_and_is_asked_for(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(path) == known
    require_sha256(path, known, "the thing")
    with pytest.raises(DamagedFileError, match=r"to have sha256 0000000000000000..., but got ba7816bf8f01cfea..."):
        require_sha256(path, "0" * 64, "the thing")
    with pytest.raises(
        DamagedFileError, match="Expected .*/y in the thing, but got no such file; make the thing again"
    ):
        require_sha256(tmp_path / "y", known, "the thing")


def test_what_is_written_is_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_file(tmp_path / "mine") as aside:
        os.close(os.open(aside, os.O_CREAT, 0o600))  # as safetensors makes its files
    assert (tmp_path / "mine").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_lock_is_refused_or_waited_for_and_goes_with_its_process(tmp_path):
    path = tmp_path / "folder" / ".lock"
    held = DataError("somebody is at work")
    with exclusive_lock(path), pytest.raises(DataError, match="somebody is at work"), exclusive_lock(path, held):
        pass
    with exclusive_lock(path, held):
        pass
    code = f"""
        from pathlib import Path
        from mien.storage.files import exclusive_lock
        with exclusive_lock(Path({str(path)!r})):
            print("held", flush=True)
            input()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DataError), exclusive_lock(path, held):
            pass
        process.kill()
        with exclusive_lock(path):
            pass


def test_a_temporary_file_is_private_and_has_another_name_each_time(tmp_path):
    names = set()
    for _ in range(3):
        with atomic_file(tmp_path / "x") as aside:
            assert stat.S_IMODE(aside.stat().st_mode) == 0o600
            assert aside.name.startswith(f".x.partial-{os.getpid()}-")
            names.add(aside.name)
    assert len(names) == 3


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path):
    (tmp_path / "victim").write_text("years of work")
    (tmp_path / "x").symlink_to("victim")
    write_json(tmp_path / "x", {})
    assert not (tmp_path / "x").is_symlink()
    assert (tmp_path / "victim").read_text() == "years of work"


def test_what_others_are_writing_is_not_removed(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as living:
        with subprocess.Popen(["true"]) as dead:
            dead.wait()
        kept = [f".x.partial-{living.pid}-abc", ".x.partial-notes", ".y.partial-1-abc"]
        removed = [f".x.partial-{dead.pid}-a_1", f".x.partial-{dead.pid}", f".x.partial-{os.getpid()}-abc"]
        for name in (*kept, *removed[1:]):
            (tmp_path / name).write_text("")
        (tmp_path / removed[0] / "folder").mkdir(parents=True)
        with atomic_file(tmp_path / "x") as outer:
            outer.write_text("outer")
            write_json(tmp_path / "x", {})  # by another thread, say
            assert outer.exists()
        living.kill()
    assert (tmp_path / "x").read_text() == "outer"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "x"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")
def test_what_other_users_left_is_not_removed(tmp_path):
    left = tmp_path / ".x.partial-999999999-abc"
    left.write_text("")
    os.chown(left, 65534, 65534)
    remove_partial(tmp_path, ".x.partial-*")
    assert left.exists()
    os.chown(left, 0, 0)
    remove_partial(tmp_path, ".x.partial-*")
    assert not left.exists()


def test_a_lock_follows_no_link_and_changes_no_file(tmp_path):
    (tmp_path / "victim").write_text("years of work")
    (tmp_path / "link").symlink_to("victim")
    with (
        pytest.raises(WriteError, match="Expected to write .*/link, but got a symbolic link"),
        exclusive_lock(tmp_path / "link"),
    ):
        pass
    with exclusive_lock(tmp_path / "victim"):
        pass
    assert (tmp_path / "victim").read_text() == "years of work"
    with (
        pytest.raises(WriteError, match="Expected to write .*/victim/.lock"),
        exclusive_lock(tmp_path / "victim" / ".lock"),
    ):
        pass


def test_a_place_that_this_user_may_not_write_to_is_read_only(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    tmp_path.chmod(0o500)
    is_root = os.geteuid() == 0
    if is_root:  # may write everywhere
        os.seteuid(65534)
    try:
        for write in (lambda: write_json(tmp_path / "x.json", {}), lambda: exclusive_lock(tmp_path / "x").__enter__()):
            with pytest.raises(ReadOnlyError, match="but got Permission denied; what stood there before is unchanged"):
                write()
    finally:
        if is_root:
            os.seteuid(0)
        tmp_path.chmod(0o700)


def test_subfolders_that_are_links_are_refused_and_the_folder_itself_may_be_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere")
    refuse_links(tmp_path / "out", "runs", "runs/a/seed-0")
    (tmp_path / "elsewhere/runs").symlink_to(tmp_path)
    for name in ("runs", "runs/a/seed-0"):
        with pytest.raises(WriteError, match="Expected a folder at .*/out/runs, but got a symbolic link"):
            refuse_links(tmp_path / "out", name)


def test_an_output_replaces_only_a_file_of_its_kind(tmp_path):
    path = tmp_path / "x.parquet"
    require_same_kind(path, b"PAR1")
    for content in (b"", b"PAR1..."):
        path.write_bytes(content)
        require_same_kind(path, b"PAR1")
    path.write_text("PA: years of work")
    with pytest.raises(WriteError, match="Expected .*x.parquet to be new or an earlier output .* another file; choose"):
        require_same_kind(path, b"PAR1")
