"""Sounds with known answers, and an estimator of F0 that shares nothing with the package."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

RATE_HZ = 16_000
# formants (frequency, bandwidth), hertz, of an open vowel
OPEN_VOWEL = ((700.0, 80.0), (1220.0, 90.0), (2600.0, 120.0), (3500.0, 180.0))


def harmonics(f0_hz, amplitudes, seconds):
    """Sum of cosines (sample,): complex `amplitudes` (harmonic,) of the first, second, ... harmonic."""
    times_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    parts = [np.real(a * np.exp(2j * np.pi * k * f0_hz * times_s)) for k, a in enumerate(amplitudes, start=1)]
    return np.sum(parts, axis=0)


def count_below_nyquist(f0_hz):
    return int(0.49 * RATE_HZ / f0_hz)


def pulse_train(f0_hz, seconds=2.0):
    """Band-limited negative pulses (sample,): every harmonic equally strong; closures of an ideal glottis."""
    return -0.01 * harmonics(f0_hz, np.ones(count_below_nyquist(f0_hz)), seconds)


def vowel(source, formants=OPEN_VOWEL):
    """A source (sample,) through resonances."""
    for frequency_hz, bandwidth_hz in formants:
        radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
        source = lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * frequency_hz / RATE_HZ), radius**2], source)
    return 0.1 * source / np.abs(source).max()


def vowel_gain_db(frequency_hz, formants=OPEN_VOWEL):
    """Gain of the resonances of `vowel` at a frequency, dB."""
    z = np.exp(-2j * np.pi * frequency_hz / RATE_HZ)
    gain = 1.0
    for formant_hz, bandwidth_hz in formants:
        radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
        gain /= np.abs(1 - 2 * radius * np.cos(2 * np.pi * formant_hz / RATE_HZ) * z + radius**2 * z**2)
    return 20 * np.log10(gain)


def glottal_flow(open_quotient, n=16_384):
    """One period (phase,) of a flow that opens as t^2 - t^3 and closes at once (Klatt & Klatt 1990)."""
    phase = np.arange(n) / n / open_quotient
    return np.where(phase < 1, 6.75 * (phase**2 - phase**3), 0.0)


def glottal_truth(open_quotient):
    """NAQ, QOQ and H1H2 (dB) of `glottal_flow`, from its samples."""
    flow = glottal_flow(open_quotient)
    # steepest just before the closure, where the derivative of t^2 - t^3 at t = 1 is -1 per open phase
    closing = 6.75 / open_quotient
    level = np.abs(np.fft.rfft(flow))
    return flow.max() / closing, np.mean(flow > 0.5 * flow.max()), 20 * np.log10(level[1] / level[2])


def glottal_wave(f0_hz, open_quotient, seconds=2.0):
    """Derivative (sample,) of the glottal flow, band-limited: what reaches the lips and radiates."""
    flow = np.fft.rfft(glottal_flow(open_quotient)) / 16_384
    k = np.arange(1, count_below_nyquist(f0_hz) + 1)
    return harmonics(f0_hz, 2j * np.pi * k * f0_hz * 2 * flow[k], seconds)


def voice(f0_hz, seconds=2.0, open_quotient=0.6):
    """A steady vowel (sample,), as a throat might make it."""
    return vowel(glottal_wave(f0_hz, open_quotient, seconds))


def voice_level_db(f0_hz, harmonic, open_quotient=0.6):
    """Level of a harmonic of `voice`, dB over an arbitrary reference."""
    flow = np.abs(np.fft.rfft(glottal_flow(open_quotient)))[harmonic]
    return 20 * np.log10(flow * harmonic) + vowel_gain_db(harmonic * f0_hz)


def noise(seconds=2.0, seed=0):
    return 0.1 * np.random.default_rng(seed).normal(size=int(seconds * RATE_HZ))


def yin(samples, *, lowest_hz=50, highest_hz=500, width=800, threshold=0.15):
    """F0 (frame,), hertz, and aperiodicity (frame,) every 10 ms, first at 5 ms (de Cheveigné & Kawahara, JASA 2002)."""
    n_frames = len(samples) // 160
    longest = RATE_HZ // lowest_hz
    padded = np.concatenate([np.zeros(width + longest), samples, np.zeros(2 * (width + longest))])
    starts = width + longest + np.arange(n_frames) * 160 + 80 - (width + longest) // 2
    difference = np.zeros((n_frames, longest + 1))
    for lag in range(1, longest + 1):
        total = np.concatenate([[0.0], np.cumsum((padded[:-lag] - padded[lag:]) ** 2)])
        difference[:, lag] = total[starts + width] - total[starts]
    lags = np.arange(1, longest + 1)
    normalised = np.ones_like(difference)
    normalised[:, 1:] = difference[:, 1:] * lags / np.maximum(np.cumsum(difference[:, 1:], axis=1), 1e-20)
    f0_hz, aperiodicity = np.zeros(n_frames), np.ones(n_frames)
    shortest = RATE_HZ // highest_hz
    for frame, curve in enumerate(normalised):
        low = np.flatnonzero(curve[shortest:] < threshold)
        lag = shortest + (int(low[0]) if len(low) else int(np.argmin(curve[shortest:])))
        while lag < longest and curve[lag + 1] < curve[lag]:
            lag += 1
        bend = curve[lag - 1] - 2 * curve[lag] + curve[lag + 1] if lag < longest else 0.0
        shift = 0.5 * (curve[lag - 1] - curve[lag + 1]) / bend if bend > 0 else 0.0
        f0_hz[frame], aperiodicity[frame] = RATE_HZ / (lag + shift), curve[lag]
    return f0_hz, aperiodicity


def read_wav(path: Path):
    """Samples (sample,) float32 of a 16-bit, 16 kHz, mono file."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def read_video_sound(path: Path, seconds):
    """The first seconds of a video's sound, 16 kHz mono (sample,) float32."""
    import av

    resampler = av.AudioResampler("flt", "mono", RATE_HZ)
    pieces = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            if sum(map(len, pieces)) >= seconds * RATE_HZ:
                break
    return np.concatenate(pieces)[: int(seconds * RATE_HZ)]


def librivox_pieces(data_dir: Path):
    """The five pieces of one reader's voice, by number."""
    files = sorted((data_dir / "videos" / "librivox").glob("sense*.wav"))
    assert len(files) == 5
    return {file.stem[-4:]: read_wav(file) for file in files}
