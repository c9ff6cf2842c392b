"""The command line: parse, call one workflow, render, set the exit code. Heavy imports happen inside the commands."""

from mien.cli.app import main

__all__ = ["main"]
