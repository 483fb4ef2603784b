"""What a prompt asks for, as the prior is told it: six attributes in steps, instruments wanted and unwanted, the sentence's vector. Nothing said is zero."""

from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer.harmony import MODES, Key
from gridtone_engine.composer.orchestra import complete
from gridtone_engine.prompt import INSTRUMENTS, Attributes, Prompt, check_attributes, check_instruments
from gridtone_engine.text import Understanding, understand
from gridtone_engine.text.moods import encoder
from gridtone_engine.undertone.lead_sheet import LeadSheet

TEMPO_STEPS, LEVEL_STEPS, SENTENCE_WIDTH = 32, 16, 512
TEMPO_RANGE = (30.0, 200.0)
SIZES = (TEMPO_STEPS + 1, 13, len(MODES) + 1, LEVEL_STEPS + 1, LEVEL_STEPS + 1, LEVEL_STEPS + 1)
"""Of the six: tempo, tonic, mode, energy, brightness, density; step 0 is what nobody said."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of a batch of prompts."""

    steps: NDArray[np.int64]
    """Shape (batch, 6)."""
    instruments: NDArray[np.float32]
    """Shape (batch, 2 * instruments): 1 for what is wanted, then 1 for what is unwanted."""
    sentence: NDArray[np.float32]
    """Shape (batch, 512), of length 1, or 0 without text."""

    def dropped(self) -> "Conditions":
        """The same batch, asked for nothing."""
        return Conditions(*(np.zeros_like(part) for part in self.parts))

    def taken(self, which: NDArray[np.int64]) -> "Conditions":
        return Conditions(*(part[which] for part in self.parts))

    @property
    def parts(self) -> tuple[NDArray[Any], ...]:
        return self.steps, self.instruments, self.sentence


def stack(several: list[Conditions]) -> Conditions:
    return Conditions(*(np.concatenate(parts) for parts in zip(*(one.parts for one in several), strict=True)))


def conditions(asked: Attributes, sentence: NDArray[np.float32] | None = None) -> Conditions:
    """Of one prompt: a batch of one. Raises ValueError for a key or an instrument that does not exist."""
    check_instruments(asked)
    key = None if asked.key is None else Key.parse(asked.key)
    steps = [
        _tempo_step(asked.tempo_bpm),
        0 if key is None else key.tonic + 1,
        0 if key is None else list(MODES).index(key.mode) + 1,
        *(_level_step(level) for level in (asked.energy, asked.brightness, asked.density)),
    ]
    named = [float(name in names) for names in (asked.instruments, asked.without) for name in INSTRUMENTS]
    vector = np.zeros(SENTENCE_WIDTH, np.float32) if sentence is None else sentence
    return Conditions(np.array([steps]), np.array([named], np.float32), vector[None])


@dataclass(frozen=True, slots=True)
class Asked:
    """All of one prompt."""

    conditions: Conditions
    sheet: LeadSheet
    understanding: Understanding


def ask(prompt: Prompt) -> Asked:
    """What a prompt says, and what it leaves open chosen from its seed as the composer would: everything is told, as in training.

    Raises ValueError for what no engine can play, as `check_attributes` does, and for a key that does not exist.
    """
    understanding = understand(prompt)
    said = understanding.attributes
    check_attributes(said)
    filled = complete(said, prompt.seconds, prompt.seed)
    sheet = LeadSheet(filled, prompt.seed)
    told = replace(filled, instruments=sheet.instruments, without=said.without)
    sentence = encoder()([prompt.text])[0] if prompt.text.strip() else None
    return Asked(conditions(told, sentence), sheet, understanding)


def _tempo_step(tempo_bpm: float | None) -> int:
    """Steps of equal ratio, 6 % each."""
    if tempo_bpm is None:
        return 0
    low, high = TEMPO_RANGE
    return 1 + int(np.clip(TEMPO_STEPS * log(tempo_bpm / low) / log(high / low), 0, TEMPO_STEPS - 1))


def _level_step(level: float | None) -> int:
    return 0 if level is None else 1 + int(np.clip(level * LEVEL_STEPS, 0, LEVEL_STEPS - 1))
