"""The rules as docs/rules.md tells them, written to be obviously right: everything is worked out anew at every moment. The oracle of the incremental one."""

import math
from dataclasses import dataclass, field

from gridtone.rules import NO_DATA, NO_STATE, Rules
from gridtone.rules.condition import All, AnyOf, Compare, Condition, Not
from gridtone.rules.model import Signal, State
from gridtone_adapters import Quality, Reading


def matches(pattern: str, point: str) -> bool:
    wanted, parts = pattern.split("/"), point.split("/")
    if wanted[-1] == "**":
        return len(parts) >= len(wanted) and all(want in ("*", part) for want, part in zip(wanted[:-1], parts, strict=False))
    return len(wanted) == len(parts) and all(want in ("*", part) for want, part in zip(wanted, parts, strict=True))


@dataclass
class Memory:
    """What a state remembers from one moment to the next."""

    latched: bool = False
    true_since: float | None = None


@dataclass
class SlowRules:
    rules: Rules
    now: float
    accepted: dict[str, list[tuple[Reading, float]]] = field(default_factory=dict)
    """Every reading of a point that was not refused, with the time it came."""
    memories: dict[str, Memory] = field(default_factory=dict)
    active: str = NO_DATA
    since: float = 0.0

    def __post_init__(self) -> None:
        self.since = self.now
        self.memories = {name: Memory() for name in self.rules.states}
        self.settle()

    def ingest(self, readings: list[Reading], now: float) -> None:
        self.now = now
        for reading in readings:
            history = self.accepted.setdefault(reading.point, [])
            refused = reading.quality == Quality.BAD or reading.time > now + 60 or (history and reading.time < history[-1][0].time)
            if not refused:
                history.append((reading, now))
        self.settle()

    def tick(self, now: float) -> None:
        self.now = now
        self.settle()

    def value(self, signal: Signal) -> float | None:
        if signal.expression:
            return signal.expression.value({name: self.value(self.rules.signals[name]) for name in signal.expression.signals})
        points = [point for point in self.accepted if any(matches(pattern, point) for pattern in signal.of)]
        if not points:
            return signal.absent
        fresh = []
        for point in points:
            history = [(r.value, min(r.time, came)) for r, came in self.accepted[point] if signal.uncertain == "use" or r.quality == Quality.GOOD]
            if history and history[-1][1] + signal.stale_after > self.now:
                fresh.append(history)
        stale_pct = 100 * (len(points) - len(fresh)) / len(points)
        if not fresh or stale_pct > signal.stale_pct:
            return None
        values = [history[-1][0] for history in fresh]
        match signal.take:
            case "value":
                return values[0]
            case "max":
                return max(values)
            case "min":
                return min(values)
            case "sum":
                return sum(values)
            case "mean":
                return sum(values) / len(values)
            case "count":
                return float(sum(signal.where.holds(value) for value in values))
            case "share":
                return 100 * sum(signal.where.holds(value) for value in values) / len(values)
            case "rate":
                return self.rate(signal, {time: value for value, time in fresh[0]})

    def rate(self, signal: Signal, value_at: dict[float, float]) -> float | None:
        """The least-squares slope by the textbook: n Sxy - Sx Sy over n Sxx - Sx Sx."""
        newest = max(value_at)
        window = {time - newest: value for time, value in value_at.items() if time >= newest - signal.over}
        if -min(window) < signal.over / 2:
            return None
        n, sx, sy = len(window), sum(window), sum(window.values())
        sxy, sxx = sum(time * value for time, value in window.items()), sum(time * time for time in window)
        return (n * sxy - sx * sy) / (n * sxx - sx * sx) * signal.per

    def truth(self, condition: Condition) -> bool | None:
        match condition:
            case Compare():
                value = self.value(self.rules.signals[condition.signal])
                return None if value is None else condition.holds(value)
            case Not(part):
                inner = self.truth(part)
                return None if inner is None else not inner
            case All(parts) | AnyOf(parts):
                truths = [self.truth(part) for part in parts]
                decides = isinstance(condition, AnyOf)
                if decides in truths:
                    return decides
                return None if None in truths else not decides

    def eligible(self, state: State, memory: Memory) -> bool | None:
        truth = self.truth(state.when)
        if memory.latched and truth is not True and state.clear is not None:
            clear = self.truth(state.clear)
            if clear is False:
                truth = True
            elif clear is None:
                truth = None
        if truth is None and state.on_stale == "silent":
            memory.true_since = None
            return None
        if truth is None and state.on_stale == "keep":
            memory.true_since = None
            return memory.latched
        if truth is None:
            truth = state.on_stale == "true"
        if not truth:
            memory.latched, memory.true_since = False, None
        elif not memory.latched:
            if memory.true_since is None:
                memory.true_since = self.now
            if memory.true_since + state.for_ <= self.now:
                memory.latched, memory.true_since = True, None
        return memory.latched

    def settle(self) -> None:
        states = self.rules.states
        order = [name for name in states if name != self.rules.fallback]
        truths = {name: self.eligible(states[name], self.memories[name]) for name in order}
        if self.active in truths and truths[self.active] is not None and self.now < self.since + states[self.active].hold:
            truths[self.active] = True
            order = [self.active, *(name for name in order if name != self.active)]
        winner = self.rules.fallback or NO_STATE
        best = -math.inf
        for name in order:
            if truths[name] is not False and states[name].priority > best:
                best = states[name].priority
                winner = name if truths[name] else NO_DATA
        if winner != self.active:
            self.active, self.since = winner, self.now
