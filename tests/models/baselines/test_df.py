"""`df`: confidences by hand and the whole network in numpy. `blanchard`: what it claims and its sums in numpy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, drop, random_batch
from tests.models.numpy_layers import numpy_dense, numpy_linear

from mien.errors import UsageError
from mien.models import build_model
from mien.models.baselines.blanchard import Blanchard, BlanchardSettings
from mien.models.baselines.df import Df, DfSettings, confidence_pairs
from mien.schema import Modality

BOTH = (SENTIMENT, EMOTION)
HEARD_AND_SEEN = (Modality.ACOUSTIC, Modality.VISUAL)


def test_pairs_of_confidence_and_complement_by_hand():
    pairs = confidence_pairs(
        {
            Modality.TEXT: torch.tensor([[0.9], [0.25]]),
            Modality.VISUAL: torch.tensor([[0.125], [1.0]]),
        },
        {Modality.TEXT: torch.tensor([True, True]), Modality.VISUAL: torch.tensor([True, False])},
    )
    torch.testing.assert_close(pairs, torch.tensor([[0.9, 0.1, 0.125, 0.875], [0.25, 0.75, 0.5, 0.5]]))


def test_several_outputs_keep_their_order():
    pairs = confidence_pairs({Modality.TEXT: torch.tensor([[0.75, 0.0, 0.5]])}, {Modality.TEXT: torch.tensor([True])})
    assert pairs.tolist() == [[0.75, 0.0, 0.5, 0.25, 1.0, 0.5]]


def test_df_equals_its_equations_in_numpy():
    torch.manual_seed(2)
    network = Df(N_FEATURES, BOTH, DfSettings(classifier_size=4, fusion_size=3)).double().eval()
    batch = drop(random_batch((5, 2, 3), dtype=torch.float64), Modality.ACOUSTIC, video=1, utterance=0)
    outputs = network(batch)
    for task, logits in outputs.logits.items():
        pairs = []
        for modality in Modality:
            hidden = numpy_dense(network.trunks[modality], batch.features[modality][batch.real].numpy())
            p = 1 / (1 + np.exp(-numpy_linear(network.judges[modality][task], hidden)))
            p[~batch.present[modality][batch.real].numpy()] = 0.5
            pairs += [p, 1 - p]
        fused = numpy_dense(network.fusion[task], np.concatenate(pairs, axis=1))
        np.testing.assert_allclose(logits[batch.real].detach(), numpy_linear(network.heads[task], fused), atol=1e-12)
    # three modalities with one binary label: the paper's six values
    assert network.fusion[SENTIMENT.name][1].in_features == 6
    assert network.fusion[EMOTION.name][1].in_features == 42


def test_df_drops_nothing_but_before_the_layers_of_its_classifiers():
    torch.manual_seed(2)
    network = Df(N_FEATURES, BOTH, DfSettings(classifier_size=11, fusion_size=7, classifier_dropout=0.0))
    batch = random_batch((5, 2, 3))
    trained, calm = network.train()(batch).logits, network.eval()(batch).logits
    for task in (each.name for each in BOTH):
        assert torch.equal(trained[task], calm[task])
        assert np.ptp(calm[task][batch.real].detach().numpy(), axis=0).min() > 0


def test_blanchard_equals_its_equations_in_numpy():
    torch.manual_seed(3)
    network = Blanchard({m: N_FEATURES[m] for m in HEARD_AND_SEEN}, BOTH, BlanchardSettings(4, 3)).double().eval()
    batch = drop(random_batch((5, 2, 3), HEARD_AND_SEEN, dtype=torch.float64), Modality.VISUAL, video=0, utterance=4)
    codes = []
    for modality in HEARD_AND_SEEN:
        code = numpy_dense(network.encoders[modality], batch.features[modality][batch.real].numpy())
        codes.append(code * batch.present[modality][batch.real].numpy()[:, None])
    joint = numpy_dense(network.joint, np.concatenate(codes, axis=1))
    outputs = network(batch)
    for task, logits in outputs.logits.items():
        np.testing.assert_allclose(logits[batch.real].detach(), numpy_linear(network.heads[task], joint), atol=1e-12)


def test_blanchard_takes_no_text():
    with pytest.raises(UsageError, match="Expected inputs among acoustic, visual .* for blanchard, but got text"):
        build_model("blanchard", N_FEATURES, BOTH)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="Expected classifier_size to be at least 1, but got 0"):
        DfSettings(classifier_size=0)
    with pytest.raises(ValueError, match="Expected joint_size to be at least 1, but got -1"):
        BlanchardSettings(joint_size=-1)


def test_default_df_settings():
    assert dataclasses.asdict(DfSettings()) == {"classifier_size": 64, "fusion_size": 32, "classifier_dropout": 0.3}


def test_default_blanchard_settings():
    assert dataclasses.asdict(BlanchardSettings()) == {"encoder_size": 64, "joint_size": 64, "dense_dropout": 0.3}
