"""`covarep-like-74` against sounds with known answers, another F0 estimator, and the promises of its space."""

import numpy as np
import pytest
from tests.features.voices import (
    RATE_HZ,
    count_below_nyquist,
    glottal_truth,
    harmonics,
    librivox_pieces,
    noise,
    pulse_train,
    read_video_sound,
    voice,
    vowel,
    yin,
)

from mien.features.acoustic.base import NO_VOICE, NOT_FINITE, SILENT, TOO_SHORT, word_then_average
from mien.features.acoustic.covarep_like import COLUMN_DOCUMENTATION, COLUMNS, SPACE, WORD_SPACE, load_covarep_like
from mien.schema import Level, Modality, TimedWord

MCEP = slice(11, 36)
HMPDM = slice(36, 61)
HMPDD = slice(61, 74)
EXTRACTOR = load_covarep_like()


def frames(samples):
    """Values (frame, 74) of samples; checks what always holds."""
    times_s, values = EXTRACTOR.frames(np.asarray(samples, dtype=np.float32))
    assert values.shape == (len(samples) // 160, 74)
    assert values.dtype == np.float32
    np.testing.assert_allclose(times_s, 0.005 + 0.01 * np.arange(len(values)))
    assert not np.isinf(values).any()
    return values


def column(values, name):
    return values[:, COLUMNS.index(name)]


def inner(values, margin=12):
    """Without the frames whose windows reach beyond the sound."""
    return values[margin:-margin]


def test_columns_are_those_of_the_published_set():
    expected = ["F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak"]
    expected += [f"MCEP_{k}" for k in range(25)] + [f"HMPDM_{k}" for k in range(25)] + [f"HMPDD_{k}" for k in range(13)]
    assert list(SPACE.columns) == expected
    assert (SPACE.name, SPACE.n_features, SPACE.modality) == ("covarep-like-74", 74, Modality.ACOUSTIC)
    assert (SPACE.level, WORD_SPACE.level) == (Level.UTTERANCE, Level.WORD)
    assert WORD_SPACE.columns == SPACE.columns
    assert (EXTRACTOR.space, EXTRACTOR.word_space) == (SPACE, WORD_SPACE)


def test_every_column_is_documented_and_stand_ins_say_so():
    assert {name.split("_")[0] if name[-1].isdigit() else name for name in COLUMNS} == set(COLUMN_DOCUMENTATION)
    stand_ins = [name for name, text in COLUMN_DOCUMENTATION.items() if text.startswith("stand-in")]
    assert stand_ins == SPACE.recipe["stand_ins"] == ["Rd", "Rd_conf", "creak"]


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(RATE_HZ), SILENT),
        (np.zeros(0), TOO_SHORT),
        (voice(120.0, 0.19), TOO_SHORT),
        (np.where(np.arange(32000) == 16000, np.nan, voice(120.0)), NOT_FINITE),
        (noise(), NO_VOICE),
        (vowel(noise()), NO_VOICE),
    ],
    ids=["silence", "empty", "short", "nan", "noise", "whisper"],
)
def test_nothing_to_say_says_why(samples, reason):
    samples = samples.astype(np.float32)
    assert EXTRACTOR.utterance_vector(samples) is None
    assert EXTRACTOR.why_missing(samples) == reason
    times_s, values = EXTRACTOR.frames(samples)
    assert len(times_s) == len(values)
    assert reason == NO_VOICE or len(values) == 0


@pytest.mark.parametrize("f0_hz", [55.0, 82.4, 100.0, 123.456, 199.9, 220.0, 333.3, 480.0])
@pytest.mark.parametrize("source", [pulse_train, voice], ids=["pulses", "voice"])
def test_f0_of_a_steady_sound_is_exact(source, f0_hz):
    values = inner(frames(source(f0_hz, 1.0)))
    assert column(values, "VUV").all()
    np.testing.assert_allclose(column(values, "F0"), f0_hz, rtol=2e-3)


@pytest.mark.parametrize("f0_hz", [110.0, 250.0, 440.0])
def test_f0_of_a_pure_tone(f0_hz):
    values = inner(frames(0.1 * harmonics(f0_hz, [1.0], 1.0)))
    np.testing.assert_allclose(np.median(column(values, "F0")), f0_hz, rtol=0.01)


