"""Why the grid is in its state: every state of the rules, with what speaks for it and against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gridtone.alarms.view import AlarmsView
from gridtone.rules.condition import comparisons
from gridtone.rules.evaluator import Evaluator, Live
from gridtone.rules.model import title_of
from gridtone.rules.standing import Comparison, SignalView, Standing
from gridtone.rules.views import compared, decisive, view
from gridtone.stock.view import ForecastView
from gridtone.words import Words

Verdict = Literal["active", "true", "waiting", "unknown", "false"]


@dataclass(frozen=True, slots=True)
class StateReasons:
    """A state as it stands, active or not."""

    state: str
    title: Words
    severity: str
    priority: int
    verdict: Verdict
    """`true`: it holds, but lost by priority. `waiting`: its condition is true, but not for long enough yet. `unknown`: signals that decide are unknown."""
    when: str
    """The condition to enter, as written; empty for the fallback."""
    clear: str
    """The condition to leave; empty where `when` being false is enough."""
    entered: bool
    """Entered and not cleared: `clear` must be true before it ends."""
    comparisons: tuple[Comparison, ...]
    """Of both conditions."""
    for_seconds: float
    hold_seconds: float
    enters_at: float | None
    """When its `for` ends if nothing changes, seconds since the Unix epoch; None while none runs."""
    clears_in: float | None = None
    """Seconds until `when` is false and `clear` true, if the signals go on along the steady ramp that they are on; None where none leads there."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How everything stands at one moment."""

    time: float
    standing: Standing
    states: tuple[StateReasons, ...]
    """Every state of the rules, the highest priority first, the fallback last."""
    signals: tuple[SignalView, ...]
    """Every signal of the rules."""
    alarms: AlarmsView | None = None
    """The alarms, and whether the room keeps the music silent; None for a history, which does not tell."""
    forecast: ForecastView | None = None
    """Where the grid is going, as far as the stock looks ahead; None for a history."""


def explain(evaluator: Evaluator, now: float, cleared_in: Mapping[str, float] | None = None) -> Explanation:
    """How everything stands at `now`. `cleared_in`: in how many seconds the signals let states end, as `gridtone.stock.ramps` sees it."""
    rules = evaluator.rules
    states = [_reasons(live, evaluator, (cleared_in or {}).get(live.name)) for live in evaluator.ranked]
    if rules.fallback:
        fallback = rules.states[rules.fallback]
        verdict: Verdict = "active" if evaluator.active == rules.fallback else "false"
        states.append(
            StateReasons(rules.fallback, title_of(rules.fallback, fallback), fallback.severity, fallback.priority, verdict, "", "", False, (), 0.0, 0.0, None)
        )
    signals = tuple(view(gauge, evaluator, now) for gauge in evaluator.gauges.values())
    return Explanation(now, evaluator.standing(now), tuple(states), signals)


def _reasons(live: Live, evaluator: Evaluator, clears_in: float | None) -> StateReasons:
    state = live.state
    conditions = [condition for condition in (state.when, state.clear) if condition]
    deciding = decisive(evaluator, state.when)
    enters_at = evaluator.pending().get(live.name)
    verdict: Verdict
    if live.name == evaluator.active:
        verdict = "active"
    elif live.eligible is None:
        verdict = "unknown"
    else:
        verdict = "true" if live.eligible else "waiting" if enters_at is not None else "false"
    return StateReasons(
        live.name,
        title_of(live.name, state),
        state.severity,
        state.priority,
        verdict,
        str(state.when),
        str(state.clear or ""),
        live.latched,
        tuple(compared(evaluator, c, c in deciding) for c in dict.fromkeys(c for condition in conditions for c in comparisons(condition))),
        state.for_,
        state.hold,
        enters_at,
        clears_in,
    )
