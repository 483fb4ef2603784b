"""What is done to every rendition before it is judged."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d
from scipy.signal import fftconvolve, resample_poly

from gridtone.gate.limits import GateLimits
from gridtone.gate.loudness import measure, true_peak

FADE_SECONDS = 0.25
"""Raised cosine at both ends; an engine that fades for longer keeps its own."""
LOOK_AHEAD_SECONDS = 0.005
"""The limiter's gain begins to fall this long before a peak, and recovers as long after it."""
HEADROOM_DB = 0.3
"""The limiter aims this far below the limit: smoothing and loudness are settled in turn."""


def finish(samples: NDArray[np.float32], sample_rate: int, limits: GateLimits | None = None) -> NDArray[np.float32]:
    """DC removed, both ends faded, brought to the loudness, and limited only where a true peak would stand too high.

    `samples` has shape (channels, frames) and is left as it is. What cannot be finished (NaN, less than 0.1 s) comes back unchanged, silence comes back silent,
    for `check` to refuse.
    """
    limits = limits or GateLimits()
    if samples.ndim != 2 or not np.isfinite(samples).all() or samples.shape[1] < sample_rate // 10:
        return samples.copy()
    finished: NDArray[np.float32] = samples - samples.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    frames = min(int(FADE_SECONDS * sample_rate), samples.shape[1] // 4)
    fade = (0.5 - 0.5 * np.cos(np.pi * np.arange(frames) / frames)).astype(np.float32)
    finished[:, :frames] *= fade
    finished[:, finished.shape[1] - frames :] *= fade[::-1]
    ceiling = 10 ** ((limits.true_peak_max_dbtp - HEADROOM_DB) / 20)
    for _ in range(3):  # limiting takes a little loudness away, which is then given back
        loudness = measure(finished, sample_rate).integrated
        if not np.isfinite(loudness):
            return finished
        finished *= np.float32(10 ** ((limits.loudness_lufs - loudness) / 20))
        if true_peak(finished) <= ceiling:
            break
        finished = _limited(finished, sample_rate, ceiling)
    return finished


def _limited(samples: NDArray[np.float32], sample_rate: int, ceiling: float) -> NDArray[np.float32]:
    """Turn both channels down around every true peak above `ceiling`, smoothly."""
    peaks = np.zeros(samples.shape[1], np.float32)
    for channel in samples:
        np.maximum(peaks, np.abs(resample_poly(channel, 4, 1)).reshape(-1, 4).max(axis=1), out=peaks)
    wanted = np.minimum(1.0, ceiling / np.maximum(peaks, ceiling))
    width = 2 * int(LOOK_AHEAD_SECONDS * sample_rate) + 1
    smooth = np.hanning(width + 2)[1:-1]
    gain = fftconvolve(np.pad(minimum_filter1d(wanted, width), width // 2, mode="edge"), smooth / smooth.sum(), mode="valid")
    limited: NDArray[np.float32] = samples * gain.astype(np.float32)
    return limited
