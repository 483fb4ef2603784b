"""Did a fresh track wait whenever the grid changed its state? A year of the demo's grid in virtual time, with the real rules, planner, forecast and conductor.

The year is recorded first where there is none yet (about 12 minutes). What a track costs to make is measured on this machine for the composer, and given for
slower engines. Three stocks play the same year: one with the forecast, one whose targets are fixed (the state that has fewest tracks first), and one that makes
nothing ahead, but only for the state that the grid is in. All of them begin empty.
"""

import argparse
import math
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from quick_year import quick_year
from rich.console import Console
from rich.live import Live
from rich.table import Table

from gridtone.conductor import Candidate, Conductor, ConductorSettings
from gridtone.cue import Cue
from gridtone.demo.year import record_year
from gridtone.gate.check import check
from gridtone.gate.finish import finish
from gridtone.gate.limits import GateLimits
from gridtone.library.audio import encode_flac, encode_opus
from gridtone.library.span import StateSpan
from gridtone.library.track import Track
from gridtone.proving.past import past, patient
from gridtone.rules import NO_DATA, Evaluator, Rules, Standing, load_pack
from gridtone.stock.forecast import Expectation, Forecast
from gridtone.stock.pace import Pace
from gridtone.stock.planner import Need, Wish, plan
from gridtone.stock.ramps import reached_in
from gridtone.stock.settings import StockSettings
from gridtone.trend import Trends
from gridtone_adapters.recording import Moment
from gridtone_engine import Prompt, open_engine

RECORDINGS = Path(__file__).parents[2] / "build"
STALE_AFTER_SECONDS = 3600.0
"""The year has a reading every 15 minutes."""
RAMP_SECONDS = 3600.0
LEARNING_SECONDS = 21 * 86400.0
LOOK_EVERY = 6
"""Readings."""
REFRESH_HOUR = 3
TARGET = 0.999
POLICIES = ("forecast", "fixed targets", "on demand")


@dataclass(frozen=True, slots=True)
class Year:
    """What the rules make of the recording."""

    rules: Rules
    standings: list[tuple[float, Standing]]
    """Every change of state, and when."""
    ramps: list[tuple[float, dict[str, float]]]
    end: float


def replayed(moments: Iterable[Moment], rules: Rules) -> Year:
    """Run the rules over the year; at every moment, look where the signals are heading."""
    evaluator: Evaluator | None = None
    trends = Trends()
    standings, ramps, now = [], [], 0.0
    for now, rows in moments:
        evaluator = evaluator or Evaluator(rules, now)
        standings += [(evaluator.now, standing) for standing in evaluator.until(now)]
        if standing := evaluator.ingest(rows, now):
            standings.append((now, standing))
        trends.record(evaluator.values(), now)
        ramps.append((now, reached_in(evaluator, trends, now, RAMP_SECONDS)))
    return Year(rules, standings, ramps, now)


