"""Every system against every planted rule: those that should learn it do, those that cannot do not."""

from __future__ import annotations

import dataclasses

import pytest
from tests.commands.expectations import ALIGNMENT, CHANCE, CONTEXT, CONTEXT_FUSION, EXPECTATIONS, FUSION, LEARNED, TEXT

from mien.commands.evaluate import evaluate
from mien.commands.import_ import ImportOptions, import_dataset
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.models import MODELS
from mien.models.classical.base import ClassicalEntry
from mien.readers.planted import RULES
from mien.tasks import SENTIMENT

N_VIDEOS = 400
# Enough for a system that can; a product that only attention or a gate makes takes longer.
EPOCHS = {TEXT: 3, FUSION: 8, CONTEXT: 10, CONTEXT_FUSION: 14, ALIGNMENT: 16}
SLOW_EPOCHS = {FUSION: 30, CONTEXT_FUSION: 40}
SLOW = ("cim", "mmmu-ba", "vqa-attention")
# What a system cannot tell by its architecture it does not tell after few epochs either.
IN_VAIN_EPOCHS = 4
MOST_UNITS = 32

LONG = [(name, CONTEXT_FUSION) for name in EXPECTATIONS] + [("vqa-attention", FUSION)]
LEARNS = [
    pytest.param(name, rule, marks=[pytest.mark.exhaustive] if (name, rule) in LONG else [])
    for name, each in EXPECTATIONS.items()
    for rule in each.learns
]
CANNOT = [(name, rule) for name, each in EXPECTATIONS.items() for rule in each.cannot]

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Rule -> Dataset."""
    folder = tmp_path_factory.mktemp("planted")
    mapping = {"videos": str(N_VIDEOS)}
    return {
        rule: import_dataset("planted", [], folder / rule, ImportOptions(mapping=mapping | {"rule": rule}))
        for rule in RULES
    }


def quick(name, epochs):
    """Small and without much dropout: the rules need neither width nor regularisation."""
    entry = MODELS[name]
    if isinstance(entry, ClassicalEntry):
        return {}
    own = dataclasses.asdict(entry.settings)
    chosen = {key: min(value, MOST_UNITS) for key, value in own.items() if key.endswith("_size")}
    chosen |= {key: 0.1 for key in own if key.endswith("dropout")}
    if "activation" in own:
        chosen["activation"] = "tanh"
    if "encoder" in own:
        chosen |= {"encoder": "none", "modality_dropout": 0.0}
    if "padded_length" in own:
        chosen["padded_length"] = 6
    loop = {"epochs": epochs, "patience": None, "learning_rate": 3e-3, "keep_epochs": False}
    return chosen | loop | {"batch_videos": 8 if name in SLOW else 16}


def accuracy(dataset, name, epochs, folder):
    request = TrainRequest(model=name, tasks=(SENTIMENT,), settings=quick(name, epochs))
    train(dataset, folder / "run", request)
    return evaluate([folder / "run"], n_resamples=0).summary["mean"]["sentiment"]["accuracy_has0"]


def test_every_system_has_an_expectation():
    assert set(EXPECTATIONS) == set(MODELS), "a new system needs its line in tests/workflows/expectations.py"
    for name, each in EXPECTATIONS.items():
        assert set(each.learns) | set(each.cannot) <= set(RULES), name
        assert not set(each.learns) & set(each.cannot), name
        assert each.why, name


@slow
@pytest.mark.parametrize(("name", "rule"), LEARNS)
def test_a_system_learns_what_it_can(planted, tmp_path, name, rule):
    epochs = SLOW_EPOCHS.get(rule, EPOCHS[rule]) if name in SLOW else EPOCHS[rule]
    assert accuracy(planted[rule], name, epochs, tmp_path) >= LEARNED


@slow
@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "rule"), CANNOT)
def test_a_system_does_not_learn_what_it_cannot(planted, tmp_path, name, rule):
    assert accuracy(planted[rule], name, IN_VAIN_EPOCHS, tmp_path) < CHANCE
