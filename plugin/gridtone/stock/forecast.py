"""Where the grid is going: how likely it enters each state while a track is being made.

Plain statistics of this site's own history. The grid is taken for a chain of states whose rates of change depend on the hour and the kind of day:

    rate(a -> b) = changes from a to b / time spent in a,   per hour of the day and kind of day

Both are forgotten exponentially, half in `HALF_LIFE_DAYS`. An hour with little history leans on the same hour of all days, that on the whole day, and that on a
prior in which every state may follow, the graver a little sooner. How long the current state has lasted scales the rates out of it, as far as earlier stays
tell. A state whose limit the signals approach in a steady ramp is a little likelier (`RAMP_TRUST`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gridtone.library.span import StateSpan
from gridtone.words import Words

HOUR, DAY = 3600.0, 86400.0
HALF_LIFE_DAYS = 30.0
KINDS_OF_DAY = (0, 0, 0, 0, 0, 1, 2)
"""Monday to Sunday: working days are alike."""
LEAN_SECONDS = 3 * HOUR
"""History of an hour that weighs as much as what it leans on."""
PRIOR_CHANGES = 4.0
"""A day, before there is any history."""
PRIOR_SECONDS = DAY
"""History that weighs as much as the prior."""
LEAN_STAYS = 5.0
"""Earlier stays, as long as the current one, that weigh as much as the rates do."""
STAYS_KEPT = 500
STEPS = 12
"""In which the horizon is walked."""
GAP_SECONDS = 1.0
"""Spans further apart are no change of state: nobody watched in between."""
RAMP_TRUST = 0.1
"""How likely a steady ramp that reaches a state's limit within the horizon leads there, of itself. In the demo's year one in nine did within 15 minutes."""

Bins = NDArray[np.float64]
"""One number for every kind of day and hour, shape (3, 24)."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A state as the forecast sees it."""

    probability: float
    """That it is entered within the horizon, 0 to 1; 1 for the current state."""
    times: float = 0.0
    """How often it directly followed the current state at this hour, old times counting less."""
    hours: float = 0.0
    """Of the current state that were watched at this hour, old ones counting less."""
    reached_in_seconds: float | None = None
    """When a ramp reaches its limit; None where none does within the horizon."""

    def reason(self, current: Words) -> Words:
        """Why it is expected, for a person. `current`: what people call the current state."""
        english, chinese = current["en"], current.get("zh", current["en"])
        words = {
            "en": f"at this hour it followed “{english}” about {self.times:.0f} times in {self.hours:.0f} h",
            "zh": f"此时段内“{chinese}”的 {self.hours:.0f} 小时中约有 {self.times:.0f} 次转入",
        }
        if self.reached_in_seconds is not None:
            minutes = self.reached_in_seconds / 60
            words = {"en": f"its limit is {minutes:.0f} min away; {words['en']}", "zh": f"按当前趋势 {minutes:.0f} 分钟后达到限值；{words['zh']}"}
        return words


