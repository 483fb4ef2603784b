"""Sound to levels of a spectrum, and from levels, which have no phases, back to sound.

The codec says how loud each frequency is, not where its wave stands: in a few kbit/s there is no room for it. A steady tone's phase turns with its own
frequency, which shows in the levels beside its peak, and a sudden sound's phases run straight over frequency, which shows in how the levels rise: phase
gradient integration (Průša, Balazs and Søndergaard 2017), here from every peak to the bins around it, a whole spectrum at once.

So a spectrum's phases begin. Then sound and spectra are made from each other in turn, the angles kept and the levels put back, which brings neighbours into
line: real-time iterative spectrogram inversion with look-ahead (Zhu, Beauregard and Wyse 2007), with the momentum of the fast Griffin-Lim algorithm (Perraudin,
Balazs and Søndergaard 2013). A spectrum is pending until the look-ahead has come; its phases are then settled, and the next begins from the best known so far.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, sparse

from gridtone_engine.undertone.configs import CodecConfig

Floats = NDArray[np.float32]
LOUDNESS = 0.45
"""Levels are magnitudes to this power, somewhat less than loudness is of pressure (Stevens 1955): what is loud must not count alone."""
QUIETEST = 1e-4
"""Least magnitude whose phase follows its slope: some 100 dB below a full sine wave."""
HANN_WIDTH = 0.25645
"""Of the Gaussian window that is most like Hann's, in squared lengths of the window."""
LOOK_AHEAD = 5
"""Spectra that come before one's phases are settled."""
ITERATIONS = 2
"""With every spectrum that comes: six times as many over each one."""
MOMENTUM = 0.8
"""Of each iteration's change, how much more is gone; above 1 angles do not settle."""


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
    pieces = sliding_window_view(both, size, axis=-1)[:, :, ::hop] * hann(size)
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


def early(config: CodecConfig) -> int:
    """Samples that the first pending window begins before the track."""
    return (config.spectrum_size - config.spectrum_hop) // 2 + LOOK_AHEAD * config.spectrum_hop


