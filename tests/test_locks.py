"""The lock files, constraints.txt and the carried models agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mien.features.visual import face

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([\w.-]+)==([\w.+!-]+)", flags=re.M)


def pins(name):
    """Versions by package in one of the files."""
    found = PIN.findall((ROOT / name).read_text())
    return {canonicalize_name(package): version for package, version in found}


def test_the_locks_have_the_versions_of_the_constraints():
    kinds = ("-pip", "-demo", "", "-cpu")
    locked = {name: version for kind in kinds for name, version in pins(f"requirements{kind}.lock").items()}
    assert locked | {"torch": locked["torch"].removesuffix("+cpu")} == pins("constraints.txt")
    assert pins("requirements-cuda.lock")["torch"] == pins("constraints.txt")["torch"]
    assert not any(name.startswith("nvidia") for name in locked)


@pytest.mark.parametrize("kind", ["-pip", "-demo", "", "-cpu", "-cuda"])
def test_every_locked_package_has_a_hash(kind):
    blocks = re.split(r"\n(?=\S)", (ROOT / f"requirements{kind}.lock").read_text().strip())
    packages = [block for block in blocks if PIN.match(block)]
    assert packages
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in packages)


def test_the_locks_have_every_package_that_mien_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    locked = pins("requirements-demo.lock") | pins("requirements-cpu.lock")
    for line in [*project["dependencies"], *extras["text"], *extras["media"]]:
        assert Requirement(line).specifier.contains(locked[canonicalize_name(Requirement(line).name)])
    locked |= pins("requirements.lock")
    for line in (line for name, lines in extras.items() if name != "all" for line in lines):
        assert Requirement(line).specifier.contains(locked[canonicalize_name(Requirement(line).name)])


def test_the_notice_names_every_carried_model_with_its_sum():
    folder = Path(face.__file__).parent / "models"
    notice = (folder / "NOTICE").read_text()
    sums = dict(re.findall(r"^(\S+\.tflite)$.*?^  sha256 ([0-9a-f]{64})$", notice, flags=re.M | re.S))
    assert sums == {**face.FACE_MESH.sha256, **face.EXPRESSION.sha256}
    assert {path.name for path in folder.glob("*.tflite")} == set(sums)
    for name in re.findall(r"LICENSE\.[\w-]+", notice):
        assert (folder / name).is_file()
