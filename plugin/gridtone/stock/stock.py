"""Keeps every state's stock full, on a schedule and on demand."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import Gauge as Metric
from sqlalchemy.exc import SQLAlchemyError

from gridtone.conductor import Candidate
from gridtone.gate.limits import GateLimits
from gridtone.library.errors import LibraryError
from gridtone.library.history import TrackFailure
from gridtone.library.library import Count, Freshness, Library
from gridtone.stock.engines import EngineChain, EngineChoice
from gridtone.stock.forecast import Forecast
from gridtone.stock.messages import Batch, Broken, Job, Made, NotWritten, Progressed, Refused, Rejected
from gridtone.stock.pace import Pace
from gridtone.stock.planner import Need, Wish, plan
from gridtone.stock.sampler import Sampler, SamplerDiedError
from gridtone.stock.settings import StockSettings, cron_trigger
from gridtone.stock.view import Level, Outlook, SamplerView
from gridtone_engine import Prompt

log = logging.getLogger(__name__)

LOOK_SECONDS = 30
"""How often the stock is looked at without being asked to."""
ALIVE_SECONDS = 10
RETAIN_SECONDS = 3600
RESTART_SECONDS = 1.0
PROGRESS_SECONDS = 1.0
"""Between two calls of `on_change` for mere progress."""
FAILURES_SHOWN = 10
OUTLOOK_SECONDS = 5.0
"""An outlook is used for so long."""

PROBABILITY = Metric("gridtone_state_probability", "How likely the grid enters the state within the forecast's horizon", ["state"])
HORIZON = Metric("gridtone_forecast_horizon_seconds", "How far the forecast looks ahead")


@dataclass(frozen=True, slots=True)
class StateNeed:
    """A state of the rules, and the music that it asks for."""

    name: str
    prompt: Prompt
    """Text and attributes; the seed is the stock's."""
    silent: bool = False
    limits: GateLimits | None = None
    """What its tracks must keep, where that differs from the site's limits (a state close to an alarm, say)."""
    seconds: float | None = None
    """Length of its tracks, where the state asks for one."""


def prompt_hash(need: StateNeed) -> str:
    """Changes when the state asks for other music or another length, or for other limits than the site's."""
    wanted: list[object] = [need.name, need.prompt.text, asdict(need.prompt.attributes), str(need.prompt.continue_from)]
    if need.limits:
        wanted.append(need.limits.model_dump())
    if need.seconds:
        wanted.append(need.seconds)
    return hashlib.sha256(msgspec.json.encode(wanted)).hexdigest()


@dataclass(slots=True)
class Attempts:
    """What came of a state's latest tracks, none of which passed."""

    failed: int = 0
    """The gate, in a row."""
    rests_until: float = 0.0
    problem: str = ""


