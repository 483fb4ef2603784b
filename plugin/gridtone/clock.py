"""The time of day, from a clock that somebody may set back (NTP, after a machine booted with a wrong one)."""

import time
from collections.abc import Callable

SET_BACK_SECONDS = 1.0
"""Smaller steps are not worth telling of: those who compare times let it stand still for so long."""
AT_ONCE_SECONDS = 0.1
"""Both clocks were read at one moment if no more than this passed between."""


class Clock:
    """Tells a clock that was set back from one that stands still. One thread at a time."""

    def __init__(self, wall: Callable[[], float] = lambda: time.time(), steady: Callable[[], float] = lambda: time.monotonic()) -> None:
        self._wall, self._steady = wall, steady
        now, at = self._read()
        self._ahead = now - at
        """Of the steady clock, at most since the last step."""

    def look(self) -> tuple[float, float]:
        """Seconds since the Unix epoch, and by how many seconds the clock was set back since the last look; 0 unless by more than `SET_BACK_SECONDS`."""
        now, at = self._read()
        set_back = self._ahead - (now - at)
        if 0 <= set_back <= SET_BACK_SECONDS:
            return now, 0.0
        self._ahead = now - at
        return now, max(0.0, set_back)

    def _read(self) -> tuple[float, float]:
        while True:
            at, now = self._steady(), self._wall()
            if self._steady() - at < AT_ONCE_SECONDS:
                return now, at
