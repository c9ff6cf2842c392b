"""The command line as a real process: streams, exit codes, signals, and what `--help` loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.cli.calls import QUICK

from mien.storage.dataset import open_dataset

HEAVY = ("torch", "pyarrow", "numpy", "scipy", "sklearn", "transformers", "h5py", "lightning_fabric")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def run(*arguments, **options):
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, **options)


def test_help_loads_nothing_heavy():
    code = "import sys\nfrom mien.cli.app import main\nsys.argv = ['mien', '--help']\ntry:\n    main()\nfinally:\n"
    code += f"    sys.stderr.write(' '.join(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert "import" in done.stdout
    assert done.stderr == ""


def test_a_whole_story_in_four_commands(table, tmp_path):
    data, out = tmp_path / "data", tmp_path / "run"
    imported = run(
        *("import", "table", table, "--out", data, "--map", "sentiment=score", "--text", "glove-6b-50d"),
        *("--rename-split", "dev=test", "--carve", "valid=0.3", "--json"),
    )
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout)["splits"]["valid"]["videos"] == 2
    trained = run("train", data, "--out", out, *QUICK, "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["run"] == str(out)
    assert sum(line.startswith("train ") for line in trained.stderr.splitlines()) == 2
    scored = run("evaluate", out, "--json", "--bootstrap", 7)
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["runs"][0]["emotion"] is None


def test_failed_work_is_one_line_and_exit_code_1(tmp_path):
    done = run("describe", tmp_path / "nowhere", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"mien: Expected a Dataset with the file {tmp_path}/nowhere/dataset.json, but got nothing there; "
        "check the path\n"
    )
    loud = run("--debug", "describe", tmp_path / "nowhere")
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr
    assert "DataError: Expected a Dataset" in loud.stderr


def test_a_reader_that_goes_away_is_no_accident(data):
    command = [sys.executable, "-m", "mien", "describe", str(data), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_an_interrupt_while_importing_leaves_the_old_data_set(table, tmp_path):
    out = tmp_path / "data"
    assert run("import", "table", table, "--out", out, "--rename-split", "dev=valid").returncode == 0
    old = open_dataset(out).fingerprint
    code = """
        import signal, sys
        # a test runner in the background is started with SIGINT ignored, and its children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from mien.commands import import_
        plain = import_._add_text_features
        def slow(*arguments):
            print("reading", file=sys.stderr, flush=True)
            sys.stdin.read()
        import_._add_text_features = slow
        from mien.cli.app import main
        main()
    """
    command = [sys.executable, "-c", "\n".join(line[8:] for line in code.splitlines())]
    command += [
        "import",
        "table",
        str(table),
        "--out",
        str(out),
        "--rename-split",
        "dev=valid",
        "--text",
        "glove-6b-50d",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stderr.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (1, "")
    assert stderr.startswith("mien: interrupted; what was written before is whole")
    assert open_dataset(out).fingerprint == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "talks.csv"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_standard_output_that_is_full_is_a_failure(data):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "mien", "describe", str(data), "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode != 0