class Forecast:
    """Learns from history, and tells what to expect. Not thread-safe: its owner holds the lock."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        """`zone` is where hours and days are counted; the machine's own without it."""
        self._zone = zone
        self._learnt = 0.0
        """Up to here, seconds since the Unix epoch."""
        self._seconds: dict[str, Bins] = {}
        self._changes: dict[str, dict[str, Bins]] = {}
        self._stays: dict[str, list[tuple[float, float]]] = {}
        """Length in seconds and weight of the latest stays that ended in a change."""

    @property
    def learnt(self) -> float:
        """Spans that begin before this are known already, seconds since the Unix epoch."""
        return self._learnt

    def learn(self, spans: Sequence[StateSpan]) -> None:
        """Take in the states that have ended, oldest first. A span counts once another follows it; one that was learnt before is passed over."""
        for span, after in pairwise(spans):
            if span.end is None or span.start < self._learnt:
                continue
            self._learnt = after.start
            weight = _weight(span.end)
            seconds = self._seconds.setdefault(span.state, _nothing())
            for kind, hour, length in self._hours(span.start, span.end):
                seconds[kind, hour] += weight * length
            if after.start - span.end < GAP_SECONDS and after.state != span.state:
                kind, hour = self._bin(span.end)
                self._changes.setdefault(span.state, {}).setdefault(after.state, _nothing())[kind, hour] += weight
                stays = self._stays.setdefault(span.state, [])
                stays.append((span.end - span.start, weight))
                del stays[:-STAYS_KEPT]

    def expect(
        self,
        states: Sequence[str],
        current: str | None,
        since: float,
        now: float,
        horizon_seconds: float,
        reached_in: Mapping[str, float] | None = None,
    ) -> dict[str, Expectation]:
        """What to expect of each of `states`, given the gravest first, until `now + horizon_seconds`.

        `current` is the state since `since`; `reached_in` says in how many seconds a ramp enters a state.
        """
        prior = _prior(states)
        nodes = list(dict.fromkeys([*([current] if current else []), *(state for state in self._seconds if state in prior or state == current)]))
        scale = 1 / _weight(now)
        reached = self._reached(nodes, prior, current, now - since, now, horizon_seconds, scale)
        _, hour = self._bin(now)
        expected = {}
        for state in states:
            rate = prior[state] * PRIOR_CHANGES / PRIOR_SECONDS
            probability = 1.0 if state == current else reached.get(state, -math.expm1(-rate * horizon_seconds))
            ramp = (reached_in or {}).get(state, np.inf)
            ramp_reached = ramp if ramp <= horizon_seconds and state != current else None
            if ramp_reached is not None:
                probability = 1 - (1 - probability) * (1 - RAMP_TRUST)
            followed = self._changes.get(current or "", {}).get(state)
            expected[state] = Expectation(
                probability,
                scale * followed[:, hour].sum().item() if followed is not None else 0.0,
                scale * self._seconds.get(current or "", _nothing())[:, hour].sum().item() / HOUR,
                ramp_reached,
            )
        return expected

    def _reached(
        self, nodes: list[str], prior: Mapping[str, float], current: str | None, lasted: float, now: float, horizon: float, scale: float
    ) -> dict[str, float]:
        """Probability that each state is entered from the current one within the horizon: first passages of the chain, walked backwards from the horizon."""
        if current is None or not nodes:
            return {}
        step = horizon / STEPS
        walks: dict[tuple[int, int], NDArray[np.float64]] = {}
        hits = np.zeros((len(nodes), len(nodes)))
        dwell_factor = self._dwell_factor(current, lasted, horizon, scale)
        for number in reversed(range(STEPS)):
            kind_hour = self._bin(now + (number + 0.5) * step)
            if kind_hour not in walks:
                rates = self._rates(nodes, prior, *kind_hour, scale)
                rates[0] *= dwell_factor
                walks[kind_hour] = _walk(rates, step)
            np.fill_diagonal(hits, 1.0)
            hits = walks[kind_hour] @ hits
        return dict(zip(nodes, hits[0].clip(0, 1).tolist(), strict=True))

    def _rates(self, nodes: list[str], prior: Mapping[str, float], kind: int, hour: int, scale: float) -> NDArray[np.float64]:
        """Changes a second from each node (rows) to each other (columns) at that hour of such a day."""
        column = {node: number for number, node in enumerate(nodes)}
        likely = PRIOR_CHANGES * np.array([prior.get(node, 0.0) for node in nodes])
        rates = np.zeros((len(nodes), len(nodes)))
        for row, before in enumerate(nodes):
            ever, at_hour, today = likely.copy(), np.zeros(len(nodes)), np.zeros(len(nodes))
            for after, seen in self._changes.get(before, {}).items():
                if after in column:
                    ever[column[after]] += scale * seen.sum()
                    at_hour[column[after]] = scale * seen[:, hour].sum()
                    today[column[after]] = scale * seen[kind, hour]
            spent = scale * self._seconds.get(before, _nothing())
            rate = ever / (spent.sum() + PRIOR_SECONDS)
            rate = (at_hour + LEAN_SECONDS * rate) / (spent[:, hour].sum() + LEAN_SECONDS)
            rates[row] = (today + LEAN_SECONDS * rate) / (spent[kind, hour] + LEAN_SECONDS)
        np.fill_diagonal(rates, 0.0)
        return rates

    def _dwell_factor(self, state: str, lasted: float, horizon: float, scale: float) -> float:
        """How much sooner than usual a state ends that has lasted so long, as earlier stays tell. The root of it, for the hour tells much of the same."""
        stays = np.array(self._stays.get(state, [])).reshape(-1, 2)
        outlasting = stays[stays[:, 0] > lasted]
        exponent = horizon / self._mean_stay(state, scale)
        expected = -math.expm1(-exponent)
        ended = scale * outlasting[outlasting[:, 0] <= lasted + horizon, 1].sum().item()
        share = (ended + LEAN_STAYS * expected) / (scale * outlasting[:, 1].sum().item() + LEAN_STAYS)
        return math.sqrt(-math.log1p(-min(share, 0.999)) / exponent)

    def _mean_stay(self, state: str, scale: float) -> float:
        """Seconds."""
        spent = scale * self._seconds.get(state, _nothing()).sum().item()
        changes = scale * sum(seen.sum().item() for seen in self._changes.get(state, {}).values())
        return float((spent + PRIOR_SECONDS / PRIOR_CHANGES) / (changes + 1))

    def _bin(self, time: float) -> tuple[int, int]:
        moment = datetime.fromtimestamp(time, self._zone)
        return KINDS_OF_DAY[moment.weekday()], moment.hour

    def _hours(self, start: float, end: float) -> Iterator[tuple[int, int, float]]:
        """The hours that a stretch of time covers, as kind of day, hour, and seconds of it."""
        while start < end:
            moment = datetime.fromtimestamp(start, self._zone)
            length = HOUR - timedelta(minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond).total_seconds()
            yield KINDS_OF_DAY[moment.weekday()], moment.hour, min(length, end - start)
            start += max(length, 1e-3)


def _nothing() -> Bins:
    return np.zeros((max(KINDS_OF_DAY) + 1, 24))


def _weight(time: float) -> float:
    """Of what happens at `time`, beside what happens at others: only ratios of weights mean anything."""
    return float(2.0 ** ((time / DAY - 20_000) / HALF_LIFE_DAYS))


def _prior(states: Sequence[str]) -> dict[str, float]:
    """The share of changes that lead to each state before there is history: the gravest, first, is three times as likely as the last."""
    shares = np.linspace(1.5, 0.5, len(states))
    return dict(zip(states, (shares / shares.sum()).tolist(), strict=True)) if states else {}


def _walk(rates: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Probabilities of one step, from changes a second: rows sum to 1."""
    leaving = rates.sum(axis=1, keepdims=True)
    walk: NDArray[np.float64] = np.divide(rates, leaving, out=np.zeros_like(rates), where=leaving > 0) * -np.expm1(-leaving * step)
    np.fill_diagonal(walk, np.exp(-leaving[:, 0] * step))
    return walk
