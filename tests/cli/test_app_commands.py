"""Every command does its work, prints a table, and with --json one object and nothing else."""

from __future__ import annotations

import json

import pytest
from tests.cli.calls import QUICK, as_json, complaint, mien, said
from tests.readers.examples import write_wav

from mien import __version__
from mien.features.extractors import TEXT_EXTRACTORS
from mien.models import MODELS
from mien.readers import READERS
from mien.storage.dataset import open_dataset
from mien.storage.runs import open_run

SEED_PAIRS = [("a0", "a1"), ("b0", "b1")]


def test_import_prints_what_was_read_and_what_was_mended(table, tmp_path):
    table.write_text(
        table.read_text().replace("v0,0,It was", "v0,0,Qwxzzyq qq") + "v0,0,Qwxzzyq qq a good day.,train,-1\n"
    )
    arguments = ["import", "table", table, "--out", tmp_path / "data", "--map", "sentiment=score"]
    arguments += ["--text", "glove-6b-50d", "--rename-split", "dev=test", "--carve", "valid=0.3", "--carve-seed", 3]
    description = as_json(*arguments, "--name", "Talks [v2]")
    assert description["name"] == "Talks [v2]"
    assert {name: split["videos"] for name, split in description["splits"].items()} == {
        "train": 5,
        "valid": 2,
        "test": 2,
    }
    assert description["origin"]["notes"]["row repeated exactly: first kept"] == 1
    assert description["feature_spaces"]["text"]["name"] == "glove-6b-50d"
    shown = said(*arguments, "--name", "Talks [v2]")
    assert "Talks [v2]" in shown
    assert "row repeated exactly: first kept" in shown
    account = description["account"]
    assert account["ignored"] == {"row repeated exactly: first kept": 1}
    assert account["kept"]["utterances"] == 27
    for part in (
        "Read: reader table from talks.csv",
        "sentiment = score",
        "Kept: 27 utterances of 9 videos",
        "Changed:",
    ):
        assert part in shown
    assert open_dataset(tmp_path / "data").counts["train"]["utterances"] == 15


def test_import_without_features_says_how_to_get_them(table, tmp_path):
    shown = said("import", "table", table, "--out", tmp_path / "data", "--rename-split", "dev=valid")
    assert "No features yet: import again with --text EXTRACTOR" in shown
    assert "1 of 1 different transcripts occur in more than one split, in 27 utterances" in shown


def test_alarms_about_labels_are_on_standard_error_and_in_the_output(tmp_path):
    lines = [
        f"v{n},{s},words {n} {s},{'train' if n < 7 else 'valid'},{(n + s) % 2}" for n in range(9) for s in range(3)
    ]
    path = tmp_path / "votes.csv"
    path.write_text("video_id,segment_id,text,split,sentiment\n" + "\n".join(lines) + "\n", encoding="utf-8")
    result = mien("import", "table", path, "--out", tmp_path / "data", "--text", "glove-6b-50d")
    assert result.exit_code == 0
    assert "mien: note: sentiment: all 27 scores are 0 or 1; they are taken as scores from -3 to 3" in result.stderr
    assert "Suspicious: sentiment: all 27 scores are 0 or 1" in " ".join(result.stdout.split())
    assert "--label sentiment=sentiment:classes:0,1" in " ".join(result.stdout.split())
    trained = mien("train", tmp_path / "data", "--out", tmp_path / "run", *QUICK)
    assert trained.exit_code == 0
    assert trained.stderr.startswith("mien: note: sentiment: all 27 scores are 0 or 1")
    chosen = "chosen by best loss on the valid split, where roc_auc is undefined (loss "
    assert chosen in " ".join(trained.stdout.split())
    arguments = ["import", "table", path, "--out", tmp_path / "data", "--label", "sentiment=sentiment:classes:0,1"]
    mended = mien(*arguments)
    assert mended.exit_code == 0
    assert "mien: note" not in mended.stderr


def test_words_are_kept_on_request(table, tmp_path):
    arguments = ["import", "table", table, "--out", tmp_path / "data", "--rename-split", "dev=valid"]
    assert as_json(*arguments, "--text", "glove-6b-50d", "--words")["feature_spaces"]["text"]["level"] == "word"
    assert as_json(*arguments, "--text", "glove-6b-50d")["feature_spaces"]["text"]["level"] == "utterance"