class Stock:
    """A stock in virtual time: the planner, the forecast and the conductor are the service's own."""

    def __init__(self, year: Year, work_seconds: float, policy: str, settings: StockSettings) -> None:
        """`work_seconds`: to make a second of music."""
        self.year, self.work_seconds, self.policy, self.settings = year, work_seconds, policy, settings
        ranked = sorted(year.rules.states.items(), key=lambda item: -item[1].priority)
        self.states = [name for name, state in ranked if state.prompt]
        self.tracks: dict[str, dict[str, Track]] = {state: {} for state in self.states}
        self.plays: Counter[str] = Counter()
        self.retired: set[str] = set()
        self.forecast, self.pace = Forecast(UTC), Pace()
        self.spans: list[StateSpan] = []
        self.ramps = iter(year.ramps)
        self.ramp: tuple[float, dict[str, float]] = (0.0, {})
        self.next_ramp = next(self.ramps)
        self.jobs: list[Wish] = []
        self.job_ends = math.inf
        self.now, self.made, self.busy_seconds = year.standings[0][0], 0, 0.0
        self.refreshed_on = self.now // 86400
        self.changes: list[tuple[float, str, bool]] = []
        """Time, state, and whether a fresh track was there."""
        self.standing = year.standings[0][1]
        silence = Cue(0, self.now, "silence", NO_DATA, self.standing.reason)
        self.conductor = Conductor(ConductorSettings(), self.candidates, lambda _: self.states, silence)

    def run(self) -> None:
        for (start, standing), end in zip(self.year.standings, [*(at for at, _ in self.year.standings[1:]), self.year.end], strict=True):
            self.enter(start, standing)
            while self.now < end:
                self.now = min(end, self.job_ends, self.next_cue(), self.now + 3600)
                self.finish_job()
                self.refresh()
                self.follow()
                self.begin_jobs()

    def enter(self, now: float, standing: Standing) -> None:
        self.now, self.standing = now, standing
        state = standing.state
        if self.spans:
            self.spans[-1] = replace(self.spans[-1], end=now)
        self.spans.append(StateSpan(state, standing.severity, now, None, {}))
        self.forecast.learn(self.spans[-2:])
        if state in self.tracks:
            self.changes.append((now, state, self.fresh(state, now) > 0))
            if self.jobs and self.jobs[0].state != state and not self.tracks[state]:
                self.jobs, self.job_ends = [], math.inf
        self.follow()
        self.begin_jobs()

    def candidates(self, state: str) -> list[Candidate]:
        return [Candidate(track, self.is_fresh(track, self.now)) for track in self.tracks.get(state, {}).values()]

    def is_fresh(self, track: Track, at: float) -> bool:
        settings = self.settings
        return track.created > at - settings.fresh_hours * 3600 and self.plays[track.id] < settings.fresh_plays and track.id not in self.retired

    def fresh(self, state: str, at: float) -> int:
        return sum(self.is_fresh(track, at) for track in self.tracks[state].values())

    def follow(self) -> None:
        cue = self.conductor.follow(self.standing, self.now)
        if cue and cue.track:
            self.plays[cue.track.id] += 1
            kept = self.tracks[cue.track.state]
            kept[cue.track.id] = replace(kept[cue.track.id], last_played=cue.time)

    def next_cue(self) -> float:
        cue, settings = self.conductor.cue, ConductorSettings()
        if cue.track is None or self.standing.silent:
            return math.inf
        if cue.state != self.standing.state:
            return self.now + 1
        return max(self.now + 1, cue.time + cue.track.seconds - settings.crossfade_seconds - settings.lead_seconds)

    def refresh(self) -> None:
        """At night, every state's oldest fresh track is replaced."""
        day = (self.now - REFRESH_HOUR * 3600) // 86400
        if day > self.refreshed_on:
            self.refreshed_on = day
            for tracks in self.tracks.values():
                if fresh := [track for track in tracks.values() if self.is_fresh(track, self.now)]:
                    self.retired.add(min(fresh, key=lambda track: track.created).id)

    def begin_jobs(self) -> None:
        if self.jobs:
            return
        self.jobs = self.planned()
        if self.jobs:
            self.pace.begin(self.now)
            self.job_ends = self.now + self.seconds(self.jobs[0]) * self.work_seconds

    def finish_job(self) -> None:
        if self.now < self.job_ends:
            return
        wish = self.jobs.pop(0)
        seconds = self.seconds(wish)
        self.made += 1
        self.busy_seconds += seconds * self.work_seconds
        self.pace.made(seconds, self.now)
        self.keep(Track(str(self.made), wish.state, "", seconds, 48000, None, None, None, None, 0.0, -23.0, -6.0, "", "", 0, "", self.now))
        self.job_ends = self.now + self.seconds(self.jobs[0]) * self.work_seconds if self.jobs else math.inf

    def keep(self, track: Track) -> None:
        """Keep a new track, and of the old ones as many as the disk budget may allow."""
        tracks = self.tracks[track.state]
        tracks[track.id] = track
        worn = [each.id for each in tracks.values() if not self.is_fresh(each, self.now)]
        for old in worn[: -self.settings.per_state]:
            del tracks[old]

    def seconds(self, wish: Wish) -> float:
        return self.settings.first_seconds if wish.first else self.settings.track_seconds

    def planned(self) -> list[Wish]:
        state, settings = self.standing.state, self.settings
        lead = 3600 * self.pace.lead_hours(settings, len(self.states)) if self.policy == "forecast" else 0.0
        short = [s for s in self.states if self.fresh(s, self.now + lead) < settings.per_state and (self.policy != "on demand" or s == state)]
        if not short:
            return []
        needs = [Need(s, settings.per_state, self.fresh(s, self.now), self.fresh(s, self.now + lead), len(self.tracks[s])) for s in short]
        expected = {s: Expectation(1.0) for s in self.states}
        if self.policy == "forecast":
            expected = self.forecast.expect(self.states, state, self.spans[-1].start, self.now, self.pace.horizon_seconds(settings), self.reached_in())
        return plan(needs, state, expected, settings.batch)

    def reached_in(self) -> dict[str, float]:
        while self.next_ramp[0] <= self.now:
            self.ramp = self.next_ramp
            self.next_ramp = next(self.ramps, (math.inf, {}))
        return {state: max(0.0, self.ramp[0] + seconds - self.now) for state, seconds in self.ramp[1].items()}


