"""All of it running in one process: adapters, rules, conductor, stock, library and HTTP.

One lock orders what happens to the grid and to the music; under it, everything takes milliseconds. Sampling happens in a process of its own.
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from prometheus_client import Gauge as Metric

from gridtone.alarms import AlarmBoard, AlarmsView
from gridtone.audited import record_rules, record_start
from gridtone.clock import Clock
from gridtone.conductor import Conductor
from gridtone.config import Site
from gridtone.cue import Cue
from gridtone.editing.desk import RulesDesk
from gridtone.editing.rules_file import RulesFile
from gridtone.events import EventLog
from gridtone.library.library import Library
from gridtone.library.listening import Feedback, Play
from gridtone.library.track import Track
from gridtone.recent import LOOKING_SECONDS, Recent
from gridtone.room.masking import lenders, limits_of
from gridtone.room.policy import CAUSES, ROOM, KeptRoom, Room
from gridtone.room.telemetry import unseen
from gridtone.rules import NO_DATA, Evaluator, Rules, Standing
from gridtone.rules.explanation import Explanation, explain
from gridtone.rules.model import title_of
from gridtone.server import create_app, serve
from gridtone.server.backend import Codec, SamplerView, StateSpan, StateView
from gridtone.stock.engines import EngineChoice
from gridtone.stock.ramps import cleared_in, reached_in
from gridtone.stock.stock import StateNeed, Stock
from gridtone.stock.view import ForecastView
from gridtone.trend import SignalTrend, Trends
from gridtone_adapters import Adapter, Health, open_adapter
from gridtone_engine import choose_engine

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
WATCH_SECONDS = 1.0
RAMP_SECONDS = 10.0
"""How often the signals are looked at for where they are heading."""
STALLED_SECONDS = 4.0
"""Without a completed tick: listeners are left alone, and fall silent."""
ENDED = "it ended by an unexpected error, which the log shows: restart gridtone"
LOST = "something went wrong with its last readings, which the log shows; it goes on with the next"

RULES_REFUSED = Metric("gridtone_rules_refused", "1 while the newest save of the rules is refused and the one before it plays")
MUTED = Metric("gridtone_muted", "1 while the room keeps the music silent for that cause", ["cause"])
SILENT = Metric("gridtone_silent", "1 while listeners are told to be silent, whatever for")
ALARMS_UNACKNOWLEDGED = Metric("gridtone_alarms_unacknowledged", "Alarms that nobody has acknowledged, of any priority")
CONNECTED = Metric("gridtone_adapter_connected", "1 while the adapter is connected", ["adapter"])


class Service:
    """A running site. Implements `gridtone.server.backend.Backend`."""

    def __init__(self, site: Site, config: Path | None = None) -> None:
        """Opens the library; raises LibraryError if another service holds it, DocumentError for bad rules. `config` is where inline rules are saved."""
        self._watched = RulesFile(site, config)
        rules = site.load_rules()
        self._library = Library.open(site.library, site.data)
        self.events = EventLog()
        self.audit = self._library.audit
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._ticked_at = time.monotonic()
        self._clock = Clock()
        now = self._opened = self._clock.look()[0]
        self._evaluator = Evaluator(rules, now)
        self._trends = Trends()
        self._recent = Recent(site.data / "readings", site.library.readings_hours)
        self.rules_desk = RulesDesk(site, self._watched, self._library, self._recent)
        self._standing = self._evaluator.standing(now)
        self._unwritten: Standing | None = None
        self._site = site
        self._room = Room(site.room, AlarmBoard(site.alarms))
        if kept := self._library.remembered(ROOM, KeptRoom):
            self._room.resume(kept, now)
        self._conductor = Conductor(
            site.conductor,
            lambda state: self._stock.candidates(state),
            lambda state: lenders(state, self._evaluator.rules, site.room),
            self._library.last_cue() or Cue(0, now, "silence", NO_DATA, self._standing.reason),
        )
        self._stock = Stock(
            self._library,
            site.stock,
            [EngineChoice(engine.name, engine.options) for engine in (choose_engine(named.name, named.options) for named in site.engines)],
            site.gate,
            on_change=self._publish_stock,
            protected=self._heard_ids,
        )
        self._adapters = [open_adapter(config) for config in site.adapters]
        self._ended: set[str] = set()
        """Adapters that raised, against their contract."""
        self._in_trouble: set[str] = set()
        """Adapters whose last readings could not be taken."""
        self._lost = Counter[str]()
        """How many readings of each adapter could not be taken: those of alarms may be among them."""
        self._threads = [threading.Thread(target=self._read, args=(adapter,), name=adapter.name, daemon=True) for adapter in self._adapters]
        self._threads.append(threading.Thread(target=self._watch_clock, name="clock", daemon=True))
        self._threads.append(threading.Thread(target=self._keep_readings, name="readings", daemon=True))
        if last := self._library.last_state():
            self._evaluator.resume(last.state, min(last.start, now))
        self._standing = self._evaluator.standing(now)
        if self._standing.state != NO_DATA:
            self._unwritten = self._standing
        expected = last.state if last and last.state in rules.states else rules.fallback
        if expected:
            self._stock.set_current(expected)

    def start(self) -> None:
        self.rules_desk.note()
        self._need(self._evaluator.rules)
        self._stock.start()
        self._ticked_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop everything, within a few seconds. The library is whole at any moment, so a kill does no harm either."""
        self._closing.set()
        for adapter in self._adapters:
            adapter.close()
        for thread in self._threads:
            thread.join(5)
        self._keep_room()
        self._stock.close()
        self.rules_desk.close()
        self.events.close()
        self._library.close()

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def alive(self) -> bool:
        return time.monotonic() < self._ticked_at + STALLED_SECONDS

    def standing(self) -> Standing:
        with self._lock:
            return self._evaluator.standing(self._now())

    def explain(self) -> Explanation:
        forecast = self.forecast()
        with self._lock:
            now = self._now()
            return replace(explain(self._evaluator, now, cleared_in(self._evaluator, self._trends, now)), alarms=self._room.view(now), forecast=forecast)

    def cue(self) -> Cue:
        return self._conductor.cue

    def desks(self) -> Mapping[str, float]:
        return self._site.room.desks

    def alarms(self) -> AlarmsView:
        with self._lock:
            return self._room.view(self._now())

    def speech_token(self) -> str | None:
        return self._room.speech_token()

    def speak(self, who: str, pressed: bool) -> bool:
        with self._lock:
            now = self._now()
            done = self._room.speak(who, pressed, now)
            self._take(None, now)
        return done

    def states(self) -> Sequence[StateView]:
        rules, levels = self._evaluator.rules, self._stock.levels()
        return [
            StateView(
                name,
                title_of(name, state),
                state.severity,
                state.prompt.text if state.prompt else "",
                state.silent,
                state.priority,
                levels[name].fresh if name in levels else 0,
                levels[name].wanted if name in levels else 0,
            )
            for name, state in rules.states.items()
        ]

    def forecast(self) -> ForecastView:
        return self._stock.outlook().view({name: title_of(name, state) for name, state in self._evaluator.rules.states.items()})

    def history(self, start: float, end: float) -> Sequence[StateSpan]:
        return self._library.spans(start, end)

    def signals(self, start: float, end: float) -> Sequence[SignalTrend]:
        with self._lock:
            return [
                SignalTrend(name, title_of(name, gauge.signal), gauge.unit, *self._trends.between(name, start, end))
                for name, gauge in self._evaluator.gauges.items()
            ]

    def plays(self, start: float, end: float) -> Sequence[Play]:
        return self._library.plays(start, end)

    def feedback(self, start: float, end: float) -> Sequence[Feedback]:
        return self._library.feedback(start, end)

    def record_feedback(self, track_id: str, thumb: int, reason: str) -> None:
        self._library.record_feedback(track_id, thumb, reason, time.time())

    def tracks(self, state: str | None, limit: int, before: float | None) -> Sequence[Track]:
        return self._library.tracks(state, limit, before)

    def track(self, track_id: str) -> Track | None:
        return self._library.get(track_id)

    def open_audio(self, track_id: str, codec: Codec) -> tuple[BinaryIO, int] | None:
        return self._library.open_audio(track_id, codec)

    def sampler(self) -> SamplerView:
        return self._stock.view()

    def adapters(self) -> Sequence[Health]:
        healths = [adapter.health() for adapter in self._adapters]
        return [self._judged(replace(health, dropped=health.dropped + self._lost[health.name])) for health in healths]

    def rules_problem(self) -> str:
        return self._watched.problem

    def not_ready(self) -> Sequence[str]:
        missing = [f"adapter {health.name}: {health.problem}" for health in self.adapters() if not health.connected]
        if not any(level.fresh for level in self._stock.levels().values()):
            missing.append("no track in stock yet")
        return missing

    def _read(self, adapter: Adapter) -> None:
        try:
            for batch in adapter.batches():
                try:
                    with self._lock:
                        now = self._now()
                        self._room.alarms.take(adapter.name, batch, now)
                        self._take(self._evaluator.ingest(batch, now), now)
                except Exception:
                    log.exception("adapter %s: unexpected error in %d readings; it goes on with the next", adapter.name, len(batch))
                    self._lost[adapter.name] += len(batch)
                    self._in_trouble.add(adapter.name)
                else:
                    self._in_trouble.discard(adapter.name)
        except Exception:
            log.exception("adapter %s: unexpected error; nothing more comes from it", adapter.name)
            self._ended.add(adapter.name)

    def _judged(self, health: Health) -> Health:
        """What an adapter says of itself, and what became of its readings here."""
        if health.name in self._ended:
            return replace(health, connected=False, problem=ENDED)
        return replace(health, connected=False, problem=LOST) if health.name in self._in_trouble else health

    def _watch_clock(self) -> None:
        """What happens because time passes: staleness, dwell, the end of a track, a saved rules file, an adapter that lost its source."""
        watched_at = looked_at = -math.inf
        connected: dict[str, bool] = {}
        while not self._closing.wait(TICK_SECONDS):
            try:
                with self._lock:
                    now = self._now()
                    healths = self.adapters()
                    self._room.alarms.lose(health.name for health in healths if not health.connected)
                    self._room.alarms.miss({health.name: health.dropped for health in healths}, now)
                    self._room.alarms.tick(now)
                    self._take(self._evaluator.tick(now), now)
                    if news := self._room.news(now):
                        self.events.publish("alarms", news)
                    self._measure(now)
                    self._trends.record(self._evaluator.values(), now)
                if time.monotonic() >= watched_at + WATCH_SECONDS:
                    watched_at = time.monotonic()
                    self._reload_rules()
                    connected = self._watch_adapters(connected)
                    self._keep_room()
                    self._write_state()
                if time.monotonic() >= looked_at + RAMP_SECONDS:
                    looked_at = time.monotonic()
                    with self._lock:
                        ramps = reached_in(self._evaluator, self._trends, self._now())
                    self._stock.set_ramps(ramps)
                self._ticked_at = time.monotonic()
            except Exception:
                log.exception("unexpected error; listeners fall silent if it lasts")

    def _keep_readings(self) -> None:
        """For the replay on the rules page. A disk that is full costs those readings, nothing else."""
        while True:
            ending = self._closing.wait(LOOKING_SECONDS)
            with self._lock:
                now = self._now()
                if self._recent.due(now):
                    self._recent.look(self._evaluator, now)
            if ending or self._recent.full(now):
                self._recent.write()
            if ending:
                return

    def _now(self) -> float:
        """The time, for whoever holds the lock. Where the clock was set back, all that is compared with it goes along, or it would stand still for so long."""
        now, seconds = self._clock.look()
        if seconds:
            log.warning("the system clock was set back by %.1f s: what was measured or waits stays as old as it was", seconds)
            self._evaluator.set_back(seconds)
            self._room.set_back(seconds)
            self._trends.set_back(seconds)
            self._recent.set_back(seconds)
            self._opened -= seconds
            self._standing = self._evaluator.standing(now)
            self._unwritten = self._unwritten and self._standing
            cue = self._conductor.set_back(seconds)
            self.events.publish("state", self._standing)
            self.events.publish("cue", cue)
            self._library.record_cue(cue)
        return now

    def _take(self, standing: Standing | None, now: float) -> None:
        if standing:
            self._standing = self._unwritten = standing
            self.events.publish("state", standing)
            log.info("state %s: %s", standing.state, standing.reason["en"])
        order = self._room.order(now)
        cue = self._conductor.follow(self._standing, now, replace(order, mute=order.mute or unseen(self._evaluator)))
        if cue:
            self.events.publish("cue", cue)
            self._library.record_cue(cue)
            self._keep_room()
        if standing:
            self._write_state()
            self._stock.set_current(standing.state)

    def _write_state(self) -> None:
        """Into the history; what a busy database refuses is tried again until it takes it."""
        with self._lock:
            state = self._unwritten
            if state and self._library.begin_state(state.state, state.severity, state.reason, max(state.since, self._opened)):
                self._unwritten = None

    def _measure(self, now: float) -> None:
        now_muted = self._room.cause(now)
        for cause in CAUSES:
            MUTED.labels(cause).set(cause == now_muted)
        SILENT.set(self._conductor.cue.action == "silence")
        ALARMS_UNACKNOWLEDGED.set(self._room.alarms.counts()[1])

    def _keep_room(self) -> None:
        with self._lock:
            self._room.keep(lambda kept: self._library.remember(ROOM, kept))

    def _reload_rules(self) -> None:
        rules = self._watched.changed()
        if rules:
            with self._lock:
                now = self._now()
                standing = self._evaluator.swap(rules, now) or self._evaluator.standing(now)
                self._need(rules)
                self._take(standing, now)
            self.rules_desk.note()
        if self._watched.news:
            self._watched.news = False
            record_rules(self.audit, self._watched.path(), rules, self._watched.problem)
            RULES_REFUSED.set(bool(self._watched.problem))
            self.events.publish("rules", {"problem": self._watched.problem})

    def _need(self, rules: Rules) -> None:
        """Tell the stock what music the rules ask for, the gravest states first."""
        by_priority = sorted(rules.states.items(), key=lambda item: -item[1].priority)
        self._stock.set_states(
            [
                StateNeed(name, state.prompt.for_engine(), limits=limits_of(state.severity, self._site.room, self._site.gate), seconds=state.prompt.seconds)
                for name, state in by_priority
                if state.prompt
            ]
        )

    def _watch_adapters(self, connected: dict[str, bool]) -> dict[str, bool]:
        healths = self.adapters()
        now_connected = {health.name: health.connected for health in healths}
        if now_connected != connected:
            for health in healths:
                CONNECTED.labels(health.name).set(health.connected)
            self.events.publish("adapters", {"adapters": healths})
        return now_connected

    def _heard_ids(self) -> list[str]:
        cue = self._conductor.cue
        return [track.id for track in (cue.track, cue.upcoming) if track]

    def _publish_stock(self) -> None:
        self.events.publish("stock", {"sampler": self.sampler(), "levels": self._stock.levels()})


def serve_site(site: Site, config: Path | None, on_ready: Callable[[str], None]) -> None:
    """Run a site until it is told to stop. Raises LibraryError, DocumentError, OSError or ValueError when it cannot start."""
    with Service(site, config) as service:
        record_start(service.audit, site)
        serve(create_app(service, site.server, site.data), site.server, on_ready)
