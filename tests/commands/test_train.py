"""Training as a user meets it: reproducible, resumable, and honest about what it cannot do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from tests.kills import kill_at_random, mien_command, seconds_of
from tests.planted import QUICK, write_planted

import mien
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import (
    DamagedFileError,
    DataError,
    FeatureSpaceError,
    SettingsError,
    TrainingError,
    UnknownNameError,
    UsageError,
)
from mien.labels import paper_labels
from mien.models import model_entry
from mien.pretrained import sha256_of
from mien.schema import Modality
from mien.storage.dataset import open_dataset, write_dataset
from mien.storage.predictions import read_predictions
from mien.storage.runs import open_run, run_lock
from mien.tasks import EMOTION, EMOTION_INTENSITY, SENTIMENT

REQUEST = TrainRequest(settings=QUICK)


def bits(run):
    """All that a run's future depends on."""
    return {name: sha for name, sha in run.sha256.items() if name != "run.json"}


def test_a_seed_gives_the_same_bits_and_another_seed_others(planted, tmp_path):
    first = train(planted, tmp_path / "a", REQUEST)
    assert bits(first) == bits(train(planted, tmp_path / "b", REQUEST))
    assert bits(first) != bits(train(planted, tmp_path / "c", replace(REQUEST, seed=1)))
    assert [json.loads(line)["epoch"] for line in (tmp_path / "a/history.jsonl").read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("select_by", ["roc_auc", "loss"])
def test_the_chosen_epoch_is_the_best_on_validation(planted, tmp_path, select_by):
    settings = QUICK | {"epochs": 6, "learning_rate": 0.05, "select_by": select_by}
    run = train(planted, tmp_path / "run", TrainRequest(settings=settings))
    history = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    scores = [record["valid_score"] for record in history]
    assert run.outcome["chosen_epoch"] == 1 + int(np.argmax(scores))
    assert run.outcome["valid_score"] == max(scores)
    best = mien.evaluate([run.folder], split="valid", n_resamples=0).summary["mean"]
    areas = [best["sentiment"]["roc_auc"]]
    areas.append(np.mean([row["roc_auc"] for row in best["emotion"]["per_emotion"].values()]))
    expected = np.mean(areas) if select_by == "roc_auc" else -min(record["valid_loss"] for record in history)
    assert max(scores) == pytest.approx(expected, abs=1e-6)
    chosen = run.folder / f"epochs/{run.outcome['chosen_epoch']:04d}.safetensors"
    assert sha256_of(chosen) == sha256_of(run.folder / "model.safetensors")


def test_patience_stops_early(planted, tmp_path):
    settings = QUICK | {"epochs": 50, "patience": 2, "learning_rate": 0.1}
    run = train(planted, tmp_path / "run", TrainRequest(settings=settings))
    assert run.outcome["epochs_run"] == run.outcome["chosen_epoch"] + 2 < 50


def test_test_labels_and_features_cannot_change_what_is_learned(planted, tmp_path):
    def with_spoiled_test():
        for video in planted.videos():
            if video.split == "test":
                for utterance in video.utterances:
                    utterance.labels |= paper_labels(-utterance.sentiment)
                    utterance.features[Modality.TEXT] = utterance.features[Modality.TEXT] + 5
            yield video

    spoiled = write_dataset(tmp_path / "spoiled", with_spoiled_test(), planted.facts)
    assert spoiled.fingerprint != planted.fingerprint
    assert bits(train(planted, tmp_path / "a", REQUEST)) == bits(train(spoiled, tmp_path / "b", REQUEST))


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [1, pytest.param(10, marks=pytest.mark.exhaustive)])
def test_killed_at_random_moments_and_resumed_it_ends_in_the_same_bits(planted, tmp_path, n_kills):
    settings = {**QUICK, "epochs": 25, "gru_size": 29}
    options = ["--resume", *(part for key, value in settings.items() for part in ("--set", f"{key}={value}".lower()))]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole_s = seconds_of(mien_command("train", planted.folder, "--out", whole, *options))
    command = mien_command("train", planted.folder, "--out", killed, *options)
    kill_at_random(command, n_kills, whole_s, start_over=lambda: shutil.rmtree(killed))
    assert bits(open_run(killed)) == bits(open_run(whole))
    assert files_of(killed) == files_of(whole)


