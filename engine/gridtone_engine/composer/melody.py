"""Motifs and what becomes of them: stated, transposed, inverted, augmented, broken into fragments, led to a cadence; never literally repeated."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridtone_engine.composer.harmony import Chord, Key

RHYTHMS: dict[int, tuple[tuple[float, ...], ...]] = {  # onsets as lengths in beats, by number of notes; a bar of three cuts off what does not fit
    2: ((3, 1), (2, 2), (1, 3), (2.5, 1.5)),
    3: ((1, 1, 2), (2, 1, 1), (1.5, 0.5, 2), (1, 2, 1), (0.5, 1.5, 2)),
    4: ((1, 0.5, 0.5, 2), (1, 1, 1, 1), (0.5, 0.5, 1, 2), (1.5, 0.5, 1, 1), (0.5, 1, 0.5, 2)),
    5: ((0.5, 0.5, 1, 1, 1), (1, 0.5, 0.5, 1, 1), (1.5, 0.5, 0.5, 0.5, 1), (0.5, 1, 0.5, 1, 1)),
}
SCHEMES = (  # what happens in the four bars of a phrase
    ("state", "vary", "fragment", "cadence"),
    ("state", "rest", "invert", "cadence"),
    ("augment", "held", "state", "cadence"),
    ("rest", "state", "vary", "cadence"),
    ("state", "fragment", "rest", "cadence"),
    ("invert", "vary", "augment", "held"),
    ("fragment", "fragment", "state", "cadence"),
)


@dataclass(frozen=True, slots=True)
class Motif:
    """A short idea: how long each note is, and how it lies above the first in scale steps."""

    beats: tuple[float, ...]
    steps: tuple[int, ...]

    def inverted(self) -> "Motif":
        return Motif(self.beats, tuple(-step for step in self.steps))

    def augmented(self) -> "Motif":
        return Motif(tuple(2 * beats for beats in self.beats), self.steps)

    def fragment(self, count: int) -> "Motif":
        return Motif(self.beats[:count], self.steps[:count])

    def varied(self, rng: np.random.Generator) -> "Motif":
        """The same shape with one interval bent and two neighbouring lengths exchanged."""
        steps, beats = list(self.steps), list(self.beats)
        if len(steps) > 1:
            at = int(rng.integers(1, len(steps)))
            steps[at] += int(rng.choice((-2, -1, 1, 2)))
            other = int(rng.integers(len(beats) - 1))
            beats[other], beats[other + 1] = beats[other + 1], beats[other]
        return Motif(tuple(beats), tuple(steps))


@dataclass(frozen=True, slots=True)
class Tone:
    """A melody note before it belongs to a part."""

    start: float
    beats: float
    pitch: int


def invent(notes: int, rng: np.random.Generator) -> Motif:
    """A motif of 2 to 5 notes: mostly steps, at most one leap, and the leap is turned back."""
    rhythms = RHYTHMS[int(np.clip(notes, 2, 5))]
    beats = rhythms[int(rng.integers(len(rhythms)))]
    steps, leap_at = [0], int(rng.integers(1, len(beats)))
    direction = int(rng.choice((-1, 1)))
    for index in range(1, len(beats)):
        size = int(rng.choice((2, 3, 4))) if index == leap_at else 1
        steps.append(steps[-1] + direction * size)
        if index == leap_at or rng.random() < 0.35:
            direction = -direction
    return Motif(beats, tuple(steps))


def sing(
    key: Key,
    motif: Motif,
    start: float,
    until: float,
    anchor: float,
    bounds: tuple[int, int],
    chord_at: Callable[[float], Chord],
) -> list[Tone]:
    """Set a motif at a place: its first note lies near the pitch `anchor`; notes on strong beats and long notes belong to the chord, others to the scale."""
    tones: list[Tone] = []
    base = key.degree_near(chord_at(start).snap(key, round(anchor)))
    beat = start
    for beats, step in zip(motif.beats, motif.steps, strict=True):
        if beat >= until:
            break
        chord = chord_at(beat)
        pitch = chord.scale_pitch(key, base + step)
        if beats >= 1 or beat % 1 == 0:
            pitch = chord.snap(key, pitch)
        while pitch < bounds[0]:
            pitch += 12
        while pitch > bounds[1]:
            pitch -= 12
        tones.append(Tone(beat, min(beats, until - beat), pitch))
        beat += beats
    return tones


def phrase_melody(
    key: Key,
    motif: Motif,
    bars: list[tuple[float, float]],
    closes: bool,
    anchor: float,
    bounds: tuple[int, int],
    chord_at: Callable[[float], Chord],
    heard: set[tuple[tuple[float, float, int], ...]],
    rng: np.random.Generator,
) -> list[Tone]:
    """The melody of one phrase; `bars` are its bars as (start, end) beats. `heard` remembers every bar sung so far, and no bar in it is sung again."""
    scheme = SCHEMES[int(rng.integers(len(SCHEMES)))]
    tones: list[Tone] = []
    for index, (start, end) in enumerate(bars):
        action = scheme[-1] if index == len(bars) - 1 else scheme[index % (len(scheme) - 1)]
        if action in ("rest", "held"):
            continue
        until = bars[index + 1][1] if action == "augment" and index + 1 < len(bars) else end
        arch = anchor + 4 * np.sin(np.pi * (index + 0.5) / len(bars)) + rng.normal(0, 1.5)
        for _ in range(12):
            shape = {
                "state": motif,
                "vary": motif.varied(rng),
                "invert": motif.inverted(),
                "augment": motif.augmented(),
                "fragment": motif.fragment(max(2, len(motif.beats) // 2)),
                "cadence": Motif((1.0, end - start - 1.0), (int(rng.choice((-1, 1, 2))), 0)),
            }[action]
            target = key.pitch(7 * round((arch - key.pitch(0)) / 12)) if action == "cadence" and closes else arch
            sung = sing(key, shape, start, until, target, bounds, chord_at)
            content = tuple((tone.start - start, tone.beats, tone.pitch) for tone in sung)
            if content not in heard:
                break
            arch += float(rng.choice((-3, -2, 2, 3)))
            motif = motif.varied(rng)
        heard.add(content)
        tones += sung
    return tones
