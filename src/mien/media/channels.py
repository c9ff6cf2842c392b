"""Two channels of a recording: whether they hold different speech, and which sound in a channel is its own.

Recorders of calls write one person on each channel. The measure is how alike the loudness of the channels is over time,
in bands of frequency. Unlike the correlation of samples, it hardly depends on delays, on rooms or on the codec.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.schema import BoolArray, FloatArray

# names of the speakers of the two channels, in the order of the channels
CHANNEL_NAMES = ("left", "right")
# Sample rate of all sound here, and number of samples per frame (32 ms). Both are those of the speech detector.
RATE_HZ = 16_000
HOP = 512
HOP_S = HOP / RATE_HZ
# Limits of the bands in Hz. Each is wider than the one before by the same factor.
BANDS_HZ = np.geomspace(100.0, 4000.0, 17)
# Channels are compared with shifts of up to this many frames (64 ms), because one can be a delayed copy of the other.
MAX_SHIFT = 2
# Channels with at least this likeness hold the same sound. If two persons speak in turn and each is heard in both
# channels, weaker by the factor g in one of them, the likeness is 2 g / (1 + g^2): 0.5 for 11 dB, 0.2 for 20 dB.
ALIKE = 0.5
# Speech in a channel is its own if the channel is louder than the other one by this factor of amplitude (6 dB). There
# are two speakers if each channel has its own speech for this time and in this share of all frames with speech.
LOUDER = 2.0
LEAST_OWN_S = 1.0
LEAST_OWN_SHARE = 0.05
# If one channel has no speech, the other one is heard alone, unless the first is quieter by this factor (20 dB).
DISTURBING = 0.1
# A second of a channel with at least this likeness is a copy of the other channel. Of different speech in both channels
# at once, 0.3 % is taken for a copy if neither voice is heard in the other channel, and 2 % if it is, 20 dB quieter.
COPY = 0.7
# Likeness within a recording is computed in stretches of this many frames (1 s). Levels are means over so many (0.2 s).
LOCAL_FRAMES = 31
LEVEL_FRAMES = 7
SPEECH_THRESHOLD = 0.5


def band_levels(samples: FloatArray) -> FloatArray:
    """Return the amplitude (frame, band) of mono sound (sample,) at `RATE_HZ` in each frame and each band."""
    frames = np.pad(samples, (0, -samples.size % HOP)).reshape(-1, HOP).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * np.hanning(HOP).astype(np.float32), axis=1)) ** 2
    places = np.searchsorted(np.fft.rfftfreq(HOP, 1 / RATE_HZ), BANDS_HZ)
    levels: FloatArray = np.sqrt(np.add.reduceat(power, places, axis=1)[:, :-1]).astype(np.float32)
    return levels


def likeness(left: FloatArray, right: FloatArray) -> float:
    """Return how alike two channels are: the largest correlation of their band levels over a few shifts.

    Args:
        left: Amplitudes (frame, band) of one channel, at least one frame.
        right: Amplitudes (frame, band) of the other channel.

    Returns:
        1 for the same sound, also if it is delayed, or louder in one channel; about 0 for different sounds; 0 if the
        level of a channel never changes.
    """
    best = 0.0
    for shift in range(-MAX_SHIFT, MAX_SHIFT + 1):
        one, two = left[max(0, shift) : len(left) + min(0, shift)], right[max(0, -shift) : len(right) - max(0, shift)]
        if len(one):
            one, two = one - one.mean(axis=0), two - two.mean(axis=0)
            power = float((one**2).sum()) * float((two**2).sum())
            best = max(best, float((one * two).sum()) / power**0.5) if power > 0 else best
    return best


def speech_hops(samples: FloatArray) -> BoolArray:
    """Return for each frame (frame,) of mono sound (sample,) at `RATE_HZ` whether somebody speaks.

    Raises:
        ImportError: faster-whisper is not installed.
    """
    from faster_whisper.vad import get_vad_model

    padded = np.pad(samples, (0, -samples.size % HOP)).astype(np.float32)
    result: BoolArray = get_vad_model()(padded).ravel() >= SPEECH_THRESHOLD
    return result


def speaking_channels(stretches: Sequence[FloatArray]) -> tuple[int, ...]:
    """Return which of two channels are to be heard by themselves.

    Args:
        stretches: Sound (channel, sample) at `RATE_HZ` of short stretches of a recording with two channels.

    Returns:
        Both channels if they hold different speech; one channel if only that one holds speech and the other one holds
        another sound; an empty tuple if the channels are to be mixed, as in music, copies, and recordings of a room.

    Raises:
        ImportError: faster-whisper is not installed.
    """
    levels = [np.concatenate([band_levels(stretch[side]) for stretch in stretches]) for side in (0, 1)]
    if not levels[0].any() or not levels[1].any() or likeness(*levels) >= ALIKE:
        return ()
    speech = [np.concatenate([speech_hops(stretch[side]) for stretch in stretches]) for side in (0, 1)]
    spoken = speech[0] | speech[1]
    if not spoken.any() or likeness(levels[0][spoken], levels[1][spoken]) >= ALIKE:
        return ()
    loudness = [np.sqrt((each**2).sum(axis=1)) for each in levels]
    own = [speech[side] & (loudness[side] >= LOUDER * loudness[1 - side]) for side in (0, 1)]
    least = max(LEAST_OWN_S / HOP_S, LEAST_OWN_SHARE * spoken.sum())
    if min(own[0].sum(), own[1].sum()) >= least:
        return 0, 1
    for side in (0, 1):
        is_alone = speech[side].sum() >= least > speech[1 - side].sum()
        if is_alone and _rms(loudness[1 - side]) >= DISTURBING * _rms(loudness[side]):
            return (side,)
    return ()


def _rms(values: FloatArray) -> float:
    return float(np.sqrt((values.astype(np.float64) ** 2).mean()))


def without_other_voice(samples: FloatArray, other: FloatArray) -> FloatArray:
    """Silence a channel where it is only a quieter copy of the other one, as through crosstalk.

    Args:
        samples: Sound (sample,) of the channel at `RATE_HZ`.
        other: Sound (sample,) of the other channel at the same time.

    Returns:
        The sound (sample,) of the channel.
    """
    levels, others = band_levels(samples), band_levels(other)
    loudness, loudness_of_other = (_means(np.sqrt((each**2).sum(axis=1)), LEVEL_FRAMES) for each in (levels, others))
    copied = (local_likeness(levels, others) >= COPY) & (loudness_of_other >= LOUDER * loudness)
    silenced: FloatArray = np.where(np.repeat(copied, HOP)[: samples.size], np.float32(0), samples)
    return silenced


def local_likeness(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the likeness (frame,) of two channels in the second that fits best among those that hold the frame.

    Args:
        left: Amplitudes (frame, band) of one channel.
        right: Amplitudes (frame, band) of the other channel.
    """
    best = np.zeros(len(left))
    for shift in range(-MAX_SHIFT, MAX_SHIFT + 1):
        moved = np.roll(right, shift, axis=0)
        products = [_covariance(one, two) for one, two in ((left, moved), (left, left), (moved, moved))]
        power = np.sqrt(np.maximum(products[1] * products[2], np.finfo(np.float64).tiny))
        best = np.maximum(best, products[0] / power)
    half = LOCAL_FRAMES // 2
    padded = np.pad(best, half)
    largest: FloatArray = np.lib.stride_tricks.sliding_window_view(padded, LOCAL_FRAMES).max(axis=1)
    return largest


def _covariance(one: FloatArray, two: FloatArray) -> NDArray[np.float64]:
    """Return the covariance (frame,) over `LOCAL_FRAMES` around each frame, summed over the bands (frame, band)."""
    means = [_means(each, LOCAL_FRAMES) for each in (one.astype(np.float64), two.astype(np.float64))]
    covariance: NDArray[np.float64] = _means((one * two).astype(np.float64), LOCAL_FRAMES).sum(axis=1) - (
        means[0] * means[1]
    ).sum(axis=1)
    return covariance


def _means(values: FloatArray, n_frames: int) -> FloatArray:
    """Return means over `n_frames` around each frame, fewer at the start and the end, along the first axis."""
    half = n_frames // 2
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0, dtype=np.float64)])
    places = np.arange(len(values))
    ends, starts = np.minimum(places + half + 1, len(values)), np.maximum(places - half, 0)
    counts = (ends - starts).reshape(-1, *[1] * (values.ndim - 1))
    means: FloatArray = (sums[ends] - sums[starts]) / counts
    return means
