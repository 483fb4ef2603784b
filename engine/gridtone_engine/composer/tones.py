"""How single tones are made: four ways, each giving float32 of shape (channels, frames), about -20 dBFS RMS while it is loud.

* `struck`: partials that decay each in its own time (vibraphone, celesta, bells)
* `plucked`: a recorded note, re-tuned, carried on by its loop as it dies away (piano, guitar, harp, marimba, bass)
* `sustained`: a recorded attack that passes into a steady tone with the recording's own harmonics (strings, cello, flute, clarinet)
* `pad`: a steady tone with harmonics of our own design, a slow filter over it

Steady tones come from one seamless loop made by inverse Fourier transform, after the PADsynth algorithm (P. Nasca, 2005): each harmonic a line with a band
around it, phases random, left and right apart. The line is kept strong: bands alone throb, and a throb in the background is an alarm to somebody.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from gridtone_engine.composer import recordings
from gridtone_engine.composer.score import BRUSH, KICK, SHAKER, TOM, WOOD

Samples = NDArray[np.float32]
LOOP_FRAMES = 2**18


def frequency(pitch: float) -> float:
    """Hertz of a MIDI pitch."""
    return float(440 * 2 ** ((pitch - 69) / 12))


def struck(pitch: int, seconds: float, sample_rate: int, *, partials: tuple[tuple[float, float, float], ...], decay_seconds: float) -> Samples:
    """`partials`: (ratio to the fundamental, amplitude, decay time against the fundamental's); `decay_seconds`: to fall by 60 dB at middle C, halved every two
    octaves up."""
    times = np.arange(int(seconds * sample_rate), dtype=np.float32) / np.float32(sample_rate)
    made = np.zeros_like(times)
    decay = decay_seconds * 2 ** ((60 - pitch) / 24)
    for ratio, amplitude, lasting in partials:
        hertz = frequency(pitch) * ratio
        if hertz < 0.45 * sample_rate:
            audible = times[: int(1.3 * decay * lasting * sample_rate)]
            turns = np.arange(len(audible)) * (hertz / sample_rate) % 1
            made[: len(audible)] += (
                np.float32(amplitude) * np.sin(2 * np.pi * turns).astype(np.float32) * np.exp(audible * np.float32(-6.908 / (decay * lasting)))
            )
    contact = min(len(made), sample_rate // 20)
    mallet = np.random.default_rng(pitch).normal(0, 0.05, contact) * np.exp(-times[:contact] / 0.006)
    made[:contact] += scipy.signal.lfilter([0.3], [1, -0.7], mallet)
    made *= 1 - np.exp(-times / np.float32(0.002))
    return np.asarray(0.2 * made, dtype=np.float32)[None]


def plucked(pitch: int, seconds: float, sample_rate: int, *, recording: str, decay_seconds: float) -> Samples:
    """`decay_seconds`: in which what the loop carries on falls by 60 dB at middle C, halved every two octaves up."""
    source = recordings.nearest(recording, pitch)
    step = 2 ** ((pitch - source.pitch) / 12) * source.sample_rate / sample_rate
    position = np.arange(int(seconds * sample_rate)) * step
    if source.loop_start is None or source.loop_end is None:
        return _read(source.samples, position)[None]
    carried = int(source.loop_end / step)
    position[carried:] = source.loop_start + (position[carried:] - source.loop_start) % (source.loop_end - source.loop_start)
    made = _read(source.samples, position)
    begin = int(source.loop_start / step)
    fading = np.arange(max(0, len(made) - begin), dtype=np.float32) / np.float32(sample_rate)
    made[begin:] *= np.exp(fading * np.float32(-6.908 / (decay_seconds * 2 ** ((60 - pitch) / 24))))
    return made[None]


def sustained(pitch: int, seconds: float, sample_rate: int, *, recording: str, chorus: float, vibrato_cents: float = 0.0) -> Samples:
    """The recorded attack gives way to the steady tone between 0.1 and 0.5 s; `vibrato_cents` sets in after that."""
    source = recordings.nearest(recording, pitch)
    levels = recordings.harmonics(source)
    step = 2 ** ((pitch - source.pitch) / 12) * source.sample_rate / sample_rate
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    turn = np.clip((times - 0.1) / 0.4, 0, 1)
    loop = _loop(pitch, sample_rate, tuple(float(level) for level in levels), chorus)
    made = _along(loop, pitch, len(times), sample_rate, vibrato_cents) * np.sin(0.5 * np.pi * turn).astype(np.float32)
    onset = min(len(times), sample_rate // 2)
    attack = _read(source.samples, np.arange(onset) * step)
    made[:, :onset] += attack * np.cos(0.5 * np.pi * turn[:onset]).astype(np.float32)
    return made


def pad(pitch: int, seconds: float, sample_rate: int, *, level: Callable[[int], float], chorus: float) -> Samples:
    """`level`: amplitude of each harmonic by its number."""
    count = max(1, int(min(9000, 0.4 * sample_rate) / frequency(pitch)))
    loop = _loop(pitch, sample_rate, tuple(level(number) for number in range(1, count + 1)), chorus)
    made = _along(loop, pitch, int(seconds * sample_rate), sample_rate)
    dark = scipy.signal.sosfilt(scipy.signal.butter(2, 2.2 * frequency(pitch), fs=sample_rate, output="sos").astype(np.float32), made)
    opening = 0.5 - 0.4 * np.cos(2 * np.pi * np.arange(made.shape[1]) / sample_rate * 0.11 + pitch)
    return np.asarray(dark + opening.astype(np.float32) * (made - dark), dtype=np.float32)


def percussion(pitch: int, seconds: float, sample_rate: int) -> Samples:
    """The soft drum that `pitch` names."""
    times = np.arange(sample_rate // 2) / sample_rate
    noise = np.random.default_rng(pitch).normal(0, 1, len(times))

    def band(low_hz: float, high_hz: float) -> NDArray[np.float64]:
        return np.asarray(scipy.signal.sosfilt(scipy.signal.butter(2, (low_hz, high_hz), "bandpass", fs=sample_rate, output="sos"), noise))

    def shape(attack_seconds: float, decay_seconds: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-times / decay_seconds) * (1 - np.exp(-times / attack_seconds)))

    def thump(hertz: float, turns: float) -> NDArray[np.float64]:
        return np.asarray(np.sin(2 * np.pi * (hertz * times + turns * (1 - np.exp(-times / 0.03)))))

    made = {
        KICK: lambda: 0.55 * thump(50, 1.1) * shape(0.004, 0.11),
        TOM: lambda: 0.35 * thump(98, 0.8) * shape(0.005, 0.14),
        BRUSH: lambda: 0.25 * band(900, 4500) * shape(0.012, 0.07),
        WOOD: lambda: (0.3 * np.sin(2 * np.pi * 620 * times) + 0.12 * np.sin(2 * np.pi * 1480 * times)) * shape(0.002, 0.025),
        SHAKER: lambda: 0.16 * band(3500, 9000) * shape(0.012, 0.03),
    }[pitch]()
    made[-sample_rate // 20 :] *= np.linspace(1, 0, len(made[-sample_rate // 20 :]))
    return np.asarray(made, dtype=np.float32)[None]


@cache
def _phases() -> NDArray[np.complex64]:
    """Random phases for the left, and for the right ones up to 2 radians away: wide, and still whole on one loudspeaker."""
    rng = np.random.default_rng(0)
    left = rng.uniform(0, 2 * np.pi, LOOP_FRAMES // 2 + 1)
    return np.asarray(np.exp(1j * np.stack([left, left + rng.uniform(-2, 2, len(left))])), dtype=np.complex64)


@lru_cache(maxsize=2)
def _loop(pitch: int, sample_rate: int, levels: tuple[float, ...], chorus: float) -> Samples:
    """One seamless loop of a steady tone, shape (2, LOOP_FRAMES), RMS 0.1. `chorus` is the strength of the band around each harmonic beside its line."""
    frequencies = scipy.fft.rfftfreq(LOOP_FRAMES, 1 / sample_rate)
    spectrum = np.zeros(len(frequencies))
    for number, level in enumerate(levels, start=1):
        centre = frequency(pitch) * number
        width = 0.006 * centre
        if centre > 0.45 * sample_rate:
            break
        low, middle, high = np.searchsorted(frequencies, (centre - 3 * width, centre, centre + 3 * width))
        band = np.exp(-(((frequencies[low:high] - centre) / width) ** 2))
        spectrum[low:high] += level * chorus * band / np.sqrt((band**2).sum())
        spectrum[middle] += level
    loop = scipy.fft.irfft(spectrum.astype(np.float32) * _phases(), LOOP_FRAMES)
    return np.asarray(loop * (0.1 / np.sqrt(np.mean(loop**2))), dtype=np.float32)


def _along(loop: Samples, pitch: int, frames: int, sample_rate: int, vibrato_cents: float = 0.0) -> Samples:
    """`frames` frames read round the loop from a place of the pitch's own, with a vibrato that sets in slowly."""
    start = pitch * 7919 % LOOP_FRAMES
    if not vibrato_cents:
        return np.take(loop, np.arange(start, start + frames), axis=1, mode="wrap")
    times = np.arange(frames) / sample_rate
    depth = vibrato_cents / 1200 * np.log(2) * np.clip((times - 0.5) / 0.8, 0, 1) * (0.6 + 0.4 * np.sin(2 * np.pi * 0.23 * times + pitch))
    phase = 2 * np.pi * 4.5 * times + 2.5 * np.sin(2 * np.pi * 0.37 * times + pitch)  # never regular: in a hall a regular vibrato pulses
    swing = depth * np.sin(phase) * (sample_rate / (2 * np.pi * 4.5))
    return np.stack([_read(np.append(channel, channel[0]), (start + np.arange(frames) - swing) % LOOP_FRAMES) for channel in loop])


def _read(samples: Samples, position: NDArray[Any]) -> Samples:
    """`samples` at fractional positions, by linear interpolation; silence past the end."""
    before = position.astype(np.int32)
    part = (position - before).astype(np.float32)
    padded = np.concatenate([samples, np.zeros(2, np.float32)])
    np.minimum(before, len(samples), out=before)
    low = padded[before]
    before += 1
    return np.asarray(low + part * (padded[before] - low))
