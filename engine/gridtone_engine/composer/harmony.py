"""Keys, modes, chords, and the progressions they form.

Degrees count from 0 (the tonic) in steps of the scale, so that a progression is written once for all keys. In major and minor the harmony is functional:
tonic, subdominant, dominant, with cadences; the church modes turn around their tonic and the chords that carry their characteristic note (Dorian IV, Phrygian
bII, Lydian II, Mixolydian bVII).
"""

import re
from dataclasses import dataclass

import numpy as np

MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
}
SYNONYMS = {"ionian": "major", "aeolian": "minor", "maj": "major", "min": "minor"}
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

# How the harmony moves on, degree by degree: {from: {to: weight}}.
MOVES: dict[str, dict[int, dict[int, float]]] = {
    "major": {
        0: {3: 5, 4: 4, 5: 2, 1: 2, 2: 1},
        1: {4: 6, 3: 1},
        2: {3: 3, 5: 2},
        3: {0: 4, 4: 4, 1: 1},
        4: {0: 6, 5: 2, 3: 1},
        5: {3: 3, 1: 3, 4: 2},
        6: {0: 1},
    },
    "minor": {
        0: {3: 5, 5: 4, 4: 3, 6: 2, 2: 1},
        1: {4: 1},
        2: {5: 3, 3: 2, 6: 1},
        3: {0: 4, 4: 4, 6: 1},
        4: {0: 6, 5: 2},
        5: {3: 2, 0: 2, 4: 2, 6: 2},
        6: {0: 4, 2: 1, 5: 1},
    },
    "dorian": {0: {3: 6, 6: 3, 1: 2, 4: 2}, 1: {0: 2, 3: 2, 4: 1}, 2: {3: 2, 1: 1}, 3: {0: 6, 6: 1, 4: 1}, 4: {0: 4, 3: 2}, 5: {0: 1}, 6: {0: 4, 3: 2}},
    "phrygian": {0: {1: 6, 6: 2, 3: 3, 5: 1}, 1: {0: 6, 6: 1, 2: 1}, 2: {1: 2, 3: 2}, 3: {0: 3, 1: 2}, 4: {0: 1}, 5: {1: 2, 0: 2}, 6: {0: 4, 1: 2}},
    "lydian": {0: {1: 6, 4: 3, 5: 1, 2: 1}, 1: {0: 5, 4: 3}, 2: {1: 2, 4: 1}, 3: {0: 1}, 4: {0: 5, 1: 2}, 5: {1: 2, 4: 2}, 6: {0: 1}},
    "mixolydian": {0: {6: 5, 3: 4, 4: 2, 1: 1}, 1: {3: 1, 0: 1}, 2: {3: 1}, 3: {0: 5, 6: 2}, 4: {0: 4, 3: 2}, 5: {3: 2, 6: 1}, 6: {0: 3, 3: 4}},
    "locrian": {0: {1: 3, 5: 2, 6: 2}, 1: {0: 4, 6: 1}, 2: {1: 1}, 3: {0: 2, 1: 1}, 4: {0: 1}, 5: {0: 3}, 6: {0: 3}},
}
# Degrees on which a phrase may close (before the tonic returns) or stay open.
CADENCES: dict[str, tuple[int, ...]] = {
    "major": (4, 4, 3),
    "minor": (4, 4, 3, 6),
    "dorian": (3, 6),
    "phrygian": (1, 6),
    "lydian": (1, 4),
    "mixolydian": (6, 3),
    "locrian": (1, 5),
}