class Stock:
    """Decides what is sampled when. Every method is quick and safe to call from any thread; the sampling itself has a thread and a process of its own."""

    def __init__(
        self,
        library: Library,
        settings: StockSettings,
        engines: Sequence[EngineChoice],
        gate_limits: GateLimits,
        on_change: Callable[[], None],
        protected: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """`on_change` is called, from the stock's thread, when levels or view changed; `protected` gives the ids of what plays or is upcoming."""
        self._library = library
        self._settings = settings
        self._chain = EngineChain(engines, settings.retry_minutes * 60)
        self._gate_limits = gate_limits
        self._on_change = on_change
        self._protected = protected
        self._sampler = Sampler(settings)
        self._needs: dict[str, StateNeed] = {}
        self._hashes: dict[str, str] = {}
        self._current: str | None = None
        self._forecast = Forecast()
        self._forecast_lock = threading.Lock()
        self._reached_in: Mapping[str, float] = {}
        self._outlook = Outlook(0.0, None, {})
        self._outlook_at = -OUTLOOK_SECONDS
        self._pace = Pace()
        self._attempts: dict[str, Attempts] = {}
        self._batch: Batch | None = None
        self._step = Progressed(0.0, "")
        self._changed_at = 0.0
        self._problems: dict[str, str] = {}
        """What went wrong last time, by what was tried."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stock", daemon=True)
        self._scheduler = BackgroundScheduler(job_defaults={"coalesce": True, "misfire_grace_time": 3600})
        self._scheduler.add_job(self._wake.set, "interval", seconds=LOOK_SECONDS)
        self._scheduler.add_job(lambda: library.mark_alive(time.time()), "interval", seconds=ALIVE_SECONDS)
        self._scheduler.add_job(self.outlook, "interval", seconds=2 * OUTLOOK_SECONDS)
        self._scheduler.add_job(self.retain, "interval", seconds=RETAIN_SECONDS)
        if settings.refresh:
            self._scheduler.add_job(self.refresh, cron_trigger(settings.refresh))

    def start(self) -> None:
        self._scheduler.start()
        self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """End the sampler; what it has not finished is lost."""
        self._closing.set()
        self._wake.set()
        self._sampler.close()
        if self._thread.is_alive():
            self._scheduler.shutdown()
            self._thread.join()

    def set_states(self, needs: Sequence[StateNeed]) -> None:
        """The states of the rules in force, the most important first. Tracks made for another prompt stay playable, but are not fresh."""
        with self._lock:
            self._needs = {need.name: need for need in needs if not need.silent}
            self._hashes = {name: prompt_hash(need) for name, need in self._needs.items()}
            self._attempts = {}
            batch = self._batch
        if batch and any(job.prompt_hash not in self._hashes.values() for job in batch.jobs):
            self._sampler.cancel(batch.id)
        self._wake.set()

    def set_current(self, state: str) -> None:
        """The grid is in `state`. If nothing is there to play for it, whatever else is being made gives way."""
        with self._lock:
            self._current = state
            batch = self._batch
        self._outlook_at = -OUTLOOK_SECONDS
        if batch and state in self._needs and batch.jobs[0].state != state and not self._may_have_tracks(state):
            self._sampler.cancel(batch.id)
        self._wake.set()

    def set_ramps(self, reached_in: Mapping[str, float]) -> None:
        """In how many seconds the signals enter a state if they go on as they do; states that they do not approach are missing."""
        self._reached_in = reached_in

    def outlook(self) -> Outlook:
        """What the stock plans for."""
        with self._forecast_lock:
            if time.monotonic() >= self._outlook_at + OUTLOOK_SECONDS:
                self._outlook, self._outlook_at = self._look_ahead(), time.monotonic()
            return self._outlook

    def candidates(self, state: str) -> list[Candidate]:
        """Every track that may play for `state`. Raises LibraryError where the library cannot be read."""
        try:
            return [Candidate(track, fresh) for track, fresh in self._library.candidates(state, self._freshness())]
        except SQLAlchemyError as error:
            raise LibraryError(_unreadable(error)) from error

    def levels(self) -> dict[str, Level]:
        """State -> its stock, for every state that is not silent."""
        counts = self._library.counts(self._freshness())
        return {state: Level(counts[state].fresh if state in counts else 0, self._settings.per_state) for state in self._needs}

    def view(self) -> SamplerView:
        now = time.monotonic()
        engine = self._chain.current(now)
        batch = self._batch
        jobs = batch.jobs if batch else []
        given_up = [
            f"state {state}: {attempts.problem}; change its prompt, or wait for the next attempt"
            for state, attempts in self._attempts.copy().items()
            if attempts.rests_until > now
        ]
        try:
            problem, failures = self._library.problem(), self._library.failures(FAILURES_SHOWN)
        except SQLAlchemyError as error:
            problem, failures = _unreadable(error), []
        problems = [problem, *self._problems.copy().values(), self._chain.problem(now), *given_up]
        return SamplerView(
            running=bool(jobs),
            engine=engine.name if engine else "",
            problem=". ".join(dict.fromkeys(problem for problem in problems if problem)),
            job=f"{', '.join(dict.fromkeys(job.state for job in jobs))}: {self._step.step}" if jobs else "",
            fraction=self._step.fraction if jobs else 0.0,
            failures=tuple(f"{failure.state} (seed {failure.seed}, {failure.engine}): {'; '.join(failure.reasons)}" for failure in failures),
        )

    def refresh(self) -> None:
        """Have every state's oldest fresh track replaced."""
        with self._problems_shown("refresh"):
            self._library.retire_oldest(self._freshness())
        self._wake.set()

    def retain(self) -> None:
        """Remove the tracks that age, plays and the disk budget say."""
        with self._problems_shown("retention"):
            self._library.retain(self._freshness(), self._protected())

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            with self._problems_shown("sampling"):
                while not self._closing.is_set() and self._sample_batch():
                    pass
                self._sampler.stop()

    def _sample_batch(self) -> bool:
        """Make what is most urgent. False when there is nothing to do, or no way to do it now."""
        if self._library.no_room():
            self.retain()
            if self._library.no_room():
                self._changed()
                return False
        choice = self._chain.current(time.monotonic())
        if not choice:
            return False
        with self._lock:
            self._batch = batch = self._next_batch(choice)
        if not batch:
            return False
        self._step = Progressed(0.0, "starting")
        self._pace.begin(time.monotonic())
        try:
            with closing(self._sampler.sample(batch)) as messages:
                for message in messages:
                    self._take(message, batch, choice)
        except SamplerDiedError as error:
            if not self._closing.is_set():
                log.warning("the sampler process %s", error)
                self._chain.crashed(choice, str(error), time.monotonic())
                self._closing.wait(RESTART_SECONDS)
        finally:
            self._batch = None
            self._changed()
        return True

    def _next_batch(self, choice: EngineChoice) -> Batch | None:
        """Every track ever asked for has a seed of its own."""
        wishes = self._plan()
        if not wishes:
            return None
        seed = self._library.reserve("seed", len(wishes))
        jobs = []
        for number, wish in enumerate(wishes):
            need = self._needs[wish.state]
            seconds = self._settings.first_seconds if wish.first else self._settings.track_seconds
            if need.seconds:
                seconds = min(seconds, need.seconds) if wish.first else need.seconds
            limits = need.limits or self._gate_limits
            jobs.append(Job(wish.state, replace(need.prompt, seconds=seconds, seed=seed + number), prompt_hash(need), limits.model_dump()))
        return Batch(seed, choice.name, dict(choice.options), jobs, str(self._library.incoming), self._library.settings.flac_bits)

    def _plan(self) -> list[Wish]:
        settings, freshness = self._settings, self._freshness()
        lead_hours = self._pace.lead_hours(settings, len(self._needs))
        counts, lasting = (self._library.counts(replace(freshness, hours=freshness.hours - hours)) for hours in (0.0, lead_hours))
        now = time.monotonic()
        nothing = Count(0, 0)
        needs = [
            Need(state, settings.per_state, counts.get(state, nothing).fresh, lasting.get(state, nothing).fresh, counts.get(state, nothing).playable)
            for state in self._needs
            if self._attempts.get(state, Attempts()).rests_until <= now
        ]
        outlook = self.outlook()
        return plan(needs, outlook.current, outlook.states, settings.batch)

    def _look_ahead(self) -> Outlook:
        now = time.time()
        self._forecast.learn(self._library.spans(self._forecast.learnt, now))
        last = self._library.last_state()
        current = self._current or (last.state if last else None)
        since = last.start if last and last.state == current else now
        horizon = self._pace.horizon_seconds(self._settings)
        states = self._forecast.expect(list(self._needs), current, since, now, horizon, self._reached_in)
        HORIZON.set(horizon)
        PROBABILITY.clear()
        for state, expected in states.items():
            PROBABILITY.labels(state).set(expected.probability)
        return Outlook(horizon, current, states)

    def _take(self, message: Progressed | Made | Rejected | Broken | Refused | NotWritten, batch: Batch, choice: EngineChoice) -> None:
        now = time.monotonic()
        match message:
            case Progressed():
                self._step = message
                if now < self._changed_at + PROGRESS_SECONDS:
                    return
            case Made(job=job):
                self._library.add(message.track, job.prompt_hash, Path(message.flac), Path(message.opus))
                self._attempts.pop(job.state, None)
                self._chain.worked(choice)
                self._pace.made(message.track.seconds, now)
            case Rejected(job=job, reasons=reasons):
                self._fail(job, choice, reasons)
                attempts = self._attempts.setdefault(job.state, Attempts())
                attempts.failed += 1
                attempts.problem = f"{attempts.failed} tracks in a row failed the gate ({'; '.join(reasons)})"
                if attempts.failed % self._settings.attempts == 0:
                    attempts.rests_until = now + self._settings.retry_minutes * 60
            case Refused(job=job, reason=reason) if self._chain.is_last(choice):
                log.warning("engine %s cannot play the prompt of %s: %s", choice.name, job.state, reason)
                self._fail(job, choice, [reason])
                self._attempts[job.state] = Attempts(rests_until=now + self._settings.retry_minutes * 60, problem=f"no engine can play its prompt ({reason})")
            case Broken(reason=reason) | Refused(reason=reason):
                log.warning("engine %s failed: %s", choice.name, reason)
                self._fail(batch.jobs[0], choice, [reason])
                self._chain.failed(choice, reason, now)
            case NotWritten(reason=reason):
                raise LibraryError(f"no new tracks: {self._library.incoming} cannot be written ({reason}); free some room. Tracks in stock go on playing")
        self._changed()

    def _fail(self, job: Job, choice: EngineChoice, reasons: list[str]) -> None:
        self._library.record_failure(TrackFailure(job.state, job.prompt.text, choice.name, job.prompt.seed, reasons, time.time()))

    def _may_have_tracks(self, state: str) -> bool:
        try:
            return bool(self._library.tracks(state, limit=1))
        except SQLAlchemyError:
            return True  # nobody knows, so what is being made goes on

    def _freshness(self) -> Freshness:
        return Freshness(self._settings.fresh_hours, self._settings.fresh_plays, self._hashes)

    def _changed(self) -> None:
        self._changed_at = time.monotonic()
        self._on_change()

    @contextmanager
    def _problems_shown(self, tried: str) -> Iterator[None]:
        """What goes wrong inside is logged and shown until the same goes well; it is tried again later."""
        try:
            yield
        except (LibraryError, OSError) as error:
            log.error("%s: %s", tried, error)
            self._problems[tried] = str(error)
        except Exception as error:
            log.exception("%s: unexpected error", tried)
            self._problems[tried] = f"unexpected error in {tried}, see the log: {type(error).__name__}: {error}"
        else:
            self._problems.pop(tried, None)


def _unreadable(error: SQLAlchemyError) -> str:
    return f"the library cannot be read ({getattr(error, 'orig', None) or error}): see that its database is there and its disk works"
