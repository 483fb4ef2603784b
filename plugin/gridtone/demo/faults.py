"""What goes wrong between a measurement and the control room: doubtful values, and a feeder that falls silent."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gridtone.demo.simulation import PointValue

CLEAN_SECONDS = 300.0
"""In the first minutes all telemetry is good."""


class FaultKind(NamedTuple):
    every_seconds: float
    """On average."""
    lasts_seconds: float


DOUBT = FaultKind(every_seconds=60.0, lasts_seconds=12.0)
"""One measurement is of uncertain quality, or bad."""
SILENCE = FaultKind(every_seconds=1200.0, lasts_seconds=120.0)
"""The gateway hears nothing of one line, for longer than the default rules take a reading for fresh."""


class TelemetryFaults:
    """Decides which points are doubtful and which are silent. Times are seconds since the start."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._asked = 0.0
        self._doubtful: dict[str, tuple[str, float]] = {}
        self._silent: dict[str, float] = {}

    def at(self, seconds: float, points: Sequence[PointValue]) -> tuple[dict[str, str], tuple[str, ...]]:
        """The qualities that are not good, by path, and the prefixes of the paths that are silent."""
        elapsed, self._asked = seconds - self._asked, seconds
        self._doubtful = {path: (quality, end) for path, (quality, end) in self._doubtful.items() if end > seconds}
        self._silent = {prefix: end for prefix, end in self._silent.items() if end > seconds}
        if seconds > CLEAN_SECONDS:
            if self._rng.random() < elapsed / DOUBT.every_seconds:
                path = str(self._rng.choice([point.path for point in points if point.unit in ("%", "pu") and not point.path.startswith("grid/")]))
                self._doubtful[path] = (str(self._rng.choice(["uncertain", "bad"])), seconds + DOUBT.lasts_seconds)
            if self._rng.random() < elapsed / SILENCE.every_seconds:
                path = str(self._rng.choice([point.path for point in points if point.path.startswith("line/")]))
                self._silent[path.rpartition("/")[0] + "/"] = seconds + SILENCE.lasts_seconds
        return {path: quality for path, (quality, _) in self._doubtful.items()}, tuple(self._silent)