def test_describe(data):
    description = as_json("describe", data)
    assert description["splits"]["train"]["videos"] == 28
    assert set(description["feature_spaces"]) == {"text", "acoustic", "visual"}
    assert description["fingerprint"] == open_dataset(data).fingerprint
    shown = said("describe", data)
    for part in ("planted", "utterances", "100.0 %", "happy", "Texts in several splits", "Features of all splits"):
        assert part in shown
    assert description["modalities"]["text"]["share"] == 1
    assert description["modalities"]["text"]["suspected_placeholders"] == []


def test_train_and_resume(data, tmp_path):
    out = tmp_path / "run [1]"
    arguments = ["train", data, "--out", out, "--tasks", "sentiment", "--inputs", "visual,text", "--seed", 5, *QUICK]
    facts = as_json(*arguments)
    assert facts["run"] == str(out)
    assert (facts["inputs"], facts["tasks"], facts["seed"]) == (["text", "visual"], ["sentiment"], 5)
    assert facts["settings"]["training"]["epochs"] == 2
    assert open_run(out).finished
    shown = said(*arguments, "--resume")
    assert shown.startswith(f"{out}: cim on text, visual for sentiment, seed 5")


def test_train_shows_a_line_per_epoch_on_standard_error(data, tmp_path):
    result = mien("train", data, "--out", tmp_path / "run", *QUICK)
    # the first line is about the scale: the scores are -1 and 1
    note, *lines = result.stderr.splitlines()
    assert "is beyond 1 (-1 to 1)" in note
    assert [line.split("  ")[0] for line in lines] == [
        "train cim seed 0: epoch 1 of 2",
        "train cim seed 0: epoch 2 of 2",
    ]
    assert all("valid_loss" in line for line in lines)


