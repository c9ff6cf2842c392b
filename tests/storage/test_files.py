"""Writing aside: whatever happens in the middle, the old file or the new one is there, never half of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from tests.storage.examples import SPACES, videos

from mien.errors import DamagedFileError, DataError, WriteError
from mien.pretrained import require_sha256, sha256_of
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset
from mien.storage.files import atomic_file, atomic_folder, exclusive_lock, read_json, to_json_text, write_json

FACTS = DatasetFacts("old", SPACES)


@pytest.fixture
def old(tmp_path):
    """A Dataset that stood there before."""
    return write_dataset(tmp_path / "data", videos(), FACTS)


def assert_untouched(old):
    assert open_dataset(old.folder).fingerprint == old.fingerprint
    assert [each.name for each in old.folder.parent.iterdir()] == [old.folder.name]


def in_a_process(code, *arguments, **options):
    """Run code that may use everything this module imports."""
    head = (
        "from pathlib import Path; import sys; from tests.storage.examples import *\n"
        "from mien.storage.dataset import DatasetFacts, write_dataset\n"
    )
    command = [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


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


def test_a_disk_without_space_leaves_the_old_dataset(old):
    process = in_a_process(
        """
        import resource
        from mien.errors import WriteError
        rng = np.random.default_rng(1)
        many = [Video(f"v{n}", [full_utterance(rng, i, i) for i in range(997)], "train") for n in range(13)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (99_991, 99_991))
        try:
            write_dataset(Path(sys.argv[1]), many, DatasetFacts("new", SPACES))
        except WriteError as error:
            print(error)
        """,
        old.folder,
    )
    said, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert said.startswith(f"Expected to write {old.folder}, but got ")
    assert said.endswith("what stood there before is unchanged: free some space or choose another place\n")
    assert_untouched(old)


def test_a_really_full_disk_leaves_the_old_dataset(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if (
        sys.platform != "linux"
        or os.geteuid() != 0
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a small disk needs root on Linux")
    try:
        old = write_dataset(disk / "data", videos(), FACTS)
        rng = np.random.default_rng(2)

        def too_many():
            for number in range(97):
                video = videos(number)[0]
                video.id = str(number)
                for utterance in video.utterances:
                    utterance.transcript = rng.bytes(4001).hex()
                yield video

        with pytest.raises(WriteError, match="but got .*No space left on device.*; what stood there before"):
            write_dataset(disk / "data", too_many(), FACTS)
        assert_untouched(old)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_while_writing_leaves_the_old_dataset(old, error):
    def interrupted():
        yield from videos(1)[:2]
        raise error

    with pytest.raises(error):
        write_dataset(old.folder, interrupted(), FACTS)
    assert_untouched(old)


def test_kill_9_in_the_middle_of_the_rows_leaves_the_old_dataset(old):
    process = in_a_process(
        """
        def slow():
            yield videos(1)[0]
            print("written", flush=True)
            sys.stdin.read()

        write_dataset(Path(sys.argv[1]), slow(), DatasetFacts("new", SPACES))
        """,
        old.folder,
        stdin=subprocess.PIPE,
    )
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert open_dataset(old.folder).fingerprint == old.fingerprint
    new = write_dataset(old.folder, videos(1), DatasetFacts("new", SPACES))
    assert open_dataset(old.folder).fingerprint == new.fingerprint != old.fingerprint


SWAP = """
    import os, signal
    from mien.storage import files
    replace, rmtree, calls = os.replace, files.shutil.rmtree, []

    def replace_or_die(source, target):
        if calls == ["replace"] * int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        # the card inside the new folder is renamed too
        if Path(source).is_dir():
            calls.append("replace")
        replace(source, target)

    def rmtree_or_die(folder, **options):
        if calls == ["replace"] * 2:
            os.kill(os.getpid(), signal.SIGKILL)
        rmtree(folder, **options)

    files.os.replace, files.shutil.rmtree = replace_or_die, rmtree_or_die
    write_dataset(Path(sys.argv[1]), videos(1), DatasetFacts("new", SPACES))
"""


@pytest.mark.parametrize(
    ("renames", "name"),
    [
        pytest.param(1, "old", id="between-the-two-renames"),
        pytest.param(2, "new", id="before-the-old-one-is-removed"),
    ],
)
def test_kill_9_around_the_renames_leaves_the_old_or_the_new_dataset(old, renames, name):
    process = in_a_process(SWAP, old.folder, renames)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert open_dataset(old.folder).facts.name == name
    assert [video.id for video in open_dataset(old.folder).videos()] == [video.id for video in videos()]
    again = write_dataset(old.folder, videos(2), DatasetFacts("again", SPACES))
    assert open_dataset(old.folder).fingerprint == again.fingerprint
    assert not (old.folder.parent / ".data.replaced").exists()


def test_what_a_killed_process_with_the_same_number_left_does_not_matter(old):
    left = old.folder.parent / f".data.partial-{os.getpid()}"
    left.mkdir()
    (left / "utterances.parquet").write_text("half")
    new = write_dataset(old.folder, videos(1), FACTS)
    assert_untouched(new)


def test_a_folder_with_somebodys_work_is_never_replaced(tmp_path):
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.tex").write_text("years of work")
    message = f"Expected {thesis} to be new or to hold dataset.json, but got something else; choose another --out"
    with pytest.raises(WriteError) as caught:
        write_dataset(thesis, videos(), FACTS)
    assert str(caught.value) == message
    (tmp_path / "file").write_text("years of work")
    with pytest.raises(WriteError, match="to be new or to hold dataset.json"):
        write_dataset(tmp_path / "file", videos(), FACTS)
    assert (thesis / "chapter1.tex").read_text() == (tmp_path / "file").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert open_dataset(write_dataset(tmp_path / "empty", videos(), FACTS).folder).facts.name == "old"


def test_the_working_folder_is_not_pulled_away(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder in (".", "..", "/"):
        with pytest.raises(WriteError, match="but got /.*, which holds the working folder; choose another --out"):
            write_dataset(Path(folder), videos(), FACTS)


def test_a_link_to_a_dataset_stays_a_link(old, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(old.folder)
    for seed in (1, 2):
        new = write_dataset(link, videos(seed), FACTS)
        assert link.is_symlink()
        assert open_dataset(old.folder).fingerprint == new.fingerprint
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "link"]


def test_a_place_that_cannot_be_written_is_a_write_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"Expected to write .*/file/data, but got .*directory"):
        write_dataset(tmp_path / "file" / "data", videos(), FACTS)
    with pytest.raises(WriteError, match=r"Expected to write .*/file/x.json, but got .*; what stood there before"):
        write_json(tmp_path / "file" / "x.json", {})


def test_an_error_of_the_videos_passes_through(old):
    class StrangeError(Exception):
        pass

    def fail():
        with atomic_folder(old.folder, "dataset.json") as aside:
            (aside / "half").write_text("")
            raise StrangeError

    with pytest.raises(StrangeError):
        fail()
    assert_untouched(old)


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
