"""Sound to levels of a spectrum, and from levels, which have no phases, back to sound.

The codec says how loud each frequency is, not where its wave stands: in a few kbit/s there is no room for it. A steady tone's phase turns with its own
frequency, which shows in the levels beside its peak, and a sudden sound's phases run straight over frequency, which shows in how the levels rise: phase
gradient integration (Průša, Balazs and Søndergaard 2017), here from every peak to the bins around it, a whole spectrum at once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.undertone.configs import CodecConfig

Floats = NDArray[np.float32]
LOUDNESS = 0.45
"""Levels are magnitudes to this power, somewhat less than loudness is of pressure (Stevens 1955): what is loud must not count alone."""
QUIETEST = 1e-4
"""Least magnitude whose phase follows its slope: some 100 dB below a full sine wave."""
HANN_WIDTH = 0.25645
"""Of the Gaussian window that is most like Hann's, in squared lengths of the window."""


def hann(size: int) -> Floats:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def levels_of(audio: Floats, config: CodecConfig) -> Floats:
    """Audio (batch, 2, samples) -> levels (batch, spectra, 2 * bands) of middle and side, a spectrum around the middle of every hop.

    Samples past the last whole frame are dropped. Raises ValueError for less than one.
    """
    size, hop = config.spectrum_size, config.spectrum_hop
    samples = audio.shape[-1] // config.hop * config.hop
    if samples == 0:
        raise ValueError(f"{audio.shape[-1]} samples are less than one frame of codes, {config.hop} samples")
    left, right = audio[:, 0, :samples], audio[:, 1, :samples]
    edge = (size - hop) // 2
    both = np.pad(np.stack([left + right, left - right], axis=1) / 2, ((0, 0), (0, 0), (edge, size - hop - edge)))
    pieces = np.lib.stride_tricks.sliding_window_view(both, size, axis=-1)[:, :, ::hop] * hann(size)
    power = np.abs(np.fft.rfft(pieces, norm="ortho")) ** 2
    levels = (power @ pooling(config)) ** (LOUDNESS / 2)
    return levels.transpose(0, 2, 1, 3).reshape(levels.shape[0], levels.shape[2], -1).astype(np.float32)