@dataclass(frozen=True, slots=True)
class Key:
    tonic: int
    """Pitch class, 0 for C."""
    mode: str
    """One of MODES."""

    @classmethod
    def parse(cls, name: str) -> "Key":
        """From `D minor`, `Bb major`, `F# dorian`, `Am`, `Eb`. Raises ValueError."""
        match = re.fullmatch(r"\s*([A-Ga-g])\s*([#♯b♭]?)[\s-]*([A-Za-z]*)\s*", name)
        mode = match[3] if match else ""
        mode = "minor" if mode == "m" else SYNONYMS.get(mode.lower(), mode.lower()) or "major"
        if match is None or mode not in MODES:
            raise ValueError(f"{name!r} is not a key: write a tonic and a mode, such as `D minor`, `Bb major` or `F# dorian`; modes: {', '.join(MODES)}")
        return cls((LETTERS[match[1].upper()] + {"#": 1, "♯": 1, "b": -1, "♭": -1, "": 0}[match[2]]) % 12, mode)

    def __str__(self) -> str:
        return f"{TONICS[self.tonic]} {self.mode}"

    def pitch(self, degree: int) -> int:
        """MIDI pitch of a scale degree; degree 0 is the tonic in the octave from middle C."""
        octave, step = divmod(degree, 7)
        return 60 + self.tonic + 12 * octave + MODES[self.mode][step]

    def degree_near(self, pitch: float) -> int:
        """The scale degree whose pitch lies nearest."""
        around = round((pitch - 60 - self.tonic) / 12 * 7)
        return min(range(around - 3, around + 4), key=lambda degree: abs(self.pitch(degree) - pitch))

    @property
    def pitch_classes(self) -> frozenset[int]:
        return frozenset((self.tonic + step) % 12 for step in MODES[self.mode])

    @property
    def is_minor(self) -> bool:
        """Whether the third above the tonic is minor."""
        return MODES[self.mode][2] == 3


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord and when it sounds."""

    start: float
    """Beats from the start of the track."""
    beats: float
    root: int
    """Scale degree, 0 to 6."""
    members: tuple[int, ...]
    """Scale steps above the root: (0, 2, 4) a triad, (0, 2, 4, 6) a seventh, (0, 3, 4) a suspended fourth, (0, 2, 4, 8) an added ninth."""
    bass: int
    """Which scale step above the root lies in the bass: 0 root position, 2 first inversion; over a pedal, whatever leads to the tonic."""
    raised: bool
    """The dominant of a minor key with its leading note raised: the one chromatic note of the harmony."""

    def pitch_class(self, key: Key, step: int) -> int:
        pitch = key.pitch(self.root + step)
        if self.raised and (self.root + step) % 7 == 6:
            pitch += 1
        return pitch % 12

    def pitch_classes(self, key: Key) -> tuple[int, ...]:
        return tuple(self.pitch_class(key, step) for step in self.members)

    def snap(self, key: Key, pitch: int) -> int:
        """The chord note nearest to `pitch`, the lower one of two."""
        classes = self.pitch_classes(key)
        return min((pitch + offset for offset in range(-6, 7) if (pitch + offset) % 12 in classes), key=lambda p: (abs(p - pitch), p))

    def scale_pitch(self, key: Key, degree: int) -> int:
        """Pitch of a scale degree over this chord: the leading note is raised where the chord raises it."""
        return key.pitch(degree) + (1 if self.raised and degree % 7 == 6 else 0)


def walk(mode: str, count: int, first: int, last: int, rng: np.random.Generator) -> list[int]:
    """`count` degrees from `first` to `last` along MOVES: sampled forwards, weighted by the number of ways that still reach `last`."""
    table = np.zeros((7, 7))
    for origin, moves in MOVES[mode].items():
        for target, weight in moves.items():
            table[origin, target] = weight
    table /= table.sum(axis=1, keepdims=True)
    reach = [np.eye(7)[last]]
    for _ in range(count - 1):
        reach.append(table @ reach[-1])
    degrees = [first]
    for remaining in range(count - 2, -1, -1):
        weights = table[degrees[-1]] * reach[remaining]
        if weights.sum() == 0:  # no way there in so few steps: go straight
            return (degrees + [last] * count)[:count]
        degrees.append(int(rng.choice(7, p=weights / weights.sum())))
    return degrees


def chord_members(key: Key, root: int, colour: float, rng: np.random.Generator) -> tuple[int, ...]:
    """How a chord is coloured: the richer `colour` (0 to 1), the more sevenths, ninths and suspensions; never a tone that clouds the tonic."""
    third, fifth, seventh = (key.pitch(root + step) - key.pitch(root) for step in (2, 4, 6))
    if fifth != 7:
        return (0, 2, 6)  # a diminished fifth is left out: third and seventh say enough
    roll = rng.random()
    if roll >= colour:
        return (0, 2, 4)
    choices: list[tuple[int, ...]] = [(0, 2, 4, 8)] if key.pitch(root + 8) - key.pitch(root) == 14 else []
    if root and (seventh == 10 or third == 4):
        choices.append((0, 2, 4, 6))
    if root == 4:
        choices.append((0, 3, 4))
    return choices[int(rng.integers(len(choices)))] if choices else (0, 2, 4)


def phrase(key: Key, slots: list[tuple[float, float]], closes: bool, colour: float, rng: np.random.Generator) -> list[Chord]:
    """One phrase: a chord for every slot (start and length in beats). It sets out from the tonic; `closes` returns to it, otherwise it stays open on a cadence
    chord. At times, and often in the church modes, all of it stands on a tonic pedal."""
    cadence = CADENCES[key.mode]
    ending = [int(rng.choice(cadence))]
    if closes:
        ending.append(0)
    count = len(slots)
    if count <= 2:
        degrees = ([0, *ending] if count > len(ending) else [*ending, 0])[-count:] if closes else [0, *ending][:count]
    else:
        degrees = walk(key.mode, count - len(ending) + 1, 0, ending[0], rng) + ending[1:]
    pedal = rng.random() < (0.12 if key.mode in ("major", "minor") else 0.5)
    chords = []
    for (start, beats), root in zip(slots, degrees, strict=True):
        raised = key.mode == "minor" and root == 4 and rng.random() < 0.7
        members = (0, 2, 4) if raised and rng.random() < 0.6 else chord_members(key, root, colour, rng)
        inverted = root not in (0, 4) and 2 in members and rng.random() < 0.18
        bass = (7 - root) % 7 if pedal and not raised else 2 if inverted else 0
        chords.append(Chord(start, beats, root, members, bass, raised))
    return chords
