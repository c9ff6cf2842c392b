"""Killing a command at random moments, as power cuts and impatient users do."""

from __future__ import annotations

import random
import subprocess
import sys
import time

# Moments of the kills, as shares of the duration of a whole command. The first part of a command is mostly imports.
MOMENTS = (0.3, 1.0)
# for a command that takes much less time when it is repeated, because it keeps what is done
EARLY_MOMENTS = (0.15, 0.5)


def mien_command(*arguments):
    """The command line of `mien` in a process of its own."""
    return [sys.executable, "-m", "mien", *map(str, arguments)]


def seconds_of(command):
    """Run a command to its end, undisturbed; returns how long it took."""
    started_s = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started_s


def kill_at_random(command, n_kills, whole_s, *, start_over, after_kill=lambda: None, moments=MOMENTS):
    """Kill a command `n_kills` times at random moments, and then repeat it to its end.

    Args:
        command: Command line.
        n_kills: Number of kills that find the command at work.
        whole_s: Duration of the command in seconds.
        start_over: Called where the command ended before its kill; removes what it wrote.
        after_kill: Called after each kill; looks at what is there.
        moments: Earliest and latest moment of a kill, as shares of `whole_s`.
    """
    draw = random.Random(0)
    n_killed = 0
    while n_killed < n_kills:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            errors = process.communicate(timeout=draw.uniform(*moments) * whole_s)[1]
            assert process.returncode == 0, errors
            start_over()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            process.stderr.close()
            n_killed += 1
            after_kill()
    seconds_of(command)
