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


def check_attributes(asked: Attributes) -> None:
    """Raises ValueError, saying what is possible, for what no engine of scores can play. Keys are read where they are used."""
    if asked.tempo_bpm is not None and not 30 <= asked.tempo_bpm <= 200:
        raise ValueError(f"a tempo of {asked.tempo_bpm:g} bpm was asked for; 30 to 200 can be played")
    for field_name in ("energy", "brightness", "density"):
        value = getattr(asked, field_name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{field_name} is {value:g}; it goes from 0 to 1")
    check_instruments(asked)
    if set(INSTRUMENTS) - {"bass", "soft percussion"} <= set(asked.without):
        raise ValueError("every instrument that could play is forbidden: allow at least one of them, besides bass and soft percussion")


def check_instruments(asked: Attributes) -> None:
    """Raises ValueError for one that does not exist."""
    if unknown := {*asked.instruments, *asked.without} - set(INSTRUMENTS):
        raise ValueError(f"no instrument is called {', '.join(sorted(unknown))}; there are: {', '.join(INSTRUMENTS)}")
