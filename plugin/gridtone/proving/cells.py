"""Everything that some signals can be, told apart as far as conditions do: each at, below, between and above its limits, or unknown.

Conditions compare signals with numbers only, so what is true of these cells is true of all values: nothing is estimated.
"""

import math
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gridtone.rules.condition import All, AnyOf, Compare, Condition, Not, comparisons
from gridtone.rules.model import Signal

MAX_CELLS = 2_000_000
TRUE, UNKNOWN, FALSE = 1.0, 0.5, 0.0
"""Kleene's logic in numbers: `and` is the lesser, `or` the greater, `not` is 1 minus it."""

Truths = NDArray[np.float32]
"""One axis a signal, one index a cell; broadcastable."""


class TooManyCellsError(Exception):
    """More combinations than can be looked at."""


class Cells:
    """The combinations of what the signals of some conditions can be."""

    def __init__(self, conditions: Iterable[Condition], signals: Mapping[str, Signal]) -> None:
        """Raises TooManyCellsError for more than `MAX_CELLS`."""
        limits: dict[str, set[float]] = {}
        for condition in conditions:
            for comparison in comparisons(condition):
                limits.setdefault(comparison.signal, set()).add(comparison.limit)
        self.values = {name: [*_values(signals[name], sorted(at)), math.nan] for name, at in limits.items()}
        """Of each signal, one value for each cell; the last is NaN: unknown."""
        if math.prod(map(len, self.values.values())) > MAX_CELLS:
            raise TooManyCellsError

    def truths(self, condition: Condition) -> Truths:
        match condition:
            case Compare():
                return self._compare(condition)
            case Not(part):
                return np.float32(1) - self.truths(part)
            case All(parts):
                return reduce(np.minimum, map(self.truths, parts))
            case AnyOf(parts):
                return reduce(np.maximum, map(self.truths, parts))

    def known(self) -> NDArray[np.bool_]:
        """Where no signal is unknown."""
        shapes = [self._along(name, np.isfinite(values)) for name, values in self.values.items()]
        return reduce(np.logical_and, shapes, np.ones((1,) * len(self.values), bool))

    def example(self, where: NDArray[np.bool_]) -> dict[str, float]:
        """The values of one of the cells that are marked."""
        found = np.argwhere(np.broadcast_to(where, tuple(map(len, self.values.values()))))[0]
        return {name: values[index] for (name, values), index in zip(self.values.items(), found, strict=True)}

    def _compare(self, comparison: Compare) -> Truths:
        values = self.values[comparison.signal]
        truths = [UNKNOWN if math.isnan(value) else float(comparison.holds(value)) for value in values]
        return self._along(comparison.signal, np.array(truths, np.float32))

    def _along(self, signal: str, values: NDArray) -> NDArray:  # type: ignore[type-arg]  # of any type
        return values.reshape([-1 if name == signal else 1 for name in self.values])


def _values(signal: Signal, limits: list[float]) -> list[float]:
    """One value in every cell that the signal can reach: counts are whole numbers, shares lie between 0 and 100."""
    if signal.take == "count":
        whole = {0.0, *(float(near) for limit in limits for near in (math.ceil(limit) - 1, math.floor(limit), math.floor(limit) + 1))}
        return sorted(value for value in whole if value >= 0)
    between = [(low + high) / 2 for low, high in pairwise(limits)]
    values = sorted({limits[0] - 1, *limits, *between, limits[-1] + 1})
    if signal.take == "share":
        return sorted({0.0, 100.0, *(value for value in values if 0 <= value <= 100)})
    return values
