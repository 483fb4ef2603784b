"""Recorded notes (samples/, MIT), loaded when first asked for."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]
FOLDER = Path(__file__).parent / "samples"


@dataclass(frozen=True, slots=True)
class Recording:
    samples: Samples
    """Shape (frames,), RMS 0.1 over the first half second."""
    sample_rate: int
    pitch: float
    """MIDI number with fraction, as measured."""
    loop_start: float | None
    """Frames; None where the whole decay is recorded."""
    loop_end: float | None


@cache
def _index() -> dict[str, list[dict[str, Any]]]:
    return dict(json.loads((FOLDER / "index.json").read_text()))


@cache
def _load(name: str, number: int) -> Recording:
    entry = _index()[name][number]
    samples, sample_rate = soundfile.read(FOLDER / entry["file"], dtype="float32")
    loudness = np.sqrt(np.mean(samples[: sample_rate // 2] ** 2))
    return Recording(samples * (0.1 / loudness), sample_rate, entry["pitch"], entry["loop_start"], entry["loop_end"])


def nearest(name: str, pitch: float) -> Recording:
    """The recorded note of an instrument that needs the least re-tuning to sound at `pitch`."""
    notes = _index()[name]
    return _load(name, min(range(len(notes)), key=lambda number: abs(notes[number]["pitch"] - pitch)))


def harmonics(recording: Recording, count: int = 40) -> NDArray[np.float64]:
    """Amplitudes of the harmonics in the sustained part of a recording, from the fundamental up, the strongest 1. Shape (at most count,)."""
    sustained = recording.samples[len(recording.samples) // 3 :][:16384]
    spectrum = np.abs(np.fft.rfft(sustained * np.hanning(len(sustained)), 2**15))
    fundamental = 440 * 2 ** ((recording.pitch - 69) / 12) * 2**15 / recording.sample_rate
    count = min(count, int(0.48 * 2**15 / fundamental))
    levels = np.array([spectrum[int(n * fundamental * 0.975) : int(n * fundamental * 1.025) + 2].max() for n in range(1, count + 1)])
    return np.asarray(levels / levels.max())
