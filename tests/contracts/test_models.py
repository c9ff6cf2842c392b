"""Contract of the networks in MODELS. A new entry in the table is tested without further code."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from tests.labelled import tasks_named
from tests.models.batches import N_FEATURES, alone, drop, random_batch
from tests.models.tiny_encoder import tiny_encoder  # noqa: F401  (a fixture)

from mien.errors import UsageError
from mien.models import MODELS, ModelEntry, build_model, require_claimed
from mien.schema import Modality
from mien.settings import override, override_several
from mien.tasks import EMOTION, EMOTION_INTENSITY, PAPER_TASKS, SENTIMENT, SENTIMENT_INTENSITY
from mien.training.checkpoint import learned_weights, load_learned, load_weights, save_weights
from mien.training.train_settings import TrainSettings

pytestmark = pytest.mark.usefixtures("tiny_encoder")

NETWORKS = {name: entry for name, entry in MODELS.items() if isinstance(entry, ModelEntry)}
# `cim-tuned` is tested with a small encoder and with text features; tests/models tests it with the packaged encoder
NETWORKS["cim-tuned on features"] = NETWORKS["cim-tuned"]
CHANGES = {"cim-tuned": {"encoder": "tiny"}, "cim-tuned on features": {"encoder": "none"}}
JOINT = (SENTIMENT, EMOTION)
CASES = [
    pytest.param(name, inputs, JOINT, id=f"{name}-{'+'.join(inputs)}-{'+'.join(JOINT)}")
    for name, entry in NETWORKS.items()
    for size in (1, 2, 3)
    for inputs in itertools.combinations(entry.modalities, size)
]
# All heads use the same representation, so the other tasks are tested only with all inputs.
CASES += [
    pytest.param(name, entry.modalities, tasks, id=f"{name}-all-{'+'.join(tasks)}")
    for name, entry in NETWORKS.items()
    for tasks in (*((task,) for task in PAPER_TASKS), tuple(PAPER_TASKS))
]
N_LOGITS = {SENTIMENT: 2, EMOTION: 7, SENTIMENT_INTENSITY: 1, EMOTION_INTENSITY: 6}


def make(name, inputs, tasks, seed=0):
    torch.manual_seed(seed)
    settings = override(NETWORKS[name].settings, CHANGES.get(name, {}))
    return build_model(name.split()[0], {m: N_FEATURES[m] for m in inputs}, tasks_named(tasks), settings).eval()


def logits(outputs):
    """Return the logits of all heads."""
    return list(outputs.logits.values())


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_one_head_per_task_with_the_right_shape(name, inputs, tasks):
    outputs = make(name, inputs, tasks)(random_batch((5, 2, 3), inputs))
    assert {task: said.shape for task, said in outputs.logits.items()} == {
        task: (3, 5, N_LOGITS[task]) for task in tasks
    }


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_a_video_does_not_depend_on_the_videos_beside_it(name, inputs, tasks):
    network = make(name, inputs, tasks)
    batch = random_batch((5, 2, 3), inputs)
    together = network(batch)
    for video, length in enumerate(batch.lengths.tolist()):
        apart = network(alone(batch, video))
        for joint, single in zip(logits(together), logits(apart), strict=True):
            torch.testing.assert_close(joint[video, :length], single[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_gradients_reach_every_parameter(name, inputs, tasks):
    network = make(name, inputs, tasks)
    learned = {n: p for n, p in network.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter in learned.values():
            # One factor of an adapter is initially zero, which makes the gradient of the other factor zero.
            parameter.add_(0.01 * torch.randn_like(parameter))
    batch = random_batch((5, 2, 3), inputs)
    sum(each[batch.real].square().sum() for each in logits(network(batch))).backward()
    dead = [n for n, p in learned.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_saved_and_loaded_weights_give_equal_outputs(name, inputs, tasks, tmp_path):
    network, other = make(name, inputs, tasks, seed=0), make(name, inputs, tasks, seed=1)
    batch = random_batch((5, 2, 3), inputs)
    assert not torch.equal(logits(network(batch))[0], logits(other(batch))[0])
    save_weights(tmp_path / "weights.safetensors", learned_weights(network))
    load_learned(other, load_weights(tmp_path / "weights.safetensors")[0])
    for mine, its in zip(logits(network(batch)), logits(other(batch)), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_what_stands_in_a_missing_modality_does_not_matter_and_that_it_is_missing_does(name, inputs, tasks):
    network = make(name, inputs, tasks)
    whole = random_batch((5, 2, 3), inputs)
    lacking = network(drop(whole, inputs[0], video=0, utterance=1))
    for mine, its, full in zip(
        logits(lacking), logits(network(drop(whole, inputs[0], 0, 1, filler=17.0))), logits(network(whole)), strict=True
    ):
        torch.testing.assert_close(mine[whole.real], its[whole.real])
        assert not torch.allclose(mine[0, :5], full[0, :5], atol=1e-4)
        torch.testing.assert_close(mine[1:][whole.real[1:]], full[1:][whole.real[1:]])


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_a_video_without_one_modality_at_all_stays_finite(name, inputs, tasks):
    network = make(name, inputs, tasks)
    batch = random_batch((3, 2), inputs)
    for utterance in range(3):
        batch = drop(batch, inputs[0], video=0, utterance=utterance)
    outputs = network(batch)
    sum(each[batch.real].sum() for each in logits(outputs)).backward()
    assert all(torch.isfinite(each).all() for each in logits(outputs))
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize(("name", "inputs", "tasks"), CASES)
def test_dropout_is_the_only_thing_that_differs_while_training(name, inputs, tasks):
    network = make(name, inputs, tasks)
    batch = random_batch((5, 2, 3), inputs)
    calm = logits(network(batch))[0]
    network.train()
    torch.manual_seed(5)
    first = logits(network(batch))[0]
    torch.manual_seed(5)
    assert torch.equal(first, logits(network(batch))[0])
    assert not torch.equal(first, calm)


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_are_frozen_and_share_no_name_with_the_loops(name):
    entry = NETWORKS[name]
    with pytest.raises(AttributeError):
        entry.settings.gru_size = 1
    assert not set(vars(entry.settings)) & set(vars(TrainSettings()))
    override_several((entry.settings, TrainSettings()), entry.training)
    assert entry.citation


def test_the_training_settings_of_the_entries():
    """They are those of the papers' scripts, where these differ from the defaults of `TrainSettings`."""
    assert {name: dict(entry.training) for name, entry in MODELS.items() if getattr(entry, "training", {})} == {
        "cim-released": {"scale_features": False, "patience": None},
        "cim-tuned": {
            "epochs": 3,
            "patience": None,
            "batch_videos": 64,
            "batch_tokens": 1024,
            "encoder_learning_rate": 0.0005,
            "warmup": 0.1,
            "linear_decay": True,
            "threads": 2,
        },
        "ef-lstm": {"learning_rate": 0.005, "weight_decay": 0.0001},
        "mfn": {"learning_rate": 0.0005},
        "graph-mfn": {"learning_rate": 0.002},
        "mmmu-ba": {"batch_videos": 32, "epochs": 15, "patience": None},
        "bc-lstm": {"batch_videos": 10, "epochs": 200},
    }


def test_the_network_settings_of_the_entries():
    changed = {}
    for name, entry in MODELS.items():
        settings, defaults = dataclasses.asdict(entry.settings), dataclasses.asdict(type(entry.settings)())
        if settings != defaults:
            changed[name] = {key: value for key, value in settings.items() if value != defaults[key]}
    assert changed == {
        "cim-released": {"mask_padding": False},
        "concat": {"attention": False},
        "mmmu-ba": {
            "gru_size": 300,
            "activation": "tanh",
            "input_dropout": 0.5,
            "state_dropout": 0.7,
            "dense_dropout": 0.7,
        },
    }


def test_two_systems_are_experimental():
    assert {name for name, entry in MODELS.items() if entry.experimental} == {"cdbn", "vqa-attention"}


def test_inputs_and_tasks_must_be_claimed_and_there_must_be_one_input():
    require_claimed("cdbn", [Modality.VISUAL], tasks_named([SENTIMENT]))
    for inputs, tasks in (([], [SENTIMENT]), ([Modality.TEXT], [SENTIMENT]), ([Modality.VISUAL], [EMOTION_INTENSITY])):
        with pytest.raises(UsageError):
            require_claimed("cdbn", inputs, tasks_named(tasks))
