"""eGeMAPS against its published definitions, on sounds with known answers and on a real voice."""

import numpy as np
import pytest
from scipy.signal import lfilter
from tests.features.voices import (
    OPEN_VOWEL,
    RATE_HZ,
    librivox_pieces,
    noise,
    pulse_train,
    voice,
    voice_level_db,
    vowel,
    yin,
)

from mien.features.acoustic.base import NO_VOICE, SILENT, TOO_SHORT
from mien.features.acoustic.egemaps import load_egemaps
from mien.schema import Level, Modality


@pytest.fixture(scope="module")
def extractor():
    return load_egemaps()


@pytest.fixture(scope="module")
def named(extractor):
    """Samples -> {column: value}."""

    def compute(samples):
        vector = extractor.utterance_vector(np.asarray(samples, dtype=np.float32))
        assert vector is not None
        assert vector.dtype == np.float32
        assert np.isfinite(vector).all()
        return dict(zip(extractor.space.columns, vector.tolist(), strict=True))

    return compute


def semitones(f0_hz):
    return 12 * np.log2(f0_hz / 27.5)


def test_space_names_all_columns(extractor):
    space = extractor.space
    assert (space.name, space.modality, space.level) == ("egemaps", Modality.ACOUSTIC, Level.UTTERANCE)
    assert space.n_features == len(space.columns) == len(set(space.columns)) == 88
    assert space.columns[0] == "F0semitoneFrom27.5Hz_sma3nz_amean"
    assert space.columns[-1] == "equivalentSoundLevel_dBp"
    assert space.recipe["version"]
    assert extractor.frames is None


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(np.zeros(32000), SILENT), (pulse_train(100.0, 0.1), TOO_SHORT), (noise(), NO_VOICE)],
    ids=["silence", "short", "noise"],
)
def test_nothing_to_say_says_why(extractor, samples, reason):
    samples = samples.astype(np.float32)
    assert extractor.utterance_vector(samples) is None
    assert extractor.why_missing(samples) == reason


def test_a_voice_is_not_missing(extractor):
    assert extractor.why_missing(voice(120.0).astype(np.float32)) is None


@pytest.mark.parametrize("f0_hz", [82.5, 110.0, 155.5, 220.0, 310.0])
def test_f0_is_semitones_above_27_5_hz(named, f0_hz):
    values = named(voice(f0_hz))
    assert values["F0semitoneFrom27.5Hz_sma3nz_amean"] == pytest.approx(semitones(f0_hz), abs=0.1)
    assert values["F0semitoneFrom27.5Hz_sma3nz_stddevNorm"] < 0.01


def test_a_perfect_voice_has_no_jitter_and_no_shimmer(named):
    values = named(voice(125.0))
    assert values["jitterLocal_sma3nz_amean"] < 1e-3
    assert values["shimmerLocaldB_sma3nz_amean"] < 0.05


def test_harmonics_to_noise_ratio_of_a_perfect_voice_is_that_of_the_window(named):
    # A Gaussian window of 60 ms, sigma 0.4 half-widths, falls to r between neighbouring periods; HNR = r / (1 - r).
    f0_hz, sigma_s = 125.0, 0.4 * 0.030
    r = np.exp(-((1 / f0_hz) ** 2) / (4 * sigma_s**2))
    assert named(voice(f0_hz))["HNRdBACF_sma3nz_amean"] == pytest.approx(10 * np.log10(r / (1 - r)), abs=0.3)


def test_jitter_is_the_mean_relative_change_of_the_period(named):
    # periods of 125 and 131 samples in turns: |difference| / mean = 6 / 128
    places = np.cumsum(np.tile([125, 131], 120))
    source = np.zeros(places[-1] + 200)
    source[places] = -1.0
    tilted = lfilter([1.0], [1.0, -0.97], source)
    values = named(vowel(tilted))
    assert values["jitterLocal_sma3nz_amean"] == pytest.approx(6 / 128, rel=0.25)


def test_noise_lowers_the_harmonics_to_noise_ratio(named):
    clean = voice(125.0)
    ratios = [named(clean + share * noise())["HNRdBACF_sma3nz_amean"] for share in (0.001, 0.03, 0.1)]
    assert ratios[0] > ratios[1] > ratios[2]


def test_loudness_follows_the_power_law_of_hearing(named):
    quiet = voice(125.0)
    values = [named(gain * quiet)["loudness_sma3_amean"] for gain in (0.3, 1.0, 3.0)]
    assert values[0] < values[1] < values[2]
    # intensity to the power 0.33 (Hermansky 1990)
    assert values[1] / values[0] == pytest.approx((1 / 0.3) ** 0.66, rel=0.02)


