"""Rules run over history: which states the grid would have been in."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gridtone.rules import NO_DATA, Evaluator, Rules
from gridtone.rules.evaluator import Counters
from gridtone.stock.settings import StockSettings
from gridtone.words import Words
from gridtone_adapters.recording import Moment

STEP_SECONDS = 0.25
"""Readings so close together are judged together, as in the service."""
FLAP_SECONDS = 60.0
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The grid in one state."""

    state: str
    start: float
    end: float
    reason: Words


@dataclass(frozen=True, slots=True)
class Timeline:
    """The states of a history, one after the other without a gap."""

    rules: Rules
    stretches: tuple[Stretch, ...]
    counters: Counters
    unseen: tuple[str, ...]
    """Signals without a value throughout, since none of their points reported."""
    lapses: int
    """How often data went missing, also for no longer than a moment."""


class Run:
    """One set of rules on its way through history."""

    def __init__(self, rules: Rules, start: float) -> None:
        self._evaluator = Evaluator(rules, start)
        self._begun = [(start, self._evaluator.active, self._evaluator.standing(start).reason)]

    def read(self, moment: Moment) -> None:
        now, rows = moment
        evaluator = self._evaluator
        deadline = evaluator.deadline()
        if deadline is not None and deadline <= now:
            for standing in evaluator.until(now):
                self._begun.append((evaluator.now, standing.state, standing.reason))
        if (changed := evaluator.ingest(rows, now)) is not None:
            self._begun.append((now, changed.state, changed.reason))

    def end(self, now: float) -> Timeline:
        ends = [*(start for start, _, _ in self._begun[1:]), max(now, self._begun[-1][0])]
        stretches: list[Stretch] = []
        for (start, state, reason), end in zip(self._begun, ends, strict=True):
            if end > start and stretches and stretches[-1].state == state:  # what lay between took no time
                stretches[-1] = replace(stretches[-1], end=end)
            elif end > start:
                stretches.append(Stretch(state, start, end, reason))
        gauges = self._evaluator.gauges.values()
        unseen = tuple(gauge.name for gauge in gauges if gauge.signal.of and not gauge.members and gauge.signal.absent is None)
        lapses = sum(state == NO_DATA for _, state, _ in self._begun[1:])
        return Timeline(self._evaluator.rules, tuple(stretches), self._evaluator.counters, unseen, lapses)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Millions of short-lived tuples make Python look for cycles again and again, where there are none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def replay(moments: Iterable[Moment], all_rules: list[Rules]) -> list[Timeline]:
    """Run several rules over one history. Raises ValueError for a history without readings, or of one moment, in which nothing lasts."""
    runs: list[Run] = []
    now = 0.0
    with collector_paused():
        for moment in moments:
            now = moment[0]
            runs = runs or [Run(rules, now) for rules in all_rules]
            for run in runs:
                run.read(moment)
    if not runs:
        raise ValueError("there are no readings to replay: is the file empty, are its rows all refused, or does `--since` leave none?")
    timelines = [run.end(now) for run in runs]
    if not timelines[0].stretches:
        raise ValueError("there are no readings to replay but those of one moment: does `--since` leave too little, or does the file hold a single time?")
    return timelines


@dataclass(frozen=True, slots=True)
class StateFigures:
    """One state over a history."""

    state: str
    seconds: float
    share: float
    """Of the history, 0 to 1."""
    entries: int
    longest_seconds: float
    flaps: int
    """How often it was left within `FLAP_SECONDS` for the state that it was entered from."""
    plays: int
    """Tracks that would have begun."""
    tracks: int
    """Tracks to be made for that, each fresh for so many plays."""


def figures(timeline: Timeline, stock: StockSettings) -> list[StateFigures]:
    """Every state that occurred, the longest time first."""
    total = timeline.stretches[-1].end - timeline.stretches[0].start
    found = []
    for state in dict.fromkeys(stretch.state for stretch in timeline.stretches):
        lengths = [stretch.end - stretch.start for stretch in timeline.stretches if stretch.state == state]
        heard = state in timeline.rules.states and not timeline.rules.states[state].silent
        prompt = timeline.rules.states[state].prompt if heard else None
        track_seconds = (prompt.seconds if prompt else None) or stock.track_seconds
        plays = sum(int(-(-length // track_seconds)) for length in lengths) if heard else 0
        found.append(
            StateFigures(state, sum(lengths), sum(lengths) / total, len(lengths), max(lengths), _flaps(timeline, state), plays, -(-plays // stock.fresh_plays))
        )
    return sorted(found, key=lambda figure: -figure.seconds)


def _flaps(timeline: Timeline, state: str) -> int:
    around = zip(timeline.stretches, timeline.stretches[1:], timeline.stretches[2:], strict=False)
    return sum(here.state == state and before.state == after.state and here.end - here.start < FLAP_SECONDS for before, here, after in around)


def changes_an_hour(timeline: Timeline, percentile: float = 99.0) -> float:
    """State changes in an hour, at a percentile of all the hours of the history."""
    start, end = timeline.stretches[0].start, timeline.stretches[-1].end
    changes = [after.start for _, after in pairwise(timeline.stretches)]
    hours = max(1, int(np.ceil((end - start) / HOUR)))
    counts, _ = np.histogram(changes, bins=hours, range=(start, start + hours * HOUR))
    return float(np.percentile(counts, percentile))


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two rules would have differed."""

    start: float
    end: float
    state: str
    other: str
    reason: Words
    """As it was told at `since`."""
    other_reason: Words
    """As it was told at `other_since`."""
    since: float
    """When `state` was entered, which may be long before the two differ."""
    other_since: float


def differences(one: Timeline, other: Timeline) -> Iterator[Difference]:
    """Every stretch in which the two states differ, in order of time."""
    left, right = iter(one.stretches), iter(other.stretches)
    a, b = next(left, None), next(right, None)
    while a and b:
        start, end = max(a.start, b.start), min(a.end, b.end)
        if a.state != b.state and end > start:
            yield Difference(start, end, a.state, b.state, a.reason, b.reason, a.start, b.start)
        if a.end <= b.end:
            a = next(left, None)
        else:
            b = next(right, None)
