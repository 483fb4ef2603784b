"""Gauges: signals at work. Each keeps its value current at O(log n) a reading, n the points behind it.

A gauge raises its hand (appends itself to `board.touched`) only when its value leaves the open interval between the limits that it was last compared with, so
that a reading which changes no comparison costs nothing beyond its own update. Points that are stale do not count.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from gridtone.rules.condition import OPERATORS, Compare, Truth
from gridtone.rules.model import Signal, unit_of
from gridtone.rules.points import Points

RATE_SAMPLES = 240
"""Samples that a rate keeps of its window: readings closer together than this share of it replace each other."""
FAN = 16
"""Nodes under a node of a tree."""
UNSETTLED = (math.nan, math.nan)


@dataclass(slots=True)
class Board:
    """What gauges share with each other and the evaluator."""

    points: Points = field(default_factory=Points)
    touched: list[Gauge] = field(default_factory=list)
    """Gauges whose comparisons may have changed since the last settlement. A gauge may stand here twice."""
    returned: list[tuple[Gauge, int]] = field(default_factory=list)
    """Slots of points that did not count and have a new reading."""


class Gauge:
    """A signal over any number of points. Subclasses keep one number of those that are fresh."""

    def __init__(self, name: str, signal: Signal, board: Board) -> None:
        self.name = name
        self.signal = signal
        self.unit = unit_of(signal)
        self.stale_after = signal.stale_after
        self.board = board
        self.members: list[int] = []
        """Slot to index of the point."""
        self.fresh = bytearray()
        self.fresh_count = 0
        self.comparisons: list[Compare] = []
        self.makes: dict[Gauge, None] = {}
        """The expressions that name this signal. They hear of every change."""
        self.low, self.high = UNSETTLED
        """No comparison changes while low < value < high."""
        self.settled: float | None = None
        """The value at the last settlement."""
        self.last: float | None = None
        """The value just before the latest point went stale."""

    def bounds(self, slot: int) -> tuple[float, float]:
        """Between which values of the point at `slot` this gauge need not hear of it."""
        return UNSETTLED

    def join(self, point: int) -> int:
        """A new point belongs to this signal: return its slot. It counts once it has a fresh reading."""
        self.members.append(point)
        self.fresh.append(0)
        self.touch()
        return len(self.members) - 1

    def latest(self, slot: int) -> tuple[float, float]:
        """Value of the newest reading at `slot` that may count, and when it was measured."""
        return self.board.points.latest(self.members[slot], self.signal.uncertain == "use")

    def update(self, slot: int, value: float) -> None:
        """A reading of one point: the hot path."""
        raise NotImplementedError

    def count(self, slot: int) -> None:
        """The point at `slot` is fresh now and counts."""
        self.fresh[slot] = 1
        self.fresh_count += 1
        self.touch()

    def discount(self, slot: int) -> None:
        """The point at `slot` is stale now and no longer counts."""
        self.last = self.current()
        self.fresh[slot] = 0
        self.fresh_count -= 1
        self.touch()

    def touch(self) -> None:
        self.low, self.high = UNSETTLED
        self.board.touched.append(self)

    def set_back(self, seconds: float) -> None:
        """The clock was set back by so much: times that the gauge remembers go along."""

    def current(self) -> float | None:
        """The value over the points that are fresh; None without any."""
        raise NotImplementedError

    def decisive(self) -> int:
        """The slot of the point that makes the value, or -1 where no single one does."""
        return 0 if len(self.members) == 1 else -1

    def measured(self) -> float:
        """When the newest reading behind it was measured; -inf while there is none."""
        return max((self.latest(slot)[1] for slot in range(len(self.members))), default=-math.inf)

    def known(self) -> float | None:
        """The value, or None if it is missing or stale."""
        if not self.members:
            return self.signal.absent
        stale = len(self.members) - self.fresh_count
        return None if 100 * stale > self.signal.stale_pct * len(self.members) else self.current()

    def settle(self) -> dict[Compare, Truth]:
        """How every comparison with this signal stands now."""
        value = self.settled = self.known()
        if value is None or self.makes:
            self.low, self.high = UNSETTLED
        else:
            self._bound(value)
        if value is None:
            return dict.fromkeys(self.comparisons)
        return {comparison: comparison.holds(value) for comparison in self.comparisons}

    def _bound(self, value: float) -> None:
        limits = {comparison.limit for comparison in self.comparisons}
        self.low = max((limit for limit in limits if limit <= value), default=-math.inf)
        self.high = min((limit for limit in limits if limit >= value), default=math.inf)


class Value(Gauge):
    """One point. Its bounds stand with the point, so that it seldom hears of a reading."""

    def bounds(self, slot: int) -> tuple[float, float]:
        return self.low, self.high

    def update(self, slot: int, value: float) -> None:
        if not self.fresh[slot]:
            self.board.returned.append((self, slot))
        elif value != self.settled:
            self.board.touched.append(self)

    def touch(self) -> None:
        super().touch()
        for point in self.members:
            self.board.points.bound(point)

    def settle(self) -> dict[Compare, Truth]:
        before = self.low, self.high
        truths = super().settle()
        if (self.low, self.high) != before:
            for point in self.members:
                self.board.points.bound(point)
        return truths

    def current(self) -> float | None:
        return self.latest(0)[0] if self.fresh_count else None


class Tree(Gauge):
    """Points are the leaves of a tree in which a node combines `FAN` others; the root is the value. Nothing drifts."""

    empty: float
    """What a point that does not count contributes."""

    def __init__(self, name: str, signal: Signal, board: Board) -> None:
        super().__init__(name, signal, board)
        self.levels: list[list[float]] = [[]]
        """From the leaves to the root."""
        self.steps: list[tuple[list[float], list[float]]] = []
        """Every level with the one above it."""

    def join(self, point: int) -> int:
        slot = at = super().join(point)
        for level in self.levels:
            if at < len(level):
                return slot
            level.append(self.empty)
            at //= FAN
        if len(level) > 1:
            self.levels.append([self.combine(level)])
            self.steps = list(pairwise(self.levels))
        return slot

    def combine(self, nodes: list[float]) -> float:
        raise NotImplementedError

    def leaf(self, value: float) -> float:
        return value

    def count(self, slot: int) -> None:
        self.put(slot, self.leaf(self.latest(slot)[0]))
        super().count(slot)

    def discount(self, slot: int) -> None:
        super().discount(slot)
        self.put(slot, self.empty)

    def put(self, slot: int, node: float) -> None:
        for level, _ in self.steps:
            level[slot] = node
            slot //= FAN
            node = self.combine(level[FAN * slot : FAN * slot + FAN])
        self.levels[-1][0] = node


class Max(Tree):
    """The highest of the points."""

    empty = -math.inf
    sign = 1.0

    def combine(self, nodes: list[float]) -> float:
        return max(nodes)

    def leaf(self, value: float) -> float:
        return self.sign * value

    def update(self, slot: int, value: float) -> None:
        if not self.fresh[slot]:
            self.board.returned.append((self, slot))
            return
        node = self.sign * value
        for level, above in self.steps:
            before = level[slot]
            level[slot] = node
            slot //= FAN
            best = above[slot]
            if node <= best:
                if before < best or node == best:
                    return
                node = max(level[FAN * slot : FAN * slot + FAN])
                if node == best:
                    return
        self.levels[-1][0] = node
        if not self.low < self.sign * node < self.high:
            self.board.touched.append(self)

    def current(self) -> float | None:
        return self.sign * self.levels[-1][0] if self.fresh_count else None

    def decisive(self) -> int:
        if not self.fresh_count:
            return super().decisive()
        slot = 0
        for level, above in reversed(self.steps):
            slot = level.index(above[slot], FAN * slot)
        return slot


class Min(Max):
    """The lowest of the points: the highest of their negatives."""

    sign = -1.0


class Sum(Tree):
    """The total of the points."""

    empty = 0.0

    def combine(self, nodes: list[float]) -> float:
        return sum(nodes)

    def update(self, slot: int, value: float) -> None:
        if not self.fresh[slot]:
            self.board.returned.append((self, slot))
            return
        self.put(slot, value)
        total = self.current()
        if total is None or not self.low < total < self.high:
            self.board.touched.append(self)

    def current(self) -> float | None:
        return self.levels[-1][0] if self.fresh_count else None


class Mean(Sum):
    """The mean of the points."""

    def current(self) -> float | None:
        return self.levels[-1][0] / self.fresh_count if self.fresh_count else None


class Count(Gauge):
    """How many of the points meet `where`. Hears of a point only when that may have changed."""

    def __init__(self, name: str, signal: Signal, board: Board) -> None:
        super().__init__(name, signal, board)
        assert signal.where is not None
        self.compare = OPERATORS[signal.where.operator]
        self.limit = signal.where.limit
        self.met = bytearray()
        self.met_count = 0
        self.upward = {">": True, ">=": True, "<": False, "<=": False}.get(signal.where.operator)
        """Whether values above the limit meet the condition; None where neither side does as a whole."""

    def bounds(self, slot: int) -> tuple[float, float]:
        if not self.fresh[slot] or self.upward is None:
            return UNSETTLED
        return (self.limit, math.inf) if self.met[slot] == self.upward else (-math.inf, self.limit)

    def join(self, point: int) -> int:
        self.met.append(0)
        return super().join(point)

    def update(self, slot: int, value: float) -> None:
        if not self.fresh[slot]:
            self.board.returned.append((self, slot))
        elif self.compare(value, self.limit) != self.met[slot]:
            self.met[slot] ^= 1
            self.met_count += 1 if self.met[slot] else -1
            self.board.points.bound(self.members[slot])
            self.board.touched.append(self)

    def count(self, slot: int) -> None:
        self.met[slot] = self.compare(self.latest(slot)[0], self.limit)
        self.met_count += self.met[slot]
        super().count(slot)
        self.board.points.bound(self.members[slot])

    def discount(self, slot: int) -> None:
        super().discount(slot)
        self.met_count -= self.met[slot]
        self.met[slot] = 0
        self.board.points.bound(self.members[slot])

    def current(self) -> float | None:
        return float(self.met_count) if self.fresh_count else None

    def decisive(self) -> int:
        """Where one point alone meets the condition, that one."""
        return self.met.index(1) if self.met_count == 1 else super().decisive()


class Share(Count):
    """What percentage of the points meets `where`."""

    def current(self) -> float | None:
        return 100 * self.met_count / self.fresh_count if self.fresh_count else None


class Rate(Gauge):
    """How fast one point changes: the least-squares slope over a window of source timestamps.

    Unknown until the readings span half the window. Holds its value between readings.
    """

    def __init__(self, name: str, signal: Signal, board: Board) -> None:
        super().__init__(name, signal, board)
        assert signal.over is not None
        self.window = signal.over
        self.samples: deque[tuple[float, float]] = deque()

    def update(self, slot: int, value: float) -> None:
        seen = self.latest(slot)[1]
        samples = self.samples
        if samples and (samples[-1][0] >= seen or (len(samples) > 1 and seen - samples[-2][0] < self.window / RATE_SAMPLES)):
            samples.pop()
        samples.append((seen, value))
        while samples[0][0] < seen - self.window:
            samples.popleft()
        if self.fresh[slot]:
            self.board.touched.append(self)
        else:
            self.board.returned.append((self, slot))

    def set_back(self, seconds: float) -> None:
        self.samples = deque((seen - seconds, value) for seen, value in self.samples)

    def current(self) -> float | None:
        if not self.fresh_count or self.samples[-1][0] - self.samples[0][0] < self.window / 2:
            return None
        return slope(list(self.samples)) * self.signal.per


class Derived(Gauge):
    """An expression of other signals. It has no points of its own."""

    def __init__(self, name: str, signal: Signal, board: Board, gauges: Mapping[str, Gauge]) -> None:
        super().__init__(name, signal, board)
        assert signal.expression is not None
        self.expression = signal.expression
        self.made_of = {named: gauges[named] for named in self.expression.signals}
        for gauge in self.made_of.values():
            gauge.makes[self] = None

    def measured(self) -> float:
        """Of the signal that is behind most."""
        return min(gauge.measured() for gauge in self.made_of.values())

    def known(self) -> float | None:
        return self.expression.value({name: gauge.known() for name, gauge in self.made_of.items()})

    def settle(self) -> dict[Compare, Truth]:
        value = self.known()
        return {} if value is not None and self.low < value < self.high else super().settle()


def slope(samples: list[tuple[float, float]]) -> float:
    """Least-squares slope of (seconds, value) pairs at two times at least."""
    mean_time = math.fsum(time for time, _ in samples) / len(samples)
    mean_value = math.fsum(value for _, value in samples) / len(samples)
    spread = math.fsum((time - mean_time) ** 2 for time, _ in samples)
    return math.fsum((time - mean_time) * (value - mean_value) for time, value in samples) / spread


GAUGES: dict[str, type[Gauge]] = {"value": Value, "max": Max, "min": Min, "mean": Mean, "sum": Sum, "count": Count, "share": Share, "rate": Rate}
