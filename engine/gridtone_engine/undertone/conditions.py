"""What a prompt asks for, as the prior is told it: six attributes in steps, instruments wanted and unwanted, the sentence's vector. Nothing said is zero.

Beside it goes the beat: where in the beat and in the bar each frame stands, as the timing signals of Jukebox (Dhariwal et al. 2020) say where in the piece. To
keep time a model then has to hear a clock, not to build one.
"""

from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer.harmony import MODES, Key
from gridtone_engine.composer.orchestra import beats_in_bar, complete
from gridtone_engine.prompt import INSTRUMENTS, Attributes, Prompt
from gridtone_engine.text import Understanding, understand
from gridtone_engine.text.moods import encoder

TEMPO_STEPS, LEVEL_STEPS, SENTENCE_WIDTH = 32, 16, 512
TEMPO_RANGE = (30.0, 200.0)
SIZES = (TEMPO_STEPS + 1, 13, len(MODES) + 1, LEVEL_STEPS + 1, LEVEL_STEPS + 1, LEVEL_STEPS + 1)
"""Of the six: tempo, tonic, mode, energy, brightness, density; step 0 is what nobody said."""
TURNS_A_BEAT, TURNS_A_BAR = (1, 2, 4), (1, 2)
CLOCK_WIDTH = 2 * (len(TURNS_A_BEAT) + len(TURNS_A_BAR))


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of a batch of prompts."""

    steps: NDArray[np.int64]
    """Shape (batch, 6)."""
    instruments: NDArray[np.float32]
    """Shape (batch, 2 * instruments): 1 for what is wanted, then 1 for what is unwanted."""
    sentence: NDArray[np.float32]
    """Shape (batch, 512), of length 1, or 0 without text."""
    pulse: NDArray[np.float64]
    """Shape (batch, 2): beats a minute, beats a bar; zeros without a beat."""

    def dropped(self) -> "Conditions":
        """The same batch, asked for nothing."""
        return Conditions(*(np.zeros_like(part) for part in self.parts))

    def taken(self, which: NDArray[np.int64]) -> "Conditions":
        return Conditions(*(part[which] for part in self.parts))

    @property
    def parts(self) -> tuple[NDArray[Any], ...]:
        return self.steps, self.instruments, self.sentence, self.pulse


def stack(several: list[Conditions]) -> Conditions:
    return Conditions(*(np.concatenate(parts) for parts in zip(*(one.parts for one in several), strict=True)))


def conditions(asked: Attributes, sentence: NDArray[np.float32] | None = None, bar_beats: int = 4) -> Conditions:
    """Of one prompt: a batch of one; with a tempo it has a beat. Raises ValueError for a key or an instrument that does not exist."""
    if unknown := {*asked.instruments, *asked.without} - set(INSTRUMENTS):
        raise ValueError(f"no instrument is called {', '.join(sorted(unknown))}; there are: {', '.join(INSTRUMENTS)}")
    key = None if asked.key is None else Key.parse(asked.key)
    steps = [
        _tempo_step(asked.tempo_bpm),
        0 if key is None else key.tonic + 1,
        0 if key is None else list(MODES).index(key.mode) + 1,
        *(_level_step(level) for level in (asked.energy, asked.brightness, asked.density)),
    ]
    named = [float(name in names) for names in (asked.instruments, asked.without) for name in INSTRUMENTS]
    vector = np.zeros(SENTENCE_WIDTH, np.float32) if sentence is None else sentence
    pulse = (0.0, 0.0) if asked.tempo_bpm is None else (asked.tempo_bpm, float(bar_beats))
    return Conditions(np.array([steps]), np.array([named], np.float32), vector[None], np.array([pulse]))


def conditions_of(prompt: Prompt) -> tuple[Conditions, Understanding]:
    """What a prompt says, and what it leaves open chosen from its seed as the composer would: everything is told, as in training.

    Raises ValueError for a key or an instrument that does not exist.
    """
    understanding = understand(prompt)
    said = understanding.attributes
    filled = complete(said, prompt.seconds, prompt.seed)
    assert filled.energy is not None
    told = replace(filled, instruments=said.instruments, without=said.without)
    sentence = encoder()([prompt.text])[0] if prompt.text.strip() else None
    return conditions(told, sentence, beats_in_bar(filled.energy, prompt.seed)), understanding


def clock(beats: NDArray[np.float64], pulse: NDArray[np.float64]) -> NDArray[np.float32]:
    """Where in the beat and in the bar, after `beats` (...) of a `pulse` (..., 2): (..., CLOCK_WIDTH), zeros without a beat."""
    bars = beats / np.maximum(pulse[..., 1], 1)
    turns = np.stack([*(count * beats for count in TURNS_A_BEAT), *(count * bars for count in TURNS_A_BAR)], axis=-1)
    angles = 2 * np.pi * (turns % 1)
    heard = pulse[..., :1] > 0
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32) * heard


def _tempo_step(tempo_bpm: float | None) -> int:
    """Steps of equal ratio, 6 % each."""
    if tempo_bpm is None:
        return 0
    low, high = TEMPO_RANGE
    return 1 + int(np.clip(TEMPO_STEPS * log(tempo_bpm / low) / log(high / low), 0, TEMPO_STEPS - 1))


def _level_step(level: float | None) -> int:
    return 0 if level is None else 1 + int(np.clip(level * LEVEL_STEPS, 0, LEVEL_STEPS - 1))