class Synthesis:
    """Tracks at once, stretch after stretch: their waves go on where they were."""

    def __init__(self, config: CodecConfig, tracks: int = 1) -> None:
        self._size, self._hop = config.spectrum_size, config.spectrum_hop
        self._window, self._spreading = hann(self._size), sparse.csr_array(spreading(config))
        self._gradients = _Gradients(self._size, self._hop)
        pending, samples = (tracks, 2, LOOK_AHEAD + 1, self._size // 2 + 1), LOOK_AHEAD * self._hop + self._size
        self._magnitudes = np.zeros(pending, np.float32)
        self._spectra, self._heard = np.zeros(pending, np.complex64), np.zeros(pending, np.complex64)
        self._settled, self._weight = np.zeros((tracks, 2, samples), np.float32), np.zeros(samples, np.float32)
        self._early = early(config)

    def play(self, levels: Floats) -> Floats:
        """Levels (tracks, spectra, 2 * bands) -> the audio that is complete with them, (tracks, 2, frames): `spectra` hops, in all later than the levels by
        half a window and the look-ahead."""
        spread = levels.reshape(-1, self._spreading.shape[0]) @ self._spreading
        magnitudes = np.maximum(spread, 0, order="C").reshape(*levels.shape[:2], 2, spread.shape[1]) ** (1 / LOUDNESS)
        return self._sound([self._settle(spectrum) for spectrum in magnitudes.swapaxes(0, 1)])

    def rest(self) -> Floats:
        """What is left after the last levels, (tracks, 2, frames): the look-ahead and half a window."""
        pieces = [self._settle() for _ in range(LOOK_AHEAD)]
        left = self._size - self._hop - (self._size - self._hop) // 2
        return self._sound([*pieces, self._normalised(self._settled)[..., :left]])

    def _settle(self, magnitudes: Floats | None = None) -> Floats:
        """Take in a spectrum, (tracks, 2, bins), settle the oldest that is pending -> the hop that is complete with it, (tracks, 2, hop)."""
        if magnitudes is not None:
            self._magnitudes[:, :, -1] = magnitudes
            phases = self._gradients.phases(magnitudes, np.angle(self._spectra[:, :, -2]))
            self._spectra[:, :, -1] = self._heard[:, :, -1] = magnitudes * np.exp(1j * phases)
            self._weight[-self._size :] += self._window**2
        for _ in range(ITERATIONS):
            self._iterate()
        self._settled[..., : self._size] += self._pieces(self._spectra[:, :, 0])
        done = self._normalised(self._settled)[..., : self._hop]
        for pending in (self._magnitudes, self._spectra, self._heard):
            pending[:, :, :-1], pending[:, :, -1] = pending[:, :, 1:], 0
        for samples in (self._settled, self._weight):
            samples[..., : -self._hop], samples[..., -self._hop :] = samples[..., self._hop :], 0
        return done

    def _iterate(self) -> None:
        """Pending spectra to sound, beside what is settled, and back: angles are kept, levels are as asked."""
        sound = self._settled.copy()
        for place, piece in enumerate(np.moveaxis(self._pieces(self._spectra), 2, 0)):
            sound[..., place * self._hop : place * self._hop + self._size] += piece
        windows = sliding_window_view(self._normalised(sound), self._size, axis=-1)[..., :: self._hop, :]
        heard = fft.rfft(windows * self._window, norm="ortho")
        ahead = heard + MOMENTUM * (heard - self._heard)
        self._spectra, self._heard = ahead * (self._magnitudes / np.maximum(np.abs(ahead), 1e-12)), heard

    def _pieces(self, spectra: NDArray[np.complex64]) -> Floats:
        """Windowed once more, to be added where they overlap."""
        return np.asarray(fft.irfft(spectra, self._size, norm="ortho") * self._window, np.float32)

    def _normalised(self, sound: Floats) -> Floats:
        """Added pieces by the windows that are there: at the ends and in the look-ahead they are fewer."""
        return np.asarray(sound / np.maximum(self._weight, 1e-3), np.float32)

    def _sound(self, pieces: list[Floats]) -> Floats:
        """Pieces of middle and side -> left and right, from the track's begin on."""
        both = np.concatenate([self._settled[..., :0], *pieces], axis=2)
        early = min(self._early, both.shape[2])
        self._early -= early
        return np.stack([both[:, 0] + both[:, 1], both[:, 0] - both[:, 1]], axis=1)[..., early:]


def synthesised(levels: Floats, config: CodecConfig) -> Floats:
    """A whole track: levels (spectra, 2 * bands) -> audio (2, spectra * hop)."""
    synthesis = Synthesis(config)
    return np.concatenate([synthesis.play(levels[None]), synthesis.rest()], axis=2)[0]


class _Gradients:
    """How phases run over frequency and time, as the levels tell."""

    def __init__(self, size: int, hop: int) -> None:
        self._carrier = 2 * np.pi * hop * np.arange(size // 2 + 1) / size
        self._per_bin, self._per_hop = hop / (HANN_WIDTH * size), -HANN_WIDTH * size / hop
        self._turns, self._logarithms = self._carrier, np.full(len(self._carrier), np.log(QUIETEST))

    def phases(self, magnitudes: Floats, before: Floats) -> NDArray[np.float64]:
        """Magnitudes of the next spectrum and phases of the one before -> its phases, all (tracks, 2, bins), counted from the window's first sample: so what
        sounds in its middle turns by half a circle a bin."""
        logarithms = np.log(np.maximum(magnitudes, QUIETEST), dtype=np.float64)
        turns = self._carrier + self._per_bin * np.gradient(logarithms, axis=-1)
        slopes = self._per_hop * (logarithms - self._logarithms) + np.pi
        across = np.cumsum(np.pad((slopes[..., 1:] + slopes[..., :-1]) / 2, ((0, 0), (0, 0), (1, 0))), axis=-1)
        gone_on = before + (self._turns + turns) / 2
        self._turns, self._logarithms = turns, logarithms
        return across + np.take_along_axis(gone_on - across, nearest_peak(logarithms), axis=-1)


def nearest_peak(heights: NDArray[np.floating]) -> NDArray[np.int64]:
    """For every bin of (..., bins) the peak on whose slope it lies; the highest of all where no peak stands between the ends."""
    bins = np.arange(heights.shape[-1])
    rising = np.diff(heights, prepend=np.inf, append=np.inf) > 0
    peaks = rising[..., :-1] & ~rising[..., 1:]
    peaks |= ~peaks.any(axis=-1, keepdims=True) & (bins == heights.argmax(axis=-1, keepdims=True))
    before = np.maximum.accumulate(np.where(peaks, bins, -1), axis=-1)
    after = np.minimum.accumulate(np.where(peaks, bins, len(bins))[..., ::-1], axis=-1)[..., ::-1]
    return np.where(rising[..., 1:], after, before).clip(after[..., :1], before[..., -1:])
