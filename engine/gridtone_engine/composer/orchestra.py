"""What nobody said, chosen: the attributes that a prompt left open, and which instrument takes which role."""

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from gridtone_engine.composer.harmony import TONICS, Key
from gridtone_engine.prompt import Attributes

PADS = ("warm pad", "glass pad", "strings")
FIGURES = ("piano", "electric piano", "guitar", "harp", "marimba", "vibraphone", "celesta", "bells")
LEADS = ("flute", "clarinet", "cello", "vibraphone", "piano", "electric piano", "celesta", "harp", "guitar", "strings", "bells", "marimba")

RANGES = {  # sounding range that is used, as MIDI pitches, and the middle of the register for melodies
    "piano": (36, 93, 74),
    "electric piano": (36, 88, 72),
    "celesta": (60, 96, 81),
    "vibraphone": (53, 89, 74),
    "marimba": (45, 88, 69),
    "guitar": (40, 81, 67),
    "harp": (36, 91, 74),
    "strings": (43, 86, 74),
    "cello": (36, 72, 60),
    "flute": (60, 89, 76),
    "clarinet": (52, 82, 70),
    "warm pad": (40, 84, 64),
    "glass pad": (48, 91, 72),
    "bells": (60, 91, 79),
    "bass": (28, 55, 40),
}


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator of random numbers of its own for every purpose, so that a change in one layer leaves the others as they were."""
    return np.random.default_rng([seed % 2**64, crc32(purpose.encode())])


def onsets_per_second(density: float) -> float:
    """Pitched onsets a second that a density stands for: 0.7 (sparse) to 6.5 (busy)."""
    return float(0.7 * (6.5 / 0.7) ** density)


def beats_in_bar(energy: float, seed: int) -> int:
    """Four, at times three where the music is calm."""
    return 3 if energy < 0.55 and stream(seed, "metre").random() < 0.2 else 4


def complete(asked: Attributes, seconds: float, seed: int) -> Attributes:
    """Fill what the prompt left open, from what it said and the seed. A tempo that nobody asked for is bent a little so that whole bars fill `seconds`."""
    rng = stream(seed, "attributes")
    mood, tilt = rng.random(), rng.normal(0, 0.06)
    energy = asked.energy
    if energy is None:
        hints = [value for value in (asked.density, None if asked.tempo_bpm is None else (asked.tempo_bpm - 50) / 90) if value is not None]
        energy = float(np.clip(np.mean(hints) if hints else 0.25 + 0.3 * mood, 0, 1))
    brightness = asked.brightness if asked.brightness is not None else float(np.clip(0.3 + 0.35 * energy + tilt, 0, 1))
    density = asked.density if asked.density is not None else float(np.clip(0.08 + 0.84 * energy + 0.4 * tilt, 0, 1))
    tempo = asked.tempo_bpm
    if tempo is None:
        tempo = float(np.clip(56 + 64 * energy + rng.normal(0, 3), 40, 140))
        beats = beats_in_bar(energy, seed)
        bars = max(2, round(seconds * tempo / 60 / beats))
        fitted = bars * beats * 60 / seconds
        tempo = fitted if abs(fitted / tempo - 1) < 0.05 else tempo
    key = str(Key.parse(asked.key)) if asked.key is not None else _key(brightness, energy, rng)
    chosen = _support(asked.instruments, energy, brightness, rng) if asked.instruments else _palette(energy, brightness, rng)
    instruments = tuple(name for name in chosen if name not in asked.without)
    if not set(instruments) & set(RANGES) - {"bass"}:  # all that plays notes was forbidden: what is left plays
        instruments += tuple(name for name in RANGES if name not in asked.without and name != "bass")[:3]
    return replace(asked, tempo_bpm=tempo, key=key, energy=energy, brightness=brightness, density=density, instruments=instruments)


def _key(brightness: float, energy: float, rng: np.random.Generator) -> str:
    bright = {
        "major": 4 * brightness,
        "lydian": 1.6 * brightness,
        "mixolydian": 1.2 * energy,
        "dorian": 1.2,
        "minor": 3 * (1 - brightness),
        "phrygian": 0.3 * (1 - brightness),
    }
    weights = np.array(list(bright.values())) ** 1.3
    mode = list(bright)[int(rng.choice(len(bright), p=weights / weights.sum()))]
    return f"{TONICS[int(rng.integers(12))]} {mode}"


def _pick(names: tuple[str, ...], weights: tuple[float, ...], count: int, rng: np.random.Generator) -> list[str]:
    chances = np.maximum(np.array(weights), 0.02)
    return [names[i] for i in rng.choice(len(names), size=count, replace=False, p=chances / chances.sum())]


def _palette(energy: float, brightness: float, rng: np.random.Generator) -> tuple[str, ...]:
    dark, calm = 1 - brightness, 1 - energy
    chosen = _pick(PADS, (0.5 + dark, 0.7 * brightness, 0.4 + 0.3 * energy), 1, rng)
    chosen += _pick(FIGURES[:7], (1.2, 0.6 + 0.4 * dark, 0.5 + 0.3 * calm, 0.5 * calm + 0.3, 0.2 + energy, 0.5, 0.4 * brightness), 2, rng)
    chosen += _pick(("flute", "clarinet", "cello", "vibraphone", "piano"), (0.8 * brightness, 0.7, 0.3 + dark, 0.4, 0.6), 2, rng)
    chosen += ["bass"] if energy > 0.2 else []
    chosen += ["bells"] if rng.random() < 0.3 * brightness else []
    chosen += ["soft percussion"] if energy > 0.33 else []
    return tuple(dict.fromkeys(chosen))


def _support(named: tuple[str, ...], energy: float, brightness: float, rng: np.random.Generator) -> tuple[str, ...]:
    """The named instruments and what they need beside them: something that sustains, something that moves, a bass where there is drive."""
    chosen = list(named)
    if not set(PADS) & set(named):
        chosen.append("warm pad" if rng.random() > 0.5 * brightness else "strings")
    if not set(FIGURES) & set(named):
        chosen += _pick(("piano", "harp", "electric piano"), (0.6, 0.6, 0.3), 1, rng)
    if energy > 0.3:
        chosen.append("bass")
    if energy > 0.5:
        chosen.append("soft percussion")
    return tuple(dict.fromkeys(chosen))


@dataclass(frozen=True, slots=True)
class Orchestra:
    """Who can play what, of the instruments of one track."""

    pads: tuple[str, ...]
    figures: tuple[str, ...]
    leads: tuple[str, ...]
    bass: str | None
    percussion: bool

    @classmethod
    def of(cls, instruments: tuple[str, ...]) -> "Orchestra":
        melodic = tuple(name for name in instruments if name in RANGES and name != "bass")
        figures = tuple(name for name in melodic if name in FIGURES) or melodic[:1]
        singers = tuple(name for name in melodic if name in ("flute", "clarinet", "cello"))
        leads = singers or tuple(name for name in melodic if name in LEADS and name not in figures[:1]) or figures
        bass = "bass" if "bass" in instruments else "cello" if "cello" in instruments and len(singers) > 1 else None
        return cls(tuple(name for name in melodic if name in PADS), figures, leads, bass, "soft percussion" in instruments)
