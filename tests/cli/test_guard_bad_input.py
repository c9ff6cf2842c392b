"""What a user meets who asks for the impossible: one line with the remedy, and the right exit code."""

from __future__ import annotations

import json
import re
import shutil

import h5py
import numpy as np
import pytest
from tests.cli.calls import QUICK, complaint, mien, said
from tests.readers import examples as files

from mien.storage.dataset import open_dataset

FAILED, WRONG_USAGE = 1, 2


def import_table(path, out, *options):
    return ("import", "table", path, "--out", out, "--rename-split", "dev=valid", *options)


def test_a_missing_or_empty_file(tmp_path):
    line = complaint(FAILED, "import", "table", tmp_path / "no.csv", "--out", tmp_path / "d")
    assert line == (
        f"Expected a file at {tmp_path}/no.csv for the reader 'table', but got nothing there; check the path"
    )
    empty = files.write_text(tmp_path / "empty.csv", "")
    line = complaint(FAILED, "import", "table", empty, "--out", tmp_path / "d", "--json")
    assert line == f"Expected data in {empty}, but got an empty file; copy or download it again"
    assert not (tmp_path / "d").exists()


def test_a_wrong_format_for_the_named_source(table, tmp_path):
    line = complaint(FAILED, "import", "csd", table, "--out", tmp_path / "d")
    assert "but got none; name the files or their folder, or choose the reader table for a table" in line
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    line = complaint(FAILED, "import", "mmsa", tmp_path / "x.npz", "--out", tmp_path / "d")
    assert line.startswith(f"Expected a pickle of arrays in {tmp_path}/x.npz for the reader 'mmsa', but got")
    assert "a zip archive, perhaps .npz (reader arrays or npz)" in line


def test_a_missing_column_and_a_label_that_is_no_number(table, tmp_path):
    line = complaint(FAILED, *import_table(table, tmp_path / "d", "--map", "sentiment=scor"))
    assert line == (
        f"Expected a column 'scor' in {table}, but got video_id, segment_id, text, split, score; "
        "name the column that holds it with --map sentiment=COLUMN"
    )
    table.write_text(table.read_text().replace("train,0", "train,zero", 1))
    line = complaint(FAILED, *import_table(table, tmp_path / "d", "--map", "sentiment=score"))
    assert line.startswith(f"Expected a number in column 'score', line 3 of {table}, but got 'zero'; correct the cell")


def test_unknown_and_empty_splits(table, tmp_path, data, runs):
    other = table.with_name("other.csv")
    other.write_text(table.read_text().replace(",dev,", ",extra,"))
    line = complaint(FAILED, "import", "table", other, "--out", tmp_path / "d")
    assert "but got 'extra'; give it the role that it has with --rename-split extra=ROLE (=none leaves it out)" in line
    line = complaint(WRONG_USAGE, *import_table(table, tmp_path / "d", "--rename-split", "deev=valid"))
    assert "Expected --rename-split to name a split of the data set (dev, train), but got 'deev'" in line
    line = complaint(WRONG_USAGE, *import_table(table, tmp_path / "d", "--carve", "valid=0.1"))
    assert "Expected no valid split before carving one" in line
    for share in ("much", "0", "1.5"):
        assert "Expected --carve" in complaint(
            WRONG_USAGE, "import", "table", table, "--out", tmp_path / "d", "--carve", f"test={share}"
        )
    line = complaint(FAILED, "evaluate", runs / "a0", "--split", "tset", "--json")
    assert line == (
        f"Expected a split named 'tset' with utterances in {data}, but got train, valid, test; "
        "name one of these, or import again with --rename-split or --carve"
    )
    assert "got 'none'" not in complaint(FAILED, "evaluate", runs / "a0", "--split", "none")


def test_a_modality_that_is_missing_or_not_there(table, tmp_path):
    said(*import_table(table, tmp_path / "d", "--map", "sentiment=score"))
    line = complaint(WRONG_USAGE, "train", tmp_path / "d", "--out", tmp_path / "r")
    assert line.startswith(f"Expected inputs among none, which {tmp_path}/d has, but got none; change --inputs, or")
    table.write_text(table.read_text().replace("It was a good day.", "Qwxzzyq"))
    said(*import_table(table, tmp_path / "e", "--map", "sentiment=score", "--text", "glove-6b-50d"))
    line = complaint(WRONG_USAGE, "train", tmp_path / "e", "--out", tmp_path / "r", "--inputs", "visual")
    assert line == (
        f"Expected inputs among text, which {tmp_path}/e has, but got visual; "
        "change --inputs, or import with these features (text: --text EXTRACTOR)"
    )
    line = complaint(FAILED, "train", tmp_path / "e", "--out", tmp_path / "r", *QUICK)
    assert line == "Expected some train utterances with text features, but all 21 lack them; leave it out of --inputs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "cmi"], "Expected model to be one of .* but got 'cmi'; did you mean 'cim'?"),
        (["--inputs", "text,visul"], "Expected modality to be one of .* but got 'visul'; did you mean 'visual'?"),
        (["--tasks", "emotions"], "Expected task to be one of .* but got 'emotions'; did you mean 'emotion'?"),
        (["--set", "epoch=3"], "Expected a known setting, but got 'epoch'; did you mean 'epochs'?"),
        (["--set", "epochs=many"], "Expected epochs to be a whole number, but got 'many'"),
        (["--set", "epochs=0"], "Expected epochs to be at least 1, but got 0"),
        (["--set", "epochs"], "Expected key=value, but got 'epochs'; write for example epochs=15"),
        (["--set", "gru_sise=1", "--set", "dense=2"], ".*'gru_size'\\?; .*'dense'; did you mean 'dense_size'\\?"),
    ],
)
def test_unknown_names_offer_the_nearest_one(data, tmp_path, arguments, message):
    line = complaint(WRONG_USAGE, "train", data, "--out", tmp_path / "r", *arguments)
    assert re.match(message, line), line
    assert not (tmp_path / "r").exists()


