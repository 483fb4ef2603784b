"""Which state the grid is in: readings in, a new Standing out whenever the state changes.

There is no clock inside. Times are seconds since the Unix epoch that the caller passes in and that only `set_back` takes back, so fabricated series and
recordings give the same answers every time. Readings that are ingested together are judged together, at one moment. One thread at a time.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from gridtone.rules.condition import Compare, Truth, comparisons, either, judge, negate
from gridtone.rules.gauges import GAUGES, Board, Derived, Gauge
from gridtone.rules.model import Rules, State
from gridtone.rules.points import Patterns
from gridtone.rules.standing import NO_DATA, NO_STATE, Standing
from gridtone.rules.views import describe
from gridtone_adapters import Quality

BAD, GOOD = int(Quality.BAD), int(Quality.GOOD)
MAX_POINTS = 2_000_000
AHEAD_SECONDS = 60.0
"""A reading whose source timestamp lies further ahead of the present than this is refused: its source's clock is wrong."""
ABSURD = 1e100
"""Values beyond this are refused: no grid has them."""


@dataclass(slots=True)
class Counters:
    """What became of the readings. All but `readings` and `uncertain` count those that were not used."""

    readings: int = 0
    uncertain: int = 0
    bad: int = 0
    """Of bad quality: the point keeps its last good value until that is stale."""
    late: int = 0
    """Older by source timestamp than what the point already has."""
    ahead: int = 0
    """From a clock more than `AHEAD_SECONDS` ahead."""
    absurd: int = 0
    """Not a finite number, or beyond `ABSURD`."""
    unlisted: int = 0
    """Of new points while `MAX_POINTS` are held already."""
    unit_mismatch: int = 0
    """Used, but of a point whose first reading had another unit than the signal that takes it."""


@dataclass(slots=True)
class Live:
    """A state at work."""

    name: str
    state: State
    latched: bool = False
    """Entered and not cleared, whether or not it won."""
    true_since: float | None = None
    """When `when` became true, while `for` runs."""
    timed: bool = False
    """A timer will look at it again."""
    eligible: Truth = False


