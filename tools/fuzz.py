"""Opens many mutated files with every reader and prints how they ended.

python tools/fuzz.py [READER ...] [--number N] [--native-number N] [--seed S] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run the fuzzer; the exit code is 1 if an input ended in anything but a value or a MienError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", default=list(TARGETS))
    parser.add_argument("--number", type=int, default=20_000)
    parser.add_argument("--native-number", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    failed = False
    print(f"{'reader':20} {'inputs':>7} {'past the header':>16} {'values':>7} {'slowest':>8} failures")
    for name in arguments.readers:
        number = arguments.native_number if TARGETS[name].is_native else arguments.number
        report = fuzz(name, number, arguments.seed, arguments.keep)
        failed |= bool(report.failures)
        print(
            f"{name:20} {report.n_inputs:7} {report.n_past_header:16} {report.n_values:7} {report.slowest_s:6.1f} s "
            f"{report.failures.total()}",
            flush=True,
        )
        for failure, count in report.failures.most_common():
            print(f"    {count} x {failure}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
