"""`mien extract` with labels in the names of files, beside the files, or without times."""

from __future__ import annotations

import pytest
from tests.features.voices import voice
from tests.media.examples import write_media
from tests.readers.examples import write_text

from mien.errors import DataError, UnknownNameError
from mien.readers.acted_corpora import ACTED
from mien.schema import Modality
from mien.video.extract import ExtractRequest, extract
from mien.video.labelled_clips import WHOLE_FILE

VOICE = {Modality.ACOUSTIC: "egemaps"}
# the writer of the tests fills the last frame
SECONDS = pytest.approx(1.5, abs=0.1)
ANGRY, SAD = "03-01-05-01-01-01-01", "03-01-04-02-02-02-12"


def spoken_file(path, f0_hz):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = voice(f0_hz, seconds=1.5).astype("float32")
    return write_media(path, [], [(0.0, samples[None])], rate_hz=16_000, layout="mono")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two recordings with the names of a corpus, in subfolders."""
    folder = tmp_path_factory.mktemp("corpus")
    spoken_file(folder / "Actor_01" / f"{ANGRY}.wav", 150)
    spoken_file(folder / "Actor_12" / f"{SAD}.wav", 120)
    return folder


def rows_of(dataset):
    names = ["video_id", "start_s", "end_s", "transcript", "split"]
    names += [name for name in ("emotion", "speaker", "fold") if name in dataset.table().column_names]
    return dataset.table(names).to_pylist()


def test_a_corpus_is_extracted_by_the_names_of_its_files(folder, tmp_path):
    extraction = extract(folder, None, tmp_path / "data", ExtractRequest(VOICE, reader="ravdess"))
    assert extraction.failed == {}
    sad, angry = rows_of(extraction.dataset)
    assert (angry["video_id"], angry["emotion"]) == (ANGRY, "angry")
    assert angry["speaker"] == angry["fold"] == "Actor_01"
    assert (sad["transcript"], sad["emotion"]) == ("Dogs are sitting by the door", "sad")
    assert (angry["start_s"], angry["end_s"]) == (0.0, SECONDS)
    assert sad["split"] is angry["split"] is None
    facts = extraction.dataset.facts
    assert facts.licence_note == f"RAVDESS: CC BY-NC-SA 4.0. {ACTED}"
    assert facts.origin["reader"] == "ravdess"
    # the reader knows that a file is one utterance: nothing is assumed
    assert WHOLE_FILE not in facts.origin["notes"]
    assert extraction.dataset.table(["acoustic"]).column(0).null_count == 0


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("video_id", (ANGRY, SAD)),
        ("file", (f"{ANGRY}.wav", f"{SAD}.wav")),
        ("file", (f"Actor_01/{ANGRY}.wav", f"Actor_12/{SAD}.wav")),
    ],
)
def test_rows_without_times_are_whole_files(folder, tmp_path, column, names):
    table = f"{column},split,mood,text\n{names[0]},train,cross,a\n{names[1]},test,low,b\n"
    labels = write_text(tmp_path / "labels.csv", table)
    request = ExtractRequest(VOICE, mapping={"video_id": column}, labels=("mood=mood:classes",))
    extraction = extract(folder, labels, tmp_path / "data", request)
    assert extraction.failed == {}
    found = {row["video_id"]: (row["start_s"], row["end_s"]) for row in rows_of(extraction.dataset)}
    assert found == dict.fromkeys(names, (0.0, SECONDS))
    assert extraction.dataset.facts.origin["notes"][WHOLE_FILE] == 2
    assert "reader" not in extraction.dataset.facts.origin


def test_labels_may_lie_in_the_folder_and_need_no_column_of_texts(tmp_path):
    spoken_file(tmp_path / "media" / "talk.wav", 120)
    write_text(tmp_path / "media" / "labels.csv", "video_id,split,sentiment\ntalk,train,1.5\n")
    extraction = extract(tmp_path / "media", None, tmp_path / "data", ExtractRequest(VOICE))
    assert extraction.failed == {}
    assert extraction.dataset.facts.origin["files"].keys() == {"labels.csv"}
    with pytest.raises(DataError, match="Expected a column 'words'"):
        extract(tmp_path / "media", None, tmp_path / "data", ExtractRequest(VOICE, mapping={"text": "words"}))


def test_labels_elsewhere_name_the_files_of_the_folder(folder, tmp_path):
    spoken_file(tmp_path / "names" / f"{ANGRY}.wav", 90)
    extraction = extract(folder, tmp_path / "names", tmp_path / "data", ExtractRequest(VOICE, reader="ravdess"))
    assert [row["video_id"] for row in rows_of(extraction.dataset)] == [ANGRY]


def test_several_utterances_without_times_are_refused(folder, tmp_path):
    labels = write_text(tmp_path / "labels.csv", f"video_id,text\n{ANGRY},a\n{ANGRY},b\n")
    with pytest.raises(DataError, match=r"Expected start and end in seconds .*; correct the labels \(only a single"):
        extract(folder, labels, tmp_path / "data", ExtractRequest(VOICE))


def test_an_unknown_reader_is_named(folder, tmp_path):
    with pytest.raises(UnknownNameError, match="a reader to be one of .*, but got 'ravdes'; did you mean 'ravdess'"):
        extract(folder, None, tmp_path / "data", ExtractRequest(VOICE, reader="ravdes"))
