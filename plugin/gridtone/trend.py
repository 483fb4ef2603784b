"""The last hours of every signal, in memory, for a dashboard beside the music. A historian keeps more."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridtone.words import Words

STEP_SECONDS = 5.0
KEPT_HOURS = 6.0
KEPT = int(KEPT_HOURS * 3600 / STEP_SECONDS)


@dataclass(frozen=True, slots=True)
class SignalTrend:
    """One signal over time, a sample every `STEP_SECONDS`."""

    name: str
    title: Words
    unit: str
    times: Sequence[float]
    """Seconds since the Unix epoch, ascending."""
    values: Sequence[float | None]
    """None where the signal was missing or stale."""


class Trends:
    """A ring of samples. Not thread-safe: its owner holds the lock."""

    def __init__(self) -> None:
        self._times = np.full(KEPT, -math.inf)
        self._values: dict[str, NDArray[np.float64]] = {}
        self._count = 0

    def record(self, values: Mapping[str, float | None], now: float) -> None:
        """Sample every signal, unless the last sample is younger than `STEP_SECONDS`. Signals that the rules no longer have are forgotten."""
        if self._count and now < self._times[(self._count - 1) % KEPT] + STEP_SECONDS:
            return
        slot = self._count % KEPT
        self._times[slot] = now
        self._values = {name: self._values[name] if name in self._values else np.full(KEPT, math.nan) for name in values}
        for name, value in values.items():
            self._values[name][slot] = math.nan if value is None else value
        self._count += 1

    def set_back(self, seconds: float) -> None:
        """The clock was set back by so much: samples stay as old as they were."""
        self._times -= seconds

    def between(self, name: str, start: float, end: float) -> tuple[list[float], list[float | None]]:
        """Times and values of a signal, oldest first."""
        order = np.arange(self._count - min(self._count, KEPT), self._count) % KEPT
        order = order[(self._times[order] >= start) & (self._times[order] < end)]
        values = self._values.get(name, np.full(KEPT, math.nan))[order]
        return self._times[order].tolist(), [None if math.isnan(value) else value for value in values.tolist()]
