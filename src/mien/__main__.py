"""The command `mien`. Call it as `python -P -m mien`: without -P, Python prefers a mien in the current folder."""

import os
import sys


def main() -> None:
    """Run the command line, which SIGINT (Ctrl-C) and SIGTERM end at any time."""
    from mien.cli.interrupt import end_if_interrupted, end_on_signals

    end_on_signals()
    # Child processes must not put the current folder on their module path, which Python does with -c and -m.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        from mien.cli.app import main as run

        run()
    finally:
        end_if_interrupted()


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # -m has put the current folder there, whose files would hide installed modules.
        del sys.path[0]
    main()
