"""The Run on disk: its card, the files it vouches for, and the feature spaces it insists on."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mien.errors import DamagedFileError, DataError, FeatureSpaceError, TrainingError, UnknownNameError, WriteError
from mien.schema import FeatureSpace, Modality
from mien.storage.runs import (
    Run,
    epoch_file,
    kept_epochs,
    open_run,
    require_epoch,
    require_spaces,
    run_lock,
    write_run,
)
from mien.tasks import EMOTION, SENTIMENT

TEXT = FeatureSpace(Modality.TEXT, "glove-6b-50d", 50, recipe={"tokenizer": 1})
VOICE = FeatureSpace(Modality.ACOUSTIC, "covarep", 74)
FACE = FeatureSpace(Modality.VISUAL, "facet", 35)
SPACES = {Modality.TEXT: TEXT, Modality.VISUAL: FACE}


def make_run(folder, **changes):
    run = Run(
        folder=folder,
        model="cim",
        tasks=(EMOTION,),
        seed=3,
        settings={"model": {"gru_size": 5}, "training": {"patience": None, "learning_rate": 0.1}},
        dataset={"path": "/data", "name": "d", "fingerprint": "f", "sentiment_values": "intensity"},
        spaces=SPACES,
        finished=True,
        outcome={"chosen_epoch": 2},
    )
    (folder / "epochs").mkdir(parents=True)
    paths = [epoch_file(2), epoch_file(10), Path("model.safetensors")]
    for path in paths:
        (folder / path).write_text(str(path))
    run = replace(run, **changes)
    write_run(run, paths if run.finished else ())
    return run


def test_a_run_comes_back_with_the_sha256_of_its_files(tmp_path):
    run = make_run(tmp_path / "run")
    opened = open_run(str(run.folder))
    assert set(opened.sha256) == {"model.safetensors", "epochs/0002.safetensors", "epochs/0010.safetensors"}
    assert replace(opened, sha256={}) == run
    assert opened.inputs == (Modality.TEXT, Modality.VISUAL)
    assert opened.identity == run.identity
    assert json.loads((run.folder / "run.json").read_text())["inputs"] == ["text", "visual"]


def test_the_identity_changes_with_all_that_decides_the_weights(tmp_path):
    run = make_run(tmp_path / "run")
    others = [
        replace(run, model="cim-released"),
        replace(run, tasks=(SENTIMENT,)),
        replace(run, seed=5),
        replace(run, settings={"model": {"gru_size": 7}, "training": {}}),
        replace(run, dataset={**run.dataset, "fingerprint": "g"}),
        replace(run, spaces={Modality.TEXT: TEXT}),
    ]
    assert all(other.identity != run.identity for other in others)
    moved = replace(run, folder=Path("elsewhere"), dataset={**run.dataset, "path": "/moved"}, finished=False)
    assert moved.identity == run.identity


def test_kept_epochs_are_counted_in_number_order_and_checked_one_by_one(tmp_path):
    run = open_run(make_run(tmp_path / "run").folder)
    assert kept_epochs(run) == [2, 10]
    assert require_epoch(run, 10) == run.folder / "epochs/0010.safetensors"
    with pytest.raises(DataError, match="the weights of epoch 3 in .* but got none; train with --set keep_epochs=true"):
        require_epoch(run, 3)
    (run.folder / epoch_file(2)).write_text("altered")
    assert require_epoch(open_run(run.folder), 10)
    with pytest.raises(DamagedFileError, match="0002.safetensors to have sha256"):
        require_epoch(run, 2)


def test_an_unfinished_run_opens_only_for_those_who_ask(tmp_path):
    run = make_run(tmp_path / "run", finished=False)
    message = (
        f"Expected a finished run in {run.folder}, but its training was interrupted; "
        f"continue it: mien train /data --out {run.folder} --resume"
    )
    with pytest.raises(TrainingError) as caught:
        open_run(run.folder)
    assert str(caught.value) == message
    assert not open_run(run.folder, unfinished=True).finished


def test_what_is_no_run_or_a_damaged_one_says_so(tmp_path):
    with pytest.raises(DataError, match="Expected a Run with the file .*run.json, but got nothing there"):
        open_run(tmp_path)
    run = make_run(tmp_path / "run")
    card = run.folder / "run.json"
    whole = card.read_text()
    card.write_text(whole[:-3])
    with pytest.raises(DamagedFileError, match="Expected JSON in .*run.json, but got .*: make a Run again"):
        open_run(run.folder)
    card.write_text(whole.replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(DamagedFileError, match="a mien-run of version 1, but got 'mien-run' version 2; train it again"):
        open_run(run.folder)
    for name in ("seed", "tasks", "feature_spaces", "sha256", "finished"):
        card.write_text(json.dumps({key: value for key, value in json.loads(whole).items() if key != name}))
        with pytest.raises(
            DamagedFileError, match=f"Expected complete facts in .*run.json, but got no {name} in run.json"
        ):
            open_run(run.folder)
    card.write_text(whole.replace('"emotion"', '"mood"'))
    with pytest.raises(UnknownNameError, match="Expected task to be one of emotion, .*, but got 'mood'"):
        open_run(run.folder)


def test_another_feature_space_is_refused_and_both_are_named():
    other = replace(TEXT, recipe={"tokenizer": 2})
    with pytest.raises(FeatureSpaceError) as caught:
        require_spaces(SPACES, {**SPACES, Modality.TEXT: other})
    assert str(caught.value) == (
        f"Expected text glove-6b-50d (50 features, {TEXT.fingerprint}), which the model was trained on, but got "
        f"text glove-6b-50d (50 features, {other.fingerprint}); "
        "import or extract the data with glove-6b-50d, or train a model on this data set"
    )
    with pytest.raises(FeatureSpaceError, match="Expected visual facet .* but got no visual features"):
        require_spaces(SPACES, {Modality.TEXT: TEXT, Modality.ACOUSTIC: VOICE})


def test_more_spaces_than_needed_do_no_harm():
    require_spaces(SPACES, {**SPACES, Modality.ACOUSTIC: VOICE})
    require_spaces({}, {})


@contextmanager
def locked_elsewhere(folder):
    """Another process holds the lock of a run folder."""
    code = f"""
        from pathlib import Path
        from mien.storage.runs import run_lock
        with run_lock(Path({str(folder)!r})):
            print("held", flush=True)
            input()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield
        process.kill()


def test_one_process_works_on_a_run_and_others_are_told_so(tmp_path):
    run = make_run(tmp_path / "run", finished=False)
    with locked_elsewhere(run.folder):
        for work in (lambda: open_run(run.folder), lambda: run_lock(run.folder).__enter__()):
            with pytest.raises(TrainingError, match="Expected no other process at work on .*/run, but got one"):
                work()
        assert open_run(run.folder, unfinished=True).identity == run.identity
    with run_lock(run.folder), run_lock(run.folder, wait=True):
        pass
    with pytest.raises(TrainingError, match="its training was interrupted; continue it"):
        open_run(run.folder)


@pytest.mark.parametrize("name", ["resume", "epochs", "predictions"])
def test_a_run_is_not_written_through_a_link_among_its_folders(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path)
    with pytest.raises(WriteError, match=f"Expected a folder at .*/run/{name}, but got a symbolic link"):
        run_lock(tmp_path / "run").__enter__()
