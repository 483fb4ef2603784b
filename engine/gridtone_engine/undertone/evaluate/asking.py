"""Prompts that training never met: phrasings that were kept from it, numbers that no piece of it has."""

from dataclasses import dataclass

import numpy as np

from gridtone_engine.composer.harmony import TONICS
from gridtone_engine.prompt import Attributes, Prompt
from gridtone_engine.text import understand
from gridtone_engine.undertone.captions import INSTRUMENTS_ZH, KEYS, LANGUAGES, LEVELS, NUMBERS, WITH, Phrases, is_held_out

FIRST_SEED = 900_000
NAMED = ("piano", "strings", "flute", "harp", "bells", "marimba")
SPOKEN = ("energy", "brightness")


@dataclass(frozen=True, slots=True)
class Question:
    number: int
    language: str
    prompt: Prompt
    asked: Attributes
    """What the text says, as the engines understand it."""


def question(number: int, language: str, seconds: float) -> Question:
    """Prompt `number`: a tempo, a key, an energy, a brightness and an instrument, drawn independently of each other; the same facts in every language, under
    a seed of its own."""
    rng = np.random.default_rng([77, number])
    place = LANGUAGES.index(language)

    def pick(phrases: Phrases) -> str:
        kept = [phrase for phrase in phrases if is_held_out(phrase)] or list(phrases)
        return kept[int(rng.integers(len(kept)))]

    bpm, tonic, mode = int(rng.integers(52, 140)), str(rng.choice(TONICS)), str(rng.choice(("major", "minor")))
    chosen = [LEVELS[scale][int(rng.integers(len(LEVELS[scale])))] for scale in SPOKEN]
    named = str(rng.choice(NAMED))
    parts = [pick(chinese if language == "zh" else english) for _, english, chinese in chosen]
    parts += [pick(NUMBERS[language]).format(bpm), pick(KEYS[language]).format(f"{tonic} {mode}")]
    parts.append(pick(WITH[language]).format(named if language == "en" else INSTRUMENTS_ZH[named]))
    prompt = Prompt((", " if language == "en" else "，").join(parts), seconds, FIRST_SEED + len(LANGUAGES) * number + place)
    return Question(number, language, prompt, understand(prompt).attributes)
