"""The lead sheet that the prior plays from: bars, chords and notes, frame by frame, as JASCO (Tal et al. 2024) tells its model chords, drums and a melody.

In training it is the one that a piece was played from. To play, it is written by the composer from what was asked for, without end: a small model then has to
find how it sounds, but not the time, the key and the tune.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer.compose import compose
from gridtone_engine.composer.orchestra import beats_in_bar, stream
from gridtone_engine.composer.score import BRUSH, KICK, SHAKER, TOM, WOOD, Score
from gridtone_engine.prompt import Attributes

TURNS_A_BEAT, TURNS_A_BAR = (1, 2, 4), (1, 2)
CLOCK_WIDTH = 2 * (len(TURNS_A_BEAT) + len(TURNS_A_BAR))
HARMONY_WIDTH = CLOCK_WIDTH + 4 * 12 + 1
STAVES = {"pad": 0, "bass": 1, "figure": 2, "melody": 3, "answer": 3}
"""Of the sheet, by role; percussion has lines of its own."""
LOWEST, PITCHES = 24, 80
DRUMS = (KICK, BRUSH, SHAKER, TOM, WOOD)
KEYS = PITCHES + len(DRUMS)
LINES = (1 + max(STAVES.values())) * PITCHES + len(DRUMS)
SHEET_WIDTH = HARMONY_WIDTH + 2 * LINES
NEAR_BEATS = 4.0
STRUCK_SECONDS = 0.08
"""After which a note's beginning has faded to 1 / e."""
FADED = 0.05
"""How little of a note's beginning is none."""
ROUNDING = 1e-6
"""Beats that are too few to be early: what begins where a frame stands has begun, however that beat was computed."""
WRITTEN_SECONDS = 120.0
"""Of a sheet without end, that are written at once."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Times are beats."""

    tempo_bpm: float
    bar_beats: int
    chord_starts: NDArray[np.float64]
    """Ascending."""
    chords: NDArray[np.float32]
    """(chords, 24): which pitch classes sound, then which of them lies lowest."""
    notes: NDArray[np.float64]
    """(notes, 4): start, end, line, velocity."""

    @property
    def described(self) -> dict[str, Any]:
        """As JSON."""
        chords = [[float(start), np.flatnonzero(chord).tolist()] for start, chord in zip(self.chord_starts, self.chords, strict=True)]
        return {"tempo_bpm": self.tempo_bpm, "bar_beats": self.bar_beats, "chords": chords, "notes": self.notes.tolist()}

    def read(self, beats: NDArray[np.float64]) -> NDArray[np.float32]:
        """What stands in it at `beats` (steps,): (steps, SHEET_WIDTH), the clock of beat and bar, the chord, the next one, how near it is, and for every line
        how newly and how hard a note was struck and whether it is held. Nothing, where there are no chords."""
        if not len(self.chords):
            return np.zeros((len(beats), SHEET_WIDTH), np.float32)
        beats = beats + ROUNDING
        turns = np.stack([*(count * beats for count in TURNS_A_BEAT), *(count * beats / self.bar_beats for count in TURNS_A_BAR)], axis=-1)
        angles = 2 * np.pi * (turns % 1)
        now = np.maximum(np.searchsorted(self.chord_starts, beats, side="right") - 1, 0)
        following = np.minimum(now + 1, len(self.chords) - 1)
        near = 1 - np.clip((self.chord_starts[following] - beats) / NEAR_BEATS, 0, 1)
        harmony = [np.cos(angles), np.sin(angles), self.chords[now], self.chords[following], near[:, None]]
        return np.concatenate([*harmony, *self._lines(beats)], axis=-1).astype(np.float32)

    def _lines(self, beats: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What is struck and what is held, (steps, LINES) each."""
        struck, held = np.zeros((2, len(beats), LINES), np.float32)
        starts, ends, lines, velocities = self.notes.T
        seconds = (beats[:, None] - starts) * 60 / self.tempo_bpm
        for told, sounding, faded in (
            (struck, (seconds >= 0) & (seconds < 4 * STRUCK_SECONDS), np.exp(-np.maximum(seconds, 0) / STRUCK_SECONDS)),
            (held, (seconds >= 0) & (beats[:, None] < ends), np.ones_like(seconds)),
        ):
            step, note = np.nonzero(sounding)
            told[step, lines[note].astype(int)] = velocities[note] * faded[step, note]
        return struck, held


def beginning(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a note begins in what was read of a sheet frame by frame, (..., frames, SHEET_WIDTH): (..., frames - 1), from the frame before it until its
    beginning has faded."""
    struck = rows[..., HARMONY_WIDTH : HARMONY_WIDTH + LINES].max(axis=-1) > FADED
    return np.asarray(struck[..., :-1] | struck[..., 1:])


def described_sheet(described: dict[str, Any]) -> Sheet:
    """A sheet as `Sheet.described` wrote it."""
    chords = np.zeros((len(described["chords"]), 24), np.float32)
    for row, (_, sounding) in zip(chords, described["chords"], strict=True):
        row[sounding] = 1
    starts = np.array([start for start, _ in described["chords"]], np.float64)
    return Sheet(described["tempo_bpm"], described["bar_beats"], starts, chords, np.array(described["notes"], np.float64).reshape(-1, 4))


SILENT = described_sheet({"tempo_bpm": 60.0, "bar_beats": 4, "chords": [], "notes": []})
"""Of a recording: nobody knows."""


def sheet_of(score: Score) -> Sheet:
    chords = [[chord.start, [*chord.pitch_classes(score.key), 12 + chord.pitch_class(score.key, chord.bass)]] for chord in score.chords]
    notes = [
        [round(note.start, 4), round(note.start + note.beats, 4), _line(part.role, note.pitch), round(note.velocity, 3)]
        for part in score.parts
        for note in part.notes
    ]
    return described_sheet({"tempo_bpm": score.tempo_bpm, "bar_beats": score.beats_per_bar, "chords": chords, "notes": sorted(notes)})


def _line(role: str, pitch: int) -> int:
    if role == "percussion":
        return LINES - len(DRUMS) + DRUMS.index(pitch)
    return STAVES[role] * PITCHES + int(np.clip(pitch - LOWEST, 0, PITCHES - 1))


def _seeds(seed: int) -> Iterator[int]:
    """The seed itself, then others that follow from it and that its neighbours do not have: a stock asks for one after the other."""
    yield seed
    rng = stream(seed, "lead sheet")
    while True:
        yield int(rng.integers(2**62))


class LeadSheet:
    """Music without end under attributes that are all known."""

    def __init__(self, attributes: Attributes, seed: int) -> None:
        assert attributes.tempo_bpm is not None and attributes.energy is not None and attributes.brightness is not None
        self.tempo_bpm, self.bar_beats, self.brightness = attributes.tempo_bpm, beats_in_bar(attributes.energy, seed), attributes.brightness
        self._attributes = attributes
        self._seeds = (number for number in _seeds(seed) if beats_in_bar(attributes.energy or 0.0, number) == self.bar_beats)
        score = self._composed()
        self.instruments = tuple({part.instrument: None for part in score.parts})
        """That play, at first."""
        self._sheet, self._end = sheet_of(score), score.bars * self.bar_beats

    @property
    def bar_seconds(self) -> float:
        return self.bar_beats * 60 / self.tempo_bpm

    def at(self, beats: NDArray[np.float64]) -> NDArray[np.float32]:
        """(steps, SHEET_WIDTH) after so many `beats` (steps,), which go back by two bars at most; before the first one stands the first chord."""
        while max(beats.max(), 0.0) + NEAR_BEATS >= self._end:
            self._write(float(beats.min()) - 2 * self.bar_beats)
        return self._sheet.read(beats)

    def _composed(self) -> Score:
        return compose(self._attributes, WRITTEN_SECONDS, next(self._seeds), edges=False)

    def _write(self, since: float) -> None:
        """Go on. What ended before `since` is forgotten."""
        score = self._composed()
        ours, more = self._sheet, sheet_of(score)
        kept = max(0, int(np.searchsorted(ours.chord_starts, since)) - 1)
        starts = np.concatenate([ours.chord_starts[kept:], self._end + more.chord_starts])
        later = more.notes + np.array([self._end, self._end, 0, 0])
        notes = np.concatenate([ours.notes[ours.notes[:, 1] > since], later])
        self._sheet = Sheet(self.tempo_bpm, self.bar_beats, starts, np.concatenate([ours.chords[kept:], more.chords]), notes)
        self._end += score.bars * self.bar_beats
