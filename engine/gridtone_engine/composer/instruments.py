"""The instruments by name: how each makes its tones, and how it sits in the room."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from gridtone_engine.composer.tones import pad, percussion, plucked, struck, sustained

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Instrument:
    make: Callable[[int, float, int], Samples]
    """(MIDI pitch, seconds, sample rate) -> tone of shape (channels, frames): one channel for what sits at one place, two for what is wide."""
    gain_db: float
    pan: float
    """-1 (left) to 1 (right): where its middle register stands."""
    release_seconds: float
    """How long a tone rings after its note ends."""
    cutoff_hz: float
    """Where a softly played middle C loses its highs."""
    attack_seconds: float = 0.003
    spread: bool = False
    """Whether low notes stand to the left and high ones to the right."""


BAR = ((1.0, 1.0, 1.0), (3.98, 0.16, 0.4), (10.1, 0.03, 0.12))
PLATE = ((1.0, 1.0, 1.0), (2.0, 0.14, 0.7), (4.05, 0.16, 0.3), (8.2, 0.05, 0.12))
HANDBELL = ((1.0, 1.0, 1.0), (2.0, 0.12, 0.8), (3.0, 0.4, 0.55), (5.2, 0.1, 0.25), (8.1, 0.05, 0.12))


def _warm(number: int) -> float:
    return float(number**-1.5 * (1.0 if number % 2 else 0.75))


def _glass(number: int) -> float:
    return {1: 1.0, 2: 0.35, 3: 0.4, 5: 0.22, 8: 0.12}.get(number, 0.5 / number**2)


INSTRUMENTS: dict[str, Instrument] = {
    "piano": Instrument(partial(plucked, recording="piano", decay_seconds=7), 0, -0.15, 0.35, 2600, spread=True),
    "electric piano": Instrument(partial(plucked, recording="electric piano", decay_seconds=6), -1, 0.2, 0.3, 2400),
    "celesta": Instrument(partial(struck, partials=PLATE, decay_seconds=2.6), -4, 0.35, 1.2, 5000, spread=True),
    "vibraphone": Instrument(partial(struck, partials=BAR, decay_seconds=5), -3, -0.3, 1.5, 4000, spread=True),
    "marimba": Instrument(partial(plucked, recording="marimba", decay_seconds=2), -1, 0.3, 0.5, 3500, spread=True),
    "guitar": Instrument(partial(plucked, recording="guitar", decay_seconds=4), 0, -0.3, 0.3, 3200),
    "harp": Instrument(partial(plucked, recording="harp", decay_seconds=4), -1, 0.3, 1.0, 3500, spread=True),
    "strings": Instrument(partial(sustained, recording="strings", chorus=0.35), -1, -0.1, 0.8, 3000, attack_seconds=0.2),
    "cello": Instrument(partial(sustained, recording="cello", chorus=0.15, vibrato_cents=5), -1, 0.2, 0.4, 2800, attack_seconds=0.05),
    "flute": Instrument(partial(sustained, recording="flute", chorus=0.1, vibrato_cents=4), -3, -0.2, 0.3, 3500, attack_seconds=0.05),
    "clarinet": Instrument(partial(sustained, recording="clarinet", chorus=0.12), -2, 0.15, 0.25, 2600, attack_seconds=0.05),
    "warm pad": Instrument(partial(pad, level=_warm, chorus=0.35), 0, 0.0, 1.4, 1400, attack_seconds=0.6),
    "glass pad": Instrument(partial(pad, level=_glass, chorus=0.25), -1, 0.0, 1.6, 4000, attack_seconds=0.5),
    "bells": Instrument(partial(struck, partials=HANDBELL, decay_seconds=5), -5, 0.25, 2.5, 4500, spread=True),
    "bass": Instrument(partial(plucked, recording="bass", decay_seconds=5), 1, 0.0, 0.12, 1400),
    "soft percussion": Instrument(percussion, -3, 0.1, 0.5, 9000),
}


def tone(instrument: Instrument, pitch: int, seconds: float, hardness: float, sample_rate: int) -> Samples:
    """One note of an instrument, `hardness` (0 soft to 1 hard) opening its highs: float32 of shape (channels, frames), about -20 dBFS RMS while it is loud."""
    made = instrument.make(pitch, seconds, sample_rate)
    cutoff = min(instrument.cutoff_hz * 2 ** (2 * hardness - 0.5 + (pitch - 60) / 36), 0.45 * sample_rate)
    return np.asarray(scipy.signal.sosfilt(scipy.signal.butter(2, cutoff, fs=sample_rate, output="sos").astype(np.float32), made), dtype=np.float32)
