"""`bc-lstm`, `cat-lstm`, `mmmu-ba`, `concat` and `vqa-attention` against separately written numpy, gaps included."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, alone, drop, random_batch
from tests.models.references import (
    array,
    dense,
    gru,
    lstm,
    masked_softmax_rows,
    over_present,
    sigmoid,
    softmax,
    videos_of,
)

from mien.models import MODELS, build_model, model_entry
from mien.models.baselines.bc_lstm import BcLstm, BcLstmSettings
from mien.models.baselines.cat_lstm import CatLstm, CatLstmSettings
from mien.models.baselines.vqa_attention import GatedTanh, VqaAttention, VqaAttentionSettings
from mien.models.batch import Batch
from mien.models.cim import Cim, CimSettings
from mien.models.layers import run_bidirectional
from mien.schema import Modality
from mien.settings import override

BOTH = (SENTIMENT, EMOTION)
T, A, V = Modality
THREE = (T, A, V)


def batch_with_gaps(modalities=THREE) -> Batch:
    """Three videos: one utterance lacks one modality, one lacks them all, one video has no text anywhere."""
    batch = random_batch((5, 2, 3), modalities, dtype=torch.float64)
    batch = drop(batch, modalities[-1], video=0, utterance=1, filler=9.0)
    for modality in modalities:
        batch = drop(batch, modality, video=0, utterance=3, filler=-4.0)
    for utterance in range(3):
        batch = drop(batch, modalities[0], video=2, utterance=utterance, filler=5.0)
    return batch


def make(kind, settings, modalities=THREE):
    torch.manual_seed(3)
    return kind({m: N_FEATURES[m] for m in modalities}, BOTH, settings).double().eval()


def assert_same_logits(outputs, video: int, network, representation: np.ndarray) -> None:
    n = len(representation)
    for task, logits in outputs.logits.items():
        expected = dense(network.heads[task], representation)
        np.testing.assert_allclose(array(logits[video, :n]), expected, atol=1e-12)


def numpy_encoder(encoder, recurrence, activation, rows, present):
    states = over_present(recurrence, encoder.rnn, rows, present)
    return activation(dense(encoder.dense, states)) * present[:, None]


def relu(value):
    return np.maximum(value, 0)


SUBSETS = pytest.mark.parametrize("modalities", [(A,), (T, V), THREE], ids="+".join)


@pytest.mark.parametrize("present", [[True] * 5, [True, False, True, True, False], [False] * 5])
def test_the_recurrence_with_an_lstm_is_its_equations_in_both_directions(present):
    torch.manual_seed(0)
    network = torch.nn.LSTM(4, 3, batch_first=True, bidirectional=True).double()
    rows, here = torch.randn(1, 5, 4, dtype=torch.float64), np.array(present)
    states = run_bidirectional(network, rows, torch.tensor([present]))
    np.testing.assert_allclose(array(states[0]), over_present(lstm, network, array(rows[0]), here), atol=1e-12)


@SUBSETS
def test_bc_lstm_is_two_levels_of_lstm(modalities):
    network = make(BcLstm, BcLstmSettings(lstm_size=3, unimodal_dense_size=2, fusion_dense_size=4), modalities)
    batch = batch_with_gaps(modalities)
    outputs = network(batch)
    for video, (rows, present) in enumerate(videos_of(batch)):
        level_1 = [numpy_encoder(network.unimodal[m], lstm, np.tanh, rows[m], present[m]) for m in modalities]
        representation = np.concatenate(level_1, axis=1)
        if len(modalities) > 1:
            anything = np.any(list(present.values()), axis=0)
            representation = numpy_encoder(network.fusion, lstm, relu, representation, anything)
        assert_same_logits(outputs, video, network, representation)


def numpy_at_fusion(network, rows, present):
    """ICDM 2017's AT-Fusion utterance by utterance: the fused features and the shares by modality."""
    n = len(next(iter(rows.values())))
    fused, shares = np.zeros((n, network.settings.dense_size)), {m: np.zeros(n) for m in rows}
    for i in range(n):
        here = [m for m in rows if present[m][i]]
        if not here:
            continue
        equal = np.stack([relu(dense(network.equal[m], rows[m][i])) for m in here])
        hidden = np.tanh(equal @ array(network.fusion_hidden.weight).T + array(network.fusion_hidden.bias))
        alpha = softmax(hidden @ array(network.fusion_score.weight)[0])
        fused[i] = alpha @ equal
        for m, share in zip(here, alpha, strict=True):
            shares[m][i] = share
    return fused, shares


def numpy_utterance_attention(network, states, present):
    """h*_i = tanh(W_p r_i + b + W_x h_i), r_i = sum_j softmax_j(tanh(h_i W h_j)) h_j, over present utterances."""
    bilinear = array(network.bilinear.weight).T  # as x W y
    n = len(states)
    representation, weights = np.zeros_like(states), np.zeros((n, n))
    here = np.flatnonzero(present)
    for i in here:
        weights[i, here] = softmax(np.array([np.tanh(states[i] @ bilinear @ states[j]) for j in here]))
        attended = sum(weights[i, j] * states[j] for j in here)
        from_attended = dense(network.from_attended, attended)
        representation[i] = np.tanh(from_attended + array(network.from_state.weight) @ states[i])
    return representation, weights


