"""Parsing of options that several commands share."""

from __future__ import annotations

import pytest
from tests.cli.calls import QUICK, as_json, complaint

from mien.cli.options import parse_names
from mien.errors import UnknownNameError
from mien.schema import MODALITY_ALIASES, Modality

T, A, V = Modality.TEXT, Modality.ACOUSTIC, Modality.VISUAL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text,visual", (T, V)),
        ("audio,words", (A, T)),
        ("voice, face", (A, V)),
        ("speech,audio,acoustic", (A,)),
        ("Video,language,Vision", (V, T)),
        (None, ()),
    ],
)
def test_modalities_have_other_usual_names(text, expected):
    assert parse_names("modality", text, Modality, MODALITY_ALIASES) == expected


def test_an_unknown_name_is_refused_with_the_real_ones():
    with pytest.raises(UnknownNameError, match="one of acoustic, text, visual, but got 'smell'"):
        parse_names("modality", "audio,smell", Modality, MODALITY_ALIASES)
    with pytest.raises(UnknownNameError):
        parse_names("task", "audio", ["sentiment"])


def test_inputs_of_a_training_take_them(data, tmp_path):
    facts = as_json("train", data, "--out", tmp_path / "run", "--inputs", "audio,words", "--tasks", "sentiment", *QUICK)
    assert facts["inputs"] == ["text", "acoustic"]
    assert "one of acoustic, text, visual" in complaint(2, "train", data, "--out", tmp_path / "x", "--inputs", "smell")