class Evaluator:
    """The rules at work on the points of one grid."""

    def __init__(self, rules: Rules, now: float) -> None:
        self.rules = rules
        self.counters = Counters()
        self.now = now
        self.active = NO_DATA
        """Name of the active state."""
        self.since = now
        self.gauges: dict[str, Gauge] = {}
        self._board = Board()
        self.points = self._board.points
        self._order = count()
        self._stale_at: list[tuple[float, int, Gauge, int]] = []
        """A heap with one entry for every point that counts in a gauge: when to look whether it is still fresh."""
        self._held_until = math.inf
        """When the active state's `hold` ends; inf once it has."""
        self._resumed: tuple[str, float] | None = None
        self._install({})
        self._settle(now)

    def ingest(self, readings: Iterable[tuple[str, float, float, str, Quality]], now: float) -> Standing | None:
        """Take `Reading`s, or tuples like them, that arrive together. Return the new Standing if the active state changed."""
        now = self.now = max(now, self.now)
        horizon = now + AHEAD_SECONDS
        points, counters = self.points, self.counters
        index, times, seen, values, qualities = points.index, points.times, points.seen, points.values, points.qualities
        low, high, listeners = points.low, points.high, points.listeners
        received = 0
        for name, value, time, unit, quality in readings:
            received += 1
            try:
                point = index[name]
            except KeyError:
                if len(points) >= MAX_POINTS:
                    counters.unlisted += 1
                    continue
                point = points.add(name, unit)
                self._connect(point)
            if quality == BAD:
                counters.bad += 1
            elif time < times[point]:
                counters.late += 1
            elif not -ABSURD < value < ABSURD:
                counters.absurd += 1
            elif not time <= horizon:
                counters.ahead += 1
            else:
                if quality != GOOD:
                    counters.uncertain += 1
                    points.keep_good(point)
                times[point] = time
                seen[point] = time if time < now else now
                values[point] = value
                qualities[point] = quality
                if low[point] < value < high[point]:
                    continue
                for update, slot, gauge in listeners[point]:
                    if quality == GOOD or gauge.signal.uncertain == "use":
                        update(slot, value)
        counters.readings += received
        return self._settle(now)

    def tick(self, now: float) -> Standing | None:
        """Let time pass. Return the new Standing if the active state changed. To be called at `deadline()` at the latest."""
        return self._settle(max(now, self.now))

    def until(self, now: float) -> Iterator[Standing]:
        """Let time pass to `now` with a tick whenever one is due, as the service would. Yield every new Standing."""
        while (due := self.deadline()) is not None and due <= now:
            if standing := self.tick(due):
                yield standing

    def expire(self, names: Collection[str], now: float) -> Standing | None:
        """What these points last reported is too old from now on, whatever its time says. Return the new Standing if the active state changed."""
        gone = {self.points.index[name] for name in names if name in self.points.index}
        for point in gone:
            self.points.expire(point, max(self.now, now))
        if gone:
            self._stale_at = [(-math.inf if gauge.members[slot] in gone else at, order, gauge, slot) for at, order, gauge, slot in self._stale_at]
            heapq.heapify(self._stale_at)
        return self.tick(now)

    def set_back(self, seconds: float) -> None:
        """The clock behind `now` was set back by so much: everything stays as old as it was, and no reading is late only because of that."""
        self.now -= seconds
        self.since -= seconds
        self._held_until -= seconds
        if self._resumed is not None:
            self._resumed = self._resumed[0], self._resumed[1] - seconds
        for live in self.ranked:
            if live.true_since is not None:
                live.true_since -= seconds
        self._stale_at = [(at - seconds, order, gauge, slot) for at, order, gauge, slot in self._stale_at]
        self._timers[:] = [(at - seconds, rank) for at, rank in self._timers]
        heapq.heapify(self._stale_at)
        heapq.heapify(self._timers)
        self.points.set_back(seconds, self.now)
        for gauge in self.gauges.values():
            gauge.set_back(seconds)

    def deadline(self) -> float | None:
        """When the next `tick` is due: a point may go stale, or a `for` or `hold` ends. None: not before the next reading."""
        due = [heap[0][0] for heap in (self._stale_at, self._timers) if heap]
        due.append(self._held_until)
        return None if (first := min(due)) == math.inf else first

    def standing(self, now: float) -> Standing:
        """The active state and its reasons, with values and ages as of `now`."""
        return describe(self, now)

    def holds_until(self) -> float | None:
        """When the active state's `hold` ends; None when none runs."""
        return self._held_until if self._held_until < math.inf else None

    def pending(self) -> dict[str, float]:
        """The states whose `for` runs, and when it ends."""
        return {live.name: live.true_since + live.state.for_ for live in self.ranked if live.true_since is not None}

    def values(self) -> dict[str, float | None]:
        """Every signal's value; None where it is missing or stale."""
        return {name: gauge.known() for name, gauge in self.gauges.items()}

    def swap(self, rules: Rules, now: float) -> Standing | None:
        """Go on under other rules. Points keep their readings; signals of the same name and definition, and states of the same name, go on as they are.

        A `hold` that changed counts from when the state was entered.
        """
        now = max(now, self.now)
        before = {live.name: live for live in self.ranked}
        kept = {name: gauge for name, gauge in self.gauges.items() if rules.signals.get(name) == gauge.signal and not gauge.signal.expression}
        self.rules = rules
        self._install(kept)
        for live in self.ranked:
            if (old := before.get(live.name)) is not None:
                live.latched = old.latched
                live.true_since = old.true_since if old.state == live.state else None
        self._hold(now)
        return self._settle(now)

    def resume(self, state: str, since: float) -> Standing | None:
        """After a restart: the grid was in `state` since `since`. It needs no `for` to be entered again, and keeps `since` if data finds it so."""
        if state == self.active:
            self.since = since
        else:
            self._resumed = (state, since)
        for rank, live in enumerate(self.ranked):
            if live.name == state:
                live.latched = True
                self._dirty.add(rank)
        standing = self._settle(self.now)
        if self.active != NO_DATA:
            self._resumed = None
        return standing

    def _install(self, kept: dict[str, Gauge]) -> None:
        """Build everything that follows from the rules, around the gauges that are kept, and feed it what the points hold."""
        rules = self.rules
        of_points = {name: kept.get(name) or GAUGES[signal.take](name, signal, self._board) for name, signal in rules.signals.items() if not signal.expression}
        for gauge in of_points.values():
            gauge.makes.clear()
        self.gauges = {name: of_points.get(name) or Derived(name, signal, self._board, of_points) for name, signal in rules.signals.items()}
        self._patterns: Patterns[Gauge] = Patterns()
        for gauge in self.gauges.values():
            gauge.comparisons.clear()
            gauge.touch()
            for pattern in gauge.signal.of:
                self._patterns.add(pattern, gauge)
        known = set(kept.values())
        self._stale_at = [entry for entry in self._stale_at if entry[2] in known]
        heapq.heapify(self._stale_at)
        for point, listeners in enumerate(self.points.listeners):
            self.points.listeners[point] = tuple(listener for listener in listeners if listener[2] in known)
            self._connect(point, known)
        self.ranked = [Live(name, rules.states[name]) for name in rules.ranked()]
        self.truths: dict[Compare, Truth] = {}
        self._users: dict[Compare, set[int]] = {}
        for rank, live in enumerate(self.ranked):
            for condition in (live.state.when, live.state.clear):
                for comparison in comparisons(condition) if condition else ():
                    if comparison not in self._users:
                        self._users[comparison] = set()
                        self.truths[comparison] = None
                        self.gauges[comparison.signal].comparisons.append(comparison)
                    self._users[comparison].add(rank)
        self._possible: list[int] = []
        self._timers: list[tuple[float, int]] = []
        self._dirty = set(range(len(self.ranked)))
        self._installed = True
        """These rules were never settled: a fallback alone makes nothing dirty, and yet is entered."""

    def _connect(self, point: int, connected: Collection[Gauge] = ()) -> None:
        """Let the gauges that speak of a point listen to it, but for those that do already, and tell them what the point holds."""
        points = self.points
        unit = points.units[point]
        for gauge in self._patterns.matching(points.names[point]):
            if gauge in connected:
                continue
            slot = gauge.join(point)
            points.listeners[point] += ((gauge.update, slot, gauge),)
            value, seen = gauge.latest(slot)
            if seen > -math.inf:
                gauge.update(slot, value)
            if unit and gauge.signal.take in ("value", "max", "min", "mean", "sum"):
                gauge.unit = gauge.unit or unit
                self.counters.unit_mismatch += gauge.unit != unit
        points.bound(point)

    def _settle(self, now: float) -> Standing | None:
        """Bring everything that readings or the passing of time touched up to date, and see which state wins."""
        self.now = now
        board, dirty = self._board, self._dirty
        for gauge, slot in board.returned:
            deadline = gauge.latest(slot)[1] + gauge.stale_after
            if not gauge.fresh[slot] and deadline > now:
                gauge.count(slot)
                heapq.heappush(self._stale_at, (deadline, next(self._order), gauge, slot))
        board.returned.clear()
        while self._stale_at and self._stale_at[0][0] <= now:
            _, order, gauge, slot = self._stale_at[0]
            deadline = gauge.latest(slot)[1] + gauge.stale_after
            if deadline > now:
                heapq.heapreplace(self._stale_at, (deadline, order, gauge, slot))
            else:
                heapq.heappop(self._stale_at)
                gauge.discount(slot)
        touched = dict.fromkeys(board.touched)
        for gauge in board.touched:
            touched |= gauge.makes
        for gauge in touched:
            for comparison, truth in gauge.settle().items():
                if self.truths[comparison] is not truth:
                    self.truths[comparison] = truth
                    dirty |= self._users[comparison]
        board.touched.clear()
        while self._timers and self._timers[0][0] <= now:
            rank = heapq.heappop(self._timers)[1]
            self.ranked[rank].timed = False
            dirty.add(rank)
        if not dirty and now < self._held_until and not self._installed:
            return None
        self._installed = False
        for rank in dirty:
            self._judge(rank, now)
        dirty.clear()
        return self._enter(self._winner(now), now)

    def _judge(self, rank: int, now: float) -> None:
        """Is this state eligible now? True, false, or unknown."""
        live = self.ranked[rank]
        state = live.state
        assert state.when is not None
        truth = judge(state.when, self.truths)
        if live.latched and state.clear is not None:
            truth = either(truth, negate(judge(state.clear, self.truths)))
        if truth is None and state.on_stale in ("silent", "keep"):
            live.true_since = None
            live.eligible = None if state.on_stale == "silent" else live.latched
        elif truth or (truth is None and state.on_stale == "true"):
            if not live.latched:
                live.true_since = now if live.true_since is None else live.true_since
                live.latched = live.true_since + state.for_ <= now
            if live.latched:
                live.true_since = None
            elif not live.timed:
                live.timed = True
                assert live.true_since is not None
                heapq.heappush(self._timers, (live.true_since + state.for_, rank))
            live.eligible = live.latched
        else:
            live.latched, live.true_since, live.eligible = False, None, False
        at = bisect_left(self._possible, rank)
        listed = at < len(self._possible) and self._possible[at] == rank
        if live.eligible is False and listed:
            del self._possible[at]
        elif live.eligible is not False and not listed:
            self._possible.insert(at, rank)

    def _winner(self, now: float) -> str:
        """The first state that is not certainly false wins if it is true; if it is unknown, nobody can say what the grid is in."""
        first = self.ranked[self._possible[0]] if self._possible else None
        active = next((live for live in self.ranked if live.name == self.active), None) if now < self._held_until < math.inf else None
        if active is not None and active.eligible is not None and (first is None or first.state.priority <= active.state.priority):
            return active.name
        if first is None:
            return self.rules.fallback or NO_STATE
        return first.name if first.eligible else NO_DATA

    def _enter(self, name: str, now: float) -> Standing | None:
        """Make `name` the active state; the new Standing if it was not."""
        if self._held_until <= now:
            self._held_until = math.inf
        if name == self.active:
            return None
        self.active, self.since = name, now
        if self._resumed is not None and name != NO_DATA:
            state, since = self._resumed
            self._resumed = None
            self.since = since if state == name else now
        self._hold(now)
        return self.standing(now)

    def _hold(self, now: float) -> None:
        """Begin the active state's `hold`, or what is left of it."""
        hold = self.rules.states[self.active].hold if self.active in self.rules.states else 0.0
        self._held_until = self.since + hold if self.since + hold > now else math.inf
