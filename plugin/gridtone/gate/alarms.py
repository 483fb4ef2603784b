"""Whether music could be taken for an alarm: standing tones, pulsing, sirens. Between 150 and 5000 Hz, where alarms lie (IEC 60601-1-8, ISO 7731)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import minimum_filter1d, uniform_filter1d

LOWEST_HZ, HIGHEST_HZ = 150.0, 5000.0
SEMITONES = 61
"""Between the two."""
BELOW, ABOVE = 12, 10
"""Semitones kept beyond both, as neighbours."""
PARTIALS = 3
"""Strongest partials of a frame that are followed."""
AUDIBLE_SHARE = 0.1
"""Of a frame's energy: a partial or tone with less is not what one hears first."""

TONE_SECONDS = {2.0: 0.0, 4.0: 5.0, 8.0: 10.0}
"""A tone that lasts longer may stand out by this many dB less."""

PULSE_WINDOWS = ((8.0, 0.5), (1.5, 2.5))
"""Seconds in which pulsing must keep its pitches and its period, and the slowest pulses, Hz, that such a window can show. Chords rarely stay for 8 s; a group
of five medical alarm pulses takes about 1.5 s."""
PULSE_FASTEST_HZ = 8.0
PULSE_DEPTH = 0.7
"""Standard deviation of a band's power over its mean: 1 for on and off in equal parts."""
PULSE_REPEAT = 0.55
"""Autocorrelation of a band's power after one period."""
PULSE_CONTRAST = 0.8
"""How much higher it is there than after half a period."""

