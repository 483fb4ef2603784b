"""Defects of the audio itself. Each function measures one; `check` compares with the limits."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from gridtone.gate.loudness import STEPS_PER_SECOND, Loudness

QUIETEST_CLICK = 0.003
"""Full scale 1: what jumps by less is not heard as a click, whatever surrounds it."""


def worst_dc(samples: NDArray[np.float32], sample_rate: int) -> tuple[float, float]:
    """Largest mean of a second of a channel, full scale 1, and where it begins, seconds."""
    seconds = max(samples.shape[1] // sample_rate, 1)
    means = np.abs([piece.mean(axis=1) for piece in np.array_split(samples, seconds, axis=1)]).max(axis=1)
    worst = int(means.argmax())
    return float(means[worst]), worst * samples.shape[1] / seconds / sample_rate


def worst_click(samples: NDArray[np.float32], sample_rate: int) -> tuple[float, float]:
    """Largest ratio of a jump to the largest jumps in the 20 ms around it, and where it is, seconds.

    A jump is the third difference of the samples, which weakens smooth sound by 18 dB an octave; a step or a single wrong sample passes it in full.
    Plucks and drums jump too, but go on jumping for longer than the millisecond or so that is left out around a candidate.
    """
    block = max(sample_rate // 1000, 8)
    jumps = np.abs(np.diff(samples, n=3, axis=1))
    jumps = np.pad(jumps, ((0, 0), (0, (-jumps.shape[1]) % block))).reshape(samples.shape[0], -1, block).max(axis=2)
    padded = np.pad(jumps, ((0, 0), (12, 12)))
    before_and_after = maximum_filter1d(padded, 19, axis=1)
    around = np.maximum(before_and_after[:, 1:-23], before_and_after[:, 23:-1])
    ratio = jumps / np.maximum(around, QUIETEST_CLICK)
    worst = int(ratio.max(axis=0).argmax())
    return float(ratio[:, worst].max()), worst * block / sample_rate


def longest_silence(loudness: Loudness, below_lufs: float, edge_seconds: float) -> tuple[float, float]:
    """Longest stretch whose momentary loudness (400 ms) stays below, and where it begins, seconds; the outer `edge_seconds` do not count."""
    edge = round(edge_seconds * STEPS_PER_SECOND)
    momentary = loudness.over(0.4)
    quiet = momentary[edge : max(len(momentary) - edge, edge)] < below_lufs
    turns = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(int))).reshape(-1, 2)
    if not len(turns):
        return 0.0, 0.0
    start, end = turns[np.diff(turns, axis=1).argmax()]
    return (end - start) / STEPS_PER_SECOND + 0.4, (start + edge) / STEPS_PER_SECOND


def worst_rise(loudness: Loudness, floor_lufs: float, window_seconds: float = 0.2) -> tuple[float, float]:
    """Largest rise of the level within 100 ms, LU, and where it ends, seconds.

    The level is the loudness of 200 ms, and never counts as less than the floor: what startles is a sound that is suddenly loud, not a soft one after a rest.
    """
    level = np.maximum(loudness.over(window_seconds), floor_lufs)
    level = np.concatenate([np.full(STEPS_PER_SECOND // 10, floor_lufs), level])
    rises = level[STEPS_PER_SECOND // 10 :] - level[: -STEPS_PER_SECOND // 10]
    worst = int(rises.argmax())
    return float(rises[worst]), worst / STEPS_PER_SECOND + window_seconds


def edge_levels(loudness: Loudness) -> tuple[float, float]:
    """Loudness of the first and the last 20 ms, LUFS."""
    steps = loudness.over(0.02)
    return float(steps[0]), float(steps[-1])
