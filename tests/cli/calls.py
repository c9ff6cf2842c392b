"""Calling the command line in this process, and what every failure must look like."""

from __future__ import annotations

import json
import re

from typer.testing import CliRunner

from mien.cli.app import app

QUICK = ["--set", "epochs=2", "--set", "gru_size=5", "--set", "dense_size=3", "--set", "batch_videos=8"]


def mien(*arguments):
    """The result of one command."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(*arguments):
    """Standard output of a command that must succeed."""
    result = mien(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def as_json(*arguments):
    """The one object that a command prints with --json."""
    return json.loads(said(*arguments, "--json"), parse_constant=lambda name: f"{name} is not JSON")


def complaint(code, *arguments):
    """The one line of a command that must fail: no output, and before the line nothing but progress and notes."""
    result = mien(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    *progress, line = result.stderr.splitlines()
    assert all(re.fullmatch(r"(import|evaluate)[ \w]*: \d+ of \d+|mien: note: .+", each) for each in progress), progress
    assert line.startswith("mien: ")
    return line.removeprefix("mien: ")