def test_settings_come_from_a_file_and_set_wins(data, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('epochs = 3\ngru_size = 5\ndense_size = 3\npatience = "none"\n')
    facts = as_json("train", data, "--out", tmp_path / "run", "--settings", path, "--set", "epochs=1")
    assert facts["settings"]["training"]["epochs"] == facts["epochs_run"] == 1
    assert facts["settings"]["model"]["gru_size"] == 5
    assert facts["settings"]["training"]["patience"] is None


@pytest.mark.parametrize("protocol", ["clean", "fixed", "released"])
def test_evaluate(runs, protocol):
    arguments = ["evaluate", runs / "a0", runs / "a1", "--protocol", protocol, "--bootstrap", 7]
    summary = as_json(*arguments)
    assert [run["seed"] for run in summary["runs"]] == [0, 1]
    assert summary["mean"]["sentiment"]["accuracy_has0"] is not None
    shown = said(*arguments)
    assert ("UPPER BOUND" in shown) == (protocol == "released")
    for part in ("trivial: majority of train", "s.d. over runs", "surprise", "cim text+acoustic+visual seed 1"):
        assert part in shown
    percent = f"{100 * summary['mean']['sentiment']['accuracy_has0']:.2f}"
    assert percent in shown


def test_evaluate_on_another_data_set_and_split(runs, data):
    summary = as_json("evaluate", runs / "b0", "--dataset", data, "--split", "valid", "--bootstrap", 0)
    assert summary["runs"][0]["split"] == "valid"
    assert summary["runs"][0]["intervals"] == {}


def test_compare_takes_a_list_of_runs_on_either_side(runs):
    a, b = ([runs / name for name in names] for names in SEED_PAIRS)
    facts = as_json("compare", *a, "--with", *b, "--bootstrap", 97)
    assert facts["seeds"] == [0, 1]
    assert (facts["a"], facts["b"]) == (
        "cim text+acoustic+visual sentiment+emotion",
        "cim text sentiment+emotion",
    )
    assert facts["metrics"]["sentiment.accuracy_has0"]["verdict"]
    for spelling in (
        [*a, "--with", b[0], "--with", b[1], "--bootstrap", 97],
        ["--bootstrap", 97, *a, f"--with={b[0]}", b[1]],
        [*a, "--with", *b, "--split", "test", "--bootstrap", 97],
    ):
        assert as_json("compare", *spelling) == facts
    shown = said("compare", *a, "--with", *b, "--bootstrap", 97)
    assert "no difference shown" in shown or "better" in shown
    assert "2 seeds: use at least five" in shown


def test_compare_without_resamples_shows_no_number_where_there_is_none(runs):
    shown = said("compare", runs / "a0", "--with", runs / "b0", "--bootstrap", 0)
    assert "sentiment.accuracy_has0" in shown
    assert "nan" not in shown


@pytest.mark.parametrize(
    ("command", "key", "names"),
    [("models", "models", MODELS), ("extractors", "text", TEXT_EXTRACTORS), ("readers", "readers", READERS)],
)
def test_lists_name_every_entry(command, key, names):
    assert list(as_json(command)[key]) == list(names)
    shown = said(command)
    for name in names:
        assert name in shown


def test_a_corpus_by_file_names_says_how_to_get_features(tmp_path):
    write_wav(tmp_path / "corpus" / "03-01-05-01-01-01-01.wav")
    arguments = ("import", "ravdess", tmp_path / "corpus", "--out", tmp_path / "data")
    assert as_json(*arguments)["account"]["read"]["recordings"] == 1
    shown = " ".join(said(*arguments).split())
    assert "Read: reader ravdess from the names of 1 recordings." in shown
    assert "mien extract FOLDER --reader ravdess --out DATASET" in shown
    assert "--text EXTRACTOR" not in shown


@pytest.mark.parametrize("name", list(READERS))
def test_readers_show_one_reader(name):
    entry = READERS[name]
    assert as_json("readers", name)["readers"].keys() == {name}
    facts = as_json("readers", name)["readers"][name]
    for key in ("description", "needs", "origin", "layout", "source", "licence", "tested_on"):
        assert facts[key] == getattr(entry, key)
        assert all(line in said("readers", name) for line in facts[key].splitlines())
    assert facts["fields"] == {field: list(names) for field, names in entry.fields.items()}
    assert all(f"  {field}: " in said("readers", name) for field in entry.fields)


def test_an_unknown_reader_is_named_with_the_nearest():
    line = complaint(2, "readers", "ravdes")
    assert "Expected a reader to be one of arrays, " in line
    assert line.endswith("but got 'ravdes'; did you mean 'ravdess'?")


def test_models_tell_every_setting_that_set_takes():
    facts = as_json("models")
    assert facts["training_settings"]["epochs"] == 50
    assert "gru_size" in facts["models"]["cim"]["settings"]
    assert "learning_rate=" in said("models")


def test_extractors_of_every_modality_are_listed_with_the_extras_they_need():
    listed = as_json("extractors")
    assert set(listed) == {"text", "acoustic", "visual"}
    assert "mien[offline]" in listed["text"]["glove-6b-50d"]["needs"]
    assert "face-blendshapes" in listed["visual"]
    assert "[media]" in said("extractors")


def test_models_mark_the_experimental_ones_and_no_other():
    listed = as_json("models")["models"]
    assert listed["vqa-attention"]["experimental"] is True
    assert listed["cim"]["experimental"] is False
    assert said("models").count("(experimental)") == sum(row["experimental"] for row in listed.values())


def test_demo_is_there_and_takes_json():
    shown = said("demo", "--help")
    assert "--json" in shown


def test_version_and_help():
    assert said("--version") == f"mien {__version__}\n"
    for command in ("import", "describe", "train", "evaluate", "compare", "demo", "models", "extractors", "readers"):
        assert command in said("--help")
        assert said(command, "-h") == said(command, "--help") != ""


def test_every_reading_command_prints_json_that_others_can_read(runs, data):
    def strict(name):
        raise AssertionError(f"{name} is not JSON")

    for arguments in (
        ["describe", data],
        ["evaluate", runs / "a0", "--bootstrap", 3],
        ["compare", runs / "a0", "--with", runs / "b0", "--bootstrap", 0],
        ["models"],
        ["extractors"],
        ["readers"],
    ):
        assert isinstance(json.loads(said(*arguments, "--json"), parse_constant=strict), dict)
