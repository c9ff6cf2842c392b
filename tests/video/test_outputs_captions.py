"""utterances.csv in pandas and spreadsheets; captions.vtt by the rules of WebVTT."""

import csv
import json
import re
from dataclasses import replace

import jsonschema
import pandas as pd
import pytest
from tests.video import examples

from mien.errors import WriteError
from mien.video.analysis import UtteranceAnalysis
from mien.video.outputs import (
    analysis_schema,
    captions,
    clock,
    from_json,
    require_output_folders,
    to_json,
    write_outputs,
    write_utterances_csv,
)

TIMES = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})")


def cues(text):
    """Split as the WebVTT parser does: blocks between blank lines, a cue's times in its second line."""
    blocks = [block.split("\n") for block in re.split(r"\n{2,}", text.rstrip("\n"))]
    assert blocks[0] == ["WEBVTT"]
    assert blocks[1][0] == "NOTE"
    found = []
    for name, times, *lines in blocks[2:]:
        parts = TIMES.fullmatch(times)
        assert parts, times
        numbers = [int(number) for number in parts.groups()]
        start, end = (
            ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest
            for hours, minutes, seconds, rest in (numbers[:4], numbers[4:])
        )
        found.append((name, start, end, lines))
    return found


def test_the_table_reads_back_in_pandas(tmp_path):
    analysis = examples.words_only()
    write_utterances_csv(tmp_path / "utterances.csv", analysis)
    table = pd.read_csv(tmp_path / "utterances.csv")
    expected = analysis.to_pandas()
    assert list(table) == list(expected)
    assert list(table)[:7] == ["index", "start_s", "end_s", "transcript", "sentiment", "sentiment_probability", "anger"]
    assert table["happy"].tolist()[:2] == [0.66, 0.81]
    # nothing could be predicted from an utterance without words: empty cells, not zeros
    gone = table.iloc[5]
    assert gone[["sentiment", "sentiment_probability", "anger", "none"]].isna().all()
    assert (gone["missing"], gone["missing_reasons"]) == ("text", "text: no speech was recognised")
    assert table["labels"][2] == "anger; disgust; sad; surprise"


def test_degrees_have_columns_of_their_own(tmp_path):
    write_utterances_csv(tmp_path / "utterances.csv", examples.graded())
    table = pd.read_csv(tmp_path / "utterances.csv")
    assert table["sentiment_intensity"].tolist()[:3] == [-1.25, -0.75, -0.25]
    assert table["happy_intensity"].tolist()[:3] == [3.0, 3.0, 3.0]
    assert table.loc[3, ["sentiment_intensity", "anger_intensity"]].isna().all()
    assert not [name for name in examples.realistic().to_pandas() if name.endswith("_intensity")]


@pytest.mark.parametrize("said", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '- Hello, "you"\nthere'])
def test_no_transcript_becomes_a_formula(tmp_path, said):
    analysis = examples.realistic()
    rows = (replace(analysis.utterances[0], transcript=said), *analysis.utterances[1:])
    write_utterances_csv(tmp_path / "utterances.csv", replace(analysis, utterances=rows))
    with open(tmp_path / "utterances.csv", encoding="utf-8", newline="") as handle:
        row = next(csv.DictReader(handle))
    assert row["transcript"] == "'" + said
    assert row["start_s"] == "0.4"


def test_an_empty_video_has_a_table_with_a_head(tmp_path):
    write_utterances_csv(tmp_path / "utterances.csv", examples.silent())
    assert (
        (tmp_path / "utterances.csv").read_text(encoding="utf-8").startswith("index,start_s,end_s,transcript,sentiment")
    )


def test_an_utterance_that_may_not_be_judged_says_why_in_every_output(tmp_path):
    analysis = examples.realistic()
    sigh = UtteranceAnalysis(0, 0.4, 1.5, "(sighs)", speaker="Ann", not_judged="a sound, not speech")
    analysis = replace(analysis, utterances=(sigh, *analysis.utterances[1:]))
    assert cues(captions(analysis))[0][3] == ["[no prediction: a sound, not speech]", "<v Ann>(sighs)"]
    facts = to_json(analysis)["utterances"]
    assert (facts[0]["speaker"], facts[0]["not_judged"]) == ("Ann", "a sound, not speech")
    assert not {"speaker", "not_judged"} & set(facts[1])
    jsonschema.validate(json.loads(json.dumps(to_json(analysis))), analysis_schema())
    assert from_json(to_json(analysis)).utterances[0] == sigh
    write_utterances_csv(tmp_path / "utterances.csv", analysis)
    table = pd.read_csv(tmp_path / "utterances.csv")
    assert table.loc[0, ["speaker", "not_judged"]].tolist() == ["Ann", "a sound, not speech"]


def test_cues_say_labels_and_words():
    found = cues(captions(examples.realistic()))
    assert len(found) == 12
    assert found[0] == ("u1", 400, 5500, ["[positive 0.81 · happy 0.66]", examples.SAID[0]])
    # the sentiment's number is that of its label: 1 - 0.22
    assert found[2][3][0] == "[negative 0.78 · anger 0.33 · disgust 0.24 · sad 0.31 · surprise 0.16]"
    assert found[5][3] == ["[negative 0.53 · none 0.52]", "Um."]


def test_cues_survive_every_text():
    found = cues(captions(examples.hostile()))
    ((name, start, end, lines),) = found
    assert (name, start, end) == ("u1", 0, 1)
    assert len(lines) == 2
    assert not any(character in "".join(lines) for character in "<>\0\r\u2028")
    assert "&lt;/script&gt;" in lines[1]
    assert "--&gt;" in lines[1]
    assert "你好" in lines[1]


def test_a_cue_without_words_or_prediction_still_stands():
    (_, _, _, lines) = cues(captions(examples.words_only()))[5]
    assert lines == ["[no prediction]"]
    assert cues(captions(examples.silent())) == []


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(0, "00:00:00.000"), (59_999, "00:00:59.999"), (3_600_000, "01:00:00.000"), (360_000_001, "100:00:00.001")],
)
def test_clock(milliseconds, shown):
    assert clock(milliseconds) == shown


def test_seconds_round_to_milliseconds_without_leaving_their_minute():
    analysis = examples.realistic()
    row = replace(
        analysis.utterances[-1],
        start_s=59.9996,
        end_s=60.0,
        answers={"sentiment": examples.two_classes(1.0)},
    )
    text = captions(replace(analysis, utterances=(*analysis.utterances[:-1], row)))
    assert "00:01:00.000 --> 00:01:00.001" in text


def test_outputs_replace_those_of_an_analysis_and_no_other_file(tmp_path):
    def write():
        require_output_folders([tmp_path / "talk"], tmp_path)
        write_outputs(tmp_path / "talk", examples.realistic())

    write()
    write()
    talk = tmp_path / "talk"
    (talk / "notes.txt").write_text("years of work")
    (talk / "analysis.json").write_text('{"analysis": "of mine"}')
    with pytest.raises(WriteError, match="to be without analysis.json or to hold analysis.json of this command"):
        write()
    talk.rename(tmp_path / "elsewhere")
    talk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WriteError, match="Expected a folder at .*/talk, but got a symbolic link"):
        write()
    # the folder that the user named may be a link itself
    require_output_folders([talk / "x", talk / "y"], talk)


def test_folders_that_cannot_be_written_are_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("of mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "new", tmp_path / ("long" * 100)):
        with pytest.raises(WriteError, match="Expected to write"):
            require_output_folders([folder])
    require_output_folders([tmp_path / "new" / "deeper"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
