"""What an engine is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

INSTRUMENTS = (
    "piano",
    "electric piano",
    "celesta",
    "vibraphone",
    "marimba",
    "guitar",
    "harp",
    "strings",
    "cello",
    "flute",
    "clarinet",
    "warm pad",
    "glass pad",
    "bells",
    "bass",
    "soft percussion",
)
"""Instruments that a prompt can name. Texts are translated to these; an engine says which of them it has."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Explicit musical attributes. `None` (or no instruments) means: not said, the engine chooses."""

    tempo_bpm: float | None = None
    """Beats per minute, 30 to 200."""
    key: str | None = None
    """Tonic and mode, such as `D minor`, `Bb major` or `F# dorian`."""
    energy: float | None = None
    """0 (still) to 1 (driving): how much happens, how loud against its own rests, how much rhythm."""
    brightness: float | None = None
    """0 (dark) to 1 (bright): where the spectrum has its weight."""
    density: float | None = None
    """0 (sparse) to 1 (busy): notes a second."""
    instruments: tuple[str, ...] = ()
    """Some of `INSTRUMENTS`."""
    without: tuple[str, ...] = ()
    """Some of `INSTRUMENTS`, which must not play."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One track that is wanted."""

    text: str = ""
    """In any language that the engine reads; at least English and Chinese."""
    seconds: float = 60.0
    seed: int = 0
    attributes: Attributes = field(default_factory=Attributes)
    """Said explicitly; wins over what the text says."""
    continue_from: Path | None = None
    """Audio to continue, for engines that can."""
