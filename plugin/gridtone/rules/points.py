"""Every point of the grid with its last reading, and who listens to it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from sys import intern
from typing import TYPE_CHECKING, Generic, TypeVar

from gridtone_adapters import Quality

if TYPE_CHECKING:
    from gridtone.rules.gauges import Gauge

T = TypeVar("T")


class Points:
    """The last reading of each point that was not bad, one column an attribute, so that a million points fit and neighbours share cache lines."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.names: list[str] = []
        self.values = array("d")
        """NaN while no reading has arrived."""
        self.times = array("d")
        """Source timestamps, -inf while no reading has arrived."""
        self.seen = array("d")
        """When each value was measured: the source timestamp, or its arrival if the source's clock runs ahead."""
        self.qualities = bytearray()
        self.low, self.high = array("d"), array("d")
        """While low < value < high, no listener needs to hear of it."""
        self.units: list[str] = []
        """Of the first reading."""
        self.listeners: list[tuple[tuple[Callable[[int, float], None], int, Gauge], ...]] = []
        """Of each point: a gauge's `update`, the slot of the point in that gauge, and the gauge."""
        self._good: dict[int, tuple[float, float]] = {}
        """Value and seen of the last good reading, where an uncertain one came after it."""

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, unit: str) -> int:
        """Make room for a new point and return its index."""
        point = self.index[name] = len(self.names)
        self.names.append(name)
        self.values.append(math.nan)
        self.times.append(-math.inf)
        self.seen.append(-math.inf)
        self.qualities.append(Quality.BAD)
        self.low.append(-math.inf)
        self.high.append(math.inf)
        self.units.append(intern(unit))
        self.listeners.append(())
        return point

    def keep_good(self, point: int) -> None:
        """An uncertain reading is about to replace what may be a good one."""
        if self.qualities[point] == Quality.GOOD:
            self._good[point] = self.values[point], self.seen[point]

    def latest(self, point: int, uncertain: bool) -> tuple[float, float]:
        """Value and seen of the last reading, or of the last good one unless `uncertain` ones are welcome; (NaN, -inf) without any."""
        if uncertain or self.qualities[point] == Quality.GOOD:
            return self.values[point], self.seen[point]
        return self._good.get(point, (math.nan, -math.inf))

    def expire(self, point: int, now: float) -> None:
        """The point's readings are too old for every listener."""
        self._good.pop(point, None)
        self.seen[point] = min(self.seen[point], now - max((gauge.stale_after for _, _, gauge in self.listeners[point]), default=0.0))

    def set_back(self, seconds: float, now: float) -> None:
        """The clock was set back to `now`: readings stay as old as they were judged, and the next of a source whose clock went along is not late."""
        self.seen = array("d", [at - seconds for at in self.seen])
        self.times = array("d", [at - seconds if at > now else at for at in self.times])
        self._good = {point: (value, at - seconds) for point, (value, at) in self._good.items()}

    def bound(self, point: int) -> None:
        """Set the point's bounds to what all of its listeners agree on."""
        bounds = [gauge.bounds(slot) for _, slot, gauge in self.listeners[point]]
        deaf = all(low < high for low, high in bounds)
        self.low[point] = max((low for low, _ in bounds), default=-math.inf) if deaf else math.nan
        self.high[point] = min((high for _, high in bounds), default=math.inf) if deaf else math.nan


class Patterns(Generic[T]):
    """What wants to hear of which points: a tree of path parts, so that a new point costs its own length, not the number of patterns."""

    def __init__(self) -> None:
        self._children: dict[str, Patterns[T]] = {}
        self._here: list[T] = []

    def add(self, pattern: str, wanted_by: T) -> None:
        node = self
        for part in pattern.split("/"):
            node = node._children.setdefault(part, Patterns())
        node._here.append(wanted_by)

    def matching(self, name: str) -> list[T]:
        """Who wants the point `name`, each once."""
        return list(dict.fromkeys(self._match(name.split("/"), 0)))

    def _match(self, parts: list[str], at: int) -> Iterator[T]:
        if at == len(parts):
            yield from self._here
            return
        if rest := self._children.get("**"):
            yield from rest._here
        for part in (parts[at], "*"):
            if child := self._children.get(part):
                yield from child._match(parts, at + 1)
