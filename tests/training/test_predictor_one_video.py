"""`predict_video`: one video from bare arrays, in one pass, says what the columns of a Dataset would."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.predictors import features, untrained

from mien.errors import DataError, UsageError
from mien.models import MODELS, ModelEntry
from mien.models.batch import InputKind
from mien.schema import Modality
from mien.storage.split_columns import stack_features
from mien.tasks import EMOTION, SENTIMENT

ONE_VECTOR = [
    n
    for n, e in MODELS.items()
    if isinstance(e, ModelEntry) and e.input_kind not in (InputKind.WORDS, InputKind.TRANSCRIPTS)
]


@pytest.mark.parametrize("name", ONE_VECTOR)
@pytest.mark.parametrize("missing", [0.0, 0.4, 1.0])
def test_it_says_what_the_same_utterances_in_columns_say(name, missing):
    predictor = untrained(name, MODELS[name].modalities)
    rows = features(predictor.spaces, 9, missing)
    columns = stack_features(rows, predictor.spaces)
    said, expected = predictor.predict_video(rows), predictor.predict(columns)
    assert said.outputs.keys() == expected.outputs.keys() == {SENTIMENT, EMOTION}
    for task, values in expected.outputs.items():
        np.testing.assert_allclose(said.outputs[task], values, atol=1e-6)
    ((attention),) = predictor.attention(columns).values()
    assert list(said.attention) == list(attention)
    for direction, weights in attention.items():
        np.testing.assert_allclose(said.attention[direction], weights, atol=1e-6)
    fusion = predictor.fusion(columns)
    assert list(said.fusion) == list(fusion)
    for share, weights in fusion.items():
        np.testing.assert_allclose(said.fusion[share], weights, atol=1e-6)


def test_a_modality_that_is_not_given_is_missing_everywhere():
    predictor = untrained("cim")
    rows = features(Modality, 4)
    without = {name: matrix for name, matrix in rows.items() if name != "visual"}
    missing = rows | {"visual": np.full_like(rows["visual"], np.nan)}
    left_out, nan = predictor.predict_video(without), predictor.predict_video(missing)
    np.testing.assert_array_equal(left_out.outputs[EMOTION], nan.outputs[EMOTION])
    assert not left_out.attention["text->visual"].any()
    assert not np.allclose(left_out.outputs[EMOTION], predictor.predict_video(rows).outputs[EMOTION])


def test_a_single_task_has_no_probabilities_of_the_other():
    said = untrained("cim", (Modality.TEXT,), (EMOTION,)).predict_video(features(["text"], 3))
    assert {task: values.shape for task, values in said.outputs.items()} == {EMOTION: (3, 7)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _rows: {}, r"Expected features of text, acoustic, visual, but got none"),
        (lambda rows: rows | {"smell": rows["text"]}, r"but got smell"),
        (lambda rows: rows | {"text": rows["text"][:, 1:]}, r"text features of shape \(4, 7\), but got \(4, 6\)"),
        (lambda rows: rows | {"visual": rows["visual"][1:]}, r"visual features of shape \(4, 3\), but got \(3, 3\)"),
        (
            lambda rows: {name: matrix[:0] for name, matrix in rows.items()},
            r"shape \(utterances, 7\), but got \(0, 7\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        untrained("cim").predict_video(change(features(Modality, 4)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_partly_not_a_number_is_refused(value):
    rows = features(Modality, 4)
    rows["acoustic"][2, 1] = value
    with pytest.raises(DataError, match="Expected finite acoustic features"):
        untrained("cim").predict_video(rows)


def test_a_system_of_words_has_nothing_to_say_about_whole_utterances():
    with pytest.raises(UsageError, match=r"one vector per utterance, but got one that reads words; .*words=True"):
        untrained("mfn").predict_video(features(Modality, 4))
