"""Voice-leading: which octave each chord note sounds in, so that every voice moves little and sings.

The bass is laid first, near its last note; the three upper voices of the whole piece are then found at once, as the cheapest path through all close voicings
(Viterbi). Forbidden: a tenor below the bass and, between the outer voices, parallel fifths and octaves, which are dear between the others. Dear: leaps, wide
gaps, a doubled leading note, straying from the register, standing still on one voicing.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer.harmony import Chord, Key

FORBIDDEN = 1e4
BASS_RANGE = (31, 50)


def bass_line(key: Key, chords: list[Chord], rng: np.random.Generator) -> list[int]:
    """One pitch a chord within BASS_RANGE, near the last one, at times an octave away."""
    line: list[int] = []
    last = 40.0
    for chord in chords:
        pitch_class = chord.pitch_class(key, chord.bass)
        choices = [pitch for pitch in range(BASS_RANGE[0], BASS_RANGE[1] + 1) if pitch % 12 == pitch_class]
        costs = [abs(pitch - last) + 0.35 * abs(pitch - 40) + rng.exponential(1.5) for pitch in choices]
        line.append(choices[int(np.argmin(costs))])
        last = line[-1]
    return line


def candidates(key: Key, chord: Chord, low: int, high: int) -> NDArray[np.int64]:
    """All close voicings of the three upper voices, shape (n, 3), ascending. The third (or what suspends it) and the colour note are always there."""
    classes = chord.pitch_classes(key)
    needed = {classes[1]} | ({classes[-1]} if len(classes) > 3 or 4 not in chord.members else set())
    pitches = [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]
    found = [(a, b, c) for a, b, c in product(pitches, repeat=3) if 2 <= b - a <= 9 and 2 <= c - b <= 9 and c - a >= 6 and needed <= {a % 12, b % 12, c % 12}]
    return np.array(found)


def _voicings(key: Key, chord: Chord, centre: float, bass: int) -> NDArray[np.int64]:
    """Candidates around the centre; over the bass, where all of those cross it."""
    around = candidates(key, chord, int(centre) - 12, int(centre) + 12)
    return around if (around[:, 0] >= bass).any() else candidates(key, chord, bass, bass + 24)


def lead_voices(key: Key, chords: list[Chord], centres: list[float], rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Voices (bass, tenor, alto, soprano) for every chord; `centres` gives the middle of the upper voices' register, chord by chord."""
    bass = bass_line(key, chords, rng)
    options = [_voicings(key, chord, centre, low) for chord, centre, low in zip(chords, centres, bass, strict=True)]
    costs: list[NDArray[np.float64]] = []
    best: list[NDArray[np.intp]] = []
    for index, (chord, centre, voicings) in enumerate(zip(chords, centres, options, strict=True)):
        own = 0.5 * np.abs(voicings.mean(axis=1) - centre) + rng.exponential(1.2, len(voicings)) + FORBIDDEN * (voicings[:, 0] < bass[index])
        leading = (key.tonic - 1) % 12
        if leading in chord.pitch_classes(key):
            own += 8.0 * ((voicings % 12 == leading).sum(axis=1) > 1)
        if index == 0:
            costs.append(own)
            continue
        same = (chord.root, chord.members) == (chords[index - 1].root, chords[index - 1].members)
        step = _movement(options[index - 1], voicings, bass[index - 1], bass[index], still=1.0 if same else 4.0)
        total = costs[-1][:, None] + step
        best.append(total.argmin(axis=0))
        costs.append(total.min(axis=0) + own)
    choice = int(costs[-1].argmin())
    path = [choice]
    for back in reversed(best):
        choice = int(back[choice])
        path.append(choice)
    path.reverse()
    uppers = [options[i][choice].tolist() for i, choice in enumerate(path)]
    return [(low, tenor, alto, soprano) for low, (tenor, alto, soprano) in zip(bass, uppers, strict=True)]


def _movement(before: NDArray[np.int64], after: NDArray[np.int64], bass_before: int, bass_after: int, still: float) -> NDArray[np.float64]:
    """Cost of going from each voicing to each other, shape (n before, n after)."""
    old = np.concatenate([np.full((len(before), 1), bass_before), before], axis=1)[:, None, :]
    new = np.concatenate([np.full((len(after), 1), bass_after), after], axis=1)[None, :, :]
    motion = new - old
    leaps = np.abs(motion[..., 1:])
    cost = leaps.sum(axis=-1) + 3.0 * np.maximum(leaps.max(axis=-1) - 4, 0)
    cost = cost + still * (leaps.sum(axis=-1) == 0)
    for low in range(3):
        for high in range(low + 1, 4):
            interval_before, interval_after = (old[..., high] - old[..., low]) % 12, (new[..., high] - new[..., low]) % 12
            moves_together = motion[..., low] * motion[..., high] > 0
            parallel = moves_together & (interval_before == interval_after) & np.isin(interval_after, (0, 7))
            cost = cost + (FORBIDDEN if (low, high) == (0, 3) else 25.0) * parallel
    return np.asarray(cost, dtype=np.float64)
