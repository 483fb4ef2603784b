"""The last steps over a whole track, all in place on samples of shape (2, frames): tonal balance, gentle dynamics, fades."""

import numpy as np
import scipy
from numpy.typing import NDArray

from gridtone_engine.composer.reverb import convolve_in_place

Samples = NDArray[np.float32]
TARGET_RMS = 0.05
STEPS_PER_SECOND = 100
CHUNK = 2**18
PEAK = 0.7


def target_centroid_hz(brightness: float) -> float:
    """Where the spectrum's weight is to lie: 450 Hz (dark) to 2200 Hz (bright)."""
    return float(450 * (2200 / 450) ** brightness)


def octaves(frequencies_hz: NDArray[np.floating]) -> NDArray[np.float64]:
    """Where a tilt turns and how far it goes: octaves from 600 Hz, the same below 60 Hz and above 10 kHz."""
    return np.asarray(np.log2(np.clip(frequencies_hz, 60, 10000) / 600), np.float64)


def tilt_db(magnitudes: NDArray[np.floating], frequencies_hz: NDArray[np.floating], brightness: float) -> float:
    """The tilt, in dB an octave and at most 6, that brings the mean centroid of spectra (n, frequencies) to what the brightness asks for."""
    slopes = octaves(frequencies_hz) / 20

    def centroid(tilt: float) -> float:
        tilted = magnitudes * 10 ** (tilt * slopes)
        return float(np.mean((tilted * frequencies_hz).sum(axis=1) / tilted.sum(axis=1)))

    low, high = -6.0, 6.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if centroid(middle) < target_centroid_hz(brightness) else (low, middle)
    return low


def balance(samples: Samples, sample_rate: int, brightness: float) -> None:
    """Tilt the spectrum, by at most 6 dB an octave, so that its centroid comes to what the brightness asks for; take away what lies below 28 Hz."""
    window = 2048
    starts = np.linspace(0, max(samples.shape[1] - window, 0), 160).astype(int)
    pieces = np.stack([samples[:, start : start + window].mean(axis=0) for start in starts if samples.shape[1] >= window])
    magnitudes = np.abs(scipy.fft.rfft(pieces * scipy.signal.windows.hann(window))) + 1e-9
    frequencies = scipy.fft.rfftfreq(window, 1 / sample_rate)
    tilt = tilt_db(magnitudes, frequencies, brightness)
    taps = 2047
    shape_hz = scipy.fft.rfftfreq(4096, 1 / sample_rate)
    gain = 10 ** (tilt * octaves(shape_hz) / 20) * (1 - np.exp(-((shape_hz / 28) ** 4)))
    response = np.roll(scipy.fft.irfft(gain), taps // 2)[:taps] * scipy.signal.windows.hann(taps)
    response -= response.mean() * scipy.signal.windows.hann(taps) / scipy.signal.windows.hann(taps).mean()  # nothing at 0 Hz
    delay = taps // 2
    convolve_in_place(samples, np.stack([response, response]).astype(np.float32), 2**16)
    for channel in samples:
        channel[:-delay] = channel[delay:].copy()
    samples[:, -delay:] = 0


def level(samples: Samples, sample_rate: int) -> None:
    """Bring the track to its loudness, lean on passages that stand out over seconds and on sudden rises, keep peaks below full scale."""
    hop = sample_rate // STEPS_PER_SECOND
    power = _weighted_power(samples, sample_rate, hop)
    seconds = np.hanning(3 * STEPS_PER_SECOND)
    slow = np.convolve(np.pad(power, len(seconds) // 2, mode="edge"), seconds / seconds.sum(), "same")[len(seconds) // 2 :][: len(power)]
    typical = np.median(slow[slow > 0.05 * slow.max()])
    gain = np.minimum(1.0, typical / np.maximum(slow, 1e-12)) ** 0.4  # of what stands out, a fifth is left
    gain *= _soften_rises(power * gain**2)
    middles = (np.arange(len(power)) + 0.5) * hop
    for start in range(0, samples.shape[1], CHUNK):
        piece = samples[:, start : start + CHUNK]
        piece *= np.interp(np.arange(start, start + piece.shape[1]), middles, gain).astype(np.float32)
    samples *= np.float32(TARGET_RMS / np.sqrt(np.vdot(samples, samples) / samples.size))
    peak = float(max(samples.max(), -samples.min()))
    if peak > PEAK:
        samples *= np.float32(PEAK / peak)


def _weighted_power(samples: Samples, sample_rate: int, hop: int) -> NDArray[np.float64]:
    """Mean square of every hop, weighted as loudness is (ITU-R BS.1770), summed over the channels. Shape (hops,)."""
    from pyloudnorm import IIRfilter

    shelf = IIRfilter(4.0, 0.7072, 1682.0, sample_rate, "high_shelf_DeMan")
    low_cut = IIRfilter(0.0, 0.5003, 38.14, sample_rate, "high_pass_DeMan")
    sections = np.array([[*shelf.b, *shelf.a], [*low_cut.b, *low_cut.a]])
    state = np.zeros((2, samples.shape[0], 2))
    chunk = CHUNK // hop * hop
    powers = []
    for start in range(0, samples.shape[1] // hop * hop, chunk):
        weighted, state = scipy.signal.sosfilt(sections, samples[:, start : min(start + chunk, samples.shape[1] // hop * hop)], zi=state)
        powers.append((weighted.reshape(samples.shape[0], -1, hop) ** 2).mean(axis=2).sum(axis=0))
    return np.concatenate(powers)


def _soften_rises(power: NDArray[np.float64], most_db: float = 4.8, floor_db: float = -10.0) -> NDArray[np.float64]:
    """A gain for every step of 10 ms: where the level of 200 ms would rise by more than `most_db` within 100 ms, the onset that makes it rise is played softer.

    Levels more than `floor_db` under the whole count as being there: a soft note after a rest is no rise.
    """
    window, within = STEPS_PER_SECOND // 5, STEPS_PER_SECOND // 10
    dip = np.concatenate([np.ones(within), np.linspace(1, 0, 3 * within)])
    floor = power.mean() * 10 ** (floor_db / 10)
    reduction_db = np.zeros(len(power))
    for _ in range(6):
        heard = power * 10 ** (-reduction_db / 10)
        total = np.cumsum(np.pad(heard, (window, 0)))
        level = 10 * np.log10(np.maximum((total[window:] - total[:-window]) / window, floor))
        excess = level[within:] - level[:-within] - most_db
        if excess.max(initial=0.0) < 0.05:
            break
        jump = np.diff(np.log(heard + 0.1 * floor), prepend=0.0)
        deepened = reduction_db.copy()
        for step in np.flatnonzero((excess > 0) & (excess >= np.roll(excess, 1)) & (excess > np.roll(excess, -1))):
            first = max(1, int(step) - 2)
            onset = first + int(np.argmax(jump[first : step + within + 1]))
            span = slice(onset, onset + len(dip))
            target = reduction_db[span] + 1.2 * excess[step] * dip[: len(power) - onset]
            deepened[span] = np.maximum(deepened[span], target)
        reduction_db = deepened
    return np.asarray(10 ** (-reduction_db / 20))


def fade(samples: Samples, sample_rate: int, bar_seconds: float) -> None:
    """Rise over the first bar, fall over the last one (at most four seconds each)."""
    frames = min(int(min(bar_seconds, 4.0) * sample_rate), samples.shape[1] // 2)
    curve = np.sin(0.5 * np.pi * np.arange(frames) / frames).astype(np.float32)
    samples[:, :frames] *= curve
    samples[:, -frames:] *= curve[::-1]
