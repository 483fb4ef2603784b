"""Levels in octave and third-octave bands (IEC 61260-1), A-weighted and time-weighted (IEC 61672-1), and what they mask (ISO 7731, annex B)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter

Floats = NDArray[np.float64]

RATIO = 10**0.3
"""An octave, as IEC 61260-1 counts."""
THIRD_CENTRES = 1000 * RATIO ** (np.arange(-13, 11) / 3)
THIRD_EDGES = 1000 * RATIO ** (np.arange(-13.5, 11) / 3)
OCTAVES_HZ = (63, 125, 250, 500, 1000, 2000, 4000, 8000)
THIRDS_HZ = (50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000, 10000)
"""What people call the bands: three thirds make each octave."""

WINDOW_SECONDS = 0.25
"""Of music: somewhat longer than the ear integrates, as long as a sound level meter set to fast."""
FAST_SECONDS = 0.125
ON_STEP_SECONDS = 0.02
ON_WITHIN_DB = 10.0
"""An alarm is on while its A-weighted level stands so close to its highest."""
SPREAD_DB = {8: 7.5, 24: 2.5}
"""What a band masks in the next higher one: by so much less, for octaves and for thirds."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Powers, mean squares at full scale 1, all channels together. The first axis may be time."""

    thirds: Floats
    """(..., 24)"""
    weighted: Floats
    """(...): A-weighted, all frequencies."""

    def scaled(self, db: float) -> "Spectrum":
        factor = 10 ** (db / 10)
        return Spectrum(self.thirds * factor, self.weighted * factor)

    def __add__(self, other: "Spectrum") -> "Spectrum":
        return Spectrum(self.thirds + other.thirds, self.weighted + other.weighted)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm while it sounds."""

    spectrum: Spectrum
    fast_max_db: float
    """What a sound level meter shows at most, A-weighted and fast: LAFmax, dB re full scale."""
    on_seconds: float


def octaves_of(thirds: Floats) -> Floats:
    return np.asarray(thirds.reshape(*thirds.shape[:-1], 8, 3).sum(axis=-1))


def db(power: Floats | float) -> Floats:
    """-200 for nothing at all."""
    return np.asarray(10 * np.log10(np.maximum(power, 1e-20)))


def masked_threshold(bands: Floats) -> Floats:
    """Level below which a band's sound is masked: the masker's own in the band, or what spreads from the bands below. `bands`: (..., 8 or 24) powers."""
    levels = db(bands)
    for band in range(1, levels.shape[-1]):
        levels[..., band] = np.maximum(levels[..., band], levels[..., band - 1] - SPREAD_DB[levels.shape[-1]])
    return levels


def a_weighting(frequencies: Floats) -> Floats:
    """As a factor on amplitudes: 1 at 1 kHz."""
    f = np.square(frequencies)
    at_1000 = 10 ** (2.0 / 20)
    return np.asarray(at_1000 * 12194**2 * f**2 / ((f + 20.6**2) * np.sqrt((f + 107.7**2) * (f + 737.9**2)) * (f + 12194**2)))


def third_weights(sample_rate: int, size: int) -> Floats:
    """(bins, 24): how much of each bin of a real FFT lies in each third."""
    step = sample_rate / size
    centres = fft.rfftfreq(size, 1 / sample_rate)[:, None]
    low, high = np.maximum(centres - step / 2, THIRD_EDGES[:-1]), np.minimum(centres + step / 2, THIRD_EDGES[1:])
    return np.asarray(np.clip((high - low) / step, 0, 1))


def over_time(samples: NDArray[np.float32], sample_rate: int) -> Spectrum:
    """Music of shape (channels, frames) in windows of WINDOW_SECONDS, each half over the one before."""
    size = 2 * round(WINDOW_SECONDS * sample_rate / 2)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, ((0, 0), (0, max(0, size - samples.shape[1]))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, :: size // 2]
    to_thirds = third_weights(sample_rate, size).astype(np.float32)
    weighting = np.square(a_weighting(fft.rfftfreq(size, 1 / sample_rate))).astype(np.float32)
    scale = 2 / (size * float(np.square(window).sum()))
    thirds, weighted = [], []
    for start in range(0, windows.shape[1], 64):  # some seconds at a time: the spectra of a long track would fill the memory
        spectra = fft.rfft(windows[:, start : start + 64] * window, axis=-1)
        power = scale * (spectra.real**2 + spectra.imag**2).sum(axis=0)
        thirds.append(power @ to_thirds)
        weighted.append(power @ weighting)
    return Spectrum(np.concatenate(thirds).astype(np.float64), np.concatenate(weighted).astype(np.float64))


def whole(samples: NDArray[np.float32], sample_rate: int) -> Spectrum:
    """The mean over all of it: what a sound level meter calls Leq. `samples`: (channels, frames)."""
    size = samples.shape[1]
    spectra = fft.rfft(samples.astype(np.float64), axis=-1)
    power = 2 / size**2 * (spectra.real**2 + spectra.imag**2).sum(axis=0)
    weighting = np.square(a_weighting(fft.rfftfreq(size, 1 / sample_rate)))
    return Spectrum(power @ third_weights(sample_rate, size), np.asarray(power @ weighting))


def hear_alarm(samples: NDArray[np.float32], sample_rate: int) -> Alarm:
    """An alarm's spectrum while it sounds, its pauses left out. `samples`: (channels, frames), not silent."""
    size = samples.shape[1]
    weighting = a_weighting(fft.rfftfreq(size, 1 / sample_rate))
    heard = fft.irfft(fft.rfft(samples.astype(np.float64), axis=-1) * weighting, size, axis=-1)
    power = np.square(heard).sum(axis=0)
    fast = lfilter([1 - np.exp(-1 / (FAST_SECONDS * sample_rate))], [1, -np.exp(-1 / (FAST_SECONDS * sample_rate))], power)
    step = max(1, round(ON_STEP_SECONDS * sample_rate))
    short = uniform_filter1d(power, step, mode="constant")
    on = short >= short.max() * 10 ** (-ON_WITHIN_DB / 10)
    gate = uniform_filter1d(on.astype(np.float64), step, mode="nearest")  # so that the cuts themselves make no sound
    on_share = float(np.square(gate).mean())
    gated = whole((samples * gate).astype(np.float32), sample_rate).scaled(-float(db(on_share)))
    return Alarm(gated, float(db(float(fast.max()))), float(on.sum()) / sample_rate)
