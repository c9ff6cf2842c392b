"""Contract of the classical entries of MODELS. A new entry in the table is tested without further code."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.labelled import relabelled, tasks_named
from tests.models.spoken import SPACES, columns_of, lacking, spoken_videos

import mien
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import DamagedFileError, FeatureSpaceError, SettingsError, TrainingError, UsageError
from mien.models import MODELS, build_model
from mien.models.batch import InputKind
from mien.models.classical.base import ClassicalEntry, ClassicalSpec
from mien.models.classical.cdbn import CdbnSettings
from mien.models.classical.mkl_svm import MklSvmSettings
from mien.models.classical.mm_dictionary import MmDictionarySettings
from mien.schema import Modality
from mien.settings import override_several
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.tasks import EMOTION, EMOTION_INTENSITY, PAPER_TASKS, SENTIMENT, SENTIMENT_INTENSITY
from mien.training.predictor import load_predictor
from mien.training.train_settings import TrainSettings

ENTRIES = {name: entry for name, entry in MODELS.items() if isinstance(entry, ClassicalEntry)}
# It ignores its inputs, so tests of missing inputs do not apply to it.
BLIND = "majority"
SMALL = {
    "logistic": {"penalty": 0.01, "max_iterations": 50},
    "mkl-svm": {"landmarks": 17},
    "mm-dictionary": {"n_codewords": 11, "linear_penalty": 1.0},
    "cdbn": {"rbm_size": 11, "joint_size": 7, "rbm_passes": 5},
}
N_OUTPUTS = {SENTIMENT: 1, EMOTION: 7, SENTIMENT_INTENSITY: 1, EMOTION_INTENSITY: 6}
RANGES = {SENTIMENT: (0, 1), EMOTION: (0, 1), SENTIMENT_INTENSITY: (-3, 3), EMOTION_INTENSITY: (0, 3)}
CASES = [
    pytest.param(name, inputs, tasks, id=f"{name}-{'+'.join(inputs)}-{'+'.join(tasks)}")
    for name, entry in ENTRIES.items()
    for size in (1, 2, 3)
    for inputs in itertools.combinations(entry.modalities, size)
    for tasks in ((SENTIMENT,), (EMOTION,), (SENTIMENT, EMOTION))
]
CASES += [
    pytest.param(name, entry.modalities, tasks, id=f"{name}-all-{'+'.join(tasks)}")
    for name, entry in ENTRIES.items()
    for tasks in ((SENTIMENT_INTENSITY,), (EMOTION_INTENSITY,), tuple(PAPER_TASKS))
    if set(tasks) <= set(entry.claimed(PAPER_TASKS))
]
TRAIN, VALID, OTHER = (columns_of(spoken_videos(n, seed)) for n, seed in ((12, 0), (6, 1), (5, 2)))


def spec_of(name, inputs, tasks, seed=0):
    (settings,) = override_several([ENTRIES[name].settings], SMALL.get(name, {}))
    return ClassicalSpec(inputs, tasks_named(tasks), settings, seed)


def fitted(name, spec, train_columns=TRAIN):
    tensors = ENTRIES[name].fit(train_columns, VALID, spec)
    return tensors, lambda columns: ENTRIES[name].probabilities(tensors, columns, spec)


def values(probabilities):
    return list(probabilities.values())


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_one_probability_per_output_and_none_without_the_task(name, inputs, tasks):
    _, predict = fitted(name, spec_of(name, inputs, tasks))
    said = predict(OTHER)
    assert {task: values.shape for task, values in said.items()} == {
        task: (OTHER.n_utterances, N_OUTPUTS[task]) for task in tasks
    }
    for task, each in said.items():
        lowest, highest = RANGES[task]
        assert ((each >= lowest) & (each <= highest)).all()


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_stored_tensors_give_equal_outputs(name, inputs, tasks, tmp_path):
    spec = spec_of(name, inputs, tasks)
    tensors, predict = fitted(name, spec)
    save_file({key: torch.from_numpy(np.ascontiguousarray(each)) for key, each in tensors.items()}, tmp_path / "t")
    restored = {key: each.numpy() for key, each in load_file(tmp_path / "t").items()}
    again = ENTRIES[name].probabilities(restored, OTHER, spec)
    for mine, its in zip(values(predict(OTHER)), values(again), strict=True):
        assert np.array_equal(mine, its)


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_a_seed_gives_the_same_bits(name, inputs, tasks):
    spec = spec_of(name, inputs, tasks)
    first, second = fitted(name, spec)[0], fitted(name, spec)[0]
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_predictions_do_not_depend_on_the_order_or_company_of_videos(name, inputs, tasks):
    _, predict = fitted(name, spec_of(name, inputs, tasks))
    together = predict(OTHER)
    videos = spoken_videos(5, 2)
    backwards = predict(columns_of(videos[::-1]))
    apart = [predict(columns_of([video])) for video in videos]
    starts = np.cumsum([0, *OTHER.lengths[::-1]])[:-1]
    for number, each in enumerate(values(together)):
        pieces = np.split(each, OTHER.offsets[1:-1])
        for piece, alone in zip(pieces, apart, strict=True):
            np.testing.assert_allclose(values(alone)[number], piece, atol=1e-10)
        for piece, start in zip(pieces[::-1], starts, strict=True):
            np.testing.assert_allclose(values(backwards)[number][start : start + len(piece)], piece, atol=1e-10)


@pytest.mark.parametrize(("name", "inputs", "tasks"), [case for case in CASES if case.values[0] != BLIND])
def test_what_stands_in_a_missing_modality_does_not_matter_and_that_it_is_missing_does(name, inputs, tasks):
    _, predict = fitted(name, spec_of(name, inputs, tasks))
    whole = values(predict(OTHER))
    for modality in inputs:
        without = values(predict(lacking(OTHER, modality, 3)))
        for mine, its, full in zip(without, values(predict(lacking(OTHER, modality, 3, 17.0))), whole, strict=True):
            np.testing.assert_allclose(mine, its, atol=1e-10)
            assert np.abs(mine[3] - full[3]).max() > 1e-4
            np.testing.assert_allclose(np.delete(mine, 3, axis=0), np.delete(full, 3, axis=0), atol=1e-10)


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_train_and_other_utterances_may_lack_anything(name, inputs, tasks):
    sparse = TRAIN
    for utterance in range(0, TRAIN.n_utterances, 3):
        sparse = lacking(sparse, inputs[utterance % len(inputs)], utterance, 1e6)
    spec = spec_of(name, inputs, tasks)
    tensors, predict = fitted(name, spec, sparse)
    assert all(np.isfinite(each).all() for each in tensors.values())
    refilled = TRAIN
    for utterance in range(0, TRAIN.n_utterances, 3):
        refilled = lacking(refilled, inputs[utterance % len(inputs)], utterance, -3.0)
    again, _ = fitted(name, spec, refilled)
    assert all(np.array_equal(tensors[key], again[key]) for key in tensors)
    nothing = OTHER
    for modality in inputs:
        nothing = nothing.without(modality)
    for each in values(predict(nothing)):
        assert np.isfinite(each).all()
        # all utterances have equal inputs now
        assert np.ptp(each, axis=0).max() < 1e-12


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_labels_of_one_class_and_missing_ones_are_no_obstacle(name, inputs, tasks):
    sentiment = np.full(TRAIN.n_utterances, np.nan)
    sentiment[:5] = 1.0
    emotions = np.zeros((TRAIN.n_utterances, 6))
    emotions[::2] = np.nan
    tensors, predict = fitted(
        name, spec_of(name, inputs, tasks), relabelled(TRAIN, sentiment=sentiment, emotions=emotions)
    )
    assert all(np.isfinite(each).all() for each in tensors.values())
    assert all(np.isfinite(each).all() for each in values(predict(OTHER)))


@pytest.mark.parametrize("name", [name for name in ENTRIES if name not in (BLIND, "cdbn")])
def test_it_learns_what_each_modality_shows(name):
    """Each modality shows one sign; sentiment is the sign of the majority. The majority baseline cannot learn it."""
    entry = ENTRIES[name]
    train_columns = columns_of(spoken_videos(60, 3))
    spec = ClassicalSpec(entry.modalities, tasks_named(entry.claimed(PAPER_TASKS)), entry.settings)
    tensors = entry.fit(train_columns, columns_of(spoken_videos(30, 4)), spec)
    unseen = columns_of(spoken_videos(40, 5))
    scored = ~np.isnan(unseen.sentiment)
    said = entry.probabilities(tensors, unseen, spec)[SENTIMENT][:, 0] >= 0.5
    assert np.mean(said[scored] == (unseen.sentiment[scored] >= 0)) > 0.8


@pytest.mark.parametrize("name", ENTRIES)
def test_settings_are_frozen_and_share_no_name_with_the_loops(name):
    entry = ENTRIES[name]
    assert dataclasses.fields(entry.settings) or name == BLIND
    for field in dataclasses.fields(entry.settings):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(entry.settings, field.name, 1)
        with pytest.raises(ValueError, match=f"Expected {field.name}"):
            dataclasses.replace(entry.settings, **{field.name: -1})
    assert not set(vars(entry.settings)) & set(vars(TrainSettings()))
    assert not entry.training
    assert entry.citation


@pytest.mark.parametrize("name", ENTRIES)
def test_it_is_no_network(name):
    with pytest.raises(UsageError, match="fitted once"):
        build_model(name, {Modality.VISUAL: 3}, tasks_named([SENTIMENT]))


# --- as a run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    videos = [
        *spoken_videos(14, 0, "train"),
        *spoken_videos(7, 1, "valid"),
        *spoken_videos(7, 2, "test"),
    ]
    return write_dataset(tmp_path_factory.mktemp("spoken") / "data", videos, DatasetFacts("spoken", SPACES))


@pytest.fixture(scope="module")
def runs(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {name: train(dataset, folder / name, TrainRequest(name, settings=SMALL.get(name, {}))) for name in ENTRIES}


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("protocol", ["clean", "fixed", "released"])
def test_a_finished_run_is_evaluated_like_any_other(runs, name, protocol):
    (scored,) = mien.evaluate([runs[name].folder], protocol=protocol, n_resamples=0).summary["runs"]
    assert (scored["model"], scored["n_videos"]) == (name, 7)
    assert 0 <= scored["sentiment"]["accuracy_has0"] <= 1
    assert 0 <= scored["emotion"]["weighted_accuracy_mean6"] <= 1


@pytest.mark.parametrize("name", ENTRIES)
def test_a_run_tells_what_a_networks_run_tells(runs, name):
    run = runs[name]
    (record,) = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    best = mien.evaluate([run.folder], split="valid", n_resamples=0).summary["mean"]
    areas = [row["roc_auc"] for row in best["emotion"]["per_emotion"].values() if row["roc_auc"] is not None]
    expected = np.mean([best["sentiment"]["roc_auc"], np.nanmean(areas)])
    assert record["epoch"] == 1
    assert record["valid_score"] == run.outcome["valid_score"] == pytest.approx(expected)
    assert run.settings["training"] == {}
    assert run.outcome["n_parameters"] == sum(
        each.numel() for each in load_file(run.folder / "model.safetensors").values()
    )
    assert run.outcome["chosen_epoch"] == run.outcome["epochs_run"] == 1
    chosen = (run.folder / "epochs/0001.safetensors").read_bytes()
    assert chosen == (run.folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ENTRIES)
def test_killed_at_any_moment_and_resumed_it_ends_in_the_same_bits(runs, dataset, tmp_path, name):
    def killed(_record):
        raise KeyboardInterrupt

    request = TrainRequest(name, settings=SMALL.get(name, {}))
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / "run", request, report=killed)
    with pytest.raises(TrainingError, match="--resume"):
        train(dataset, tmp_path / "run", request)
    (tmp_path / "run/model.safetensors").unlink()
    resumed = train(dataset, tmp_path / "run", request, resume=True)
    assert resumed.sha256 == runs[name].sha256
    seen = []
    assert train(dataset, tmp_path / "run", request, resume=True, report=seen.append).sha256 == resumed.sha256
    assert seen == []


@pytest.mark.parametrize("name", ENTRIES)
def test_a_setting_of_the_loop_is_refused_with_the_reason(dataset, tmp_path, name):
    with pytest.raises(SettingsError, match=f"none of the settings epochs, because {name} is fitted once"):
        train(dataset, tmp_path / "run", TrainRequest(name, settings={"epochs": 5}))
    with pytest.raises(SettingsError, match="known setting, but got 'gru_sise'"):
        train(dataset, tmp_path / "run", TrainRequest(name, settings={"gru_sise": 5}))
    assert not (tmp_path / "run").exists()


def test_an_input_that_a_system_does_not_claim_is_refused_before_anything_is_written(dataset, tmp_path):
    with pytest.raises(UsageError, match="inputs among acoustic, visual"):
        train(dataset, tmp_path / "run", TrainRequest("cdbn", inputs=(Modality.TEXT,)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ENTRIES)
def test_the_predictor_has_nothing_to_show_and_refuses_other_features(runs, name):
    predictor = load_predictor(runs[name])
    assert (predictor.input_kind is InputKind.WORDS) == (name == "mm-dictionary")
    assert predictor.attention(OTHER) == {video: {} for video in OTHER.video_ids}
    assert predictor.fusion(OTHER) == {}
    others = {m: dataclasses.replace(space, name="else") for m, space in SPACES.items()}
    with pytest.raises(FeatureSpaceError):
        predictor.predict(dataclasses.replace(OTHER, spaces=others))


@pytest.mark.parametrize("name", ENTRIES)
def test_arrays_of_another_system_are_refused(runs, name):
    predictor = load_predictor(runs[name])
    with pytest.raises(DamagedFileError, match="train it again"):
        dataclasses.replace(predictor, tensors={"else": np.zeros(3)}).predict(OTHER)


def test_default_cdbn_settings():
    assert dataclasses.asdict(CdbnSettings()) == {
        "rbm_size": 100,
        "rbm_layers": 2,
        "joint_size": 100,
        "rbm_passes": 10,
        "rbm_learning_rate": 0.05,
        "logistic_penalty": 0.01,
    }


def test_default_mkl_svm_settings():
    assert dataclasses.asdict(MklSvmSettings()) == {
        "selected_share": 0.75,
        "landmarks": 500,
        "gamma_factor": 1.0,
        "svm_penalty": 1.0,
    }


def test_default_mm_dictionary_settings():
    assert dataclasses.asdict(MmDictionarySettings()) == {"n_codewords": 300, "n_gestures": 4, "linear_penalty": 0.01}
