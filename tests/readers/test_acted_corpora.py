"""The tables of file names against the documentation of the corpora."""

from __future__ import annotations

import pytest

from mien.readers.acted_corpora import CORPORA, INTENSITY_SPACE
from mien.schema import EMOTION

# a published name -> speaker, class, words, intensity
EXAMPLES = [
    ("ravdess", "03-01-06-01-02-01-12", "Actor_12", "fearful", "Dogs are sitting by the door", "normal"),
    ("ravdess", "01-01-08-02-01-02-24", "Actor_24", "surprised", "Kids are talking by the door", "strong"),
    ("ravdess", "02-01-02-01-01-01-01", "Actor_01", "calm", "Kids are talking by the door", "normal"),
    ("crema-d", "1001_IEO_ANG_HI", "1001", "anger", "It's eleven o'clock", "high"),
    ("crema-d", "1091_WSI_SAD_XX", "1091", "sad", "We'll stop in a couple of minutes", None),
    ("crema-d", "1040_ITH_SAD_X", "1040", "sad", "I think I have a doctor's appointment", None),
    ("tess", "OAF_back_angry", "OAF", "angry", "Say the word back", None),
    ("tess", "YAF_youth_ps", "YAF", "pleasant surprise", "Say the word youth", None),
    ("tess", "OA_bite_neutral", "OAF", "neutral", "Say the word bite", None),
    ("tess", "116testOAF_hit_happy23", "OAF", "happy", "Say the word hit", None),
    ("emodb", "03a01Fa", "03", "happiness", "Der Lappen liegt auf dem Eisschrank.", None),
    ("emodb", "16b10Wb", "16", "anger", "Die wird auf dem Platz sein, wo wir sie immer hinlegen.", None),
    ("nemo", "EB0_surprised_90", "EB0", "surprised", None, None),
]


@pytest.mark.parametrize(("name", "stem", "speaker", "emotion", "words", "level"), EXAMPLES)
def test_published_names(
    name: str, stem: str, speaker: str, emotion: str, words: str | None, level: str | None
) -> None:
    corpus = CORPORA[name]
    match = corpus.file_name.fullmatch(stem)
    assert match
    parts = {group: code.lower() for group, code in match.groupdict().items()}
    assert corpus.speaker.format(parts["speaker"].upper()) == speaker
    assert corpus.classes[parts["emotion"]] == emotion
    spoken = corpus.sentences.get(parts["sentence"]) or corpus.carrier.format(parts["sentence"]) or None
    assert spoken == words
    assert corpus.levels.get(parts.get("level", "")) == level


@pytest.mark.parametrize("name", list(CORPORA))
def test_an_example_fits_its_own_corpus_and_no_other(name: str) -> None:
    stem, _, suffix = CORPORA[name].example.partition(".")
    assert suffix == "wav"
    assert [each.reader for each in CORPORA.values() if each.file_name.fullmatch(stem)] == [name]


@pytest.mark.parametrize("stem", ["03-01-09-01-02-01-12", "04-01-06-01-02-01-12", "03-01-06-01-02-01", "a-03-01-06"])
def test_names_that_ravdess_does_not_have(stem: str) -> None:
    assert not CORPORA["ravdess"].file_name.fullmatch(stem)


def test_numbers_of_classes_and_sentences() -> None:
    found = {name: (len(set(corpus.classes.values())), len(corpus.sentences)) for name, corpus in CORPORA.items()}
    assert found == {"ravdess": (8, 2), "crema-d": (6, 12), "tess": (7, 0), "emodb": (7, 10), "nemo": (6, 0)}
    for corpus in CORPORA.values():
        first, *others = corpus.label_spaces
        assert (first.name, first.neutral) == (EMOTION, "neutral")
        assert [each.name for each in others] == ([INTENSITY_SPACE] if corpus.levels else [])


def test_the_files_of_crema_d_begin_with_their_sentence_codes() -> None:
    # the codes are the first letters of three words
    words = {code: text.replace("'", " ").lower().split() for code, text in CORPORA["crema-d"].sentences.items()}
    assert all(spoken[0][0] == code[0] for code, spoken in words.items())
