"""The form: an intro, sections whose density, register and orchestration rise and fall over minutes, an outro."""

import numpy as np

from gridtone_engine.composer.orchestra import Orchestra
from gridtone_engine.composer.score import Section

PHRASE_BARS = 4
ARCS = (  # intensity over the body of a piece, from its beginning to its end
    (0.55, 0.8, 1.0, 0.75),
    (0.6, 0.95, 0.6, 1.0, 0.7),
    (0.7, 0.85, 1.0, 0.55, 0.9),
    (0.6, 0.75, 0.55, 0.9, 1.0, 0.7),
)


def plan(bars: int, orchestra: Orchestra, energy: float, rng: np.random.Generator, edges: bool) -> tuple[Section, ...]:
    """Sections that fill `bars` exactly. Neighbours differ in who plays, how much, and how high. Without `edges` there is neither an intro nor an outro."""
    edge = 0 if bars < 6 or not edges else 1 if bars < 10 else 2 if bars < 24 else 4
    lengths = _body_lengths(bars - 2 * edge, rng)
    arc = ARCS[int(rng.integers(len(ARCS)))]
    moments = (np.arange(len(lengths)) + 0.5) / len(lengths)
    intensities = np.interp(moments, np.linspace(0, 1, len(arc)), arc) + rng.normal(0, 0.04, len(lengths))
    figures = [str(name) for name in rng.permutation(np.array(orchestra.figures))]
    leads = [str(name) for name in rng.permutation(np.array(orchestra.leads))]
    sections = []
    if edge:
        sections.append(Section("intro", 0, edge, 0.4, 0, figures[0], None, None))
    bar, lift = edge, 0
    for index, (length, intensity) in enumerate(zip(lengths, intensities, strict=True)):
        figure = figures[index % len(figures)]
        free = [name for name in leads if name != figure] or leads
        lead = free[index % len(free)]
        answers = [name for name in free if name != lead]
        rests = len(lengths) > 3 and index in (0, len(lengths) // 2) and rng.random() < 0.7
        answer = answers[index % len(answers)] if answers and intensity > 0.75 else None
        name, strength = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index % 26], float(np.clip(intensity, 0.4, 1))
        sections.append(Section(name, bar, length, strength, lift, figure, None if rests else lead, answer))
        bar += length
        lift = int(np.clip(lift + rng.choice((-3, -2, 2, 3, 4)), -4, 5))
    if edge:
        sections.append(Section("outro", bar, edge, 0.4, 0, figures[-1], None, None))
    return tuple(sections)


def _body_lengths(bars: int, rng: np.random.Generator) -> list[int]:
    """Section lengths of 8 bars, at times 4 or 12, that add up to `bars`; what is left over lengthens the last."""
    lengths: list[int] = []
    left = bars
    while left >= 2 * PHRASE_BARS:
        length = min(int(rng.choice((4, 8, 8, 8, 12))), left - left % PHRASE_BARS)
        lengths.append(length)
        left -= length
    if left >= PHRASE_BARS or not lengths:
        lengths.append(left)
    else:
        lengths[-1] += left
    return lengths


def phrases(section: Section) -> list[tuple[int, int]]:
    """(first bar, bars) of each phrase of a section: four bars each, the last one takes the rest."""
    found = []
    bar, left = section.first_bar, section.bars
    while left > 0:
        length = left if left < 2 * PHRASE_BARS and left != PHRASE_BARS + 1 and left <= 6 else PHRASE_BARS
        found.append((bar, length))
        bar, left = bar + length, left - length
    return found
