"""Batches of whole videos, scaling fitted on what is there, masked labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.labelled import labels_of, tasks_named

from mien.features.text.minilm import token_ids
from mien.features.text.transcript import as_transcripts
from mien.models.batch import NO_SPEAKER, InputKind
from mien.schema import Modality
from mien.storage.split_columns import SplitColumns, WordColumns
from mien.tasks import EMOTION, EMOTION_INTENSITY, SENTIMENT
from mien.training.batching import collate, fit_scaling, to_video_set
from mien.training.buckets import BatchBudget, bucketed_batches

LENGTHS = [2, 5, 1, 3]


@pytest.fixture
def columns() -> SplitColumns:
    rng = np.random.default_rng(0)
    n = sum(LENGTHS)
    present = rng.random(n) > 0.3
    present[:2] = [True, False]
    features = np.where(present[:, None], rng.normal(3.0, 5.0, size=(n, 3)), 0).astype(np.float32)
    features[:, 2] = np.where(present, 7.0, 0.0)
    sentiment = rng.choice([-1.0, 0.0, 2.0, np.nan], size=n)
    emotions = rng.choice([0.0, 1.0], size=(n, 6))
    emotions[3] = np.nan
    emotions[4] = 0.0
    return SplitColumns(
        video_ids=[f"v{i}" for i in range(4)],
        offsets=np.cumsum([0, *LENGTHS]),
        index=np.arange(n),
        features={Modality.TEXT: features},
        present={Modality.TEXT: present},
        labels=labels_of(sentiment, emotions),
    )


def test_scaling_uses_only_utterances_that_have_the_modality(columns):
    scaling = fit_scaling(columns, [Modality.TEXT])
    here = columns.features[Modality.TEXT][columns.present[Modality.TEXT]]
    np.testing.assert_allclose(scaling.mean[Modality.TEXT][:2], here.mean(0)[:2], rtol=1e-5)
    np.testing.assert_allclose(scaling.scale[Modality.TEXT][:2], here.std(0)[:2], rtol=1e-5)
    assert scaling.scale[Modality.TEXT][2] == 1.0, "a constant column is centred, not blown up"
    videos = to_video_set(columns, scaling)
    rows = videos.features[Modality.TEXT]
    assert (rows[~videos.present[Modality.TEXT]] == 0).all()
    np.testing.assert_allclose(rows[videos.present[Modality.TEXT]].mean(0), 0, atol=1e-6)
    assert torch.isfinite(rows).all()


def test_unscaled_features_stay_as_they_are(columns):
    videos = to_video_set(columns, fit_scaling(columns, [Modality.TEXT], identity=True))
    np.testing.assert_array_equal(videos.features[Modality.TEXT], columns.features[Modality.TEXT])


def test_missing_labels_are_masked_and_the_seventh_is_derived(columns):
    targets = to_video_set(
        columns, fit_scaling(columns, [Modality.TEXT]), tasks=tasks_named((SENTIMENT, EMOTION))
    ).targets
    scored = ~np.isnan(columns.sentiment)
    np.testing.assert_array_equal(targets.scored[SENTIMENT], scored)
    np.testing.assert_array_equal(targets.values[SENTIMENT][scored, 0], columns.sentiment[scored] >= 0)
    assert not targets.scored[EMOTION][3]
    assert targets.values[EMOTION][4].tolist() == [False] * 6 + [True]


def test_targets_are_those_of_the_trained_tasks_alone(columns):
    scaling = fit_scaling(columns, [Modality.TEXT])
    assert to_video_set(columns, scaling).targets.values == {}
    targets = to_video_set(columns, scaling, tasks=tasks_named((EMOTION_INTENSITY,))).targets
    assert targets.values.keys() == targets.scored.keys() == {EMOTION_INTENSITY}
    expected = np.nan_to_num(columns.emotions).astype(np.float32)
    np.testing.assert_array_equal(targets.values[EMOTION_INTENSITY], expected)


def test_collated_rows_are_the_videos_rows_in_order(columns):
    videos = to_video_set(
        columns, fit_scaling(columns, [Modality.TEXT], identity=True), tasks=tasks_named((SENTIMENT,))
    )
    batch, rows = collate(videos, [3, 1])
    assert batch.features[Modality.TEXT].shape == (2, 5, 3)
    assert batch.lengths.tolist() == [3, 5]
    np.testing.assert_array_equal(rows, [8, 9, 10, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(batch.features[Modality.TEXT][batch.real], columns.features[Modality.TEXT][rows])
    assert (batch.features[Modality.TEXT][~batch.real] == 0).all()
    assert not batch.present[Modality.TEXT][~batch.real].any()
    targets = videos.targets.at(rows)
    np.testing.assert_array_equal(targets.values[SENTIMENT][:, 0], columns.sentiment[rows] >= 0)
    np.testing.assert_array_equal(targets.scored[SENTIMENT], ~np.isnan(columns.sentiment[rows]))


def test_batches_hold_every_video_once_and_similar_lengths():
    lengths = np.random.default_rng(1).integers(1, 98, size=211)
    batches = bucketed_batches(lengths, 16, np.random.default_rng(2))
    assert sorted(number for batch in batches for number in batch) == list(range(211))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.15 * lengths.sum(), "almost nothing of a bucketed batch is padding"
    assert batches != bucketed_batches(lengths, 16, np.random.default_rng(3))
    assert bucketed_batches(lengths, 16, None) == bucketed_batches(lengths, 16, None)


def test_a_budget_ends_a_batch_before_the_number_of_videos_does():
    lengths, costs = np.array([1, 1, 1, 2, 3, 9]), np.array([10, 20, 5, 50, 10, 200])
    assert bucketed_batches(lengths, 3, None, BatchBudget(costs, 60)) == [[0, 1, 2], [3, 4], [5]]
    assert bucketed_batches(lengths, 2, None, BatchBudget(costs, 60)) == [[0, 1], [2, 3], [4], [5]]
    shuffled = bucketed_batches(lengths, 3, np.random.default_rng(0), BatchBudget(costs, 60))
    assert sorted(video for batch in shuffled for video in batch) == [0, 1, 2, 3, 4, 5]


def test_transcripts_become_word_pieces_and_times_keep_their_gaps(columns):
    texts = ["good film", "", "&amp;", "a b c", "good", "no", " ", "x", "y", "z z", "w"]
    start_s = np.arange(11.0)
    start_s[3] = np.nan
    told = as_transcripts(dataclasses.replace(columns, transcripts=texts, start_s=start_s, end_s=np.arange(11.0) + 0.5))
    videos = to_video_set(told, fit_scaling(told, [Modality.TEXT]), InputKind.TRANSCRIPTS)
    said = [bool(text.strip()) for text in texts]
    assert videos.present[Modality.TEXT].tolist() == said
    # of every utterance begin mark, end mark, and one piece for each of these words
    assert videos.n_tokens.tolist() == [4 + 0, 3 + 5 + 3 + 3 + 0, 3, 3 + 4 + 3]
    batch, rows = collate(videos, [3, 0])
    assert rows.tolist() == [8, 9, 10, 0, 1]
    assert batch.tokens.lengths.tolist() == [3, 4, 3, 4, 0]
    assert batch.tokens.ids[3].tolist() == token_ids(["good film"])[0]
    assert batch.tokens.ids[4].tolist() == [0, 0, 0, 0]
    assert batch.times.known.tolist() == [[True, True, True], [True, True, False]]
    assert batch.times.start_s[1].tolist() == [0, 1, 0]
    without = told.without(Modality.TEXT)
    silent = to_video_set(without, fit_scaling(told, [Modality.TEXT]), InputKind.TRANSCRIPTS)
    assert not silent.n_tokens.any()
    assert not as_transcripts(without).present[Modality.TEXT].any()


def test_speakers_are_numbers_and_padding_has_none(columns):
    names = ["Joey", "Ross", None, "Joey", "Joey", "Ross", None, "Monica", "Joey", "Joey", "Ross"]
    spoken = as_transcripts(dataclasses.replace(columns, transcripts=["word"] * 11, speakers=names))
    scaling = fit_scaling(spoken, [Modality.TEXT])
    batch, _ = collate(to_video_set(spoken, scaling, InputKind.TRANSCRIPTS), [3, 0])
    assert batch.speakers.tolist() == [[0, 0, 1], [0, 1, NO_SPEAKER]]
    assert to_video_set(spoken, scaling).speakers is None
    assert to_video_set(dataclasses.replace(spoken, speakers=None), scaling, InputKind.TRANSCRIPTS).speakers is None


def test_text_features_are_read_as_they_are(columns):
    told = dataclasses.replace(columns, transcripts=["word"] * 11, start_s=np.arange(11.0), end_s=np.arange(11.0))
    videos = to_video_set(told, fit_scaling(told, [Modality.TEXT]), InputKind.TRANSCRIPTS)
    assert videos.tokens is None
    assert collate(videos, [0])[0].times.known.all()
    assert collate(to_video_set(told, fit_scaling(told, [Modality.TEXT])), [0])[0].times is None


def test_targets_of_degrees_are_floats_and_of_classes_booleans(columns):
    scaling = fit_scaling(columns, [Modality.TEXT])
    targets = to_video_set(columns, scaling, tasks=tasks_named((SENTIMENT, EMOTION_INTENSITY))).targets
    assert targets.values[SENTIMENT].dtype == torch.bool
    assert targets.values[EMOTION_INTENSITY].dtype == torch.float32


def with_words(columns, counts, seed=0):
    """The columns with `counts` words an utterance, some of them without the modality."""
    n = int(np.sum(counts))
    rng = np.random.default_rng(seed)
    present = rng.random(n) > 0.3
    features = np.where(present[:, None], rng.normal(size=(n, 3)), 0).astype(np.float32)
    words = WordColumns(np.cumsum([0, *counts]), {Modality.TEXT: features}, {Modality.TEXT: present})
    return dataclasses.replace(columns, words=words)


def test_words_are_padded_to_the_longest_utterance(columns):
    counts = np.array([3, 0, 1, 2, 5, 1, 0, 2, 4, 1, 2])
    spoken = with_words(columns, counts)
    videos = to_video_set(spoken, fit_scaling(spoken, [Modality.TEXT], identity=True))
    batch, rows = collate(videos, [3, 1])
    words = batch.words
    assert words.lengths.tolist() == counts[rows.numpy()].tolist()
    assert words.features[Modality.TEXT].shape == (8, 5, 3)
    starts = spoken.words.offsets
    for number, row in enumerate(rows.tolist()):
        here = slice(starts[row], starts[row + 1])
        expected = np.zeros((5, 3), np.float32)
        expected[: counts[row]] = spoken.words.features[Modality.TEXT][here]
        np.testing.assert_array_equal(words.features[Modality.TEXT][number], expected)
        has = words.present[Modality.TEXT][number]
        assert has[: counts[row]].tolist() == spoken.words.present[Modality.TEXT][here].tolist()
        assert not has[counts[row] :].any()


@pytest.mark.parametrize("elsewhere", [0, 2])
def test_a_batch_without_words_has_one_absent_word(columns, elsewhere):
    counts = np.zeros(11, int)
    counts[-1] = elsewhere
    spoken = with_words(columns, counts)
    scaling = fit_scaling(with_words(columns, np.ones(11, int)), [Modality.TEXT], identity=True)
    words = collate(to_video_set(spoken, scaling), [0])[0].words
    assert words.features[Modality.TEXT].shape == (2, 1, 3)
    assert not words.features[Modality.TEXT].any()
    assert not words.present[Modality.TEXT].any()
    assert words.lengths.tolist() == [0, 0]


def test_lengths_are_jittered_by_less_than_two_utterances():
    lengths = np.repeat([10, 12], 200)
    batches = bucketed_batches(lengths, 7, np.random.default_rng(0))
    mixed = [batch for batch in batches if len({lengths[number] for number in batch}) > 1]
    assert len(mixed) <= 1, "videos of 10 and 12 utterances meet in the batch at the border alone"
    near = np.repeat([10, 11], 200)
    assert sum(len({near[n] for n in batch}) > 1 for batch in bucketed_batches(near, 7, np.random.default_rng(0))) > 3
