"""Every point of the grid with its last reading, and which signals listen to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from sys import intern
from typing import Generic, TypeVar

from gridtone.rules.gauges import Gauge
from gridtone_adapters import Quality

T = TypeVar("T")

Listener = tuple[Callable[[int, float, float], None], int, Gauge]
"""A gauge's `update(slot, value, seen)`, the slot of the point in that gauge, and the gauge."""


class Points:
    """The last good reading of each point, one column an attribute: 1,000,000 points take about 350 MB with their names."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.names: list[str] = []
        self.values: list[float] = []
        """NaN while no good reading has arrived."""
        self.times: list[float] = []
        """Source timestamps, -inf while no good reading has arrived."""
        self.qualities = bytearray()
        self.units: list[str] = []
        """Of the first reading."""
        self.listeners: list[tuple[Listener, ...]] = []

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, unit: str) -> int:
        """Make room for a new point and return its index."""
        index = self.index[name] = len(self.names)
        self.names.append(name)
        self.values.append(math.nan)
        self.times.append(-math.inf)
        self.qualities.append(Quality.BAD)
        self.units.append(intern(unit))
        self.listeners.append(())
        return index


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
        """Who wants the point `name`, each once, in no particular order."""
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
