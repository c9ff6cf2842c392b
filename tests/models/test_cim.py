"""`cim` and `cim-released`: an independent computation, sizes of the paper, and the released treatment of padding."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, alone, drop, random_batch

from mien.errors import UnknownNameError, UsageError
from mien.models import build_model
from mien.models.batch import Batch
from mien.models.cim import Cim, CimSettings, fill_padding_as_released
from mien.schema import Modality

BOTH = (SENTIMENT, EMOTION)
SMALL = CimSettings(gru_size=5, dense_size=3, padded_length=7)
SETTINGS = {
    "masked": SMALL,
    "released": replace(SMALL, mask_padding=False),
    "without dense": replace(SMALL, dense_size=0),
    "without attention": replace(SMALL, attention=False),
    "tanh": replace(SMALL, activation="tanh"),
}
# which utterances of a video of nine lack which modality
GAPS = {
    "whole": {},
    "first and last": {Modality.TEXT: (0, 8)},
    "different": {Modality.TEXT: (3,), Modality.ACOUSTIC: (0, 1, 2), Modality.VISUAL: (8,)},
    "never": {Modality.VISUAL: tuple(range(9))},
    "nothing at all": {m: tuple(range(9)) for m in Modality},
}


def numpy_gru(weights: dict[str, np.ndarray], rows: np.ndarray, suffix: str) -> np.ndarray:
    """One direction of a GRU by its equations (Cho et al. 2014, with torch's second bias), (utterance, state)."""

    def sigmoid(value: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-value))

    w, u = weights[f"weight_ih_l0{suffix}"], weights[f"weight_hh_l0{suffix}"]
    b, c = weights[f"bias_ih_l0{suffix}"], weights[f"bias_hh_l0{suffix}"]
    size = u.shape[1]
    state, states = np.zeros(size), []
    for row in rows:
        gates_x, gates_h = w @ row + b, u @ state + c
        reset = sigmoid(gates_x[:size] + gates_h[:size])
        update = sigmoid(gates_x[size : 2 * size] + gates_h[size : 2 * size])
        candidate = np.tanh(gates_x[2 * size :] + reset * gates_h[2 * size :])
        state = (1 - update) * candidate + update * state
        states.append(state)
    return np.stack(states)


def numpy_softmax(scores: np.ndarray) -> np.ndarray:
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def numpy_cim(network: Cim, rows: dict[Modality, np.ndarray]) -> dict[str, np.ndarray]:
    """Algorithm 1 for one video, written from the paper with numpy alone. rows: (utterance, feature)."""
    states = {}
    for modality, matrix in rows.items():
        weights = {name: p.detach().numpy() for name, p in network.grus[modality].named_parameters()}
        both = [numpy_gru(weights, matrix, ""), numpy_gru(weights, matrix[::-1], "_reverse")[::-1]]
        dense = network.dense[modality]
        states[modality] = np.maximum(
            np.concatenate(both, axis=1) @ dense.weight.detach().numpy().T + dense.bias.detach().numpy(), 0
        )
    blocks = []
    names = list(states)
    pairs = [(x, y) for number, x in enumerate(names) for y in names[number + 1 :]]
    for x, y in pairs:
        a, b = states[x], states[y]
        blocks += [(numpy_softmax(a @ b.T) @ b) * a, (numpy_softmax(b @ a.T) @ a) * b]
    if not pairs:
        (only,) = states.values()
        blocks = [(numpy_softmax(only @ only.T) @ only) * only]
    rep = np.concatenate([*blocks, *states.values()], axis=1)
    heads = {name: (h.weight.detach().numpy(), h.bias.detach().numpy()) for name, h in network.heads.items()}
    return {name: rep @ weight.T + bias for name, (weight, bias) in heads.items()}


@pytest.mark.parametrize("fast", ["0", "1"])
@pytest.mark.parametrize(
    "modalities",
    [
        (Modality.TEXT,),
        (Modality.TEXT, Modality.VISUAL),
        (Modality.TEXT, Modality.ACOUSTIC, Modality.VISUAL),
    ],
    ids="+".join,
)
def test_equals_algorithm_1_written_in_numpy(modalities, fast, monkeypatch):
    monkeypatch.setenv("MIEN_FAST", fast)
    torch.manual_seed(3)
    settings = CimSettings(gru_size=3, dense_size=2)
    network = Cim({m: N_FEATURES[m] for m in modalities}, BOTH, settings).double().eval()
    batch = random_batch((5, 2, 3), modalities, dtype=torch.float64)
    outputs = network(batch)
    for video, length in enumerate(batch.lengths.tolist()):
        expected = numpy_cim(network, {m: batch.features[m][video, :length].numpy() for m in modalities})
        for task, logits in outputs.logits.items():
            np.testing.assert_allclose(logits[video, :length].detach(), expected[task], atol=1e-12)


