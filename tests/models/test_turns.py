"""Features of times and speakers: values computed by hand, and what is unknown."""

from __future__ import annotations

import math

import torch

from mien.models.batch import NO_SPEAKER, Times
from mien.models.turns import N_SPEAKER_FEATURES, speaker_features, time_features

LOG = math.log1p


def test_times_are_gap_duration_and_start_and_what_is_unknown_is_said_to_be():
    known = torch.tensor([[True, True, False, True], [True, False, False, False]])
    times = Times(
        start_s=torch.tensor([[60.0, 65.0, 0.0, 90.0], [6.0, 0.0, 0.0, 0.0]]),
        end_s=torch.tensor([[66.0, 70.0, 0.0, 91.0], [6.5, 0.0, 0.0, 0.0]]),
        known=known,
    )
    expected = [
        [
            [0, LOG(6), LOG(1), 0, 1],
            [-LOG(1), LOG(5), LOG(65 / 60), 1, 1],
            [0, 0, 0, 0, 0],
            [0, LOG(1), LOG(1.5), 0, 1],
        ],
        [[0, LOG(0.5), LOG(0.1), 0, 1], [0] * 5, [0] * 5, [0] * 5],
    ]
    torch.testing.assert_close(time_features(times, known), torch.tensor(expected))
    assert not time_features(None, known).any()


def test_speakers_are_the_same_as_before_the_number_of_the_turn_and_whether_they_are_known():
    a, b, unknown = 4, 0, NO_SPEAKER
    speakers = torch.tensor([[a, a, b, a, unknown, a, a], [b, a, unknown, unknown, unknown, unknown, unknown]])
    real = torch.arange(7) < torch.tensor([[7], [3]])
    expected = [
        [
            [0, LOG(1), 1],
            [1, LOG(1), 1],
            [0, LOG(1), 1],
            [0, LOG(2), 1],
            [0, 0, 0],
            [0, LOG(3), 1],
            [1, LOG(3), 1],
        ],
        [[0, LOG(1), 1], [0, LOG(1), 1], *[[0, 0, 0]] * 5],
    ]
    torch.testing.assert_close(speaker_features(speakers, real), torch.tensor(expected))
    other_names = torch.where(speakers == a, 7, torch.where(speakers == b, 2, NO_SPEAKER))
    assert torch.equal(speaker_features(other_names, real), speaker_features(speakers, real))


def test_without_speakers_all_their_features_are_zero():
    real = torch.ones(2, 3, dtype=torch.bool)
    assert speaker_features(None, real).shape == (2, 3, N_SPEAKER_FEATURES)
    assert not speaker_features(None, real).any()