def composer_work_seconds() -> float:
    """Processor time of the composer, gate and codecs for a second of music."""
    prompt, limits = Prompt("focused, steady, soft rhythm", 60.0), GateLimits()
    engine = open_engine("composer")
    for seed in range(2):  # the first one warms up
        begun = time.process_time()
        [rendition] = engine.sample([replace(prompt, seed=seed)])
        samples = finish(rendition.samples, rendition.sample_rate, limits)
        check(samples, rendition.sample_rate, limits)
        encode_flac(samples, rendition.sample_rate, 16, {})
        encode_opus(samples, rendition.sample_rate, {})
    return (time.process_time() - begun) / (samples.shape[1] / rendition.sample_rate)


def quality(year: Year, horizon_seconds: float) -> tuple[float, float]:
    """How good the probabilities are after `LEARNING_SECONDS`: the share of looks ahead in which the likeliest state was among those entered, if any was;
    the logarithmic loss against that of each state's plain frequency so far."""
    starts, names = [at for at, _ in year.standings], [standing.state for _, standing in year.standings]
    spans = [StateSpan(name, "", start, end, {}) for name, start, end in zip(names, starts, [*starts[1:], None], strict=True)]
    states = [name for name, state in sorted(year.rules.states.items(), key=lambda item: -item[1].priority) if state.prompt]
    forecast, entries = Forecast(UTC), dict.fromkeys(states, 0.5)
    found, looks, loss, plain_loss, current = 0, 0, 0.0, 0.0, 0
    for number, (now, ramps) in enumerate(year.ramps[::LOOK_EVERY], 1):
        while current + 1 < len(starts) and starts[current + 1] <= now:
            current += 1
            forecast.learn(spans[current - 1 : current + 1])
        entered = set(names[current + 1 : bisect_right(starts, now + horizon_seconds)])
        others = [state for state in states if state != names[current]]
        if now > starts[0] + LEARNING_SECONDS:
            expected = forecast.expect(states, names[current], starts[current], now, horizon_seconds, ramps)
            for state in others:
                loss += surprise(expected[state].probability, state in entered)
                plain_loss += surprise(entries[state] / number, state in entered)
            looks += bool(entered)
            found += bool(entered) and max(others, key=lambda state: expected[state].probability) in entered
        for state in entered & entries.keys():
            entries[state] += 1
    return found / max(1, looks), loss / plain_loss


def surprise(probability: float, happened: bool) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return -math.log(bounded if happened else 1 - bounded)


def shares(stock: Stock) -> Iterator[str]:
    """Of the changes of the whole year, without its first day, and of the first day."""
    first_day = stock.year.standings[0][0] + 86400
    for chosen in (list(stock.changes), [c for c in stock.changes if c[0] >= first_day], [c for c in stock.changes if c[0] < first_day]):
        found = sum(fresh for _, _, fresh in chosen)
        yield f"{found / max(1, len(chosen)):.2%} ({len(chosen) - found} of {len(chosen):,} did not)"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--growth", type=float, default=1.0, help="of every load and infeed, in a grid that stays as it is")
    parser.add_argument("--quick", action="store_true", help="without the power flows of quiet hours, and with a dozen events that repeat")
    arguments = parser.parse_args()
    days, rules = arguments.days, patient(load_pack("transmission"), STALE_AFTER_SECONDS)
    if arguments.quick:
        year = replayed(quick_year(days), rules)
    else:
        RECORDINGS.mkdir(exist_ok=True)
        recording = record_year(RECORDINGS / f"year-0-{days}-{arguments.growth}.parquet", days=days, growth=arguments.growth)
        year = replayed(past(str(recording), None, None, lambda _: None), rules)
    for minutes in (15, 120):
        hits, loss = quality(year, 60.0 * minutes)
        Console().print(f"within {minutes} min: the likeliest state was entered in {hits:.0%} of the cases; logarithmic loss {loss:.2f} of plain frequencies'")
    composer = composer_work_seconds()
    columns = ("engine", "stock", "all", "without the first day", "first day, from empty", "tracks made", "work")
    table = Table(*columns, title=f"State changes that found a fresh track ready; {days} days, {len(year.standings):,} changes, target {TARGET:.1%}")
    total = year.end - year.standings[0][0]
    with Live(table, console=Console(width=180)):
        for name, work_seconds in ((f"composer, {1 / composer:.0f}x real time", composer), ("0.5x real time", 2.0), ("0.05x real time", 20.0)):
            for policy in POLICIES:
                stock = Stock(year, work_seconds, policy, StockSettings())
                stock.run()
                table.add_row(name, policy, *shares(stock), f"{stock.made:,}", f"{stock.busy_seconds / total:.1%}")


if __name__ == "__main__":
    sys.exit(main())