def test_gain_moves_only_level_loudness_and_flux(named):
    # not too quiet: two thresholds are absolute (voicing at -60 dB of full scale, one 16-bit step in the MFCC)
    loud = voice(125.0) + 0.01 * noise()
    one, other = named(loud), named(0.5 * loud)
    moving = ("loudness", "spectralFlux", "equivalentSoundLevel")
    for column, value in one.items():
        if not column.startswith(moving):
            assert other[column] == pytest.approx(value, rel=0.02, abs=0.02), column
    assert one["equivalentSoundLevel_dBp"] - other["equivalentSoundLevel_dBp"] == pytest.approx(6.02, abs=0.01)


def test_sound_level_is_the_rms(named):
    samples = voice(125.0)
    level_db = 10 * np.log10(np.mean(samples**2))
    assert named(samples)["equivalentSoundLevel_dBp"] == pytest.approx(level_db, abs=0.1)


def test_formants_are_those_of_the_filter(named):
    values = named(voice(110.0))
    for number, (frequency_hz, _) in enumerate(OPEN_VOWEL[:3], start=1):
        assert values[f"F{number}frequency_sma3nz_amean"] == pytest.approx(frequency_hz, rel=0.05)


def test_h1_h2_is_what_opensmile_calls_so(named):
    # The name says first over second harmonic; openSMILE, and the package after it, take the second over the third.
    f0_hz = 110.0
    truth_db = voice_level_db(f0_hz, 2) - voice_level_db(f0_hz, 3)
    assert named(voice(f0_hz))["logRelF0-H1-H2_sma3nz_amean"] == pytest.approx(truth_db, abs=0.5)


def test_alpha_ratio_is_1_to_5_khz_over_what_lies_below(named):
    samples = voice(125.0)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies_hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    high = power[(frequencies_hz >= 1000) & (frequencies_hz <= 5000)].sum()
    low = power[(frequencies_hz >= 50) & (frequencies_hz < 1000)].sum()
    assert named(samples)["alphaRatioV_sma3nz_amean"] == pytest.approx(10 * np.log10(high / low), abs=1.0)


def test_voiced_segments_are_counted_and_measured(named):
    burst = voice(125.0, 0.5)
    gap = np.zeros(RATE_HZ // 2)
    values = named(np.concatenate([burst, gap] * 4))
    assert values["VoicedSegmentsPerSec"] == pytest.approx(1.0, rel=0.05)
    assert values["MeanVoicedSegmentLengthSec"] == pytest.approx(0.5, abs=0.06)
    assert values["StddevVoicedSegmentLengthSec"] == pytest.approx(0.0, abs=0.02)


def test_an_utterance_does_not_depend_on_what_was_heard_before_or_lies_around(extractor):
    one = (voice(125.0) + 0.01 * noise()).astype(np.float32)
    other = (voice(210.0) + 0.01 * noise(seed=1)).astype(np.float32)
    alone = extractor.utterance_vector(one)
    extractor.utterance_vector(other)
    between = np.concatenate([other, one, other])[len(other) : len(other) + len(one)]
    np.testing.assert_array_equal(extractor.utterance_vector(between), alone)


@pytest.mark.data
def test_values_of_a_real_voice_are_plausible(data_dir, named):
    for name, samples in librivox_pieces(data_dir).items():
        values = named(samples)
        level_db = 10 * np.log10(np.mean(samples.astype(np.float64) ** 2))
        assert values["equivalentSoundLevel_dBp"] == pytest.approx(level_db, abs=0.2), name
        assert 0.005 < values["jitterLocal_sma3nz_amean"] < 0.06, name
        assert values["F1frequency_sma3nz_amean"] < values["F2frequency_sma3nz_amean"], name


@pytest.mark.data
def test_f0_of_a_real_voice_agrees_with_another_estimator(data_dir):
    from afx_audio.extractors.egemaps import extract_egemaps_lld

    ratios = []
    for samples in librivox_pieces(data_dir).values():
        contour = extract_egemaps_lld(samples.astype(np.float64), RATE_HZ)["egemaps_lld"][10]
        f0_hz, aperiodicity = yin(samples.astype(np.float64))
        # its 60 ms frames are centred two and a half of our frames later
        n = min(len(contour), len(f0_hz) - 3)
        reference_hz = np.sqrt(f0_hz[2 : n + 2] * f0_hz[3 : n + 3])
        clear = np.maximum(aperiodicity[2 : n + 2], aperiodicity[3 : n + 3]) < 0.15
        ratios.append((27.5 * 2 ** (contour[:n] / 12) / reference_hz)[clear & np.isfinite(contour[:n])])
    deviation = np.abs(np.concatenate(ratios) - 1)
    assert len(deviation) > 500
    assert np.median(deviation) < 0.01
    assert np.mean(deviation < 0.05) > 0.97