@pytest.mark.parametrize("utterance_attention", [True, False])
def test_cat_lstm_is_at_fusion_then_an_attentive_lstm(utterance_attention):
    settings = CatLstmSettings(dense_size=4, lstm_size=3, utterance_attention=utterance_attention)
    network = make(CatLstm, settings)
    batch = batch_with_gaps()
    outputs = network(batch)
    assert set(outputs.attention) == ({"fused->fused"} if utterance_attention else set())
    for video, (rows, present) in enumerate(videos_of(batch)):
        fused, shares = numpy_at_fusion(network, rows, present)
        anything = np.any(list(present.values()), axis=0)
        representation = over_present(lstm, network.lstm, fused, anything)
        n = len(representation)
        if utterance_attention:
            representation, weights = numpy_utterance_attention(network, representation, anything)
            shown = array(outputs.attention["fused->fused"][video, :n, :n])
            np.testing.assert_allclose(shown[anything], weights[anything], atol=1e-12)
        for m in THREE:
            np.testing.assert_allclose(array(outputs.fusion[m][video, :n]), shares[m], atol=1e-12)
        assert_same_logits(outputs, video, network, representation)


def test_cat_lstm_shares_sum_to_one_and_differ_which_the_scripts_softmax_over_one_value_could_not():
    outputs = make(CatLstm, CatLstmSettings())(random_batch((5, 2, 3), dtype=torch.float64))
    shares = torch.stack([outputs.fusion[m] for m in THREE])[:, 0]
    torch.testing.assert_close(shares.sum(dim=0), torch.ones(5, dtype=torch.float64))
    assert shares.std() > 1e-3


def test_cat_lstm_of_one_modality_has_no_shares_and_attends_under_its_name():
    network = make(CatLstm, CatLstmSettings(dense_size=4, lstm_size=3), (A,))
    batch = batch_with_gaps((A,))
    outputs = network(batch)
    assert outputs.fusion == {}
    assert set(outputs.attention) == {"acoustic->acoustic"}
    for video, (rows, present) in enumerate(videos_of(batch)):
        states = over_present(lstm, network.lstm, relu(dense(network.equal[A], rows[A])), present[A])
        assert_same_logits(outputs, video, network, numpy_utterance_attention(network, states, present[A])[0])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (BcLstm, BcLstmSettings(lstm_size=3, unimodal_dense_size=2, fusion_dense_size=4)),
        (CatLstm, CatLstmSettings(dense_size=4, lstm_size=3)),
    ],
    ids=["bc-lstm", "cat-lstm"],
)
def test_whole_videos_of_equal_length_do_not_mix(kind, settings):
    network, batch = make(kind, settings), random_batch((5, 5, 5), dtype=torch.float64)
    together = network(batch).logits
    for video in range(3):
        apart = network(alone(batch, video)).logits
        for task in BOTH:
            torch.testing.assert_close(together[task.name][video], apart[task.name][0])


def numpy_bi_modal_block(x, y, x_present, y_present):
    """EMNLP 2018's block: [A1, A2] of two modalities, attention among the utterances that have the modality."""
    n1, n2 = masked_softmax_rows(x @ y.T, y_present), masked_softmax_rows(y @ x.T, x_present)
    return np.concatenate([(n1 @ y) * x, (n2 @ x) * y], axis=1)


@SUBSETS
@pytest.mark.parametrize("name", ["mmmu-ba", "concat"])
def test_mmmu_ba_is_its_blocks_beside_the_states_and_concat_the_states_alone(name, modalities):
    settings = dataclasses.replace(model_entry(name).settings, gru_size=3, dense_size=2)
    activation = {"mmmu-ba": np.tanh, "concat": relu}[name]
    network = make(Cim, settings, modalities)
    batch = batch_with_gaps(modalities)
    outputs = network(batch)
    for video, (rows, present) in enumerate(videos_of(batch)):
        states = {}
        for m in modalities:
            encoded = over_present(gru, network.grus[m], rows[m], present[m])
            states[m] = activation(dense(network.dense[m], encoded)) * present[m][:, None]
        blocks = []
        if name == "mmmu-ba":
            pairs = [(T, A), (T, V), (A, V)] if len(modalities) == 3 else [modalities] if len(modalities) == 2 else []
            blocks = [numpy_bi_modal_block(states[x], states[y], present[x], present[y]) for x, y in pairs]
            if not pairs:
                (m,) = modalities
                blocks = [(masked_softmax_rows(states[m] @ states[m].T, present[m]) @ states[m]) * states[m]]
        assert_same_logits(outputs, video, network, np.concatenate([*blocks, *states.values()], axis=1))


