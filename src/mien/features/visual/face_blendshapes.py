"""Visual extractor `face-blendshapes`: 52 blendshape scores and three head angles per frame.

A blendshape score measures one movement of the face, such as opening the jaw. The vector of an utterance contains the
mean and the standard deviation of each score and angle, which makes 110 features. The scores come from Google's Face
Landmarker bundle (Apache-2.0), a file with three networks: they detect faces, find 478 landmarks including those of the
irises, and compute the blendshape scores. The bundle is the closest open analogue of the FACET action units that the
paper (Akhtar et al., NAACL 2019) uses, but blendshapes and action units differ. The networks run without mediapipe. On
the same frames, the scores equal those of mediapipe 1.2.2 in image mode. `face_geometry` computes the head angles. The
position of the face is not a feature, because it does not depend on the expression.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from mien.errors import DamagedFileError, MissingWeightsError
from mien.features.visual.base import VisualExtractor
from mien.features.visual.face_geometry import head_angles, head_axes
from mien.features.visual.face_models import load_tflite
from mien.features.visual.face_tracking import FaceNets, face_extractor
from mien.pretrained import ModelFiles, find_model_files, require_sha256
from mien.schema import FloatArray

BUNDLE = "face_landmarker.task"
LANDMARKER = ModelFiles(
    name="face-landmarker",
    sha256={BUNDLE: "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"},
    remedy="download it from MediaPipe's page 'Face landmark detection guide' (FaceLandmarker, float16) and put it "
    "there, or name it: face-blendshapes:FILE",
)
MEMBERS = ("face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite")
CROP_PX = 256
# Names of the outputs of the blendshape network, and then the indices of the landmarks that are its input. Both are in
# the order of the network.
_BLENDSHAPE_NAMES = """
_neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft
cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight
eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight
jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight
mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft
mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight
"""
_LANDMARK_NUMBERS = """
0 1 4 5 6 7 8 10 13 14 17 21 33 37 39 40 46 52 53 54 55 58 61 63 65 66 67 70 78 80 81 82 84 87 88 91 93 95 103 105 107
109 127 132 133 136 144 145 146 148 149 150 152 153 154 155 157 158 159 160 161 162 163 168 172 173 176 178 181 185
191 195 197 234 246 249 251 263 267 269 270 276 282 283 284 285 288 291 293 295 296 297 300 308 310 311 312 314 317
318 321 323 324 332 334 336 338 356 361 362 365 373 374 375 377 378 379 380 381 382 384 385 386 387 388 389 390 397
398 400 402 405 409 415 454 466 468 469 470 471 472 473 474 475 476 477
"""
BLENDSHAPES = tuple(_BLENDSHAPE_NAMES.split())
LANDMARKS_READ = [int(number) for number in _LANDMARK_NUMBERS.split()]
FRAME_COLUMNS = (*BLENDSHAPES, "head_yaw_rad", "head_pitch_rad", "head_roll_rad")


def load_face_blendshapes(path: Path | None = None) -> VisualExtractor:
    """Load the visual extractor `face-blendshapes` with the three networks of the Face Landmarker bundle.

    Args:
        path: The bundle or its folder. If it is None, the cache is searched.

    Raises:
        MissingExtraError: ai-edge-litert is not installed.
        MissingWeightsError: The bundle is not found.
        DamagedFileError: The bundle differs from the expected one.
    """
    detector, landmarker, scorer = read_members(find_bundle(path))

    def new_nets() -> FaceNets:
        score = load_tflite(scorer, MEMBERS[2])

        def describe(landmarks: FloatArray, _crop: np.ndarray) -> FloatArray:
            (scores, *_) = score(landmarks[LANDMARKS_READ, :2].astype(np.float32)[None])
            angles = head_angles(head_axes(landmarks))
            return np.concatenate([scores.ravel(), np.array(angles, dtype=np.float32)])

        return FaceNets(load_tflite(detector, MEMBERS[0]), load_tflite(landmarker, MEMBERS[1]), CROP_PX, describe)

    return face_extractor("face-blendshapes", FRAME_COLUMNS, LANDMARKER.sha256, new_nets)


def find_bundle(path: Path | None = None) -> Path:
    """Find the file of the Face Landmarker bundle, and check its SHA-256.

    Args:
        path: The bundle or its folder. If it is None, the cache is searched.

    Returns:
        Path of the bundle.

    Raises:
        MissingWeightsError: The bundle is not found.
        DamagedFileError: The bundle differs from the expected one.
    """
    if path is None:
        return find_model_files(LANDMARKER) / BUNDLE
    bundle = path / BUNDLE if path.is_dir() else path
    if not bundle.is_file():
        raise MissingWeightsError(
            f"Expected the bundle {BUNDLE} at {bundle}, but got no such file; check the path, or {LANDMARKER.remedy}"
        )
    require_sha256(bundle, LANDMARKER.sha256[BUNDLE], f"the files of {LANDMARKER}")
    return bundle


def read_members(bundle: Path) -> list[bytes]:
    """Read the networks from the Face Landmarker bundle, which is a zip file.

    Returns:
        Contents of the network files, in the order of `MEMBERS`.

    Raises:
        DamagedFileError: The bundle is not a zip file, or a network is missing.
    """
    try:
        with zipfile.ZipFile(bundle) as archive:
            return [archive.read(member) for member in MEMBERS]
    except (zipfile.BadZipFile, KeyError) as error:
        raise DamagedFileError(f"Expected {bundle} to hold {MEMBERS}, but got {error}; get it again") from error
