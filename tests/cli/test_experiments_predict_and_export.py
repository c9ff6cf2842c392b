from __future__ import annotations

from tests.cli.calls import as_json, complaint, said

from mien.storage.predictions import read_predictions


def test_predict_writes_a_table_and_says_what_it_saw(data, runs, tmp_path):
    out = tmp_path / "table.parquet"
    facts = as_json("predict", runs / "a0", "--dataset", data, "--out", out)
    table = read_predictions(out)
    assert facts["path"] == str(out)
    assert facts["n_utterances"] == len(table.index) > 0
    assert facts["known_videos"]["train"] > 0
    text = said("predict", runs / "a0", "--dataset", data, "--out", out)
    assert f"{facts['n_utterances']:,} utterances of {facts['n_videos']:,} videos: {out}" in text
    assert f"{facts['known_videos']['train']} of these videos trained the model: no test" in text
    assert "no test" not in said("predict", runs / "a0", "--dataset", data, "--out", out, "--split", "test")


def test_export_names_the_file_and_how_far_it_was_checked(runs, tmp_path):
    out = tmp_path / "model.onnx"
    facts = as_json("export", runs / "b0", "--onnx", "--out", out)
    assert facts["path"] == str(out)
    assert facts["checked_against_torch"] == {"tolerance": 1e-5, "lengths": [1, 2, 10, 98]}
    assert facts["metadata"]["mien.inputs"] == ["text"]
    assert out.is_file()
    text = said("export", runs / "b0", "--onnx", "--out", out)
    assert text == f"{out}: cim on text, within 1e-05 of torch on videos of 1, 2, 10, 98 utterances\n"


def test_wrong_requests(data, runs, tmp_path):
    assert complaint(2, "export", runs / "b0") == "Expected a format, but got none; say --onnx"
    assert complaint(2, "export", "mosei-txt", "--onnx").endswith("did you mean 'mosei-text'?")
    assert "Expected a split named 'dev'" in complaint(
        1, "predict", runs / "b0", "--dataset", data, "--out", tmp_path / "x.parquet", "--split", "dev"
    )