def files_of(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_an_interrupt_between_epochs_loses_nothing(planted, tmp_path):
    class StopError(Exception):
        pass

    def stop_after_two(record):
        if record["epoch"] == 2:
            raise StopError

    with pytest.raises(StopError):
        train(planted, tmp_path / "run", REQUEST, report=stop_after_two)
    with pytest.raises(TrainingError, match="continue it: mien train .* --resume"):
        open_run(tmp_path / "run")
    seen = []
    resumed = train(planted, tmp_path / "run", REQUEST, resume=True, report=lambda record: seen.append(record["epoch"]))
    assert seen == [3]
    assert bits(resumed) == bits(train(planted, tmp_path / "whole", REQUEST))
    assert not (tmp_path / "run/resume").exists()


def test_an_existing_run_is_never_overwritten(planted, tmp_path):
    run = train(planted, tmp_path / "run", REQUEST)
    with pytest.raises(TrainingError, match=r"to be new, but got a run \(finished\); add --resume"):
        train(planted, tmp_path / "run", REQUEST)
    assert train(planted, tmp_path / "run", REQUEST, resume=True).sha256 == run.sha256
    with pytest.raises(TrainingError, match="Expected the seed, settings that the run"):
        train(planted, tmp_path / "run", TrainRequest(seed=5, settings=QUICK | {"epochs": 4}), resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("years of work")
    for out in ("other", "other/thesis.tex"):
        with pytest.raises(TrainingError, match="a folder with other files"):
            train(planted, tmp_path / out, REQUEST)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_files_of_the_user_and_of_links_outlive_a_training(planted, tmp_path):
    out, victim = tmp_path / "run", tmp_path / "victim"
    with pytest.raises(ZeroDivisionError):
        train(planted, out, REQUEST, report=lambda _: 1 / 0)
    victim.write_text("years of work")
    (out / "settings.toml").unlink()  # as if killed before it was written
    users = [out / name for name in ("notes.txt", "resume/notes.txt", "epochs/mine.safetensors")]
    for path in users:
        path.write_text("years of work")
    links = [out / name for name in ("history.jsonl", "epochs/0002.safetensors", "model.safetensors", "decisions.json")]
    for path in links:
        path.unlink(missing_ok=True)
        path.symlink_to(victim)
    run = train(planted, out, REQUEST, resume=True)
    assert [path.read_text() for path in (victim, *users)] == ["years of work"] * 4
    assert not any(path.is_symlink() for path in links)
    assert bits(run) == bits(train(planted, tmp_path / "whole", REQUEST))
    assert (out / "settings.toml").read_text() == (tmp_path / "whole/settings.toml").read_text()


def test_two_trainings_of_one_run_at_once_are_refused_and_so_is_scoring_it(planted, tmp_path):
    out, refused = tmp_path / "run", []

    def meanwhile(_):
        with ThreadPoolExecutor(1) as pool:  # another thread is refused like another process
            again = partial(train, planted, out, REQUEST)
            for call in (again, partial(again, resume=True), partial(mien.evaluate, [out])):
                with pytest.raises(TrainingError, match="no other process at work on .*/run, but got one that trains"):
                    pool.submit(call).result()
                refused.append(call)

    train(planted, out, REQUEST, report=meanwhile)
    assert len(refused) == 3 * QUICK["epochs"]


def test_a_folder_in_use_is_refused_before_the_splits_are_read(planted, tmp_path, monkeypatch):
    with pytest.raises(ZeroDivisionError):
        train(planted, tmp_path / "run", REQUEST, report=lambda _: 1 / 0)
    monkeypatch.setattr("mien.commands.train.read_split", pytest.fail)
    with run_lock(tmp_path / "run"), ThreadPoolExecutor(1) as pool:
        again = pool.submit(train, planted, tmp_path / "run", REQUEST, resume=True)
        with pytest.raises(TrainingError, match="no other process at work on"):
            again.result()


@pytest.mark.parametrize(
    ("tasks", "chooser", "note"),
    [
        ((SENTIMENT,), "best loss on the valid split, where roc_auc is undefined", "the loss chose the epoch instead"),
        ((SENTIMENT, EMOTION), "best roc_auc on the valid split", "the other tasks chose the epoch instead"),
    ],
)
def test_a_valid_split_of_one_class_says_what_chose_the_epoch(planted, tmp_path, tasks, chooser, note):
    def positive_valid(video):
        for utterance in video.utterances:
            if video.split == "valid":
                utterance.labels["sentiment"] = np.array([1.0])

    dataset = rewritten(planted, tmp_path / "data", positive_valid)
    run = train(dataset, tmp_path / "run", replace(REQUEST, tasks=tasks))
    assert run.outcome["chosen_by"] == chooser
    # the first note is about the scale: these scores are -1 and 1
    _, text = run.outcome["notes"]
    assert text.startswith("ROC AUC of sentiment: undefined on the valid split, whose labels do not differ; ")
    assert note in text


def test_a_training_that_finds_no_space_goes_on_later(planted, tmp_path):
    code = """
        import resource, sys
        from mien.commands.train import train
        from mien.commands.train_plan import TrainRequest
        from mien.errors import WriteError
        def no_space(_):
            resource.setrlimit(resource.RLIMIT_FSIZE, (997, 997))
        try:
            train(sys.argv[1], sys.argv[2], TrainRequest(settings=eval(sys.argv[3])), report=no_space)
        except WriteError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), planted.folder, tmp_path / "run", repr(QUICK)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert re.match(r"Expected to write .*0002.safetensors, but got .*; what stood there before is unchanged", told)
    assert bits(train(planted, tmp_path / "run", REQUEST, resume=True)) == bits(
        train(planted, tmp_path / "whole", REQUEST)
    )


@pytest.mark.parametrize("tasks", [(SENTIMENT,), (EMOTION,)])
@pytest.mark.parametrize("inputs", [(Modality.VISUAL,), (Modality.TEXT, Modality.ACOUSTIC)])
def test_any_inputs_and_tasks(planted, tmp_path, inputs, tasks):
    run = train(planted, tmp_path / "run", TrainRequest(inputs=inputs, tasks=tasks, settings=QUICK))
    summary = mien.evaluate([run.folder], n_resamples=0).summary
    assert summary["runs"][0]["inputs"] == [str(each) for each in inputs]
    assert (summary["mean"]["sentiment"] is None) == (tasks == (EMOTION,))
    assert (summary["mean"]["emotion"] is None) == (tasks == (SENTIMENT,))


def test_settings_and_names_are_checked_all_at_once(planted, tmp_path):
    with pytest.raises(SettingsError) as caught:
        train(planted, tmp_path / "run", TrainRequest(settings={"epoch": 3, "gru_sise": 4, "learning_rate": "fast"}))
    message = str(caught.value)
    assert "got 'epoch'; did you mean 'epochs'?" in message
    assert "got 'gru_sise'; did you mean 'gru_size'?" in message
    assert "Expected learning_rate to be a number, but got 'fast'" in message
    with pytest.raises(SettingsError, match=r"Expected input_dropout in \[0, 1\), but got 1.5"):
        train(planted, tmp_path / "run", TrainRequest(settings={"input_dropout": 1.5}))
    with pytest.raises(UnknownNameError, match="did you mean 'cim'"):
        train(planted, tmp_path / "run", TrainRequest(model="cin"))
    assert not (tmp_path / "run").exists()


def rewritten(dataset, folder, change, **facts):
    def videos():
        for video in dataset.videos():
            change(video)
            yield video

    return write_dataset(folder, videos(), replace(dataset.facts, **facts))


def test_a_modality_that_is_not_there(planted, tmp_path):
    def drop_visual(video):
        for utterance in video.utterances:
            utterance.features.pop(Modality.VISUAL)

    empty = rewritten(planted, tmp_path / "empty", drop_visual)
    with pytest.raises(DataError, match=r"Expected some train utterances with visual features, but all \d+ lack them"):
        train(empty, tmp_path / "run", REQUEST)
    spaces = {m: s for m, s in planted.facts.spaces.items() if m is not Modality.VISUAL}
    without = rewritten(planted, tmp_path / "without", drop_visual, spaces=spaces)
    with pytest.raises(UsageError, match="Expected inputs among text, acoustic, .* but got visual"):
        train(without, tmp_path / "run", TrainRequest(inputs=(Modality.VISUAL,), settings=QUICK))


def test_splits_and_labels_that_are_not_there(planted, tmp_path):
    def no_valid(video):
        video.split = "train" if video.split == "valid" else video.split

    with pytest.raises(DataError, match=r"Expected train and valid splits .* but got train, test; .*--carve valid=0.1"):
        train(rewritten(planted, tmp_path / "novalid", no_valid), tmp_path / "run", REQUEST)

    def no_emotions(video):
        for utterance in video.utterances:
            utterance.labels.pop("emotion", None)

    unlabelled = rewritten(planted, tmp_path / "noemo", no_emotions)
    assert train(unlabelled, tmp_path / "run", REQUEST).tasks == (SENTIMENT,)
    with pytest.raises(DataError, match="Expected emotion labels in the train split .* but got none"):
        train(unlabelled, tmp_path / "run2", TrainRequest(tasks=(EMOTION,), settings=QUICK))


def test_a_task_that_the_model_does_not_have(planted, tmp_path):
    request = TrainRequest("mkl-svm", tasks=(SENTIMENT, EMOTION_INTENSITY))
    with pytest.raises(UsageError, match="tasks among sentiment, emotion for mkl-svm, but got emotion_intensity"):
        train(planted, tmp_path / "run", request)


def test_a_full_disk_while_training_says_so_and_the_run_goes_on_later(planted, tmp_path):
    # A file size limit refuses like a full disk, in the middle of a checkpoint.
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from mien.cli.app import main\n"
        "import mien.commands.train\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "main()"
    )
    settings = QUICK | {"gru_size": 31}
    command = ["train", str(planted.folder), "--out", str(tmp_path / "run"), "--resume"]
    command += [
        word for key, value in settings.items() for word in ("--set", f"{key}={'none' if value is None else value}")
    ]
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "mien: Expected to write" in done.stderr
    assert "Traceback" not in done.stderr
    resumed = train(planted, tmp_path / "run", TrainRequest(settings=settings), resume=True)
    assert bits(resumed) == bits(train(planted, tmp_path / "whole", TrainRequest(settings=settings)))


def test_a_valid_split_without_labels_cannot_choose(planted, tmp_path):
    def unlabelled_valid(video):
        for utterance in video.utterances:
            if video.split == "valid":
                utterance.labels.pop("emotion", None)

    dataset = rewritten(planted, tmp_path / "data", unlabelled_valid)
    with pytest.raises(DataError, match="Expected some emotion labels in the valid split, which chooses epoch"):
        train(dataset, tmp_path / "run", REQUEST)
    assert not (tmp_path / "run").exists(), "a refused training leaves nothing in the way of the corrected command"
    train(dataset, tmp_path / "run", replace(REQUEST, tasks=(SENTIMENT,)))


def test_features_of_another_space_are_refused_by_the_predictor_too(planted, tmp_path):
    other = write_planted(tmp_path / "other", 20, seed=3)
    predictor = mien.load_model(train(planted, tmp_path / "run", REQUEST).folder)
    with pytest.raises(FeatureSpaceError, match="Expected text planted-text .* but got text planted-text"):
        predictor.predict(other.columns("test"))


def test_the_attention_of_the_released_network_keeps_its_padded_slots(planted, tmp_path):
    settings = QUICK | {"padded_length": 13}
    run = train(planted, tmp_path / "run", TrainRequest(model="cim-released", settings=settings))
    columns = planted.columns("test")
    for weights in mien.load_model(run.folder).attention(columns).values():
        for matrix in weights.values():
            np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)


def test_partly_missing_modalities_and_labels_are_masked_not_invented(planted, tmp_path):
    rng = np.random.default_rng(0)

    def thin(video):
        for utterance in video.utterances:
            for modality in Modality:
                if rng.random() < 0.3:
                    utterance.features.pop(modality)
            if rng.random() < 0.3:
                utterance.labels.pop("sentiment", None)
            if rng.random() < 0.3:
                utterance.labels.pop("emotion", None)

    thinned = rewritten(planted, tmp_path / "thin", thin)
    columns = thinned.columns("test")
    assert np.isnan(columns.sentiment).any()
    run = train(thinned, tmp_path / "run", REQUEST)
    scored = mien.evaluate([run.folder], n_resamples=0).summary["runs"][0]
    assert scored["sentiment"]["n_scored"] == int((~np.isnan(columns.sentiment)).sum())


@pytest.mark.parametrize("name", ["model.safetensors", "decisions.json", "history.jsonl", "predictions/valid.parquet"])
def test_an_altered_or_cut_run_is_refused(planted, tmp_path, name):
    run = train(planted, tmp_path / "run", REQUEST)
    path = run.folder / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedFileError, match=f"{name} to have sha256"):
        open_run(run.folder)
    path.unlink()
    with pytest.raises(DamagedFileError, match="but got no such file"):
        open_run(run.folder)


@pytest.mark.parametrize(
    ("path", "value", "error", "message"),
    [
        ("feature_spaces text n_features", 0, DamagedFileError, "sizes of a network in .*run.json"),
        ("settings model dense_size", 2**63, DamagedFileError, "sizes of a network in .*run.json"),
        ("settings model dense_dropout", 10**400, SettingsError, "dense_dropout to be a number"),
        ("outcome train_majority sentiment_positive", -1, DamagedFileError, "the majority .* of sentiment"),
        ("outcome train_majority emotions", [2] * 7, DamagedFileError, "the majority .* of emotion"),
        ("dataset path", "x" * 5000, DataError, "the data set of .* at x+, but got nothing there"),
    ],
)
def test_values_that_no_run_has_are_refused(planted, tmp_path, path, value, error, message):
    run = train(planted, tmp_path / "run", REQUEST)
    card = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    *parents, key = path.split()
    entry = card
    for name in parents:
        entry = entry[name]
    assert key in entry
    entry[key] = value
    (run.folder / "run.json").write_text(json.dumps(card), encoding="utf-8")
    use = mien.load_model if "n_features" in path else partial(mien.evaluate, split="valid", n_resamples=0)
    with pytest.raises(error, match=message):
        use(run.folder)


def test_an_altered_epoch_is_refused_where_it_is_used(planted, tmp_path):
    run = train(planted, tmp_path / "run", REQUEST)
    path = run.folder / "epochs/0002.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    mien.evaluate([run.folder], n_resamples=0)
    with pytest.raises(DamagedFileError, match="0002.safetensors to have sha256"):
        mien.evaluate([run.folder], protocol="released")


def test_a_loss_that_explodes_says_so(planted, tmp_path):
    settings = QUICK | {"learning_rate": 1e30, "scale_features": False}
    with pytest.raises(TrainingError, match="Expected a finite validation loss, but got .* lower learning_rate"):
        train(planted, tmp_path / "run", TrainRequest(settings=settings))


@pytest.mark.parametrize("model", ["concat", "bc-lstm", "cat-lstm", "vqa-attention"])
def test_a_compared_system_is_read_back_with_its_own_settings(planted, tmp_path, model):
    sizes = {key: 3 for key in vars(model_entry(model).settings) if key.endswith("_size")}
    run = train(planted, tmp_path / "run", TrainRequest(model=model, settings={"epochs": 1} | sizes))
    columns = open_dataset(planted.folder).columns("valid")
    predictor = mien.load_model(run.folder)
    kept = read_predictions(run.folder / "predictions/valid.parquet")
    np.testing.assert_array_equal(predictor.predict(columns).outputs[SENTIMENT], kept.outputs[SENTIMENT])
    attended = any(predictor.attention(columns).values())
    assert attended == (model in ("cat-lstm", "vqa-attention"))
    shares = predictor.fusion(columns)
    assert set(shares) == (set(Modality) if model == "cat-lstm" else set())
    if shares:
        np.testing.assert_allclose(sum(shares.values()), 1, rtol=1e-5)


def test_the_public_functions_take_paths(planted, tmp_path):
    run = mien.train(str(planted.folder), str(tmp_path / "run"), REQUEST)
    predictor = mien.load_model(run.folder)
    columns = open_dataset(planted.folder).columns("test")
    attention = predictor.attention(columns)
    assert set(attention) == set(columns.video_ids)
    for name, length in zip(columns.video_ids, columns.lengths, strict=True):
        for weights in attention[name].values():
            assert weights.shape == (length, length)
            np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