def test_unknown_sources_extractors_protocols_and_settings_files(table, data, runs, tmp_path):
    line = complaint(WRONG_USAGE, "import", "tabel", table, "--out", tmp_path / "d")
    assert line.endswith("but got 'tabel'; did you mean 'table'?")
    line = complaint(WRONG_USAGE, *import_table(table, tmp_path / "d", "--text", "minlm"))
    assert line.endswith("but got 'minlm'; did you mean 'minilm'?")
    line = complaint(WRONG_USAGE, *import_table(table, tmp_path / "d", "--map", "sentimnt=score"))
    assert line.endswith("but got 'sentimnt'; did you mean 'sentiment'?")
    line = complaint(WRONG_USAGE, "evaluate", runs / "a0", "--protocol", "cleen")
    assert line == "Expected protocol to be one of clean, fixed, released, but got 'cleen'; did you mean 'clean'?"
    line = complaint(FAILED, "train", data, "--out", tmp_path / "r", "--settings", tmp_path / "no.toml")
    assert line.startswith(f"Expected a TOML file at {tmp_path}/no.toml, but got nothing there")


@pytest.mark.parametrize("command", ["describe", "evaluate", "train"])
def test_a_data_set_or_run_that_is_not_there(tmp_path, command):
    extra = ["--out", tmp_path / "r"] if command == "train" else []
    what = "a Run with the file .*run.json" if command == "evaluate" else "a Dataset with the file .*dataset.json"
    line = complaint(FAILED, command, tmp_path / "nowhere", *extra)
    assert re.match(f"Expected {what}, but got nothing there; check the path", line)


def test_an_altered_data_set_or_run(data, runs, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    table = tmp_path / "data" / "utterances.parquet"
    table.write_bytes(table.read_bytes()[:-1])
    for command in (["describe"], ["train", "--out", tmp_path / "r"]):
        line = complaint(FAILED, *command, tmp_path / "data")
        assert "utterances.parquet to have sha256" in line
        assert line.endswith("it was cut or altered since it was written: make the Dataset again")
    shutil.copytree(runs / "a0", tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert "model.safetensors to have sha256" in complaint(FAILED, "evaluate", tmp_path / "run")
    weights.unlink()
    assert "model.safetensors in the Run, but got no such file" in complaint(FAILED, "evaluate", tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{")
    assert "Expected JSON in" in complaint(FAILED, "evaluate", tmp_path / "run")


def test_other_feature_spaces(data, runs, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    card = json.loads((data / "dataset.json").read_text())
    card["feature_spaces"]["visual"]["recipe"] = {"extractor": "another"}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(card))
    line = complaint(FAILED, "evaluate", runs / "a0", "--dataset", tmp_path / "data", "--json")
    mine, its = (open_dataset(each).facts.spaces["visual"] for each in (data, tmp_path / "data"))
    assert line.startswith(f"Expected {mine}, which the model was trained on, but got {its}; import or extract")


def test_a_run_that_exists_is_not_overwritten(data, runs):
    line = complaint(FAILED, "train", data, "--out", runs / "a0", *QUICK)
    assert line.endswith("to be new, but got a run (finished); add --resume or choose another --out")


def test_runs_that_do_not_pair(runs):
    line = complaint(WRONG_USAGE, "compare", runs / "a0", runs / "a1", "--with", runs / "b0")
    assert "to have runs with the same seeds, each once, but got [0, 1] and [0]" in line


def test_a_truncated_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "x.csd", "w") as file:
        file["a"] = np.zeros(9973)
    content = (tmp_path / "x.csd").read_bytes()
    (tmp_path / "x.csd").write_bytes(content[: len(content) // 2])
    line = complaint(FAILED, "import", "csd", tmp_path / "x.csd", "--out", tmp_path / "d")
    assert str(tmp_path / "x.csd") in line
    assert "Expected this to work" not in line
    assert not (tmp_path / "d").exists()


@pytest.mark.data
@pytest.mark.parametrize("name", ["os_system", "builtins_eval", "numpy_load"])
def test_a_hostile_pickle_is_refused_by_name(data_dir, tmp_path, name):
    path = data_dir / "hostile_pickles" / f"{name}.pkl"
    line = complaint(FAILED, "import", "mmsa", path, "--out", tmp_path / "d", "--json")
    assert str(path) in line
    assert any(word in line for word in ("os.system", "_codecs.encode", "builtins.eval", "numpy.load"))
    assert not (tmp_path / "d").exists()


def test_somebodys_folder_is_not_replaced(table, tmp_path):
    line = complaint(FAILED, *import_table(table, tmp_path))
    assert (
        line == f"Expected {tmp_path} to be new or to hold dataset.json, but got something else; choose another --out"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "somewhere"],
        ["trian"],
        ["describe"],
        ["evaluate"],
        ["evaluate", "run", "--bootstrap", "-1"],
        ["train", "data", "--out", "run", "--seed", "-1"],
        ["compare", "a0", "--json"],
    ],
    ids=" ".join,
)
def test_a_command_that_cannot_be_read_is_wrong_usage(arguments):
    result = mien(*arguments)
    assert result.exit_code == WRONG_USAGE
    assert result.stdout == ""
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_traceback_only_on_request(tmp_path):
    quiet = mien("describe", tmp_path)
    assert "Traceback" not in quiet.stderr
    loud = mien("--debug", "describe", tmp_path)
    assert loud.exit_code == FAILED
    assert type(loud.exception).__name__ == "DataError"
    assert mien("describe", tmp_path).stderr == quiet.stderr
