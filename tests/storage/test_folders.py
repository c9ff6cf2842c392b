"""Replacing a Dataset: whatever happens, the old one or the new one is there, and no file of the user is deleted."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.disks import small_disk
from tests.storage.examples import SPACES, videos
from tests.storage.processes import in_a_process

from mien.errors import DataError, WriteError
from mien.storage.dataset import DATASET_FOLDER, DatasetFacts, open_dataset, write_dataset
from mien.storage.folders import FolderKind, atomic_folder, require_own_outputs

FACTS = DatasetFacts("old", SPACES)


@pytest.fixture
def old(tmp_path):
    """A Dataset that stood there before."""
    return write_dataset(tmp_path / "data", videos(), FACTS)


def assert_untouched(old):
    assert open_dataset(old.folder).fingerprint == old.fingerprint
    assert [each.name for each in old.folder.parent.iterdir()] == [old.folder.name]


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
    with small_disk(tmp_path / "disk", "256k") as disk:
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
    from mien.storage import folders
    replace, rmtree, calls = os.replace, folders.shutil.rmtree, []

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

    folders.os.replace, folders.shutil.rmtree = replace_or_die, rmtree_or_die
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


def test_a_place_below_a_file_is_a_write_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"Expected to write .*/file/data, but got .*directory"):
        write_dataset(tmp_path / "file" / "data", videos(), FACTS)


def test_an_error_of_the_videos_passes_through(old):
    class StrangeError(Exception):
        pass

    def fail():
        with atomic_folder(old.folder, DATASET_FOLDER) as aside:
            (aside / "half").write_text("")
            raise StrangeError

    with pytest.raises(StrangeError):
        fail()
    assert_untouched(old)


@pytest.mark.parametrize("name", ["notes.txt", "more/notes.txt", "card/dataset.json"])
def test_a_dataset_with_a_file_of_the_user_is_not_replaced(old, name):
    notes = old.folder / name
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("years of work")
    with pytest.raises(WriteError) as caught:
        write_dataset(old.folder, videos(1), FACTS)
    assert str(caught.value) == (
        f"Expected only files that mien wrote in {old.folder}, which will be replaced, but got {name}; "
        "move it elsewhere or choose another --out"
    )
    assert notes.read_text() == "years of work"
    assert open_dataset(old.folder).fingerprint == old.fingerprint


def test_a_file_that_the_user_adds_meanwhile_is_kept(old):
    def slow():
        yield from videos(1)
        (old.folder / "notes.txt").write_text("years of work")

    with pytest.raises(WriteError, match="but got notes.txt; move it elsewhere"):
        write_dataset(old.folder, slow(), FACTS)
    assert (old.folder / "notes.txt").read_text() == "years of work"
    assert_untouched(old)


def test_a_card_of_something_else_marks_no_dataset_and_a_damaged_card_of_ours_does(old):
    card = old.folder / "dataset.json"
    whole = card.read_text()
    card.write_text('{"title": "corpus of my thesis"}')
    with pytest.raises(WriteError, match="to be new or to hold dataset.json, but got something else"):
        write_dataset(old.folder, videos(1), FACTS)
    card.write_text(whole[:99])
    assert open_dataset(write_dataset(old.folder, videos(1), FACTS).folder).facts.name == "old"


def test_what_stands_where_the_old_dataset_is_put_aside_is_neither_removed_nor_followed(old, tmp_path):
    aside = tmp_path / ".data.replaced"
    other = write_dataset(tmp_path / "other", videos(2), FACTS)
    aside.symlink_to(other.folder)
    with pytest.raises(WriteError, match="Expected nothing at .*.data.replaced, but got a file, a link"):
        write_dataset(old.folder, videos(1), FACTS)
    old.folder.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="but got nothing there"):
        open_dataset(old.folder)
    aside.unlink()
    aside.mkdir()
    (aside / "notes.txt").write_text("years of work")
    (tmp_path / "moved").rename(old.folder)
    with pytest.raises(WriteError, match="in .*.data.replaced, which will be replaced, but got notes.txt"):
        write_dataset(old.folder, videos(1), FACTS)
    assert (aside / "notes.txt").read_text() == "years of work"
    assert open_dataset(other.folder).fingerprint == other.fingerprint


def test_the_new_folder_is_private_until_it_is_whole(old):
    def look():
        partial = next(old.folder.parent.glob(".data.partial-*"))
        assert stat.S_IMODE(partial.stat().st_mode) == 0o700
        yield from videos(1)

    write_dataset(old.folder, look(), FACTS)
    (old.folder.parent / "plain").mkdir()
    assert old.folder.stat().st_mode == (old.folder.parent / "plain").stat().st_mode


def test_outputs_replace_only_outputs(tmp_path):
    kind = FolderKind("card.json", "mien-thing", ("card.json", "captions.vtt"))
    require_own_outputs(tmp_path / "new", kind)
    (tmp_path / "thesis.tex").write_text("years of work")
    require_own_outputs(tmp_path, kind)
    (tmp_path / "captions.vtt").write_text("typed by hand")
    with pytest.raises(WriteError, match="to be without captions.vtt or to hold card.json of this command, but got"):
        require_own_outputs(tmp_path, kind)
    (tmp_path / "card.json").write_text('{"format": "mien-thing"}')
    require_own_outputs(tmp_path, kind)
