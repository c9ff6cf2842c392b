"""The extractor `face-blendshapes`: where its bundle is looked for, and its scores against mediapipe's own."""

from __future__ import annotations

import shutil
import zipfile

import av
import numpy as np
import pytest

from mien.errors import DamagedFileError, MissingWeightsError
from mien.features.visual.base import frame_matrix, pool
from mien.features.visual.face_blendshapes import (
    BLENDSHAPES,
    BUNDLE,
    FRAME_COLUMNS,
    LANDMARKS_READ,
    find_bundle,
    load_face_blendshapes,
    read_members,
)


def test_what_the_network_defines():
    assert len(set(BLENDSHAPES)) == 52
    assert len(set(LANDMARKS_READ)) == 146
    assert sorted(LANDMARKS_READ) == LANDMARKS_READ
    assert max(LANDMARKS_READ) == 477
    assert len(FRAME_COLUMNS) == 55


def test_a_bundle_that_is_nowhere_says_where_to_get_and_put_it(monkeypatch, tmp_path):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=r"download .* face-blendshapes:FILE") as caught:
        load_face_blendshapes()
    assert str(tmp_path / "face-landmarker") in str(caught.value)
    with pytest.raises(MissingWeightsError, match="no such file"):
        load_face_blendshapes(tmp_path / "elsewhere.task")


def test_another_file_is_refused(tmp_path):
    (tmp_path / BUNDLE).write_bytes(b"something else")
    with pytest.raises(DamagedFileError, match="sha256"):
        load_face_blendshapes(tmp_path / BUNDLE)


def test_a_bundle_without_its_networks_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / BUNDLE, "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(DamagedFileError, match="to hold"):
        read_members(tmp_path / BUNDLE)
    (tmp_path / BUNDLE).write_bytes(b"no zip")
    with pytest.raises(DamagedFileError, match="to hold"):
        read_members(tmp_path / BUNDLE)


@pytest.fixture(scope="module")
def blendshapes(data_dir):
    return load_face_blendshapes(data_dir / "models")


def frames(path, step):
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % step == 0:
                yield number, frame.time, frame.to_ndarray(format="rgb24")


@pytest.mark.data
def test_the_bundle_is_found_as_file_in_a_folder_and_in_the_cache(data_dir, monkeypatch, tmp_path):
    bundle = data_dir / "models" / BUNDLE
    assert find_bundle(bundle) == find_bundle(bundle.parent) == bundle
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    (tmp_path / "face-landmarker").mkdir()
    shutil.copy(bundle, tmp_path / "face-landmarker")
    assert find_bundle() == tmp_path / "face-landmarker" / BUNDLE


# mediapipe 1.2.2, FaceLandmarker, image mode, one face, on WolfgangLanger_Pexels.mp4
REFERENCE = {
    0: {
        "browInnerUp": 0.426,
        "eyeBlinkLeft": 0.7,
        "jawOpen": 0.001,
        "mouthSmileLeft": 0.519,
        "mouthFrownRight": 0.0,
        "eyeLookInRight": 0.021,
    },
    100: {
        "browInnerUp": 0.222,
        "eyeBlinkLeft": 0.882,
        "jawOpen": 0.001,
        "mouthSmileLeft": 0.079,
        "mouthFrownRight": 0.008,
        "eyeLookInRight": 0.042,
    },
    200: {
        "browInnerUp": 0.614,
        "eyeBlinkLeft": 0.042,
        "jawOpen": 0.017,
        "mouthSmileLeft": 0.0,
        "mouthFrownRight": 0.0,
        "eyeLookInRight": 0.024,
    },
    300: {
        "browInnerUp": 0.141,
        "eyeBlinkLeft": 0.086,
        "jawOpen": 0.069,
        "mouthSmileLeft": 0.702,
        "mouthFrownRight": 0.004,
        "eyeLookInRight": 0.571,
    },
    400: {
        "browInnerUp": 0.299,
        "eyeBlinkLeft": 0.114,
        "jawOpen": 0.007,
        "mouthSmileLeft": 0.839,
        "mouthFrownRight": 0.0,
        "eyeLookInRight": 0.198,
    },
}


@pytest.mark.data
def test_scores_are_those_of_mediapipe(blendshapes, data_dir):
    clip = data_dir / "videos" / "WolfgangLanger_Pexels.mp4"
    for number, time_s, image in frames(clip, 100):
        seen = blendshapes.start().see(time_s, image)
        found = dict(zip(FRAME_COLUMNS, seen.vector.tolist(), strict=True))
        expected = REFERENCE[number]
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=0.01)


@pytest.mark.data
def test_an_actress_who_begins_to_smile(blendshapes, data_dir):
    clip = data_dir / "videos" / "WolfgangLanger_Pexels.mp4"
    watcher, times, seen = blendshapes.start(), [], []
    for _, time_s, image in frames(clip, 5):
        times.append(time_s)
        seen.append(watcher.see(time_s, image))
    vectors = frame_matrix(seen, 55)
    times_s = np.array(times)
    assert np.isfinite(vectors[:, 0]).mean() > 0.95
    scores = vectors[:, : len(BLENDSHAPES)]
    assert np.nanmin(scores) >= 0
    assert np.nanmax(scores) <= 1
    thirds = np.linspace(0, times_s[-1] + 0.1, 4)
    first, last = (
        dict(zip(blendshapes.space.columns, pool(times_s, vectors, *span).vector, strict=True))
        for span in (thirds[:2], thirds[2:])
    )
    assert last["mouthSmileLeft_mean"] > first["mouthSmileLeft_mean"] + 0.2
    assert blendshapes.space.n_features == len(blendshapes.space.columns) == 110


@pytest.mark.data
def test_no_face(blendshapes, data_dir):
    watcher = blendshapes.start()
    assert not any(watcher.see(at, image) for _, at, image in frames(data_dir / "videos" / "no_face.mp4", 5))
    assert watcher.counts["no face"] > 15
