"""When the signals reach the limits of states, if they go on as they do: of those that the grid is not in, and of those that it would leave."""

import math
from collections.abc import Mapping

import numpy as np

from gridtone.rules.condition import All, AnyOf, Compare, Condition, Not
from gridtone.rules.evaluator import Evaluator
from gridtone.trend import Trends

WATCHED_SECONDS = 900.0
LEAST_SAMPLES = 4
STEADY = 0.8
"""Share of a signal's variance that a straight line must explain (r squared) to count as a ramp."""


def reached_in(evaluator: Evaluator, trends: Trends, now: float, watched_seconds: float = WATCHED_SECONDS) -> dict[str, float]:
    """State -> seconds until it is entered, for those that signals approach; of those whose `for` runs, until that ends."""
    values, slopes, pending = evaluator.values(), _slopes(evaluator, trends, now, watched_seconds), evaluator.pending()
    found = {}
    for name, state in evaluator.rules.states.items():
        if name != evaluator.active and state.when is not None:
            seconds = pending[name] - now if name in pending else until_true(state.when, values, slopes) + state.for_
            if seconds < math.inf:
                found[name] = max(0.0, seconds)
    return found


def cleared_in(evaluator: Evaluator, trends: Trends, now: float) -> dict[str, float]:
    """State that is entered -> seconds until `when` is false and `clear` true, where signals approach that."""
    values, slopes = evaluator.values(), _slopes(evaluator, trends, now, WATCHED_SECONDS)
    found = {}
    for live in evaluator.ranked:
        if live.latched and live.state.when is not None:
            ends = until_true(live.state.when, values, slopes, wanted=False)
            seconds = max(ends, until_true(live.state.clear, values, slopes)) if live.state.clear else ends
            if 0 < seconds < math.inf:
                found[live.name] = seconds
    return found


def _slopes(evaluator: Evaluator, trends: Trends, now: float, watched_seconds: float) -> dict[str, float]:
    return {name: slope(*trends.between(name, now - watched_seconds, now + 1.0)) for name in evaluator.gauges}


def slope(times: list[float], values: list[float | None]) -> float:
    """Change a second of a steady ramp; 0 where there is none."""
    known = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
    if len(known) < LEAST_SAMPLES:
        return 0.0
    x, y = np.array(known).T
    x, y = x - x.mean(), y - y.mean()
    spread, varied = (x @ x).item(), (y @ y).item()
    if not spread or not varied:
        return 0.0
    covaried = (x @ y).item()
    return covaried / spread if covaried**2 >= STEADY * spread * varied else 0.0


def until_true(condition: Condition, values: Mapping[str, float | None], slopes: Mapping[str, float], wanted: bool = True) -> float:
    """Seconds until a condition is true (or, for `wanted` False, is not) if every signal goes on along its slope; inf where that does not happen."""
    match condition:
        case Compare():
            return _until_compared(condition, values.get(condition.signal), slopes.get(condition.signal, 0.0), wanted)
        case Not(part):
            return until_true(part, values, slopes, not wanted)
        case All(parts) | AnyOf(parts):
            times = [until_true(part, values, slopes, wanted) for part in parts]
            return max(times) if isinstance(condition, All) == wanted else min(times)


def _until_compared(comparison: Compare, value: float | None, change: float, wanted: bool) -> float:
    if value is None:
        return math.inf
    if comparison.holds(value) == wanted:
        return 0.0
    seconds = (comparison.limit - value) / change if change else math.inf
    return seconds if seconds > 0 and comparison.operator not in ("==", "!=") else math.inf