def pooling(config: CodecConfig) -> Floats:
    """Power of bins to mean power of bands, as a matrix (bins, bands)."""
    bins = np.arange(config.spectrum_size // 2 + 1)
    inside = np.searchsorted(config.bands, bins, side="right")[:, None] == np.arange(1, len(config.bands) + 1)
    return (inside / inside.sum(axis=0)).astype(np.float32)


def spreading(config: CodecConfig) -> Floats:
    """Levels of bands to levels of bins, straight lines between the bands' middles, as a matrix (bands, bins)."""
    bins = np.arange(config.spectrum_size // 2 + 1)
    middles = (np.array(config.bands) + np.array([*config.bands[1:], len(bins)]) - 1) / 2
    return np.stack([np.interp(bins, middles, one) for one in np.eye(len(middles))]).astype(np.float32)


class Synthesis:
    """One track, stretch after stretch: its waves go on where they were."""

    def __init__(self, config: CodecConfig) -> None:
        self._size, self._hop = config.spectrum_size, config.spectrum_hop
        self._window, self._spreading = hann(self._size), spreading(config)
        bins = self._size // 2 + 1
        self._carrier = 2 * np.pi * self._hop * np.arange(bins) / self._size
        self._channels = [_Phases(self._size, self._hop, self._carrier) for _ in range(2)]
        self._sum, self._weight = np.zeros((2, self._size), np.float32), np.zeros(self._size, np.float32)
        self._early = (self._size - self._hop) // 2
        """Samples that the first window begins before the track."""

    def play(self, levels: Floats) -> Floats:
        """Levels (spectra, 2 * bands) -> the audio that is complete with them, (2, frames): `spectra` hops, in all later than the levels by half a window."""
        middle, side = ((part @ self._spreading).astype(np.float64) for part in np.split(levels, 2, axis=-1))
        done = np.zeros((2, len(levels) * self._hop), np.float32)
        spectra = np.stack([phases.follow(part) for phases, part in zip(self._channels, (middle, side), strict=True)])
        pieces = np.fft.fftshift(np.fft.irfft(spectra, self._size, norm="ortho"), axes=-1).astype(np.float32) * self._window
        for number in range(len(levels)):
            self._sum += pieces[:, number]
            self._weight += self._window**2
            done[:, number * self._hop : (number + 1) * self._hop] = self._sum[:, : self._hop] / np.maximum(self._weight[: self._hop], 1e-3)
            for buffer in (self._sum, self._weight):
                buffer[..., : -self._hop] = buffer[..., self._hop :].copy()
                buffer[..., -self._hop :] = 0
        early = min(self._early, done.shape[1])
        self._early -= early
        return _left_right(done[:, early:])

    def rest(self) -> Floats:
        """What is left after the last levels: half a window."""
        left = self._size - self._hop - (self._size - self._hop) // 2
        return _left_right(self._sum[:, :left] / np.maximum(self._weight[:left], np.float32(1e-3)))


def synthesised(levels: Floats, config: CodecConfig) -> Floats:
    """A whole track: levels (spectra, 2 * bands) -> audio (2, spectra * hop)."""
    synthesis = Synthesis(config)
    return np.concatenate([synthesis.play(levels), synthesis.rest()], axis=1)


class _Phases:
    """Of one channel."""

    def __init__(self, size: int, hop: int, carrier: NDArray[np.float64]) -> None:
        self._carrier, self._bins = carrier, np.arange(len(carrier))
        self._per_bin, self._per_hop = hop / (HANN_WIDTH * size), -HANN_WIDTH * size / hop
        self._phases, self._turns, self._logarithms = np.zeros(len(carrier)), carrier, np.full(len(carrier), np.log(QUIETEST))

    def follow(self, levels: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Levels (spectra, bins) -> spectra whose phases go on from those before, the window's middle at sample 0."""
        magnitudes = np.maximum(levels, 0) ** (1 / LOUDNESS)
        logarithms = np.log(np.maximum(magnitudes, QUIETEST))
        turns = self._carrier + self._per_bin * np.gradient(logarithms, axis=1)
        slopes = self._per_hop * np.diff(logarithms, axis=0, prepend=self._logarithms[None])
        across = np.pad(np.cumsum((slopes[:, 1:] + slopes[:, :-1]) / 2, axis=1), ((0, 0), (1, 0)))
        spectra = np.empty(levels.shape, np.complex128)
        for number, heights in enumerate(logarithms):
            peak = self._nearest_peak(heights)
            gone_on = self._phases + (self._turns + turns[number]) / 2
            self._phases = (gone_on[peak] + across[number] - across[number][peak]) % (2 * np.pi)
            self._turns = turns[number]
            spectra[number] = magnitudes[number] * np.exp(1j * self._phases)
        self._logarithms = logarithms[-1]
        return spectra

    def _nearest_peak(self, heights: NDArray[np.float64]) -> NDArray[np.int64]:
        """For every bin the peak on whose slope it lies."""
        rising = np.diff(heights) > 0
        peaks = np.flatnonzero(rising[:-1] & ~rising[1:]) + 1
        if not len(peaks):
            return np.full(len(heights), int(heights.argmax()))
        valleys = np.flatnonzero(~rising[:-1] & rising[1:]) + 1
        between = valleys[(valleys > peaks[0]) & (valleys < peaks[-1])]
        return peaks[np.searchsorted(between, self._bins, side="right")]


def _left_right(both: NDArray[Any]) -> Floats:
    return np.asarray([both[0] + both[1], both[0] - both[1]], np.float32)
