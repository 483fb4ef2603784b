"""Families of timbres: the composer's orchestra, re-made in other ways, so that a codec hears more of the world than one synthesiser.

* `recorded`  the composer's own instruments, each a little louder, softer, brighter or elsewhere than at home
* `fm`        frequency modulation (Chowning 1973): bells, electric pianos, glass
* `analogue`  steady spectra of random slope, hollowness and formant, and struck partials that are slightly inharmonic
* `strings`   Karplus-Strong strings (1983) and drawbars: never trained on, kept for evaluation
"""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from gridtone_engine.composer.instruments import INSTRUMENTS, Instrument
from gridtone_engine.composer.tones import frequency, pad, struck

Samples = NDArray[np.float32]
TRAINED = ("recorded", "fm", "analogue")
HELD_OUT = ("strings",)
SUSTAINED = ("strings", "cello", "flute", "clarinet", "warm pad", "glass pad")
HONEST_NAMES = {
    "recorded": tuple(INSTRUMENTS),
    "fm": ("electric piano", "glass pad", "bells", "bass", "soft percussion"),
    "analogue": ("warm pad", "glass pad", "bells", "bass", "soft percussion"),
    "strings": ("guitar", "harp", "bass", "soft percussion"),
}
"""What of an orchestra still sounds like its name in each family: only that may stand in a caption."""


def orchestra(family: str, rng: np.random.Generator) -> dict[str, Instrument]:
    """All instruments in timbres of `family`, drawn anew from `rng`."""
    return {name: _varied(_made(family, name, instrument, rng), rng) for name, instrument in INSTRUMENTS.items()}


def _varied(instrument: Instrument, rng: np.random.Generator) -> Instrument:
    return replace(
        instrument,
        gain_db=instrument.gain_db + float(rng.normal(0, 1.5)),
        pan=float(np.clip(instrument.pan + rng.normal(0, 0.25), -0.8, 0.8)),
        cutoff_hz=float(np.clip(instrument.cutoff_hz * 2 ** rng.normal(0, 0.4), 700, 12_000)),
    )


def _made(family: str, name: str, instrument: Instrument, rng: np.random.Generator) -> Instrument:
    decay_seconds, held = float(rng.uniform(1.5, 6)), name in SUSTAINED
    if family == "recorded" or name == "soft percussion":
        return instrument
    if family == "fm":
        ratio = float(rng.choice((0.5, 1, 1, 2, 3, 3.5, 5, 7)))
        return replace(instrument, make=partial(modulated, ratio=ratio, index=float(rng.uniform(0.4, 3)), decay_seconds=None if held else decay_seconds))
    if family == "analogue":
        slope, hollow, formant = float(rng.uniform(0.8, 2)), float(rng.uniform(0, 1)), int(rng.integers(2, 9))
        level = partial(_spectrum, slope=slope, hollow=hollow, formant=formant)
        if held:
            return replace(instrument, make=partial(pad, level=level, chorus=float(rng.uniform(0.1, 0.5))))
        stretch = float(rng.uniform(0, 0.004))
        partials = tuple((number * (1 + stretch * number**2) ** 0.5, level(number), number**-0.7) for number in range(1, 12))
        return replace(instrument, make=partial(struck, partials=partials, decay_seconds=decay_seconds))
    if family == "strings":
        if held:
            drawbars = tuple(float(value) for value in rng.uniform(0, 1, 6))
            return replace(instrument, make=partial(pad, level=partial(_drawbar, drawbars=drawbars), chorus=0.05))
        return replace(instrument, make=partial(string, damping=float(rng.uniform(0.1, 0.5)), decay_seconds=decay_seconds))
    raise ValueError(f"no family of timbres is called {family!r}; there are: {', '.join((*TRAINED, *HELD_OUT))}")


def modulated(pitch: int, seconds: float, sample_rate: int, *, ratio: float, index: float, decay_seconds: float | None) -> Samples:
    """Two-operator FM, shape (1 or 2, frames): struck (mono) with a decay to -60 dB at middle C, or held (stereo, a few cents apart) without one."""
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    hertz = frequency(pitch)
    detunings: tuple[float, ...] = (-0.0006, 0.0007) if decay_seconds is None else (0.0,)
    depth = min(index, max(0.0, 0.4 * sample_rate / hertz - 1) / ratio)  # Carson's rule: no side band past the Nyquist frequency
    if decay_seconds is None:
        moving, loud = 0.7 + 0.3 * np.sin(2 * np.pi * 0.13 * times + pitch), np.ones_like(times)
    else:
        decay = decay_seconds * 2 ** ((60 - pitch) / 24)
        moving, loud = np.exp(-6.908 * times / (0.5 * decay)), np.exp(-6.908 * times / decay) * (1 - np.exp(-times / 0.002))
    made = []
    for detuning in detunings:
        turn = 2 * np.pi * hertz * (1 + detuning) * times
        made.append(0.14 * loud * np.sin(turn + depth * moving * np.sin(ratio * turn)))
    return np.asarray(made, dtype=np.float32)


def string(pitch: int, seconds: float, sample_rate: int, *, damping: float, decay_seconds: float) -> Samples:
    """A plucked string: noise round a delay line with a low-pass and a loss in its loop, tuned by a fractional delay. Shape (1, frames)."""
    frames = int(seconds * sample_rate)
    period = sample_rate / frequency(pitch)
    whole = int(period - damping)
    part = period - damping - whole  # the low-pass delays by `damping`, linear interpolation by `part`
    loss = 10 ** (-3 * period / sample_rate / (decay_seconds * 2 ** ((60 - pitch) / 24)))
    loop = loss * np.convolve([1 - damping, damping], [1 - part, part])
    excitation = np.zeros(frames)
    pluck = np.random.default_rng(pitch).uniform(-1, 1, whole)[:frames]
    excitation[: len(pluck)] = pluck
    made = signal.lfilter([1.0], np.concatenate([[1.0], np.zeros(whole - 1), -loop]), excitation)
    made = signal.lfilter([1, -1], [1, -0.995], made)  # nothing at 0 Hz
    loudness = np.sqrt(np.mean(made[: sample_rate // 2] ** 2)) if frames else 1.0
    return np.asarray(0.1 * made / max(loudness, 1e-9), dtype=np.float32)[None]


def _spectrum(number: int, slope: float, hollow: float, formant: int) -> float:
    even = 1.0 if number % 2 else 1 - 0.9 * hollow
    return float(number**-slope * even * (1 + 1.5 * np.exp(-0.5 * (number - formant) ** 2)))


def _drawbar(number: int, drawbars: tuple[float, ...]) -> float:
    pulled = {1: 0, 2: 1, 3: 2, 4: 3, 6: 4, 8: 5}
    return drawbars[pulled[number]] / number**0.7 if number in pulled else (0.05 if number == 1 else 0.0)
