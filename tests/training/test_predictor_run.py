"""A predictor that is loaded from a run: which weights it has, and attention by video."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.planted import QUICK

import mien
from mien.errors import DataError
from mien.schema import Modality
from mien.training.predictor import load_predictor


@pytest.fixture(scope="module")
def run(planted, tmp_path_factory):
    settings = QUICK | {"epochs": 2, "mask_padding": False, "padded_length": 13}
    folder = tmp_path_factory.mktemp("predictor") / "run"
    return mien.train(planted, folder, mien.TrainRequest(settings=settings))


def weights_of(predictor):
    return dict(predictor.network.state_dict())


def test_the_chosen_epoch_is_loaded_unless_another_is_named(run):
    best = run.outcome["chosen_epoch"]
    chosen, named = weights_of(load_predictor(run)), weights_of(load_predictor(run, best))
    other = weights_of(load_predictor(run, 3 - best))
    assert all(torch.equal(chosen[name], named[name]) for name in chosen)
    assert not all(torch.equal(chosen[name], other[name]) for name in chosen)
    with pytest.raises(DataError, match="epoch"):
        load_predictor(run, 3)


def test_attention_is_given_for_every_video_over_the_columns_that_are_used(run, planted):
    columns = mien.open_dataset(planted.folder).columns("test")
    predictor = load_predictor(run)
    maps = predictor.attention(columns)
    assert set(maps) == set(columns.video_ids)
    assert maps
    for number, video_id in enumerate(columns.video_ids):
        length = int(columns.lengths[number])
        rows = slice(columns.offsets[number], columns.offsets[number + 1])
        alone = predictor.predict_video({str(m): columns.features[m][rows] for m in Modality})
        for name, weights in maps[video_id].items():
            assert weights.shape[0] == length
            # padding takes attention in this network: columns up to the last that has weight
            assert length <= weights.shape[1] <= 13
            np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
            np.testing.assert_allclose(weights, alone.attention[name][:, : weights.shape[1]], atol=1e-5)
