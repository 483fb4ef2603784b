"""The room: a synthetic impulse response, and long filters applied in place to whole tracks."""

import numpy as np
import scipy
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def hall(sample_rate: int, seconds: float = 2.6, wet_db: float = -9.0, pre_delay_seconds: float = 0.022) -> Samples:
    """Impulse response of a warm hall for both channels, shape (2, frames): the direct sound first, then noise whose highs die sooner than its lows, left and
    right apart."""
    rng = np.random.default_rng(1)
    frames = int(seconds * sample_rate)
    times = np.arange(frames) / sample_rate
    tail = np.zeros((2, frames))
    for low, high, decay in ((90, 400, 1.0), (400, 1600, 0.85), (1600, 5000, 0.55), (5000, 11000, 0.3)):
        band = scipy.signal.sosfilt(scipy.signal.butter(2, (low, high), "bandpass", fs=sample_rate, output="sos"), rng.normal(0, 1, (2, frames)))
        tail += band * 10 ** (-3 * times / (seconds * decay))
    tail *= 1 - np.exp(-times / 0.015)
    tail[:, -frames // 10 :] *= np.linspace(1, 0, len(tail[0, -frames // 10 :]))
    tail *= 10 ** (wet_db / 20) / np.sqrt((tail**2).sum(axis=1, keepdims=True))
    response = np.zeros((2, frames + int(pre_delay_seconds * sample_rate)))
    response[:, -frames:] = tail
    response[:, 0] += 1
    return response.astype(np.float32)


def convolve_in_place(samples: Samples, response: Samples, block: int = 2**19) -> None:
    """Filter `samples` (channels, frames) with `response` (channels, taps), block by block (overlap-add); what would ring past the end is cut."""
    taps = response.shape[1]
    hop = block - taps + 1
    spectrum = scipy.fft.rfft(response, block)
    carried = np.zeros((samples.shape[0], taps - 1), np.float32)
    for start in range(0, samples.shape[1], hop):
        piece = samples[:, start : start + hop]
        frames = piece.shape[1]
        filtered = scipy.fft.irfft(scipy.fft.rfft(piece, block) * spectrum, block)
        filtered[:, : taps - 1] += carried
        carried = filtered[:, frames : frames + taps - 1].astype(np.float32)
        piece[:] = filtered[:, :frames]
