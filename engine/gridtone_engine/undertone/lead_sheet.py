"""The lead sheet that the prior plays from: tempo, bars and chords, frame by frame, as JASCO (Tal et al. 2024) tells its model chords and drums in time.

In training it is the one that a piece was played from. To play, it is written by the composer's harmony from what was asked for, without end: a small model
then has to find sound, figures and tunes, but not the time and the key.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer.compose import compose
from gridtone_engine.composer.orchestra import beats_in_bar
from gridtone_engine.composer.score import Score
from gridtone_engine.prompt import Attributes

TURNS_A_BEAT, TURNS_A_BAR = (1, 2, 4), (1, 2)
CLOCK_WIDTH = 2 * (len(TURNS_A_BEAT) + len(TURNS_A_BAR))
SHEET_WIDTH = CLOCK_WIDTH + 4 * 12 + 1
NEAR_BEATS = 4.0
WRITTEN_SECONDS = 60.0
"""Of a sheet without end, that are written at once."""


@dataclass(frozen=True, slots=True)
class Chords:
    starts: NDArray[np.float64]
    """In beats, ascending."""
    notes: NDArray[np.float32]
    """(chords, 24): which pitch classes sound, then which of them lies lowest."""

    def described(self) -> list[list[Any]]:
        """As JSON."""
        return [[float(start), np.flatnonzero(notes).tolist()] for start, notes in zip(self.starts, self.notes, strict=True)]


def described_chords(described: list[list[Any]]) -> Chords:
    """Chords as `Chords.described` wrote them."""
    notes = np.zeros((len(described), 24), np.float32)
    for row, (_, sounding) in zip(notes, described, strict=True):
        row[sounding] = 1
    return Chords(np.array([start for start, _ in described], np.float64), notes)


def chords_of(score: Score) -> Chords:
    return described_chords([[chord.start, [*chord.pitch_classes(score.key), 12 + chord.pitch_class(score.key, chord.bass)]] for chord in score.chords])


def read(beats: NDArray[np.float64], bar_beats: float, chords: Chords) -> NDArray[np.float32]:
    """What a sheet says after `beats` (steps,): (steps, SHEET_WIDTH), the clock of beat and bar, the chord, the next one, and how near it is."""
    turns = np.stack([*(count * beats for count in TURNS_A_BEAT), *(count * beats / bar_beats for count in TURNS_A_BAR)], axis=-1)
    angles = 2 * np.pi * (turns % 1)
    now = np.maximum(np.searchsorted(chords.starts, beats + 1e-6, side="right") - 1, 0)
    following = np.minimum(now + 1, len(chords.starts) - 1)
    near = 1 - np.clip((chords.starts[following] - beats) / NEAR_BEATS, 0, 1)
    return np.concatenate([np.cos(angles), np.sin(angles), chords.notes[now], chords.notes[following], near[:, None]], axis=-1).astype(np.float32)


class LeadSheet:
    """Music without end under attributes that are all known."""

    def __init__(self, attributes: Attributes, seed: int) -> None:
        assert attributes.tempo_bpm is not None and attributes.energy is not None
        self.tempo_bpm, self.bar_beats = attributes.tempo_bpm, beats_in_bar(attributes.energy, seed)
        self._attributes, self._end = attributes, 0.0
        self._seeds = (number for number in count(seed) if beats_in_bar(attributes.energy or 0.0, number) == self.bar_beats)
        self._chords = Chords(np.zeros(0), np.zeros((0, 24), np.float32))

    @property
    def bar_seconds(self) -> float:
        return self.bar_beats * 60 / self.tempo_bpm

    def at(self, beats: float) -> NDArray[np.float32]:
        """(SHEET_WIDTH,) after so many beats; before the first one it is the first."""
        while max(beats, 0.0) + NEAR_BEATS >= self._end:
            score = compose(self._attributes, WRITTEN_SECONDS, next(self._seeds))
            more = chords_of(score)
            self._chords = Chords(np.concatenate([self._chords.starts, self._end + more.starts]), np.concatenate([self._chords.notes, more.notes]))
            self._end += score.bars * self.bar_beats
        return read(np.array([beats]), self.bar_beats, self._chords)[0]
