"""Loudness and peaks as broadcasters measure them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyloudnorm import IIRfilter
from scipy.signal import firwin, resample_poly, sosfilt

STEPS_PER_SECOND = 100
OVERSAMPLER = firwin(81, 0.25, window=("kaiser", 5.0)).astype(np.float32)
"""Interpolation filter, four times."""
OVERSHOOT = float(max(np.abs(4 * OVERSAMPLER[phase::4]).sum() for phase in range(4)))


@dataclass(frozen=True, slots=True)
class Loudness:
    """How loud a track is over time. Loudness of silence is -inf."""

    power: NDArray[np.float64]
    """K-weighted mean square of every 10 ms, summed over channels."""

    def over(self, seconds: float) -> NDArray[np.float64]:
        """Loudness, LUFS, of every window of that length, a new one every 10 ms; of the whole track where it is shorter."""
        steps = min(round(seconds * STEPS_PER_SECOND), len(self.power))
        total = np.concatenate([[0.0], np.cumsum(self.power)])
        return lufs(np.maximum(total[steps:] - total[:-steps], 0.0) / steps)

    @property
    def integrated(self) -> float:
        """LUFS of the whole, gated: blocks of 400 ms, a new one every 100 ms (ITU-R BS.1770-4)."""
        blocks = self.over(0.4)[:: STEPS_PER_SECOND // 10]
        for gate in (-70.0, None):
            loud = blocks[blocks > (_mean(blocks) - 10 if gate is None else gate)]
            if not len(loud):
                return float("-inf")
            blocks = loud
        return _mean(blocks)


def lufs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loudness of K-weighted power."""
    with np.errstate(divide="ignore"):
        loudness: NDArray[np.float64] = -0.691 + 10 * np.log10(power)
    return loudness


def _mean(loudness: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.mean(10 ** (loudness / 10))))


def measure(samples: NDArray[np.float32], sample_rate: int) -> Loudness:
    """The loudness of samples of shape (channels, frames), at most two channels, at least 10 ms long."""
    stages = [
        IIRfilter(3.99984385397, 0.7071752369554193, 1681.9744509555319, sample_rate, "high_shelf_DeMan"),
        IIRfilter(0.0, 0.5003270373253953, 38.13547087613982, sample_rate, "high_pass_DeMan"),
    ]
    sections = [[*stage.b, *stage.a] for stage in stages]
    edges = np.round(np.arange(int(samples.shape[1] * STEPS_PER_SECOND / sample_rate) + 1) * sample_rate / STEPS_PER_SECOND).astype(int)
    power = np.zeros(len(edges) - 1)
    for channel in samples:
        weighted = sosfilt(sections, channel[: edges[-1]])
        power += np.add.reduceat(weighted * weighted, edges[:-1]) / np.diff(edges)
    return Loudness(power)


def true_peak(samples: NDArray[np.float32]) -> float:
    """Highest absolute value between the samples, full scale 1, by four times oversampling (ITU-R BS.1770-4, Annex 2).

    Only blocks that could hold the peak are oversampled: an interpolated value exceeds the largest sample around it at most `OVERSHOOT` times.
    """
    block, margin = 1024, len(OVERSAMPLER) // 8 + 1
    padded = np.pad(samples, ((0, 0), (margin, margin + (-samples.shape[1]) % block)))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, block + 2 * margin, axis=1)[:, ::block].reshape(-1, block + 2 * margin)
    largest = np.abs(pieces).max(axis=1)
    peak = float(largest.max(initial=0.0))
    candidates = pieces[largest * OVERSHOOT > peak]
    return max(peak, float(np.abs(resample_poly(candidates, 4, 1, axis=1, window=OVERSAMPLER)[:, 4 * margin : -4 * margin]).max(initial=0.0)))