def test_f0_follows_a_glide():
    times_s = np.arange(2 * RATE_HZ) / RATE_HZ
    truth_hz = 100 * 2 ** (times_s / 2)
    phase = 2 * np.pi * np.cumsum(truth_hz) / RATE_HZ
    glide = vowel(np.sum([np.cos(k * phase) / k for k in range(1, 39)], axis=0))
    values = inner(frames(glide))
    at_frames_hz = inner(truth_hz[80::160][: len(frames(glide))])
    assert column(values, "VUV").all()
    np.testing.assert_allclose(column(values, "F0"), at_frames_hz, rtol=0.01)


def test_noise_between_voices_is_unvoiced():
    half = 8000
    sound = np.concatenate([voice(120.0, 0.5), 0.3 * noise(0.5), voice(120.0, 0.5)])
    voiced = column(frames(sound), "VUV").astype(bool)
    assert voiced[6:44].all()
    # an analysis window reaches 50 ms into its neighbours
    assert not voiced[half // 160 + 6 : 2 * half // 160 - 6].any()
    assert voiced[106:144].all()


def test_columns_without_a_value_are_nan():
    sound = np.concatenate([voice(120.0, 0.5), 0.3 * noise(0.5), np.zeros(8000)])
    values = frames(sound)
    unvoiced, digital_silence = values[60:90], values[115:]
    defined = {"VUV", "peakSlope", *(f"MCEP_{k}" for k in range(25))}
    for number, name in enumerate(COLUMNS):
        assert np.isfinite(values[10:40, number]).all(), name
        assert np.isfinite(unvoiced[:, number]).all() == (name in defined), name
        assert np.isnan(digital_silence[:, number]).all() == (name != "VUV"), name


@pytest.mark.parametrize(("f0_hz", "tolerance_db"), [(80.0, 0.5), (100.0, 0.5), (130.0, 1.0), (200.0, 2.5)])
@pytest.mark.parametrize("open_quotient", [0.4, 0.6, 0.8])
def test_the_glottal_flow_is_found_behind_the_vowel(f0_hz, tolerance_db, open_quotient):
    naq, qoq, h1h2_db = glottal_truth(open_quotient)
    values = np.median(inner(frames(voice(f0_hz, open_quotient=open_quotient))), axis=0, keepdims=True)
    # inverse filtering is an estimate that gets worse as harmonics move apart; the published method does too
    assert column(values, "H1H2")[0] == pytest.approx(h1h2_db, abs=tolerance_db)
    assert column(values, "NAQ")[0] == pytest.approx(naq, rel=0.15 if f0_hz < 150 else 0.4)
    assert column(values, "QOQ")[0] == pytest.approx(qoq, rel=0.15 if f0_hz < 150 else 0.2)
    assert column(values, "Rd")[0] == pytest.approx(column(values, "NAQ")[0] / 0.11, rel=1e-5)


def test_a_laxer_voice_has_larger_quotients_and_a_stronger_first_harmonic():
    tense, middle, lax = (
        np.nanmean(inner(frames(voice(110.0, open_quotient=quotient))), axis=0, keepdims=True)
        for quotient in (0.4, 0.6, 0.8)
    )
    for name in ("NAQ", "QOQ", "H1H2", "PSP"):
        assert column(tense, name)[0] < column(middle, name)[0] < column(lax, name)[0], name


def test_bare_pulses_have_no_slope_no_dispersion_and_no_phase():
    values = np.nanmean(inner(frames(pulse_train(100.0))), axis=0, keepdims=True)
    # flat derivative: the flow falls by 6 dB an octave
    assert column(values, "H1H2")[0] == pytest.approx(20 * np.log10(2), abs=0.3)
    assert abs(column(values, "peakSlope")[0]) < 0.02
    assert column(values, "MDQ")[0] < 0.02
    assert column(values, "NAQ")[0] < 0.02
    assert column(values, "Rd_conf")[0] > 0.9
    assert column(values, "creak")[0] < 0.05
    np.testing.assert_allclose(values[0, HMPDM], 0, atol=0.3)
    np.testing.assert_allclose(values[0, HMPDD], 0, atol=0.3)


def test_octave_slope_of_a_spectrum_that_falls_by_6_db():
    f0_hz = 100.0
    falling = 0.02 * harmonics(f0_hz, 1 / np.arange(1, count_below_nyquist(f0_hz) + 1), 1.0)
    flat, steep = (np.mean(inner(column(frames(sound), "peakSlope"))) for sound in (pulse_train(f0_hz), falling))
    # a band's pulse is as high as its width times its spectrum: half as high an octave further, log10(2) = 0.30
    assert steep - flat == pytest.approx(-np.log10(2), abs=0.03)


def test_alternating_pulses_raise_creak():
    places = np.arange(0, RATE_HZ, 128)
    source = np.zeros(RATE_HZ)
    source[places] = np.where(np.arange(len(places)) % 2, -1.0, -0.6)
    creaky = inner(frames(vowel(source)))
    at_125_hz = np.abs(column(creaky, "F0") - 125) < 5
    steady = inner(frames(vowel(pulse_train(125.0, 1.0))))
    assert at_125_hz.any()
    assert np.nanmean(column(creaky, "creak")[at_125_hz]) > 3 * np.nanmean(column(steady, "creak"))


def test_mel_cepstrum_of_a_spectrum_made_from_one():
    # Harmonic amplitudes from a chosen mel-cepstrum; the all-pass of factor 0.42 warps the frequencies.
    f0_hz = 80.0
    k = np.arange(1, count_below_nyquist(f0_hz) + 1)
    angle = 2 * np.pi * k * f0_hz / RATE_HZ
    warped = angle + 2 * np.arctan(0.42 * np.sin(angle) / (1 - 0.42 * np.cos(angle)))
    truth = {0: -6.0, 1: 1.0, 2: -0.5, 5: 0.3}
    amplitude = np.exp(sum(value * np.cos(m * warped) for m, value in truth.items()))
    values = np.nanmean(inner(frames(harmonics(f0_hz, amplitude, 1.0))), axis=0)[MCEP]
    for m in range(1, 25):
        assert values[m] == pytest.approx(truth.get(m, 0.0), abs=0.12), m


def test_gain_moves_the_level_and_nothing_else():
    sound = voice(120.0) + 0.002 * noise()
    loud, quiet = frames(sound), frames(0.25 * sound)
    level = COLUMNS.index("MCEP_0")
    np.testing.assert_allclose(loud[:, level] - quiet[:, level], np.log(4), atol=1e-3)
    np.testing.assert_allclose(np.delete(loud, level, axis=1), np.delete(quiet, level, axis=1), rtol=2e-3, atol=2e-3)


def test_a_turned_microphone_changes_nothing():
    sound = voice(120.0) + 0.002 * noise()
    np.testing.assert_allclose(frames(sound), frames(-sound), rtol=1e-4, atol=1e-4)


def test_an_offset_changes_nothing():
    sound = voice(120.0) + 0.002 * noise()
    np.testing.assert_allclose(inner(frames(sound)), inner(frames(sound + 0.02)), rtol=0.02, atol=0.02)


def test_a_later_sound_gives_the_same_frames_later():
    # more frames than a block holds, so that block edges fall elsewhere
    sound = voice(120.0, 3.0) + 0.002 * noise(3.0)
    shifted = np.concatenate([np.zeros(37 * 160), sound, np.zeros(1600)])
    plain, later = inner(frames(sound), 30), frames(shifted)[37:][30:270]
    phases = slice(HMPDM.start, HMPDM.stop)
    np.testing.assert_allclose(later[:, : HMPDM.start], plain[:, : HMPDM.start], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.cos(later[:, phases] - plain[:, phases]), 1, atol=1e-3)
    np.testing.assert_allclose(later[:, HMPDD], plain[:, HMPDD], rtol=1e-3, atol=1e-3)


def test_an_utterance_does_not_depend_on_what_was_heard_before_or_lies_around():
    one = (voice(120.0) + 0.002 * noise()).astype(np.float32)
    other = (voice(250.0) + 0.002 * noise(seed=1)).astype(np.float32)
    alone = EXTRACTOR.utterance_vector(one)
    EXTRACTOR.utterance_vector(other)
    between = np.concatenate([other, one, other])[len(other) : len(other) + len(one)]
    np.testing.assert_array_equal(EXTRACTOR.utterance_vector(between), alone)
    assert alone.shape == (74,)
    assert alone.dtype == np.float32
    assert np.isfinite(alone).all()


def test_words_of_two_voices():
    sound = np.concatenate([voice(100.0, 0.6), np.zeros(3200), voice(200.0, 0.6), 0.3 * noise(0.4)])
    words = [TimedWord("low", 5.1, 5.5), TimedWord("high", 5.9, 6.3), TimedWord("hiss", 6.5, 6.75)]
    vector, rows, present = word_then_average(*EXTRACTOR.frames(sound.astype(np.float32)), 5.0, words)
    assert present.all()
    f0_hz, voiced = COLUMNS.index("F0"), COLUMNS.index("VUV")
    # the hiss has no F0 and takes the mean of the others
    np.testing.assert_allclose(rows[:, f0_hz], [100, 200, 150], rtol=0.01)
    np.testing.assert_allclose(rows[:, voiced], [1, 1, 0], atol=0.01)
    np.testing.assert_allclose(vector, rows.mean(axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_samples", [3200, 3201, 3359, 3360, 31999])
def test_any_length(n_samples):
    vector = EXTRACTOR.utterance_vector(voice(150.0)[:n_samples].astype(np.float32))
    assert vector is not None
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("seed", range(3))
def test_clicks_hum_and_clipping_break_nothing(seed):
    rng = np.random.default_rng(seed)
    clicks = np.zeros(RATE_HZ)
    clicks[rng.integers(0, RATE_HZ, 20)] = rng.choice([-1.0, 1.0], 20)
    hum = 0.2 * harmonics(50.0, [1, 0.3, 0.1], 1.0)
    for sound in (clicks, hum, np.clip(20 * voice(180.0, 1.0), -1, 1), np.full(RATE_HZ, 0.5), clicks + hum):
        frames(sound)


def f0_deviations(samples):
    """|ours / YIN - 1| of the frames that both call voiced, and the number that we do."""
    f0_hz = column(frames(samples), "F0")
    reference_hz, aperiodicity = yin(samples.astype(np.float64))
    both = np.isfinite(f0_hz) & (aperiodicity < 0.3)
    return np.abs(f0_hz[both] / reference_hz[both] - 1), int(np.isfinite(f0_hz).sum())


@pytest.mark.data
def test_f0_of_a_real_voice_agrees_with_another_estimator(data_dir, record_property):
    parts = [f0_deviations(samples) for samples in librivox_pieces(data_dir).values()]
    deviation, n_voiced = np.concatenate([part[0] for part in parts]), sum(part[1] for part in parts)
    record_property("f0_frames_compared", len(deviation))
    record_property("f0_median_absolute_deviation", float(np.median(deviation)))
    record_property("f0_share_within_5_percent", float(np.mean(deviation < 0.05)))
    assert len(deviation) > 0.8 * n_voiced > 800
    assert np.median(deviation) < 0.01
    assert np.mean(deviation < 0.05) > 0.98


@pytest.mark.data
@pytest.mark.parametrize("name", ["-3nNcZdcdvU.mp4", "-571d8cVauQ.mp4", "-Eqdz5y4pEY.mp4"])
def test_f0_of_people_in_videos_agrees_with_another_estimator(data_dir, name):
    deviation, n_voiced = f0_deviations(read_video_sound(data_dir / "videos" / name, seconds=15.0))
    # rooms, noise and lossy coding: YIN gives up on more frames
    assert len(deviation) > 0.5 * n_voiced > 200
    assert np.median(deviation) < 0.015
    assert np.mean(deviation < 0.05) > 0.95


@pytest.mark.data
def test_values_of_a_real_voice_are_those_of_voices(data_dir):
    for name, samples in librivox_pieces(data_dir).items():
        values = dict(zip(COLUMNS, EXTRACTOR.utterance_vector(samples).tolist(), strict=True))
        assert 70 < values["F0"] < 130, name
        assert 0.3 < values["VUV"] < 0.8, name
        # modal voice: NAQ about 0.05 to 0.3 (Alku et al. 2002), Rd 0.3 to 2.7 (Fant 1995)
        assert 0.05 < values["NAQ"] < 0.3, name
        assert 0.3 < values["Rd"] < 2.7, name
        assert 0.2 < values["QOQ"] < 0.8, name
        assert -0.6 < values["peakSlope"] < -0.1, name
        assert 0 < values["MDQ"] < 0.35, name
        assert values["HMPDD_0"] < values["HMPDD_12"], name