GLIDE_STEP_SEMITONES = (0.02, 1.5)
"""A partial that moves by so much from frame to frame glides; less is a held note, more another note."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the three alarm checks look at."""

    frames_per_second: float
    power: NDArray[np.float32]
    """(frames, BELOW + SEMITONES + ABOVE) of every semitone, all channels together."""
    partials: NDArray[np.float32]
    """(frames, PARTIALS) semitones above LOWEST_HZ, NaN where a partial is not audible."""
    speech_band_share: float
    """Of the whole track's energy, what lies between 200 and 5000 Hz."""

    def tone_prominence(self) -> tuple[float, float]:
        """How far a tone stands above everything else within ten semitones of it, dB, throughout 2, 4 or 8 s (TONE_SECONDS), and where that begins, seconds."""
        smooth = uniform_filter1d(self.power, max(round(0.25 * self.frames_per_second), 1), axis=0)
        below = np.cumsum(np.pad(smooth, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
        semitones = np.arange(BELOW, BELOW + SEMITONES)
        tone = below[:, semitones + 2] - below[:, semitones - 1]
        around = below[:, semitones + ABOVE + 1] - below[:, semitones - ABOVE] - tone
        total = below[:, [BELOW + SEMITONES]] - below[:, [BELOW]]
        prominence = 10 * np.log10((tone + 1e-12) / (around + 1e-12))
        prominence[tone <= AUDIBLE_SHARE * total] = -np.inf
        worst = (float("-inf"), 0.0)
        for seconds, bonus in TONE_SECONDS.items():
            frames = round(seconds * self.frames_per_second)
            if frames <= len(prominence):
                held = minimum_filter1d(prominence, frames, axis=0)[frames // 2 : frames // 2 + len(prominence) - frames + 1].max(axis=1)
                worst = max(worst, (float(held.max()) + bonus, float(held.argmax()) / self.frames_per_second))
        return worst

    def pulse_share(self) -> tuple[float, float]:
        """Largest share of the energy that goes on and off, on the same pitches and regularly, in one window, and where that begins, seconds."""
        semitones = self.power[:, BELOW - 1 : BELOW + SEMITONES + 1]
        bands = semitones[:, :-2] + semitones[:, 1:-1] + semitones[:, 2:]  # wide enough for a vibrato to stay within
        worst = (0.0, 0.0)
        for seconds, slowest_hz in PULSE_WINDOWS:
            frames = round(seconds * self.frames_per_second)
            periods = np.arange(int(self.frames_per_second / PULSE_FASTEST_HZ), int(self.frames_per_second / slowest_hz) + 1)
            for start in range(0, len(bands) - frames + 1, frames // 2):
                worst = max(worst, (_pulse_share(bands[start : start + frames], periods), start / self.frames_per_second))
        return worst

    def widest_glide(self) -> tuple[float, float]:
        """Widest continuous glide of an audible partial, semitones, and where it ends, seconds."""
        smallest, largest = GLIDE_STEP_SEMITONES
        widest = (0.0, 0.0)
        glides: list[_Glide] = []
        for frame, row in enumerate(self.partials.tolist()):
            now = []
            for pitch in row:
                if pitch != pitch:  # NaN
                    continue
                start, direction = pitch, 0
                near = [glide for glide in glides if abs(pitch - glide.pitch) <= largest * (frame - glide.frame)]
                if near:
                    last = min(near, key=lambda glide: abs(pitch - glide.pitch))
                    towards = (pitch > last.pitch) - (pitch < last.pitch)
                    if abs(pitch - last.pitch) >= smallest and last.direction in (0, towards):
                        start, direction = last.start, towards
                now.append(_Glide(pitch, start, direction, frame))
                widest = max(widest, (abs(pitch - start), frame / self.frames_per_second))
            glides = now + [glide for glide in glides if glide.frame == frame - 1 and all(abs(glide.pitch - other.pitch) >= 1 for other in now)]
        return widest


@dataclass(frozen=True, slots=True)
class _Glide:
    pitch: float
    start: float
    """Pitch where the movement in this direction began."""
    direction: int
    frame: int


def _pulse_share(bands: NDArray[np.float32], periods: NDArray[np.int_]) -> float:
    """Of one window: the largest over all periods, frames."""
    frames = len(bands)
    mean = bands.mean(axis=0)
    deviation = bands - mean
    depth = deviation.std(axis=0) / (mean + 1e-20)
    spectrum = fft.rfft(deviation, 2 * frames, axis=0)
    repeat = fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=0)[:frames]
    repeat *= (frames / (frames - np.arange(frames)))[:, None] / (repeat[0] + 1e-20)
    after_one = np.maximum(np.maximum(repeat[periods - 1], repeat[periods]), repeat[periods + 1])
    after_half = repeat[np.round(periods / 2).astype(int)]
    pulsing = (depth > PULSE_DEPTH) & (after_one > PULSE_REPEAT) & (after_one - after_half > PULSE_CONTRAST)
    return float((pulsing * mean).sum(axis=1).max() / (mean.sum() + 1e-20))


def listen(samples: NDArray[np.float32], sample_rate: int) -> Sound:
    """Analyse samples of shape (channels, frames) in windows of about 85 ms, a new one every 21 ms."""
    window = 2 ** round(np.log2(0.085 * sample_rate))
    hop = window // 4
    frequencies = fft.rfftfreq(window, 1 / sample_rate)
    semitone = np.round(12 * np.log2(np.maximum(frequencies, 1) / LOWEST_HZ)).astype(int) + BELOW
    width = BELOW + SEMITONES + ABOVE
    to_semitones = (semitone[:, None] == np.arange(width)).astype(np.float32)
    shape = np.hanning(window).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, window, axis=1)[:, ::hop]
    power, partials, total = [], [], np.zeros(len(frequencies))
    for start in range(0, windows.shape[1], 256):  # a few seconds at a time: the spectra of a long track would fill the memory
        spectra = fft.rfft(windows[:, start : start + 256] * shape, axis=-1)
        energy = (spectra.real**2 + spectra.imag**2).sum(axis=0)
        power.append(energy @ to_semitones)
        partials.append(_partials(energy, frequencies))
        total += energy.sum(axis=0)
    band = (frequencies >= 200) & (frequencies <= 5000)
    semitones = np.concatenate(power)
    audible = np.concatenate(partials)
    loud = semitones[:, BELOW : BELOW + SEMITONES].sum(axis=1)
    audible[loud < 0.01 * np.median(loud)] = np.nan
    return Sound(sample_rate / hop, semitones, audible, float(total[band].sum() / (total.sum() + 1e-20)))


def _partials(energy: NDArray[np.float32], frequencies: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pitch of the strongest spectral peaks of every frame, semitones above LOWEST_HZ, by a parabola through the logarithm."""
    low, high = np.searchsorted(frequencies, (LOWEST_HZ, HIGHEST_HZ))
    around = energy[:, low - 1 : high + 1]
    middle = around[:, 1:-1]
    peaks = np.where((middle > around[:, :-2]) & (middle >= around[:, 2:]), middle, 0)
    strongest = np.argpartition(peaks, -PARTIALS, axis=1)[:, -PARTIALS:]
    rows = np.arange(len(peaks))[:, None]
    before, at, after = (np.log(around[rows, strongest + offset] + 1e-20) for offset in range(3))
    shift = np.clip((before - after) / np.minimum(2 * (before - 2 * at + after), -1e-9), -0.5, 0.5)
    pitch = 12 * np.log2((low + strongest + shift) * frequencies[1] / LOWEST_HZ)
    lobe = 1.5  # a Hann window spreads a partial over its neighbours
    audible = lobe * peaks[rows, strongest] > AUDIBLE_SHARE * middle.sum(axis=1, keepdims=True)
    return np.where(audible, pitch, np.nan).astype(np.float32)