@pytest.mark.parametrize("gaps", GAPS.values(), ids=GAPS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_plain_form_and_the_fast_one_are_equal(settings, gaps, monkeypatch):
    for size in (1, 2, 3):
        for inputs in itertools.combinations(Modality, size):
            torch.manual_seed(0)
            network = build_model("cim", {m: N_FEATURES[m] for m in inputs}, BOTH, settings).double().eval()
            batch = random_batch((9, 4), inputs, dtype=torch.float64)
            for modality in set(gaps) & set(inputs):
                for utterance in gaps[modality]:
                    batch = drop(batch, modality, 0, utterance)
            found = {}
            for fast in ("0", "1"):
                monkeypatch.setenv("MIEN_FAST", fast)
                outputs = network(batch)
                logits = tuple(outputs.logits.values())
                total = sum(each.square().sum() for each in (*logits, *outputs.attention.values()))
                gradients = torch.autograd.grad(total, list(network.parameters()))
                found[fast] = [*logits, *outputs.attention.values(), *gradients], list(outputs.attention)
            (plain, names), (quick, other_names) = found.values()
            assert names == other_names
            for ours, theirs in zip(quick, plain, strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=0)


@pytest.mark.parametrize(
    ("sizes", "n_parameters"),
    [
        # the released script's sizes, with torch's second bias per gate; Keras has 3,600 fewer in three modalities
        ({Modality.TEXT: 300, Modality.ACOUSTIC: 74, Modality.VISUAL: 35}, 1_346_409),
        ({Modality.TEXT: 300, Modality.ACOUSTIC: 74}, 1_015_009 + 2_400),
        ({Modality.ACOUSTIC: 74, Modality.VISUAL: 35}, 697_009 + 2_400),
        ({Modality.TEXT: 300}, 643_109 + 1_200),
    ],
    ids=["three", "text+acoustic", "acoustic+visual", "text"],
)
def test_has_as_many_parameters_as_the_released_script(sizes, n_parameters):
    network = build_model("cim", sizes, BOTH)
    assert sum(p.numel() for p in network.parameters()) == n_parameters


def test_attention_weights_are_returned_in_both_directions_and_sum_to_one_over_the_video():
    batch = random_batch((5, 2))
    outputs = build_model("cim", N_FEATURES, BOTH).eval()(batch)
    assert set(outputs.attention) == {
        *("text->acoustic", "acoustic->text", "text->visual", "visual->text", "acoustic->visual", "visual->acoustic")
    }
    for weights in outputs.attention.values():
        assert weights.shape == (2, 5, 5)
        torch.testing.assert_close(weights[0].sum(-1), torch.ones(5))
        assert (weights[1, :, 2:] == 0).all()


def test_without_attention_the_representation_is_the_states_alone():
    settings = CimSettings(gru_size=3, dense_size=2, attention=False)
    network = Cim(N_FEATURES, BOTH, settings)
    assert network.heads["sentiment"].in_features == 3 * 2
    assert network(random_batch()).attention == {}


def test_without_dense_layer_the_gru_states_are_attended():
    network = Cim(N_FEATURES, (SENTIMENT,), CimSettings(gru_size=3, dense_size=0))
    assert network.heads["sentiment"].in_features == 9 * 6
    assert not list(network.dense.parameters())


def test_released_padding_takes_attention_but_not_from_the_batch():
    settings = CimSettings(gru_size=3, dense_size=2, mask_padding=False, padded_length=11)
    torch.manual_seed(0)
    network = Cim(N_FEATURES, BOTH, settings).eval()
    batch = random_batch((5, 2))
    together = network(batch)
    assert together.attention["text->visual"].shape == (2, 5, 11)
    torch.testing.assert_close(together.attention["text->visual"].sum(-1), torch.ones(2, 5))
    assert (together.attention["text->visual"][:, :, 5:] > 0).all()
    apart = network(alone(batch, 1))
    torch.testing.assert_close(together.logits[SENTIMENT.name][1, :2], apart.logits[SENTIMENT.name][0])
    masked = Cim(N_FEATURES, BOTH, CimSettings(gru_size=3, dense_size=2)).eval()
    masked.load_state_dict(network.state_dict())
    assert not torch.allclose(masked(batch).logits[SENTIMENT.name], together.logits[SENTIMENT.name], atol=1e-4)


def test_padding_as_released_repeats_the_last_forward_state_and_leaves_the_backward_half_zero():
    states = torch.arange(12.0).reshape(1, 3, 4)
    filled = fill_padding_as_released(states, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(filled[0, :2], states[0, :2])
    torch.testing.assert_close(filled[0, 2], torch.tensor([4.0, 5.0, 0.0, 0.0]))


def test_a_video_longer_than_the_padded_length_is_kept_whole():
    network = Cim(N_FEATURES, BOTH, CimSettings(gru_size=3, dense_size=2, mask_padding=False, padded_length=3))
    assert network(random_batch((5,))).logits[SENTIMENT.name].shape == (1, 5, 2)


def test_a_video_longer_than_the_padded_length_does_not_change_its_neighbours():
    torch.manual_seed(0)
    settings = CimSettings(gru_size=3, dense_size=2, mask_padding=False, padded_length=3)
    network = Cim(N_FEATURES, BOTH, settings).eval()
    batch = random_batch((7, 2))
    torch.testing.assert_close(
        network(batch).logits[SENTIMENT.name][1, :2],
        network(alone(batch, 1)).logits[SENTIMENT.name][0],
        atol=1e-6,
        rtol=1e-5,
    )


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'cim-released'"):
        build_model("cim-relesed", N_FEATURES, BOTH)
    with pytest.raises(UsageError, match="Expected at least one task, but got none"):
        build_model("cim", N_FEATURES, ())
    with pytest.raises(UsageError, match="no input"):
        build_model("cim", {}, BOTH)


def test_the_batch_is_left_as_it_was():
    batch = random_batch()
    before = {m: rows.clone() for m, rows in batch.features.items()}
    build_model("cim-released", N_FEATURES, BOTH)(Batch(batch.features, batch.present, batch.lengths, batch.real))
    assert all(torch.equal(batch.features[m], before[m]) for m in before)


def test_default_cim_settings():
    assert dataclasses.asdict(CimSettings()) == {
        "gru_size": 200,
        "dense_size": 100,
        "activation": "relu",
        "input_dropout": 0.3,
        "state_dropout": 0.3,
        "dense_dropout": 0.3,
        "mask_padding": True,
        "padded_length": 98,
        "attention": True,
    }