def test_mmmu_ba_has_the_sizes_of_its_paper():
    settings = model_entry("mmmu-ba").settings
    assert (settings.gru_size, settings.dense_size, settings.activation) == (300, 100, "tanh")
    assert (settings.input_dropout, settings.state_dropout, settings.dense_dropout) == (0.5, 0.7, 0.7)
    network = build_model("mmmu-ba", N_FEATURES, (SENTIMENT,))
    assert network.heads["sentiment"].in_features == 900
    assert dict(model_entry("mmmu-ba").training) == {"batch_videos": 32, "epochs": 15, "patience": None}


def numpy_gated_tanh(layer: GatedTanh, rows):
    return np.tanh(dense(layer.value, rows)) * sigmoid(dense(layer.gate, rows))


def numpy_question_attention(layer, question, regions, question_present, regions_present):
    """s_ij = w^T f([v_j; q_i]), alpha = softmax over j, v^ = sum alpha v_j, h = f_q(q) * f_v(v^); pair by pair."""
    size = question.shape[1]
    # the columns of W and W' of f: those for v stand in region_to_hidden, those for q in question_to_hidden
    both = np.concatenate([array(layer.region_to_hidden.weight), array(layer.question_to_hidden.weight)], axis=1)
    bias = array(layer.region_to_hidden.bias)
    scores = np.empty((len(question), len(regions)))
    for i, q in enumerate(question):
        for j, v in enumerate(regions):
            value, gate = np.split(both @ np.concatenate([v, q]) + bias, [size])
            scores[i, j] = array(layer.score.weight)[0] @ (np.tanh(value) * sigmoid(gate))
    weights = masked_softmax_rows(scores, regions_present)
    joint = numpy_gated_tanh(layer.question, question) * numpy_gated_tanh(layer.answer, weights @ regions)
    return joint * question_present[:, None] * regions_present.any(), weights


@SUBSETS
def test_vqa_attention_is_additive_gated_and_goes_one_way(modalities):
    network = make(VqaAttention, VqaAttentionSettings(gru_size=3, dense_size=2), modalities)
    batch = batch_with_gaps(modalities)
    outputs = network(batch)
    pairs = {1: [(A, A)], 2: [(T, V)], 3: [(T, A), (T, V), (A, V)]}[len(modalities)]
    assert set(outputs.attention) == {f"{asks}->{answers}" for asks, answers in pairs}
    for video, (rows, present) in enumerate(videos_of(batch)):
        states = {m: numpy_encoder(network.encoders[m], gru, relu, rows[m], present[m]) for m in modalities}
        joints = []
        for layer, (asks, answers) in zip(network.attentions, pairs, strict=True):
            joint, weights = numpy_question_attention(
                layer, states[asks], states[answers], present[asks], present[answers]
            )
            joints.append(joint)
            n = len(joint)
            shown = outputs.attention[f"{asks}->{answers}"][video, :n, :n]
            np.testing.assert_allclose(array(shown), weights, atol=1e-12)
        assert_same_logits(outputs, video, network, np.concatenate([*joints, *states.values()], axis=1))


@pytest.mark.parametrize("name", MODELS)
def test_settings_survive_the_run_card(name):
    settings = model_entry(name).settings
    changed = dataclasses.replace(settings, input_dropout=0.25) if hasattr(settings, "input_dropout") else settings
    for each in (settings, changed):
        assert override(settings, dataclasses.asdict(each)) == each


def test_a_run_of_concat_is_not_read_back_with_attention():
    recorded = dataclasses.asdict(CimSettings(attention=False))
    assert override(model_entry("concat").settings, recorded).attention is False


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (BcLstmSettings, {"unimodal_dropout": 1.0}),
        (BcLstmSettings, {"fusion_dense_size": 0}),
        (CatLstmSettings, {"fused_dropout": -0.1}),
        (CatLstmSettings, {"lstm_size": 0}),
        (VqaAttentionSettings, {"dense_size": 0}),
        (VqaAttentionSettings, {"state_dropout": 1.5}),
    ],
)
def test_impossible_settings_are_refused_by_name(kind, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"Expected {name} "):
        kind(**wrong)


def test_default_bc_lstm_settings():
    assert dataclasses.asdict(BcLstmSettings()) == {
        "lstm_size": 300,
        "unimodal_dense_size": 100,
        "fusion_dense_size": 500,
        "input_dropout": 0.3,
        "fusion_input_dropout": 0.3,
        "unimodal_dropout": 0.5,
        "fusion_dropout": 0.5,
    }


def test_default_cat_lstm_settings():
    assert dataclasses.asdict(CatLstmSettings()) == {
        "dense_size": 200,
        "lstm_size": 100,
        "utterance_attention": True,
        "input_dropout": 0.3,
        "fused_dropout": 0.3,
        "state_dropout": 0.3,
    }


def test_default_vqa_attention_settings():
    assert dataclasses.asdict(VqaAttentionSettings()) == {
        "gru_size": 200,
        "dense_size": 100,
        "input_dropout": 0.3,
        "state_dropout": 0.3,
        "dense_dropout": 0.3,
    }
