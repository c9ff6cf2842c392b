"""From raw files to a Dataset, a model of it, and a report on the next file: real decoding, features and training."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from tests.features.voices import voice
from tests.media.examples import gray, write_media
from tests.workflows.planted import QUICK

from mien.errors import DataError, UnknownNameError
from mien.reports import OUTPUTS, read_analysis_json
from mien.schema import EMOTIONS, Modality
from mien.workflows.analyze import AnalyzeRequest, analyze
from mien.workflows.extract import ExtractRequest, cache_beside, extract
from mien.workflows.train import TrainRequest, train

SPLITS = ("train", "train", "train", "valid", "test")
# Words and voice; faces need model files that a test cannot make.
REQUEST = ExtractRequest(extractors={Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "egemaps"})
SENTENCES = ("I love this film.", "The ending was terrible.", "What a surprise!")


def sounding_file(path, f0_hz):
    """Three seconds of a synthetic voice with a grey picture."""
    samples = voice(f0_hz, seconds=3.0).astype(np.float32)
    pictures = [(number / 5, gray(100 + number)) for number in range(15)]
    return write_media(path, pictures, [(0.0, samples[None])], rate_hz=16_000, layout="mono")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Five files that play a synthetic voice, and their labels."""
    folder = tmp_path_factory.mktemp("raw")
    rows = []
    for number, split in enumerate(SPLITS):
        sounding_file(folder / f"v{number}.mp4", 100 + 20 * number)
        for part, text in enumerate(SENTENCES):
            emotions = dict.fromkeys(EMOTIONS, 0.0) | {"happy": float(part != 1), "sad": float(part == 1)}
            times = {"start": float(part), "end": part + 1.0}
            rows.append(
                {"video_id": f"v{number}", "split": split, "text": text, "sentiment": 1.0 - part} | times | emotions
            )
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def write_subtitles(path):
    cues = [f"{i + 1}\n00:00:0{i},000 --> 00:00:0{i + 1},000\n{text}\n" for i, text in enumerate(SENTENCES)]
    path.write_text("\n".join(cues), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(labelled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    dataset = extract(labelled, labelled / "labels.csv", folder / "data", REQUEST).dataset
    return train(dataset, folder / "run", TrainRequest(settings=QUICK))


def test_a_folder_of_videos_becomes_a_dataset(labelled, tmp_path):
    extraction = extract(labelled, labelled / "labels.csv", tmp_path / "data", REQUEST)
    assert extraction.failed == {}
    assert {name: count["utterances"] for name, count in extraction.dataset.counts.items()} == {
        "train": 9,
        "valid": 3,
        "test": 3,
    }
    columns = extraction.dataset.columns("train")
    assert columns.features[Modality.ACOUSTIC].shape == (9, 88)
    assert columns.present[Modality.ACOUSTIC].all()
    pitch = extraction.dataset.facts.spaces[Modality.ACOUSTIC].columns.index("F0semitoneFrom27.5Hz_sma3nz_amean")
    heard = columns.features[Modality.ACOUSTIC][::3, pitch]
    np.testing.assert_allclose(27.5 * 2 ** (heard / 12), [100, 120, 140], rtol=0.05)


def test_an_interrupted_extraction_goes_on_and_ends_in_the_same_bytes(labelled, tmp_path):
    whole = extract(labelled, labelled / "labels.csv", tmp_path / "whole", REQUEST).dataset

    def stop_after_two(done, total):
        assert total == len(SPLITS)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(labelled, labelled / "labels.csv", tmp_path / "data", REQUEST, stop_after_two)
    assert not (tmp_path / "data").exists()
    kept = set(cache_beside(tmp_path / "data").iterdir())
    assert kept
    resumed = extract(labelled, labelled / "labels.csv", tmp_path / "data", REQUEST).dataset
    assert kept <= set(cache_beside(tmp_path / "data").iterdir())
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.facts.origin == whole.facts.origin


def test_one_bad_video_does_not_stop_the_rest(labelled, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for path in labelled.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "v1.mp4").write_bytes(b"")
    (folder / "v2.mp4").unlink()
    extraction = extract(folder, folder / "labels.csv", tmp_path / "data", REQUEST)
    assert set(extraction.failed) == {"v1", "v2"}
    assert "no file of this name" in extraction.failed["v2"]
    assert sum(count["videos"] for count in extraction.dataset.counts.values()) == 3
    for path in folder.glob("*.mp4"):
        path.write_bytes(b"not a video")
    with pytest.raises(DataError, match="Expected at least one readable video"):
        extract(folder, folder / "labels.csv", tmp_path / "other", REQUEST)


def test_the_next_video_gets_the_features_the_model_was_trained_on(run, tmp_path):
    film = sounding_file(tmp_path / "next.mp4", 130)
    subtitles = write_subtitles(tmp_path / "next.srt")
    request = AnalyzeRequest(model=str(run.folder), subtitles=subtitles, tracks=False)
    done, failed = analyze([film], tmp_path / "out", request)
    assert failed == {}
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(OUTPUTS)
    analysis = done[film]
    assert [row.transcript for row in analysis.utterances] == list(SENTENCES)
    assert analysis.model.inputs == ("text", "acoustic")
    for row in analysis.utterances:
        assert row.missing == {}
        # what taking a modality away changes stands for both modalities and all outputs
        assert set(row.contributions) == {"text", "acoustic"}
        assert set(row.contributions["text"]) == {"sentiment", *EMOTIONS}
        assert any(abs(value) > 1e-6 for value in row.contributions["text"].values())
    assert set(analysis.attention) == {"text->acoustic", "acoustic->text"}
    for weights in analysis.attention.values():
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert read_analysis_json(tmp_path / "out/analysis.json").utterances == analysis.utterances
    facts = json.loads((tmp_path / "out/analysis.json").read_text(encoding="utf-8"))
    assert facts["utterances"][0]["sentiment"]["label"] in ("positive", "negative")


def test_silence_is_missing_with_its_reason(run, tmp_path):
    samples = voice(120, seconds=3.0).astype(np.float32)
    samples[16_000:32_000] = 0
    film = write_media(tmp_path / "pause.mp4", (), [(0.0, samples[None])], rate_hz=16_000, layout="mono")
    subtitles = write_subtitles(tmp_path / "pause.srt")
    request = AnalyzeRequest(model=str(run.folder), subtitles=subtitles, tracks=False)
    analysis = analyze([film], tmp_path / "out", request)[0][film]
    rows = analysis.utterances
    # the silent utterance asks nothing of the words by voice, and nobody attends to its voice
    assert np.isnan(analysis.attention["acoustic->text"][1]).all()
    assert (analysis.attention["text->acoustic"][:, 1] == 0).all()
    assert [sorted(row.missing) for row in rows] == [[], ["acoustic"], []]
    assert set(rows[1].contributions) == {"text"}


def test_several_videos_one_of_them_bad(run, tmp_path):
    good = sounding_file(tmp_path / "good.mp4", 110)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    subtitles = write_subtitles(tmp_path / "both.srt")
    request = AnalyzeRequest(model=str(run.folder), subtitles=subtitles, tracks=False)
    done, failed = analyze([bad, good], tmp_path / "out", request)
    assert list(done) == [good]
    assert list(failed) == [bad]
    assert (tmp_path / "out/good/report.html").is_file()


def test_an_unknown_model_offers_the_shipped_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'mosei-text'"):
        analyze([tmp_path / "x.mp4"], tmp_path / "out", AnalyzeRequest(model="mosei-txt"))


@pytest.mark.data
@pytest.mark.slow
def test_a_real_talk_is_heard_and_read(data_dir, tmp_path):
    film = data_dir / "videos/-571d8cVauQ.mp4"
    done, failed = analyze([film], tmp_path / "out")
    assert failed == {}
    analysis = done[film]
    assert 8 <= len(analysis.utterances) <= 16
    assert "location" in " ".join(row.transcript for row in analysis.utterances)
    assert {track.name for track in analysis.tracks} >= {"loudness", "pitch", "face present"}
    (loudness,) = (track for track in analysis.tracks if track.name == "loudness")
    assert loudness.times_s[-1] == pytest.approx(89.2, abs=0.5)
