"""The last steps over a whole track, all in place on samples of shape (2, frames): tonal balance, gentle dynamics, fades."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from gridtone_engine.composer.reverb import convolve_in_place

Samples = NDArray[np.float32]
TARGET_RMS = 0.05
PEAK = 0.7


def target_centroid_hz(brightness: float) -> float:
    """Where the spectrum's weight is to lie: 450 Hz (dark) to 2200 Hz (bright)."""
    return float(450 * (2200 / 450) ** brightness)


def balance(samples: Samples, sample_rate: int, brightness: float) -> None:
    """Tilt the spectrum, by at most 6 dB an octave, so that its centroid comes to what the brightness asks for; take away what lies below 28 Hz."""
    window = 2048
    starts = np.linspace(0, max(samples.shape[1] - window, 0), 160).astype(int)
    pieces = np.stack([samples[:, start : start + window].mean(axis=0) for start in starts if samples.shape[1] >= window])
    magnitudes = np.abs(fft.rfft(pieces * signal.windows.hann(window))) + 1e-9
    frequencies = fft.rfftfreq(window, 1 / sample_rate)
    octaves = np.log2(np.clip(frequencies, 60, 10000) / 600)

    def centroid(tilt_db: float) -> float:
        tilted = magnitudes * 10 ** (tilt_db * octaves / 20)
        return float(np.mean((tilted * frequencies).sum(axis=1) / tilted.sum(axis=1)))

    low, high = -6.0, 6.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if centroid(middle) < target_centroid_hz(brightness) else (low, middle)
    taps = 2047
    shape_hz = fft.rfftfreq(4096, 1 / sample_rate)
    gain = 10 ** (low * np.log2(np.clip(shape_hz, 60, 10000) / 600) / 20) * (1 - np.exp(-((shape_hz / 28) ** 4)))
    response = np.roll(fft.irfft(gain), taps // 2)[:taps] * signal.windows.hann(taps)
    response -= response.mean() * signal.windows.hann(taps) / signal.windows.hann(taps).mean()  # nothing at 0 Hz
    delay = taps // 2
    convolve_in_place(samples, np.stack([response, response]).astype(np.float32), 2**16)
    for channel in samples:
        channel[:-delay] = channel[delay:].copy()
    samples[:, -delay:] = 0


def level(samples: Samples, sample_rate: int) -> None:
    """Bring the track to its loudness, lean on passages that stand out (2:1 over seconds) and on sudden rises, keep peaks below full scale."""
    hop = sample_rate // 100
    count = samples.shape[1] // hop
    pieces = samples[:, : count * hop].reshape(2, count, hop)
    power = np.einsum("cnh,cnh->n", pieces, pieces) / (2 * hop)
    slow = np.sqrt(np.convolve(np.pad(power, 150, mode="edge"), np.hanning(301) / np.hanning(301).sum(), "valid"))
    typical = np.median(slow[slow > 0.05 * slow.max()])
    gain = np.minimum(1.0, (typical / np.maximum(slow, 1e-9)) ** 0.5)
    middles = (np.arange(count) + 0.5) * hop
    for start in range(0, samples.shape[1], 2**18):
        piece = samples[:, start : start + 2**18]
        piece *= np.interp(np.arange(start, start + piece.shape[1]), middles, gain).astype(np.float32)
    samples *= np.float32(TARGET_RMS / np.sqrt(np.vdot(samples, samples) / samples.size))
    peak = float(max(samples.max(), -samples.min()))
    if peak > PEAK:
        samples *= np.float32(PEAK / peak)


def fade(samples: Samples, sample_rate: int, bar_seconds: float) -> None:
    """Rise over the first bar, fall over the last one (at most four seconds each)."""
    frames = min(int(min(bar_seconds, 4.0) * sample_rate), samples.shape[1] // 2)
    curve = np.sin(0.5 * np.pi * np.arange(frames) / frames).astype(np.float32)
    samples[:, :frames] *= curve
    samples[:, -frames:] *= curve[::-1]
