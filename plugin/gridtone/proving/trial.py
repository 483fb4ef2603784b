"""Rule tests run: readings go in as a source would send them, timers go off when they are due, and the conductor follows."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from gridtone.conductor import Candidate, Conductor, ConductorSettings
from gridtone.cue import Cue
from gridtone.documents import Place, Problem
from gridtone.library.track import Track
from gridtone.proving.cases import Expectation, LoadedSuite
from gridtone.proving.series import Series
from gridtone.rules import NO_DATA, Evaluator, Rules, Standing
from gridtone_adapters import Quality, Reading

START = 1_767_225_600.0
"""When every test begins, seconds since the Unix epoch: 2026-01-01."""
NEVER_FRESH = 0.0
DWELL_STEP_SECONDS = 1.0
"""While the music lags behind the state, the conductor looks again so often."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test."""

    name: str
    expectations: int
    failures: tuple[Problem, ...]
    """One for each thing that was not as expected, at its line."""
    seconds: float
    """How long it took to run."""


def run_suite(loaded: LoadedSuite) -> Iterator[Outcome]:
    """Run the tests of a file, one after the other."""
    for number, case in enumerate(loaded.suite.tests):
        began = time.perf_counter()
        expectations = sorted(enumerate(case.expect), key=lambda numbered: numbered[1].at)
        grid = _Grid(loaded.rules, case.interval or loaded.suite.interval, {**loaded.suite.series, **case.series})
        failures: list[Problem] = []
        for order, expected in expectations:
            standing, cue = grid.at(expected.at)
            place: Place = ("tests", number, "expect", order)
            failures += (loaded.document.problem((*place, key), message) for key, message in _differences(expected, standing, cue))
        yield Outcome(case.name, len(case.expect), tuple(failures), time.perf_counter() - began)


class _Grid:
    """The grid that a test tells of, with listeners."""

    def __init__(self, rules: Rules, interval: float, series: dict[str, Series]) -> None:
        self._interval, self._series = interval, series
        self._steps = count()
        self._next = next(self._steps)
        self._evaluator = Evaluator(rules, START)
        self._standing, self._now = self._evaluator.standing(START), START
        stock = {name: [Candidate(_track(name), True)] for name, state in rules.states.items() if state.prompt}
        silence = Cue(0, START, "silence", NO_DATA, self._standing.reason)
        self._conductor = Conductor(ConductorSettings(), lambda state: stock.get(state, []), lambda _: list(rules.states), silence)

    def at(self, seconds: float) -> tuple[Standing, Cue]:
        """How things stand so long after the start; not before any time that was asked for already."""
        now = START + seconds
        while (step := START + self._next * self._interval) <= now:
            self._pass(step)
            self._read(self._next, step)
            self._next = next(self._steps)
        self._pass(now)
        return self._evaluator.standing(now), self._conductor.cue

    def _pass(self, now: float) -> None:
        for standing in self._evaluator.until(now):
            self._follow(standing, self._evaluator.now)
        self._follow(self._standing, now)

    def _read(self, step: int, now: float) -> None:
        samples = {point: series.at(step) for point, series in self._series.items()}
        readings = [Reading(point, sample[0], now, "", sample[1]) for point, sample in samples.items() if isinstance(sample, tuple)]
        gone = [point for point, sample in samples.items() if sample == "stale"]
        readings += [Reading(point, 0.0, NEVER_FRESH, "", Quality.UNCERTAIN) for point in gone if point not in self._evaluator.points.index]
        for changed in (self._evaluator.expire(gone, now), self._evaluator.ingest(readings, now)):
            self._follow(changed or self._standing, now)

    def _follow(self, standing: Standing, now: float) -> None:
        while self._conductor.cue.state != self._standing.state and self._now + DWELL_STEP_SECONDS < now:
            self._now += DWELL_STEP_SECONDS
            self._conductor.follow(self._standing, self._now)
        self._standing, self._now = standing, now
        self._conductor.follow(standing, now)


def _track(state: str) -> Track:
    """A track without an end."""
    return Track(state, state, "", 1e9, 48000, None, None, None, None, 0.0, -23.0, -6.0, "", "", 0, "", 0.0)


Difference: TypeAlias = tuple[str, str]
"""The key of an expectation, and what came instead."""


def _differences(expected: Expectation, standing: Standing, cue: Cue) -> Iterator[Difference]:
    when = f"at {in_words(expected.at)}: "
    because = f" ({standing.reason['en']})"
    playing = cue.track.state if cue.track else None
    for key, wanted, came in (
        ("state", expected.state, standing.state),
        ("severity", expected.severity, standing.severity),
        ("silent", expected.silent, standing.silent),
        ("cue", expected.cue, cue.action),
        ("plays", expected.plays, playing),
    ):
        if wanted is not None and wanted != came:
            yield key, f"{when}expected {key} `{_shown(wanted)}`, got `{_shown(came)}`{because if key != 'cue' else ''}"
    for text in expected.reason:
        if not any(text in sentence for sentence in standing.reason.values()):
            yield "reason", f"{when}expected the reason to say `{text}`, got `{' / '.join(standing.reason.values())}`"
    if expected.also_true is not None and set(expected.also_true) != set(standing.also_true):
        yield "also_true", f"{when}expected also_true [{', '.join(expected.also_true)}], got [{', '.join(standing.also_true)}]"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "nothing" if value is None else str(value)


def in_words(seconds: float) -> str:
    """`1h30m`, as it would be written in a file."""
    words = "".join(f"{int(part)}{unit}" for part, unit in ((seconds // 3600, "h"), (seconds % 3600 // 60, "m")) if part)
    rest = seconds % 60
    return f"{words}{rest:.6g}s" if rest or not words else words
