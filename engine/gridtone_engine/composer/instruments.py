"""Single tones of every instrument, each as float32 of shape (channels, frames): one channel for what sits at one place, two for what is wide.

Three ways of making them: recorded notes (samples/, MIT), tuned to the pitch and carried on by their loops; struck bars and bells as sums of decaying partials; pads as one
long loop from the PADsynth algorithm (P. Nasca, 2005: each harmonic spread over a band, random phases, one inverse Fourier transform). Percussion is filtered noise and low sines.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import fft, signal

from gridtone_engine.composer.score import BRUSH, KICK, SHAKER, TOM, WOOD

Samples = NDArray[np.float32]
SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True, slots=True)
class Instrument:
    """How an instrument sounds and sits in the room."""

    make: Callable[["Instrument", str, float, float, int], Samples]
    """(instrument, name, MIDI pitch, seconds, sample rate) -> tone."""
    gain_db: float
    pan: float
    """-1 (left) to 1 (right): where its middle register stands."""
    release_seconds: float
    """How long a tone rings after its note ends."""
    attack_seconds: float = 0.003
    decay_seconds: float = np.inf
    """Time to fall by 60 dB at middle C of what the recording's loop carries on, or of a struck partial; halved every two octaves up."""
    cutoff_hz: float = 5000.0
    """Where a softly played tone loses its highs."""
    partials: tuple[tuple[float, float, float], ...] = ()
    """(ratio to the fundamental, amplitude, decay time against the fundamental's)."""
    vibrato_cents: float = 0.0


def tone(name: str, pitch: int, seconds: float, hardness: float, sample_rate: int) -> Samples:
    """One note of an instrument, `hardness` (0 soft to 1 hard) opening its highs. About -20 dBFS RMS while it is loud."""
    instrument = INSTRUMENTS[name]
    made = instrument.make(instrument, name, float(pitch), seconds, sample_rate)
    cutoff = min(instrument.cutoff_hz * 2 ** (2 * hardness - 0.5 + (pitch - 60) / 36), 0.45 * sample_rate)
    return np.asarray(signal.sosfilt(signal.butter(2, cutoff, fs=sample_rate, output="sos"), made), dtype=np.float32)


def frequency(pitch: float) -> float:
    """Hertz of a MIDI pitch."""
    return float(440 * 2 ** ((pitch - 69) / 12))


@dataclass(frozen=True, slots=True)
class Recording:
    samples: Samples
    sample_rate: int
    pitch: float
    loop_start: float | None
    loop_end: float | None


@cache
def _index() -> dict[str, list[dict[str, Any]]]:
    """For every recorded instrument its notes: file, pitch, loop_start, loop_end (frames at the file's rate, or None)."""
    return dict(json.loads((SAMPLES / "index.json").read_text()))


