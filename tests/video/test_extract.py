"""From raw files to a Dataset, a model of it, and a report on the next file: real decoding, features and training."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from tests.features.voices import voice
from tests.media.examples import gray, write_media
from tests.planted import QUICK

from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import DataError, FeatureSpaceError, UnknownNameError, UsageError
from mien.media.word_times import NONE_HEARD, NOTHING_HEARD_AT_ALL, spoken_words, spread_words
from mien.schema import EMOTIONS, Clip, Level, Modality
from mien.video.analyze import AnalyzeRequest, analyze
from mien.video.extract import DEFAULT_EXTRACTORS, ExtractRequest, extract
from mien.video.feature_cache import cache_beside
from mien.video.featurise import LoadedExtractors, extractors_for, featurise, load_extractors
from mien.video.outputs import OUTPUTS, read_analysis_json
from mien.video.progress import Stage

SPLITS = ("train", "train", "train", "valid", "test")
# Words and voice; faces need model files that a test cannot make.
REQUEST = ExtractRequest(extractors={Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "egemaps"})
BY_WORD = ExtractRequest(
    extractors={Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "covarep-like-74"}, level=Level.WORD
)
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


def test_speakers_and_folds_of_the_labels_are_kept(labelled, tmp_path):
    with open(labelled / "labels.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        row |= {"speaker": f"person {row['text'][0]}", "fold": row["video_id"][-1]}
    with open(tmp_path / "told.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    dataset = extract(labelled, tmp_path / "told.csv", tmp_path / "data", REQUEST).dataset
    for video in dataset.videos():
        assert video.fold == video.id[-1]
        spoken = [each.speaker for each in video.utterances]
        assert spoken == [f"person {each.transcript[0]}" for each in video.utterances]


def test_an_interrupted_extraction_goes_on_and_ends_in_the_same_bytes(labelled, tmp_path):
    whole = extract(labelled, labelled / "labels.csv", tmp_path / "whole", REQUEST).dataset

    def stop_after_two(progress):
        if progress.recording:
            assert progress.total == len(SPLITS)
            if progress.number == 2 and Stage.DONE in progress.stages:
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


def test_attention_over_fused_utterances_is_shown_where_anything_is_known(labelled, tmp_path):
    dataset = extract(labelled, labelled / "labels.csv", tmp_path / "data", REQUEST).dataset
    small = {"epochs": 1, "dense_size": 3, "lstm_size": 2}
    tasks = ("sentiment", "sentiment_intensity")
    fusing = train(dataset, tmp_path / "run", TrainRequest(model="cat-lstm", tasks=tasks, settings=small))
    samples = voice(120, seconds=3.0).astype(np.float32)
    samples[16_000:32_000] = 0
    film = write_media(tmp_path / "pause.mp4", (), [(0.0, samples[None])], rate_hz=16_000, layout="mono")
    for words, known in (("Fine.", [True, True, True]), ("qqxzv", [True, False, True])):
        # a word without a vector: the silent utterance then has neither voice nor words
        subtitles = write_subtitles(tmp_path / "pause.srt")
        subtitles.write_text(subtitles.read_text(encoding="utf-8").replace(SENTENCES[1], words), encoding="utf-8")
        request = AnalyzeRequest(model=str(fusing.folder), subtitles=subtitles, tracks=False)
        analysis = analyze([film], tmp_path / "out" / words, request)[0][film]
        assert set(analysis.attention) == {"fused->fused"}
        weights = analysis.attention["fused->fused"]
        np.testing.assert_array_equal(np.isnan(weights).all(axis=1), ~np.array(known))
        np.testing.assert_allclose(weights[known].sum(axis=1), 1, rtol=1e-5)
        assert ((weights[known] > 0) == np.array(known)).all()
        # a predicted score is told where there is something to predict from
        degrees = [row.sentiment_intensity for row in analysis.utterances]
        assert [degree is not None and -3 < degree < 3 for degree in degrees] == known
        stored = json.loads((tmp_path / "out" / words / "analysis.json").read_text(encoding="utf-8"))["utterances"]
        assert [row.get("sentiment_intensity") for row in stored] == degrees
        assert not any("emotion_intensities" in row for row in stored)


def test_several_videos_one_of_them_bad(run, tmp_path):
    good = sounding_file(tmp_path / "good.mp4", 110)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    subtitles = tmp_path / "subtitles"
    subtitles.mkdir()
    for path in (bad, good):
        write_subtitles(subtitles / f"{path.stem}.srt")
    request = AnalyzeRequest(model=str(run.folder), subtitles=subtitles, tracks=False)
    done, failed = analyze([bad, good], tmp_path / "out", request)
    assert list(done) == [good]
    assert list(failed) == [bad]
    assert (tmp_path / "out/good/report.html").is_file()


def test_an_unknown_model_offers_the_shipped_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'mosei-text'"):
        analyze([tmp_path / "x.mp4"], tmp_path / "out", AnalyzeRequest(model="mosei-txt"))


@pytest.fixture(scope="module")
def by_word(labelled, tmp_path_factory):
    """The Dataset of `labelled` at word level."""
    return extract(labelled, labelled / "labels.csv", tmp_path_factory.mktemp("words") / "data", BY_WORD).dataset


def test_at_word_level_an_utterance_is_the_mean_of_its_words(by_word):
    assert {str(space.level) for space in by_word.facts.spaces.values()} == {"word"}
    # nobody can recognise a vowel: the words' times are made up, and the card says so
    assert by_word.facts.origin["notes"][NONE_HEARD] == 15
    for video in by_word.videos():
        for utterance, text in zip(video.utterances, SENTENCES, strict=True):
            assert set(utterance.words) == {Modality.TEXT, Modality.ACOUSTIC}
            for modality, rows in utterance.words.items():
                assert len(rows) == len(text.split())
                assert utterance.word_present[modality].all()
                np.testing.assert_allclose(utterance.features[modality], rows.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_word_level_text_is_that_of_the_bare_words(by_word):
    extractor = load_extractors({Modality.TEXT: "glove-6b-50d"}).text
    utterance = next(by_word.videos()).utterances[2]
    expected = [extractor.word_vectors(word)[0] for word in ("what", "a", "surprise")]
    np.testing.assert_allclose(utterance.words[Modality.TEXT], expected, rtol=1e-6)


def test_word_level_is_another_feature_space(by_word):
    names = {modality: space.name for modality, space in by_word.facts.spaces.items()}
    whole = load_extractors(names).spaces
    for modality, space in by_word.facts.spaces.items():
        assert space.name == whole[modality].name
        assert space.fingerprint != whole[modality].fingerprint
        assert "words -> utterance" in space.recipe["pooling"].replace("words without punctuation", "words")


def test_a_checkpoint_brings_its_level_with_it(by_word, labelled):
    extractors = extractors_for(by_word.facts.spaces)
    assert extractors.level is Level.WORD
    video = next(by_word.videos())
    clips = [Clip(each.index, each.start_s, each.end_s, each.transcript) for each in video.utterances]
    found = featurise(labelled / f"{video.id}.mp4", video.id, clips, extractors)
    assert found.notes == {NOTHING_HEARD_AT_ALL: 3}
    for again, before in zip(found.video.utterances, video.utterances, strict=True):
        for modality in before.features:
            np.testing.assert_array_equal(again.features[modality], before.features[modality])
    whole = load_extractors({modality: space.name for modality, space in by_word.facts.spaces.items()})
    assert extractors_for(whole.spaces).level is Level.UTTERANCE


def test_analyze_follows_the_word_rule_of_the_model(by_word, tmp_path):
    run = train(by_word, tmp_path / "run", TrainRequest(settings=QUICK))
    film = sounding_file(tmp_path / "next.mp4", 130)
    request = AnalyzeRequest(model=str(run.folder), subtitles=write_subtitles(tmp_path / "next.srt"), tracks=False)
    done, failed = analyze([film], tmp_path / "out", request)
    assert failed == {}
    assert all(row.missing == {} and row.sentiment is not None for row in done[film].utterances)
    assert f"{NOTHING_HEARD_AT_ALL}: 3" in done[film].notes


def test_a_modality_missing_in_a_word_is_missing_in_that_word(labelled):
    extractors = load_extractors({Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "covarep-like-74"}, Level.WORD)
    # one unknown word; the last word lies beyond the end of the clip's sound
    words = spread_words(["good", "qwxzzyq", "day"], 0.2, 0.8)
    late = spread_words(["late"], 1.5, 1.9)
    clips = [
        Clip(0, 0.0, 1.0, "good qwxzzyq day late", (*words, *late)),
        Clip(1, 1.0, 2.0, ""),
        Clip(2, 9.0, 9.5, "hey"),
    ]
    found = featurise(labelled / "v0.mp4", "v0", clips, extractors)
    said, silent, beyond = found.video.utterances
    assert said.word_present[Modality.TEXT].tolist() == [True, False, True, True]
    assert said.word_present[Modality.ACOUSTIC].tolist() == [True, True, True, False]
    assert not said.words[Modality.ACOUSTIC][3].any()
    np.testing.assert_allclose(
        said.features[Modality.TEXT], said.words[Modality.TEXT][[0, 2, 3]].mean(axis=0), rtol=1e-5
    )
    assert (silent.features, silent.words) == ({}, {})
    assert found.missing[1] == {Modality.TEXT: "nothing was understood", Modality.ACOUSTIC: "nothing was understood"}
    assert list(beyond.features) == [Modality.TEXT]
    assert found.missing[2] == {Modality.ACOUSTIC: "begins after the end of the file"}
    assert beyond.word_present[Modality.ACOUSTIC].tolist() == [False]


def test_a_clip_that_may_not_be_judged_gets_no_features(labelled):
    extractors = load_extractors({Modality.TEXT: "glove-6b-50d", Modality.ACOUSTIC: "covarep-like-74"}, Level.WORD)
    words = spread_words(["good", "day"], 0.2, 0.8)
    clips = [Clip(0, 0.0, 1.0, "good day", words), Clip(1, 0.0, 1.0, "good day", words, "Ann", "a song, not speech")]
    said, sung = (found := featurise(labelled / "v0.mp4", "v0", clips, extractors)).video.utterances
    assert set(said.features) == {Modality.TEXT, Modality.ACOUSTIC}
    assert (sung.features, sung.words, sung.word_present, sung.speaker) == ({}, {}, {}, "Ann")
    reason = "a song, not speech"
    assert found.missing == {0: {}, 1: {Modality.TEXT: reason, Modality.ACOUSTIC: reason}}


@pytest.mark.parametrize(
    ("modality", "name", "remedy"),
    [(Modality.TEXT, "minilm", "glove-6b-50d"), (Modality.ACOUSTIC, "egemaps", "covarep-like-74")],
)
def test_extractors_of_whole_utterances_are_refused_at_word_level(modality, name, remedy):
    with pytest.raises(UsageError, match=f"Expected .* describes single words .* got {name}; take {remedy}"):
        load_extractors({modality: name}, Level.WORD)


def test_the_default_extractors_fit_their_level():
    for level, names in DEFAULT_EXTRACTORS.items():
        assert set(load_extractors(names, level).spaces) == set(Modality)
    assert LoadedExtractors().spaces == {}


def test_features_that_no_extractor_makes_are_refused(planted):
    with pytest.raises(FeatureSpaceError, match="Expected a model of features that can be made from raw video"):
        extractors_for(planted.facts.spaces)


@pytest.mark.exhaustive
@pytest.mark.data
@pytest.mark.slow
def test_given_words_take_the_times_of_the_recognised_ones(data_dir, tmp_path):
    request = ExtractRequest(extractors={Modality.TEXT: "glove-6b-50d", Modality.VISUAL: "face"}, level=Level.WORD)
    folder = data_dir / "videos"
    extraction = extract(folder, folder / "labels.csv", tmp_path / "data", request)
    assert extraction.failed == {}
    notes = extraction.dataset.facts.origin["notes"]
    n_words = 0
    for video in extraction.dataset.videos():
        for utterance in video.utterances:
            expected = len(spoken_words(utterance.transcript))
            n_words += expected
            assert len(utterance.words[Modality.TEXT]) == len(utterance.words[Modality.VISUAL]) == expected
    # recognition and the labels' transcripts agree on most words
    assert NONE_HEARD not in notes
    made_up = sum(count for text, count in notes.items() if "spread" in text)
    assert 0 < made_up < 0.2 * n_words


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
