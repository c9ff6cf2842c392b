"""A system that reads transcripts, from the Dataset to the raw video: what it needs, records, refuses and resumes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from tests.cli.calls import mien as mien_command
from tests.models.tiny_encoder import tiny_encoder  # noqa: F401  (a fixture)

import mien
from mien.benchmark.suites import dataset_contents, find_suite
from mien.commands.evaluate import evaluate
from mien.commands.shipped import find_run, ship_run
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.engine.cluster import JobSpec, run_packed
from mien.errors import DataError, EngineError, FeatureSpaceError, UsageError, WriteError
from mien.features.text.minilm import MINILM
from mien.labels import paper_labels
from mien.media.clips import MediaSettings
from mien.pretrained import sha256_of
from mien.schema import EMOTIONS, FeatureSpace, Modality, Utterance, Video
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset
from mien.storage.predictions import read_predictions
from mien.storage.runs import CARD, open_run
from mien.tasks import PAPER_TASKS, SENTIMENT
from mien.training.predictor import load_predictor, needs_transcripts
from mien.video.analyze import AnalysisContext, AnalysisContextSettings, AnalyzeRequest, analyze
from mien.video.demo import sample_clip
from mien.video.measurements import MeasurementSettings

pytestmark = pytest.mark.usefixtures("tiny_encoder")

T, A = Modality.TEXT, Modality.ACOUSTIC
GOOD, BAD = ("a fine film", "i love it", "so good and fine"), ("a bad film", "i hate it", "so bad and dull")
LOOP = {"epochs": 3, "batch_videos": 4, "batch_tokens": 40, "threads": 1}
TINY = {"encoder": "tiny", "gru_size": 5, "dense_size": 3, "fused_size": 7, **LOOP}
ALL_TASKS = TrainRequest(model="cim-tuned", tasks=tuple(PAPER_TASKS), settings=TINY)
SPACES = {
    T: FeatureSpace(T, "given", 2),
    A: FeatureSpace(A, "voice", 3),
}


def make(folder, *, spaces=(T, A), transcripts=True, labelled=True, n_videos=16):
    """Videos whose mood is in their words; their features say nothing."""
    rng = np.random.default_rng(0)

    def videos():
        for number in range(n_videos):
            utterances = []
            for index in range(1 + number % 3):
                good = bool(rng.random() < 0.5)
                utterance = Utterance(index, 2.0 * index, 2.0 * index + 1)
                utterance.transcript = str(rng.choice(GOOD if good else BAD)) if transcripts else ""
                emotions = rng.choice([0.0, 2 / 3, 2.0], size=len(EMOTIONS))
                if labelled:
                    utterance.labels |= paper_labels(1.0 if good else -1.0, emotions)
                vectors = {m: rng.normal(size=space.n_features).astype(np.float32) for m, space in SPACES.items()}
                utterance.features = {m: vectors[m] for m in spaces}
                utterances.append(utterance)
            split = "train" if number < n_videos // 2 else "valid" if number < 3 * n_videos // 4 else "test"
            yield Video(f"v{number}", utterances, split)

    return write_dataset(folder, videos(), DatasetFacts("moods", {m: SPACES[m] for m in spaces}))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make(tmp_path_factory.mktemp("moods") / "data")


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory, tiny_encoder):  # noqa: ARG001, F811
    return train(dataset, tmp_path_factory.mktemp("moods") / "run", ALL_TASKS)


def bits(run):
    return {name: sha for name, sha in run.sha256.items() if name != "run.json"}


def test_a_run_records_which_encoder_reads_its_text(run, dataset):
    card = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    recorded = card["feature_spaces"]["text"]["recipe"]["encoder_sha256"]
    assert recorded == dict(MINILM.sha256)
    assert run.inputs == (T, A)
    assert run.tasks == tuple(PAPER_TASKS)
    assert [each.name for each in dataset.facts.spaces.values()] == ["given", "voice"], "the Dataset stays as it is"


def test_another_encoder_is_refused(run):
    recipe = {**run.spaces[T].recipe, "encoder_sha256": {"model.safetensors": "0" * 64}}
    other = dataclasses.replace(run, spaces={**run.spaces, T: dataclasses.replace(run.spaces[T], recipe=recipe)})
    with pytest.raises(FeatureSpaceError, match="Expected text transcript"):
        load_predictor(other)


def test_interrupted_and_resumed_it_ends_in_the_same_bits(run, dataset, tmp_path):
    class StopError(Exception):
        pass

    def stop_after_two(record):
        if record["epoch"] == 2:
            raise StopError

    with pytest.raises(StopError):
        train(dataset, tmp_path / "run", ALL_TASKS, report=stop_after_two)
    assert bits(train(dataset, tmp_path / "run", ALL_TASKS, resume=True)) == bits(run)


def test_transcripts_are_scored_whatever_text_features_stand_beside_them(run, tmp_path):
    bare = make(tmp_path / "bare", spaces=(A,))
    whole = make(tmp_path / "whole")
    first, second = (evaluate([run.folder], dataset=each.folder, n_resamples=0).summary for each in (whole, bare))
    # the generator draws the same voices whether or not the text vectors are kept
    assert first["mean"]["sentiment"]["roc_auc"] == second["mean"]["sentiment"]["roc_auc"]
    said = [load_predictor(run).predict(each.columns("test")).outputs[SENTIMENT] for each in (whole, bare)]
    np.testing.assert_array_equal(*said)


def test_a_dataset_without_transcripts_is_refused_with_the_remedy(run, tmp_path):
    mute = make(tmp_path / "mute", transcripts=False)
    with pytest.raises(DataError, match="Expected transcripts in .*mute for .*run, which reads them, but got none"):
        evaluate([run.folder], dataset=mute.folder)
    with pytest.raises(DataError, match="for cim-tuned, .* or train on text features: --set encoder=none"):
        train(mute, tmp_path / "run", TrainRequest(model="cim-tuned", settings=TINY))
    deaf = train(mute, tmp_path / "deaf", TrainRequest(model="cim-tuned", inputs=(A,), settings=TINY))
    assert deaf.inputs == (A,)


def test_on_text_features_it_needs_no_transcripts_and_no_encoder(tmp_path):
    mute = make(tmp_path / "mute", transcripts=False)
    run = train(mute, tmp_path / "run", TrainRequest(model="cim-tuned", settings=TINY | {"encoder": "none"}))
    assert run.spaces[T].name == "given"
    predictor, columns = load_predictor(run), mute.columns("test")
    said = predictor.predict(columns).outputs[SENTIMENT]
    other_words = dataclasses.replace(columns, transcripts=["no, never"] * columns.n_utterances)
    np.testing.assert_array_equal(predictor.predict(other_words).outputs[SENTIMENT], said)
    other_vectors = dataclasses.replace(columns, features=columns.features | {T: columns.features[T][::-1].copy()})
    assert not np.allclose(predictor.predict(other_vectors).outputs[SENTIMENT], said)
    rows = slice(columns.offsets[0], columns.offsets[1])
    vectors = {modality: matrix[rows] for modality, matrix in columns.features.items()}
    assert predictor.predict_video(vectors).outputs[SENTIMENT].shape == (rows.stop - rows.start, 2)


def test_a_diagnosis_lets_it_read_transcripts_with_errors(run):
    found = mien.diagnose([run.folder], word_errors=(1.0,), n_resamples=0).summary["transcription_errors"]
    assert found["notes"] == []
    clean, wrong = (level["scores"] for level in found["levels"])
    assert clean != wrong
    assert found["levels"][1]["measured_rate"] > 0.8


def test_it_learns_what_only_the_words_say(tmp_path):
    many = make(tmp_path / "many", n_videos=80)
    settings = TINY | {"epochs": 12, "encoder_learning_rate": 0.02, "learning_rate": 0.01, "tuning": "full"}
    request = TrainRequest(model="cim-tuned", tasks=(SENTIMENT,), settings=settings)
    told = train(many, tmp_path / "run", request)
    assert evaluate([told.folder], n_resamples=0).summary["mean"]["sentiment"]["accuracy_has0"] == 1.0
    predictor = load_predictor(told)
    columns = open_dataset(many.folder).columns("test")
    with_words = predictor.predict(columns).outputs[SENTIMENT]
    without = predictor.predict(columns.without(T)).outputs[SENTIMENT]
    silent = dataclasses.replace(columns, transcripts=[""] * columns.n_utterances)
    np.testing.assert_array_equal(predictor.predict(silent).outputs[SENTIMENT], without)
    assert np.abs(with_words - without).max() > 0.1


def test_raw_video_is_served_with_its_transcripts(tmp_path):
    bare = make(tmp_path / "bare", spaces=())
    run = train(bare, tmp_path / "run", TrainRequest(model="cim-tuned", settings=TINY))
    clip = sample_clip()
    request = AnalyzeRequest(model=str(run.folder), subtitles=clip.with_suffix(".srt"), tracks=False)
    done, failed = analyze([clip], tmp_path / "out", request)
    assert failed == {}
    analysis = done[clip]
    assert analysis.model.inputs == ("text",)
    assert set(analysis.attention) == {"text->text"}
    np.testing.assert_allclose(analysis.attention["text->text"].sum(axis=1), 1, rtol=1e-5)
    assert all(row.sentiment is not None and row.missing == {} for row in analysis.utterances)
    assert len({row.sentiment.probability for row in analysis.utterances}) > 1


def test_the_packaged_encoder_trains_and_is_read_back(tmp_path):
    small = make(tmp_path / "small", spaces=(), n_videos=8)
    settings = LOOP | {"epochs": 1}
    run = train(small, tmp_path / "run", TrainRequest(model="cim-tuned", settings=settings))
    assert (run.folder / "model.safetensors").stat().st_size <= 8_000_000
    again = mien.load_model(run.folder).predict(small.columns("valid"))
    kept = read_predictions(run.folder / "predictions/valid.parquet")
    np.testing.assert_array_equal(again.outputs[SENTIMENT], kept.outputs[SENTIMENT])
    assert open_run(run.folder).outcome["n_parameters"] < 2_000_000


def test_predictions_are_computed_on_one_thread_whatever_torch_is_set_to(run, dataset):
    predictor, seen, before = load_predictor(run), [], torch.get_num_threads()
    predictor.network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    predictor.predict(dataset.columns("test"))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (set(seen), after) == ({1}, 2)


def test_training_leaves_the_number_of_threads_as_it_was(dataset, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    train(dataset, tmp_path / "run", dataclasses.replace(ALL_TASKS, settings=TINY | {"epochs": 1, "threads": 2}))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 3


def test_a_worker_that_outlives_a_run_takes_the_new_one_in_its_place(dataset, tmp_path):
    request = dataclasses.replace(ALL_TASKS, inputs=(T,), settings=TINY | {"epochs": 1})
    folder = tmp_path / "run"
    measured = MeasurementSettings(tmp_path / "said.srt", MediaSettings(), tracks=False)

    def seed_seen_by_worker(card_sha256):
        settings = AnalysisContextSettings(str(folder), card_sha256, measured)
        return run_packed(JobSpec(_seed, partial(AnalysisContext, settings)).pack(None))

    train(dataset, folder, request)
    first = sha256_of(folder / CARD)
    assert seed_seen_by_worker(first) == 0
    shutil.rmtree(folder)
    train(dataset, folder, dataclasses.replace(request, seed=1))
    assert seed_seen_by_worker(sha256_of(folder / CARD)) == 1
    with pytest.raises(EngineError, match="to see the run .* as it was sent .* but got another one there"):
        seed_seen_by_worker(first)


def _seed(_job, context):
    return context.analyst.result().run.seed


def test_a_slim_copy_replaces_an_older_one_and_keeps_no_predictions(run, dataset, tmp_path):
    folder = tmp_path / "given-away"
    ship_run(run, folder)
    (folder / "decisions.json").write_text("{}")
    slim = ship_run(run, folder)
    names = {path.name for path in folder.rglob("*")}
    evaluate([folder], dataset=dataset.folder, n_resamples=0)
    assert names == {path.name for path in folder.rglob("*")} == {*slim.sha256, "run.json"}
    assert list(tmp_path.iterdir()) == [folder]
    (folder / "notes.txt").touch()
    with pytest.raises(WriteError, match="Expected only files that mien wrote in .*, but got notes.txt"):
        ship_run(run, folder)
    assert names == {path.name for path in folder.rglob("*")} - {"notes.txt"}


def test_transcripts_alone_are_enough_for_a_suite_of_those_that_read_them(tmp_path):
    bare = make(tmp_path / "bare", spaces=())
    row = '[[setting]]\nname = "a"\nmodel = "cim-tuned"\n'
    (tmp_path / "own.toml").write_text('reference = "a"\n' + row)
    (suite,) = find_suite(tmp_path / "own.toml", dataset_contents(bare), {}).settings
    # runs stand side by side: one thread each
    assert (suite.inputs, suite.settings) == ((T,), {"threads": 1})
    (tmp_path / "own.toml").write_text(row)
    for name in (tmp_path / "own.toml", "table4", "table7", "tasks"):
        with pytest.raises(DataError, match="Expected features in .*bare for cim, the reference of this suite"):
            find_suite(name, dataset_contents(bare), {})
    silent = make(tmp_path / "silent", spaces=(), transcripts=False)
    with pytest.raises(DataError, match="got no features and no transcripts"):
        dataset_contents(silent)


def test_a_suite_asks_for_no_text_where_it_is_neither_read_nor_given(tmp_path):
    voices = make(tmp_path / "voices", spaces=(A,))
    (tmp_path / "own.toml").write_text('[[setting]]\nmodel = "cim-tuned"\nsettings = {encoder = "none"}')
    assert find_suite(tmp_path / "own.toml", dataset_contents(voices), {}).settings[0].inputs == (A,)


def test_own_suites_take_it_where_there_are_transcripts(dataset, tmp_path):
    (tmp_path / "own.toml").write_text('[[setting]]\nmodel = "cim-tuned"\n', encoding="utf-8")
    suite = find_suite(tmp_path / "own.toml", dataset_contents(dataset), {})
    assert [(each.model, each.inputs) for each in suite.settings] == [("cim-tuned", (T, A)), ("cim", (T, A))]
    voices = make(tmp_path / "voices", spaces=(A,))
    suite = find_suite(tmp_path / "own.toml", dataset_contents(voices), {})
    assert [(each.model, each.inputs) for each in suite.settings] == [("cim-tuned", (T, A)), ("cim", (A,))]


def test_progress_counts_the_epochs_that_are_the_systems_own(dataset, tmp_path):
    sizes = [part for name in ("gru_size", "dense_size", "fused_size") for part in ("--set", f"{name}=3")]
    result = mien_command(
        "train", dataset.folder, "--out", tmp_path / "run", "--model", "cim-tuned", "--set", "encoder=tiny", *sizes
    )
    assert result.exit_code == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("mien: note: ")]
    assert [line.split("  ")[0] for line in lines] == [
        f"train cim-tuned seed 0: epoch {number} of 3" for number in (1, 2, 3)
    ]


def test_the_shipped_checkpoint_scores_any_data_set_with_transcripts_and_leaves_nothing_beside_itself(
    dataset, tmp_path
):
    shipped = find_run("mosei-text")
    before = sorted(shipped.folder.rglob("*"))
    assert needs_transcripts(shipped.spaces)
    result = evaluate(["mosei-text"], dataset=dataset.folder, n_resamples=50).results[0]
    # eight plain opinions, for and against
    assert result.parts[SENTIMENT]["accuracy_has0"] > 0.95
    assert sorted(shipped.folder.rglob("*")) == before
    with pytest.raises(DataError, match="Expected transcripts in .* which reads them, but got none"):
        evaluate(["mosei-text"], dataset=make(tmp_path / "mute", transcripts=False).folder)
    unlabelled = evaluate(["mosei-text"], dataset=make(tmp_path / "new", labelled=False).folder, n_resamples=0)
    assert "nothing to score; mien predict writes the predictions" in " ".join(unlabelled.results[0].notes)


def test_speakers_need_a_data_set_that_tells_them(dataset, tmp_path):
    told = TrainRequest("cim-tuned", settings=TINY | {"speakers": True})
    with pytest.raises(UsageError, match=r"Expected speakers in .* for the setting speakers=true, .*--map speaker="):
        train(dataset, tmp_path / "run", told)

    def spoken():
        for video in dataset.videos():
            for utterance in video.utterances:
                utterance.speaker = f"{video.id} {utterance.index % 2}"
            yield video

    facts = dataclasses.replace(dataset.facts, extra_columns=("speaker",))
    with_speakers = write_dataset(tmp_path / "spoken", spoken(), facts)
    run = train(with_speakers, tmp_path / "run", told)
    predictor = load_predictor(run)
    known, unknown = (predictor.predict(each.columns("test")) for each in (with_speakers, dataset))
    assert not np.array_equal(known.outputs["sentiment"], unknown.outputs["sentiment"])
