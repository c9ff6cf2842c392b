"""The analysis object: what it refuses, and that analysis.json holds all of it."""

import json
from dataclasses import fields, is_dataclass, replace

import jsonschema
import numpy as np
import pytest
from tests.video import examples

from mien.errors import DamagedFileError, DataError
from mien.schema import EMOTION_OUTPUTS
from mien.video.analysis import Track, TrackSource, VideoFacts, emotion_names
from mien.video.outputs import analysis_schema, read_analysis_json, write_analysis_json
from mien.video.page import page_data

EXAMPLES = [
    pytest.param(make, id=make.__name__)
    for make in (examples.realistic, examples.words_only, examples.hostile, examples.silent, examples.graded)
]


def assert_equal(one, other):
    """Field by field; NaN equals NaN."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            assert_equal(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            assert_equal(value, other[key])
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    else:
        assert one == other


@pytest.mark.parametrize("make", EXAMPLES)
def test_what_is_written_fits_the_schema_and_reads_back_equal(tmp_path, make):
    analysis = make()
    path = tmp_path / "analysis.json"
    write_analysis_json(path, analysis)
    facts = json.loads(path.read_text(encoding="utf-8"))
    schema = analysis_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(facts, schema, cls=jsonschema.Draft202012Validator)
    assert_equal(analysis, read_analysis_json(path))


def test_the_keys_other_programs_rely_on(tmp_path):
    write_analysis_json(tmp_path / "analysis.json", examples.realistic())
    row = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))["utterances"][5]
    assert (row["index"], row["start_s"], row["end_s"], row["transcript"]) == (5, 24.2, 24.9, "Um.")
    assert row["sentiment"]["label"] == "negative"
    assert row["sentiment"]["probability"] == row["sentiment"]["probabilities"]["negative"] == pytest.approx(0.53)
    assert row["sentiment"]["probabilities"]["positive"] == 0.47
    assert row["emotions"]["surprise"] == 0.06
    assert row["labels"] == ["none"]
    assert row["missing"] == ["visual"]
    assert row["missing_reasons"] == {"visual": "no face in 14 of 14 sampled frames"}
    assert set(row["contributions"]) == {"text", "acoustic"}


def test_a_file_of_version_1_is_read_although_its_probability_was_that_of_positive(tmp_path):
    path = tmp_path / "analysis.json"
    write_analysis_json(path, examples.realistic())
    facts = json.loads(path.read_text(encoding="utf-8"))
    facts["format_version"] = 1
    for row in facts["utterances"]:
        row["sentiment"] = {
            "label": row["sentiment"]["label"],
            "probability": row["sentiment"]["probabilities"]["positive"],
        }
    path.write_text(json.dumps(facts), encoding="utf-8")
    old = read_analysis_json(path).utterances[5].sentiment
    assert (old.label, old.probability) == ("negative", pytest.approx(0.53))


def test_degrees_have_keys_only_where_there_are_some(tmp_path):
    write_analysis_json(tmp_path / "analysis.json", examples.graded())
    rows = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))["utterances"]
    assert (rows[1]["sentiment_intensity"], rows[1]["emotion_intensities"]) == (-0.75, {"anger": 0.25, "happy": 3.0})
    assert not {"sentiment_intensity", "emotion_intensities"} & set(rows[3])
    first = examples.graded().utterances[0]
    for wrong in ({"sentiment_intensity": {"sentiment": 3.5}}, {"emotion_intensity": {"sad": -0.1}}):
        with pytest.raises(DataError, match=r"intensity of utterance 0 in \["):
            replace(examples.graded(), utterances=(replace(first, outputs=wrong),))


def test_degrees_keep_to_the_ranges_of_the_model(tmp_path):
    graded = examples.graded()
    first = replace(graded.utterances[0], outputs={"sentiment_intensity": {"sentiment": 0.9}})
    model = replace(graded.model, ranges={"sentiment_intensity": (-1.0, 1.0)})
    sims = replace(graded, model=model, utterances=(first,), attention={})
    write_analysis_json(tmp_path / "analysis.json", sims)
    facts = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))
    jsonschema.validate(facts, analysis_schema())
    assert facts["model"]["ranges"] == {"sentiment_intensity": [-1.0, 1.0]}
    assert read_analysis_json(tmp_path / "analysis.json").model == model
    assert page_data(sims)["ranges"] == {"sentiment": [-1.0, 1.0], "emotion": [0.0, 3.0]}
    with pytest.raises(DataError, match=r"sentiment intensity of utterance 0 in \[-1, 1\], but got 1.25"):
        replace(sims, utterances=(replace(first, outputs={"sentiment_intensity": {"sentiment": 1.25}}),))


def test_a_further_task_adds_its_outputs_and_columns(tmp_path):
    analysis = examples.with_further_task()
    write_analysis_json(tmp_path / "analysis.json", analysis)
    facts = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))
    jsonschema.validate(facts, analysis_schema())
    assert facts["utterances"][0]["outputs"] == {"energy": {"low": 0.9, "high": 0.25}}
    again = read_analysis_json(tmp_path / "analysis.json")
    assert again.utterances == analysis.utterances
    table = analysis.to_pandas()
    assert table[["energy_low", "energy_high"]].to_numpy().tolist()[0] == [0.9, 0.25]
    assert table.columns.get_loc("energy_low") > table.columns.get_loc("surprise")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("utterances", 0, "sentiment", "probability"), 1.01),
        (("utterances", 0, "sentiment", "label"), 1),
        (("utterances", 0, "missing"), ["face"]),
        (("utterances", 0, "start_s"), None),
        (("model", "thresholds", "anger"), "0.2"),
        (("attention", "text->visual"), [[-0.1]]),
        (("tracks", 0, "source"), "hands"),
        (("extra",), 1),
    ],
)
def test_the_schema_refuses_what_the_format_does_not_allow(tmp_path, place, value):
    write_analysis_json(tmp_path / "analysis.json", examples.realistic())
    facts = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))
    inner = facts
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(facts, analysis_schema())


def test_numbers_stand_one_line_per_row_so_that_the_file_stays_readable(tmp_path):
    write_analysis_json(tmp_path / "analysis.json", examples.realistic())
    lines = (tmp_path / "analysis.json").read_text(encoding="utf-8").splitlines()
    assert sum(line.strip().startswith("[0.") or line.strip().startswith("[null") for line in lines) >= 6 * 12
    assert len(lines) < 900


def test_reading_something_else_says_so(tmp_path):
    path = tmp_path / "analysis.json"
    with pytest.raises(DataError, match="an analysis"):
        read_analysis_json(path)
    path.write_text('{"format": "mien-dataset"}', encoding="utf-8")
    with pytest.raises(DamagedFileError, match="mien-analysis"):
        read_analysis_json(path)
    write_analysis_json(path, examples.realistic())
    facts = json.loads(path.read_text(encoding="utf-8"))
    for change in ({"format_version": 3}, {"utterances": facts["utterances"][:5]}, {"tracks": [{}]}):
        path.write_text(json.dumps(facts | change), encoding="utf-8")
        with pytest.raises((DamagedFileError, DataError)):
            read_analysis_json(path)


def test_an_analysis_that_cannot_be_shown_is_refused_when_made():
    whole = examples.realistic()
    first = whole.utterances[0]
    with pytest.raises(DataError, match="start order"):
        replace(whole, utterances=whole.utterances[::-1])
    with pytest.raises(DataError, match=r"shape \(12, 12\)"):
        replace(whole, attention={"text->visual": np.ones((12, 11))})
    with pytest.raises(DataError, match="text->visual"):
        replace(whole, attention={"text-visual": np.ones((12, 12))})
    with pytest.raises(DataError, match="anger of utterance 0"):
        replace(whole, utterances=(replace(first, outputs={"emotion": {"anger": float("nan")}}), *whole.utterances[1:]))
    with pytest.raises(DataError, match="end of utterance 0"):
        replace(whole, utterances=(replace(first, end_s=float("inf")), *whole.utterances[1:]))
    with pytest.raises(DataError, match="duration"):
        replace(whole, video=VideoFacts("x", -1.0))
    with pytest.raises(DataError, match="as many times as values"):
        Track("Pitch", "Hz", TrackSource.VOICE, np.arange(3.0), np.arange(4.0))
    with pytest.raises(DataError, match="rising"):
        Track("Pitch", "Hz", TrackSource.VOICE, np.array([1.0, 0.0]), np.zeros(2))


def test_emotions_are_named_in_the_order_of_the_thresholds_then_as_met():
    assert emotion_names(examples.realistic()) == EMOTION_OUTPUTS
    assert emotion_names(examples.hostile()) == ("anger", examples.ATTACK)
