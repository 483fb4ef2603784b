"""When things sound: metric weight, figuration grooves, bass rhythms, soft percussion."""

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer.score import BRUSH, KICK, SHAKER, TOM, WOOD, Note

BASS_RHYTHMS: dict[int, tuple[tuple[tuple[float, float], ...], ...]] = {  # by drive 0 to 3: (onset, length) in fractions of a chord of four beats
    0: (((0, 4),), ((0, 3),), ((0, 3.5),)),
    1: (((0, 2.5), (2.5, 1.5)), ((0, 3), (3, 1)), ((0, 2), (2, 2)), ((0, 4),)),
    2: (((0, 1.5), (1.5, 1), (2.5, 1.5)), ((0, 2), (2, 1), (3, 1)), ((0, 1.5), (2, 1.5)), ((0, 1), (1.5, 0.5), (2, 2))),
    3: (
        ((0, 1), (1, 0.5), (1.5, 1), (2.5, 0.5), (3, 1)),
        ((0, 0.75), (0.75, 0.75), (1.5, 1), (2.5, 0.5), (3, 1)),
        ((0, 1), (1, 1), (2, 1), (3, 0.5), (3.5, 0.5)),
        ((0, 1.5), (1.5, 0.5), (2, 1), (3, 1)),
    ),
}


def subdivision(rate: float, tempo_bpm: float) -> int:
    """Grid points a beat (1, 2, 4 or 8) on which `rate` onsets a second find room."""
    return next((points for points in (2, 4) if points * tempo_bpm / 60 >= 1.1 * rate), 8) if tempo_bpm < 130 or rate > 2 else 1


def metric_weights(beats: int, points: int) -> NDArray[np.float64]:
    """How strong each grid point of a bar is: 4 the downbeat, 3 the beats, then 2, 1, 0.5 for ever finer divisions. Shape (beats * points,)."""
    weights = np.full(beats * points, 0.5)
    for spacing, weight in ((points // 4, 1.0), (points // 2, 2.0), (points, 3.0)):
        if spacing:
            weights[::spacing] = weight
    weights[0] = 4.0
    return weights


def pick_onsets(weights: NDArray[np.float64], taken: set[int], wanted: float, rng: np.random.Generator) -> list[int]:
    """Grid points for the figuration of one bar: the heaviest, until `wanted` points of the bar (with those `taken` by other parts) sound; always the first."""
    heard = {0} | taken
    chosen = {0}
    whole = int(wanted) + int(rng.random() < wanted % 1)
    for point in np.argsort(-(weights + rng.normal(0, 0.3, len(weights)))):
        if len(heard) >= whole and len(chosen) >= 2:
            break
        chosen.add(int(point))
        heard.add(int(point))
    return sorted(chosen)


def percussion_bar(start: float, beats: int, energy: float, fill: bool, rng: np.random.Generator) -> list[Note]:
    """One bar of soft percussion: shaker first, then kick, brush and wood as `energy` rises; `fill` leads into the next phrase."""
    notes: list[Note] = []

    def hit(beat: float, pitch: int, velocity: float) -> None:
        notes.append(Note(start + beat, 0.25, pitch, float(np.clip(velocity + rng.normal(0, 0.04), 0.05, 1))))

    step = 0.5 if energy < 0.72 else 0.25
    for point in range(int(beats / step)):
        beat = point * step
        if rng.random() < 0.1:
            continue
        hit(beat, SHAKER, 0.55 if beat % 1 == 0.5 else 0.4 if beat % 1 == 0 else 0.25)
    if energy > 0.38:
        hit(0, KICK, 0.8)
        if beats == 4 and rng.random() < 0.85:
            hit(2.5 if rng.random() < 0.3 else 2, KICK, 0.65)
        if energy > 0.75:
            for beat in range(1, beats, 2):
                hit(beat, KICK, 0.55)
    if energy > 0.5:
        for beat in range(1, beats, 2):
            hit(beat, BRUSH, 0.5)
        if rng.random() < 0.4:
            hit(float(rng.choice((1.75, 2.75, 0.75))), BRUSH, 0.22)
    if energy > 0.42 and rng.random() < 0.5:
        hit(float(rng.choice((0.5, 1.5, 2.5))), WOOD, 0.35)
    if fill:
        for beat in rng.choice((beats - 1, beats - 0.75, beats - 0.5, beats - 0.25), size=2, replace=False):
            hit(float(beat), TOM, 0.45)
    return notes
