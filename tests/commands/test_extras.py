"""A missing extra is named before torch is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mien.commands.extras import require_extra
from mien.errors import MissingExtraError

RUN_WITHOUT = """
import sys
module, *sys.argv = sys.argv[1:]
sys.modules[module] = None
from mien.cli.app import main
try:
    main()
finally:
    assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    ("module", "extra", "command"),
    [
        ("peft", "text", "train data --out run --model cim-tuned"),
        ("transformers", "text", "evaluate mosei-text --dataset data"),
        ("transformers", "text", "compare mosei-text --with mosei-text --dataset data"),
        ("transformers", "text", "predict mosei-text --dataset data --out predictions.parquet"),
        ("peft", "text", "diagnose mosei-text --dataset data"),
        ("transformers", "text", "demo"),
        ("transformers", "text", "analyze talk.mp4 --out report"),
        ("cv2", "media", "extract videos --labels labels.csv --out data"),
        ("distributed", "dask", "extract videos --labels labels.csv --out data --engine dask"),
        ("onnx", "onnx", "export mosei-text --onnx --out model.onnx"),
        ("distributed", "dask", "benchmark table7 data --out bench --engine dask"),
        ("ray", "ray", "benchmark table7 data --out bench --engine ray"),
    ],
)
def test_the_command_line_names_it_without_torch(tmp_path, module, extra, command):
    words = [sys.executable, "-c", RUN_WITHOUT, module, "mien", *command.split()]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("mien: Expected the package ")
    assert f"pip install 'mien[{extra}]'" in done.stderr


def test_what_is_no_extra_and_what_is_installed_passes(monkeypatch):
    require_extra("local")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"'distributed' .*mien\[dask\]"):
        require_extra("dask")