@cache
def _recording(name: str, number: int) -> Recording:
    entry = _index()[name][number]
    samples, sample_rate = soundfile.read(SAMPLES / entry["file"], dtype="float32")
    if np.isinf(INSTRUMENTS[name].decay_seconds) and entry["loop_end"] is not None:
        samples = _steadied(samples, sample_rate)
    loud = samples[: sample_rate // 2]
    return Recording(samples * (0.1 / np.sqrt(np.mean(loud**2))), sample_rate, entry["pitch"], entry["loop_start"], entry["loop_end"])


def _steadied(samples: Samples, sample_rate: int) -> Samples:
    """A sustained tone with most of its tremolo taken out: looped for seconds it would throb."""
    window = np.hanning(sample_rate // 12)
    envelope = np.sqrt(np.convolve(np.pad(samples**2, len(window) // 2, mode="edge"), window / window.sum(), "same"))[len(window) // 2 :][: len(samples)]
    attack = int(0.2 * sample_rate)
    gain = (np.median(envelope) / np.maximum(envelope, 0.1 * envelope.max())) ** 0.85
    gain[:attack] = 1 + (gain[attack if attack < len(gain) else -1] - 1) * np.linspace(0, 1, attack)[: len(gain)]
    return np.asarray(samples * gain, dtype=np.float32)


def _sampled(instrument: Instrument, name: str, pitch: float, seconds: float, sample_rate: int) -> Samples:
    """The nearest recorded note, re-tuned by reading it faster or slower (linear interpolation), its loop read round and round."""
    number = min(range(len(_index()[name])), key=lambda i: abs(_index()[name][i]["pitch"] - pitch))
    recording = _recording(name, number)
    ratio = 2 ** ((pitch - recording.pitch) / 12) * recording.sample_rate / sample_rate
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    position = np.arange(len(times)) * ratio
    if instrument.vibrato_cents:
        depth = instrument.vibrato_cents / 1200 * np.log(2) * np.clip((times - 0.4) / 0.8, 0, 1)
        rate = 4.6 + 0.3 * np.sin(pitch)
        position -= ratio * sample_rate * depth * np.cos(2 * np.pi * rate * times) / (2 * np.pi * rate)
    if recording.loop_start is None or recording.loop_end is None:
        return np.interp(position, np.arange(len(recording.samples)), recording.samples, right=0.0).astype(np.float32)[None]
    start, length = recording.loop_start, recording.loop_end - recording.loop_start
    beyond = position > recording.loop_end
    carried = np.maximum(position - start, 0) / (ratio * sample_rate)
    position[beyond] = start + (position[beyond] - start) % length
    made = np.interp(position, np.arange(len(recording.samples)), recording.samples)
    if np.isfinite(instrument.decay_seconds):
        made *= 10 ** (-3 * carried / (instrument.decay_seconds * 2 ** ((60 - pitch) / 24)))
    return made.astype(np.float32)[None]


def _struck(instrument: Instrument, name: str, pitch: float, seconds: float, sample_rate: int) -> Samples:
    """Partials that decay each in its own time, and the breath of noise with which a mallet meets metal."""
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    made = np.zeros(len(times))
    decay = instrument.decay_seconds * 2 ** ((60 - pitch) / 24)
    for ratio, amplitude, lasting in instrument.partials:
        if frequency(pitch) * ratio < 0.45 * sample_rate:
            made += amplitude * np.sin(2 * np.pi * frequency(pitch) * ratio * times) * 10 ** (-3 * times / (decay * lasting))
    mallet = np.random.default_rng(int(pitch)).normal(0, 0.05, len(times)) * np.exp(-times / 0.006)
    made = (made + signal.lfilter([0.3], [1, -0.7], mallet)) * (1 - np.exp(-times / 0.002))
    return (0.2 * made).astype(np.float32)[None]


def _pad_level(name: str, number: int, hertz: float) -> float:
    """Amplitude of a pad's harmonic."""
    if name == "glass pad":
        return {1: 1.0, 2: 0.35, 3: 0.4, 5: 0.22, 8: 0.12}.get(number, 0.5 / number**2)
    if name == "warm pad":
        return float(number**-1.5 * (1.0 if number % 2 else 0.75))
    body = 1 + 0.8 * np.exp(-(((hertz - 450) / 200) ** 2)) + 0.9 * np.exp(-(((hertz - 2300) / 900) ** 2))  # strings: a saw through the body's resonances
    return float(body / number)


CHORUS = 0.4
"""How strong the spread part of each pad harmonic is beside its steady line: more moves more, and throbs."""


@cache
def _pad_loop(name: str, pitch: float, sample_rate: int) -> Samples:
    """One seamless loop of 2**18 frames, left and right with phases of their own, RMS 0.1."""
    frames = 2**18
    frequencies = fft.rfftfreq(frames, 1 / sample_rate)
    fundamental = frequency(pitch)
    magnitude = np.zeros(len(frequencies))
    glassy = name == "glass pad"
    for number in range(1, int(min(9000, 0.4 * sample_rate) / fundamental) + 1):
        centre, width = fundamental * number, fundamental * number * (0.0045 if glassy else 0.007)
        level = _pad_level(name, number, centre)
        low, middle, high = np.searchsorted(frequencies, (centre - 4 * width, centre, centre + 4 * width))
        band = np.exp(-(((frequencies[low:high] - centre) / width) ** 2))
        magnitude[low:high] += level * CHORUS * band / np.sqrt((band**2).sum())
        magnitude[middle] += level
    rng = np.random.default_rng([crc32(name.encode()), int(pitch)])
    phases = np.exp(2j * np.pi * rng.random((2, len(frequencies)), dtype=np.float32))
    loop = fft.irfft((magnitude * phases).astype(np.complex64), frames)
    return np.asarray(loop * (0.1 / np.sqrt(np.mean(loop**2))), dtype=np.float32)


def _pad(instrument: Instrument, name: str, pitch: float, seconds: float, sample_rate: int) -> Samples:
    """A stretch of the loop, a slow filter opening and closing over it."""
    loop = _pad_loop(name, pitch, sample_rate)
    frames = int(seconds * sample_rate)
    start = (int(pitch) * 7919) % loop.shape[1]
    made = np.take(loop, np.arange(start, start + frames), axis=1, mode="wrap")
    dark = signal.sosfilt(signal.butter(2, 2.2 * frequency(pitch), fs=sample_rate, output="sos"), made)
    opening = 0.5 - 0.4 * np.cos(2 * np.pi * np.arange(frames) / sample_rate * 0.11 + pitch)
    return np.asarray(dark + opening * (made - dark), dtype=np.float32)


def _bowed(instrument: Instrument, name: str, pitch: float, seconds: float, sample_rate: int) -> Samples:
    """A section of strings: recorded bows over the steady sound of the many."""
    return np.asarray(0.9 * _pad(instrument, name, pitch, seconds, sample_rate) + 0.35 * _sampled(instrument, name, pitch, seconds, sample_rate), dtype=np.float32)


def _percussion(instrument: Instrument, name: str, pitch: float, seconds: float, sample_rate: int) -> Samples:
    times = np.arange(int(0.5 * sample_rate)) / sample_rate
    noise = np.random.default_rng(int(pitch)).normal(0, 1, len(times))

    def band(low_hz: float, high_hz: float) -> NDArray[np.float64]:
        return np.asarray(signal.sosfilt(signal.butter(2, (low_hz, high_hz), "bandpass", fs=sample_rate, output="sos"), noise))

    if pitch == KICK:
        made = 0.55 * np.sin(2 * np.pi * (50 * times + 1.1 * (1 - np.exp(-times / 0.03)))) * np.exp(-times / 0.11) * (1 - np.exp(-times / 0.004))
    elif pitch == TOM:
        made = 0.35 * np.sin(2 * np.pi * (98 * times + 0.8 * (1 - np.exp(-times / 0.04)))) * np.exp(-times / 0.14) * (1 - np.exp(-times / 0.005))
    elif pitch == BRUSH:
        made = 0.25 * band(900, 4500) * np.exp(-times / 0.07) * (1 - np.exp(-times / 0.012))
    elif pitch == WOOD:
        made = (0.3 * np.sin(2 * np.pi * 620 * times) + 0.12 * np.sin(2 * np.pi * 1480 * times)) * np.exp(-times / 0.025) * (1 - np.exp(-times / 0.002))
    else:
        assert pitch == SHAKER
        made = 0.16 * band(3500, 9000) * np.exp(-times / 0.03) * (1 - np.exp(-times / 0.012))
    made[-sample_rate // 20 :] *= np.linspace(1, 0, len(made[-sample_rate // 20 :]))
    return made.astype(np.float32)[None]


BAR = ((1.0, 1.0, 1.0), (3.98, 0.16, 0.4), (10.1, 0.03, 0.12))
PLATE = ((1.0, 1.0, 1.0), (2.0, 0.14, 0.7), (4.05, 0.16, 0.3), (8.2, 0.05, 0.12))
HANDBELL = ((1.0, 1.0, 1.0), (2.0, 0.12, 0.8), (3.0, 0.4, 0.55), (5.2, 0.1, 0.25), (8.1, 0.05, 0.12))

INSTRUMENTS: dict[str, Instrument] = {
    "piano": Instrument(_sampled, 0, -0.15, 0.35, decay_seconds=7, cutoff_hz=2600),
    "electric piano": Instrument(_sampled, -1, 0.2, 0.3, decay_seconds=6, cutoff_hz=2400),
    "celesta": Instrument(_struck, -4, 0.35, 1.2, decay_seconds=2.6, cutoff_hz=5000, partials=PLATE),
    "vibraphone": Instrument(_struck, -3, -0.3, 1.5, decay_seconds=5, cutoff_hz=4000, partials=BAR),
    "marimba": Instrument(_sampled, -1, 0.3, 0.5, cutoff_hz=3500),
    "guitar": Instrument(_sampled, 0, -0.3, 0.3, decay_seconds=4, cutoff_hz=3200),
    "harp": Instrument(_sampled, -1, 0.3, 1.0, decay_seconds=4, cutoff_hz=3500),
    "strings": Instrument(_bowed, -2, -0.1, 0.7, attack_seconds=0.25, cutoff_hz=3000),
    "cello": Instrument(_sampled, -1, 0.2, 0.35, attack_seconds=0.06, cutoff_hz=2800, vibrato_cents=5),
    "flute": Instrument(_sampled, -3, -0.2, 0.25, attack_seconds=0.05, cutoff_hz=3500, vibrato_cents=4),
    "clarinet": Instrument(_sampled, -2, 0.15, 0.22, attack_seconds=0.05, cutoff_hz=2600, vibrato_cents=3),
    "warm pad": Instrument(_pad, 0, 0.0, 1.4, attack_seconds=0.6, cutoff_hz=1400),
    "glass pad": Instrument(_pad, -1, 0.0, 1.6, attack_seconds=0.5, cutoff_hz=4000),
    "bells": Instrument(_struck, -5, 0.25, 2.5, decay_seconds=5, cutoff_hz=4500, partials=HANDBELL),
    "bass": Instrument(_sampled, 1, 0.0, 0.12, decay_seconds=5, cutoff_hz=1400),
    "soft percussion": Instrument(_percussion, -3, 0.1, 0.5, cutoff_hz=9000),
}
