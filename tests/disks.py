"""A small file system that can be full or read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest


@contextmanager
def small_disk(folder, size):
    """Mount a disk of this size ("256k") at a new folder; skips the test where that is not allowed."""
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("mounting a small disk needs root on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def read_only(folder):
    """Make a mounted disk read-only inside the block."""
    assert _mount("-o", "remount,ro", folder) == 0
    try:
        yield
    finally:
        assert _mount("-o", "remount,rw", folder) == 0


@contextmanager
def full(folder):
    """Leave no space on a mounted disk inside the block."""
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as handle:
        try:
            while handle.write(bytes(4096)):
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only_copy(of, folder):
    """Give a copy of a folder that this user cannot change. For root, it lies on a disk that is read-only."""
    if os.geteuid() == 0:
        with small_disk(folder, "64m") as disk:
            shutil.copytree(of, disk / "copy")
            with read_only(disk):
                yield disk / "copy"
        return
    shutil.copytree(of, folder / "copy")
    subprocess.run(["chmod", "-R", "a-w", str(folder)], check=True)
    try:
        yield folder / "copy"
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


def _mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True).returncode
