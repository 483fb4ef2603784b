"""What the composer writes and the renderer plays: notes, parts, sections, chords."""

from dataclasses import dataclass

from gridtone_engine.composer.harmony import Chord, Key
from gridtone_engine.prompt import Attributes

KICK, BRUSH, SHAKER, TOM, WOOD = 36, 38, 42, 45, 76
"""Pitches of the soft percussion, numbered as in General MIDI."""


@dataclass(frozen=True, slots=True)
class Note:
    start: float
    """Beats from the start of the track."""
    beats: float
    """Length."""
    pitch: int
    """MIDI number; for percussion one of KICK, BRUSH, SHAKER, TOM, WOOD."""
    velocity: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Part:
    instrument: str
    role: str
    """pad, bass, figure, melody, answer or percussion."""
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of bars with one orchestration."""

    name: str
    first_bar: int
    bars: int
    intensity: float
    """0 to 1: multiplies density, weights the layers."""
    lift: int
    """Semitones by which the register of the upper parts is shifted."""
    figure: str
    """The instrument that plays the figuration."""
    lead: str | None
    """The instrument that sings the melody, if any does."""
    answer: str | None
    """The instrument that answers it, if any does."""


@dataclass(frozen=True, slots=True)
class Score:
    seed: int
    attributes: Attributes
    """Every field filled: what is really played."""
    key: Key
    tempo_bpm: float
    beats_per_bar: int
    bars: int
    sections: tuple[Section, ...]
    chords: tuple[Chord, ...]
    """In order, without gaps."""
    voices: tuple[tuple[int, ...], ...]
    """The pitches that the harmony moves through, one tuple a chord: bass first, soprano last."""
    parts: tuple[Part, ...]

    @property
    def bar_seconds(self) -> float:
        return self.beats_per_bar * 60 / self.tempo_bpm

    @property
    def seconds(self) -> float:
        return self.bars * self.bar_seconds

    def bar_contents(self) -> list[frozenset[tuple[str, int, int, int]]]:
        """Each bar as what sounds in it: (instrument, pitch, onset, length), in 24ths of a beat, the onset from the bar line (negative for what is held over).

        Two bars are the same note for note if these are equal.
        """
        contents: list[set[tuple[str, int, int, int]]] = [set() for _ in range(self.bars)]
        for part in self.parts:
            for note in part.notes:
                first, last = int(note.start // self.beats_per_bar), int(-(-(note.start + note.beats) // self.beats_per_bar))
                for bar in range(first, min(last, self.bars)):
                    contents[bar].add((part.instrument, note.pitch, round((note.start - bar * self.beats_per_bar) * 24), round(note.beats * 24)))
        return [frozenset(bar) for bar in contents]
