"""Every alarm with its state, as far as telemetry tells it.

Readings count in the order of their arrival: no clock that is wrong, or set back, may hide an alarm. There is no clock inside. One thread at a time.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from gridtone.alarms.kept import KeptAlarm, KeptAlarms
from gridtone.alarms.settings import PRIORITIES, AlarmSettings, AlarmSource, Condition, Priority
from gridtone.alarms.view import AlarmView
from gridtone.rules.points import Patterns
from gridtone.words import Words
from gridtone_adapters import Quality, Reading

MOST_ALARMS = 20_000
"""Alarms that are remembered; cleared ones give way."""
MOST_POINTS = 1_000_000
"""Points of which it is remembered whether they are an alarm's."""
UNKNOWN = "unknown"
WAITING = ("unacknowledged", "returned")
_ACTIVE = ("unacknowledged", "acknowledged")
_KEPT = (*WAITING, UNKNOWN)
_KEPT_PARTS = {"state", "active", "priority_of"}
_SHOWN_AT_ONCE = 20


@dataclass(slots=True, eq=False)
class _Source:
    """Alarm points of one kind."""

    settings: AlarmSource
    delivered_by: set[str] = field(default_factory=set)
    """Adapters that delivered any of them."""
    beat_at: float = -math.inf
    """When the newest heartbeat was sent, or arrived if its source's clock runs ahead."""

    @property
    def ages(self) -> bool:
        """Each alarm has to report anew all the time."""
        return self.settings.stale_after is not None and not self.settings.heartbeat


@dataclass(slots=True, eq=False)
class Alarm:
    """One alarm."""

    name: str
    source: _Source
    state: Condition | str = UNKNOWN
    since: float | None = None
    """When it came; None of one that did not."""
    said: dict[str, float] = field(default_factory=dict)
    """What its points said last; NaN where that was of bad quality."""
    heard_at: float = -math.inf
    """When its newest reading was measured, or arrived if its source's clock runs ahead."""
    active: bool | None = None
    """What telemetry said last of this, unless it has not yet."""
    latched: bool = False
    """It came, and was not acknowledged since."""
    resumed: bool = False
    """It stands as before a restart, and has not reported since."""
    came: deque[float] = field(default_factory=deque)
    """When it came the last few times."""
    filed: tuple[str, Priority] = ("", "low")
    """Its state and priority as the board's groups know them."""

    @property
    def key(self) -> tuple[str, str]:
        return self.source.settings.name, self.name

    @property
    def waits(self) -> bool:
        """Somebody has to acknowledge it."""
        return self.state in WAITING

    @property
    def priority(self) -> Priority:
        settings, number = self.source.settings, self.said.get("priority_of")
        if number is None:
            return settings.priority
        return settings.priorities.get(int(number), "critical") if number.is_integer() else "critical"

    @property
    def title(self) -> Words:
        return self.source.settings.titles.get(self.name) or {"en": self.name}

    def urgency(self) -> tuple[bool, int, float, str]:
        """Sorts what matters most first: what has to be acknowledged, the gravest, the oldest."""
        return not self.waits, -PRIORITIES.index(self.priority), self.since or 0.0, self.name

    def judged(self) -> Condition | str:
        """The state that follows from what its points said."""
        settings = self.source.settings
        if settings.state:
            number = self.said.get("state", math.nan)
            return settings.states.get(int(number), UNKNOWN) if number.is_integer() else UNKNOWN
        if self.said.get("shelved", 0.0) > 0.5:
            return "shelved"
        active = self.said.get("active", math.nan)
        if math.isnan(active):
            return UNKNOWN
        acknowledged = self.said.get("acknowledged", 0.0) > 0.5
        if active > 0.5:
            return "acknowledged" if acknowledged else "unacknowledged"
        return "returned" if self.latched and not acknowledged and settings.latched and settings.acknowledged else "cleared"


class AlarmBoard:
    """Every alarm of a site."""

    def __init__(self, settings: AlarmSettings) -> None:
        self.settings = settings
        self.changes = 0
        """Grows with every change that people are shown."""
        self.flood = False
        self._sources = [_Source(source) for source in settings.sources]
        self._patterns: Patterns[tuple[_Source, str, str]] = Patterns()
        for source in self._sources:
            for part, pattern in source.settings.patterns().items():
                self._patterns.add(pattern, (source, part, pattern))
            if source.settings.heartbeat:
                self._patterns.add(source.settings.heartbeat, (source, "heartbeat", ""))
        self._uses: dict[str, tuple[tuple[_Source, str, Alarm | None], ...]] = {}
        """Point -> what it says of which alarm; empty where it says nothing of any."""
        self._alarms: dict[tuple[str, str], Alarm] = {}
        self._groups: dict[tuple[str, Priority], dict[tuple[str, str], Alarm]] = {}
        """The alarms that are not cleared by state and priority, each group in the order of their coming."""
        self._overflowed = False
        self._came: list[float] = []
        """A heap: when alarms came."""
        self._lost: set[str] = set()
        self._dropped: dict[str, int] = {}
        self._dropped_at: dict[str, float] = {}
        """When an adapter last had to drop readings."""

    @property
    def configured(self) -> bool:
        return bool(self._sources)

    @property
    def recent(self) -> int:
        """How many alarms came within the time in which they would make a flood."""
        return len(self._came)

    def take(self, adapter: str, readings: Iterable[Reading], now: float) -> None:
        """Take what the adapter of that name delivered."""
        if not self._sources:
            return
        uses, touched = self._uses, {}
        for reading in readings:
            used = uses.get(reading.point)
            if used is None:
                used = self._find(reading.point)
            for source, part, alarm in used:
                source.delivered_by.add(adapter)
                at = min(reading.time, now)
                if alarm is not None:
                    self._hear(alarm, part, reading, at, now)
                    touched[id(alarm)] = alarm
                elif part == "heartbeat" and reading.quality != Quality.BAD:
                    source.beat_at = max(source.beat_at, at)
        for alarm in touched.values():
            self._settle(alarm, now)
        if touched:
            self._count_flood(now)

    def tick(self, now: float) -> None:
        """Let time pass."""
        if any(source.ages for source in self._sources):
            for alarm in self._alarms.values():
                self._settle(alarm, now)
        self._count_flood(now)

    def set_back(self, seconds: float) -> None:
        """The clock was set back by so much: everything stays as old as it was, or a source that has died would pass for alive for so long."""
        for source in self._sources:
            source.beat_at -= seconds
        for alarm in self._alarms.values():
            alarm.heard_at -= seconds
            alarm.since = None if alarm.since is None else alarm.since - seconds
            alarm.came = deque(at - seconds for at in alarm.came)
        self._came = [at - seconds for at in self._came]
        heapq.heapify(self._came)
        self._dropped_at = {adapter: at - seconds for adapter, at in self._dropped_at.items()}
        self.changes += 1

    def lose(self, adapters: Iterable[str]) -> None:
        """The adapters that have lost their source at the moment."""
        self._lost = set(adapters)

    def miss(self, dropped: Mapping[str, int], now: float) -> None:
        """How many readings each adapter had to drop so far: those of alarms may be among them."""
        for adapter, count in dropped.items():
            if count > self._dropped.get(adapter, 0):
                self._dropped[adapter], self._dropped_at[adapter] = count, now

    def most_urgent(self, least: Priority) -> Alarm | None:
        """What has to be acknowledged first, of alarms of that priority or a higher one."""
        return self._first(WAITING, least)

    def unknown(self, least: Priority) -> Alarm | None:
        """An alarm of that priority or a higher one of which nobody can tell how it stands."""
        return self._first((UNKNOWN,), least)

    def problems(self, now: float) -> list[Words]:
        """Why nobody can tell how the alarms stand, one sentence for each source of which that is so."""
        return [problem for source in self._sources if (problem := self._problem(source, now))]

    def kept(self) -> KeptAlarms:
        """What must outlive a restart."""
        waiting = [alarm for group in self._groups.values() for alarm in group.values() if alarm.state in _KEPT or (alarm.state == "shelved" and alarm.latched)]
        return KeptAlarms(
            tuple(
                KeptAlarm(
                    alarm.source.settings.name,
                    alarm.name,
                    {part: _finite(alarm.said[part]) for part in _KEPT_PARTS & alarm.said.keys()},
                    alarm.since,
                    alarm.latched,
                )
                for alarm in waiting
            ),
            tuple(heapq.nlargest(self.settings.flood_alarms + 1, self._came)),
            self.flood,
        )

    def resume(self, kept: KeptAlarms, now: float) -> None:
        """Go on as before a restart, until telemetry says otherwise. Alarms of sources that the site no longer has are left out."""
        sources = {source.settings.name: source for source in self._sources}
        for was in kept.alarms:
            if (source := sources.get(was.source)) and (alarm := self._alarm(source, was.name)):
                alarm.said = {part: math.nan if value is None else value for part, value in was.said.items()}
                alarm.since, alarm.latched, alarm.resumed = was.since, was.latched, True
                alarm.active = None if (state := alarm.judged()) == UNKNOWN else state in _ACTIVE
                self._settle(alarm, now)
        self._came, self.flood = sorted(kept.came), kept.flood
        self._count_flood(now)

    def views(self, now: float) -> list[AlarmView]:
        """The most urgent alarms that are not cleared."""
        chattering_since, stale_since = now - self.settings.chattering_seconds, now - self.settings.stale_hours * 3600
        return [
            AlarmView(
                alarm.name,
                alarm.title,
                alarm.source.settings.name,
                alarm.state,
                alarm.priority,
                alarm.since,
                len(alarm.came) == self.settings.chattering_alarms and alarm.came[0] > chattering_since,
                alarm.state in _ACTIVE and alarm.since is not None and alarm.since < stale_since,
            )
            for alarm in heapq.nsmallest(_SHOWN_AT_ONCE, chain.from_iterable(group.values() for group in self._groups.values()), key=Alarm.urgency)
        ]

    def counts(self) -> tuple[int, int]:
        """How many alarms are not cleared, and how many of those have to be acknowledged."""
        sizes = {group: len(alarms) for group, alarms in self._groups.items()}
        return sum(sizes.values()), sum(size for (state, _), size in sizes.items() if state in WAITING)

    def _first(self, states: tuple[str, ...], least: Priority) -> Alarm | None:
        for priority in reversed(PRIORITIES[PRIORITIES.index(least) :]):
            for state in states:
                if group := self._groups.get((state, priority)):
                    return next(iter(group.values()))
        return None

    def _hear(self, alarm: Alarm, part: str, reading: Reading, at: float, now: float) -> None:
        alarm.said[part] = math.nan if reading.quality == Quality.BAD else float(reading.value)
        alarm.heard_at = max(alarm.heard_at, at)
        alarm.resumed = False
        if part not in ("state", "active") or (state := alarm.judged()) in (UNKNOWN, "shelved"):
            return
        active = state in _ACTIVE
        if active and not alarm.active:
            alarm.since = at if at > 0 else now
            if alarm.active is False:
                self._count(alarm, alarm.since)
        alarm.latched |= active
        alarm.active = active

    def _settle(self, alarm: Alarm, now: float) -> None:
        """Bring an alarm's state up to date."""
        settings = alarm.source.settings
        if alarm.said.get("acknowledged", 0.0) > 0.5:
            alarm.latched = False
        too_old = alarm.source.ages and settings.stale_after is not None and alarm.heard_at <= now - settings.stale_after
        state, priority = UNKNOWN if too_old else alarm.judged(), alarm.priority
        if (state, priority) == alarm.filed:
            return
        if state == "unacknowledged" and not alarm.came and alarm.heard_at > 0 and alarm.since is not None:
            self._count(alarm, alarm.since)  # the first that is heard of it; what was acknowledged long ago is not new
        self._groups.get(alarm.filed, {}).pop(alarm.key, None)
        if state != "cleared":
            self._groups.setdefault((state, priority), {})[alarm.key] = alarm
        alarm.state, alarm.filed = state, (state, priority)
        self.changes += 1

    def _count(self, alarm: Alarm, at: float) -> None:
        """It came at that time."""
        alarm.came.append(at)
        if len(alarm.came) > self.settings.chattering_alarms:
            alarm.came.popleft()
        heapq.heappush(self._came, at)

    def _count_flood(self, now: float) -> None:
        while self._came and self._came[0] <= now - self.settings.flood_seconds:
            heapq.heappop(self._came)
        flood = len(self._came) >= self.settings.flood_ends_below if self.flood else len(self._came) > self.settings.flood_alarms
        self.changes += flood != self.flood
        self.flood = flood

    def _find(self, point: str) -> tuple[tuple[_Source, str, Alarm | None], ...]:
        """What a point that is new here says of which alarm."""
        found = []
        for source, part, pattern in self._patterns.matching(point):
            alarm = self._alarm(source, _named(pattern, point)) if pattern else None
            if alarm or not pattern:
                found.append((source, part, alarm))
        if len(self._uses) >= MOST_POINTS:
            self._uses.clear()
        if not self._overflowed:
            self._uses[point] = tuple(found)
        return tuple(found)

    def _alarm(self, source: _Source, name: str) -> Alarm | None:
        """The alarm of that name; None where there are too many."""
        key = source.settings.name, name
        if key in self._alarms:
            return self._alarms[key]
        if len(self._alarms) >= MOST_ALARMS:
            self._overflowed = self.counts()[0] >= MOST_ALARMS
            if self._overflowed:
                return None
            self._alarms = {alarm.key: alarm for alarm in self._alarms.values() if alarm.state != "cleared"}
            self._uses.clear()
        alarm = self._alarms[key] = Alarm(name, source)
        return alarm

    def _problem(self, source: _Source, now: float) -> Words | None:
        settings = source.settings
        if lost := sorted(source.delivered_by & self._lost):
            return {
                "en": f"the adapter “{lost[0]}”, which delivers the alarms “{settings.name}”, has lost its source",
                "zh": f"提供告警“{settings.name}”的适配器“{lost[0]}”已断开",
            }
        if missed := sorted(name for name in source.delivered_by if self._dropped_at.get(name, -math.inf) > now - self.settings.flood_seconds):
            minutes = self.settings.flood_seconds / 60
            return {
                "en": f"the adapter “{missed[0]}”, which delivers the alarms “{settings.name}”, had to drop readings in the last {minutes:g} min: "
                "alarms may be among them",
                "zh": f"提供告警“{settings.name}”的适配器“{missed[0]}”在最近 {minutes:g} 分钟内丢弃过读数，其中可能有告警",
            }
        if settings.heartbeat and settings.stale_after is not None and source.beat_at <= now - settings.stale_after:
            return {
                "en": f"the alarms “{settings.name}” have had no heartbeat ({settings.heartbeat}) for {settings.stale_after:g} s or longer",
                "zh": f"告警“{settings.name}”已超过 {settings.stale_after:g} 秒没有心跳（{settings.heartbeat}）",
            }
        if not source.delivered_by:
            return {
                "en": f"none of the alarms “{settings.name}” has reported since gridtone started",
                "zh": f"gridtone 启动以来未收到告警“{settings.name}”的任何数据",
            }
        if self._overflowed:
            return {"en": f"there are more than {MOST_ALARMS:,} alarms, too many to follow", "zh": f"告警超过 {MOST_ALARMS:,} 条，无法全部跟踪"}
        return None


def _named(pattern: str, point: str) -> str:
    """What the wildcards of the pattern stand for, or the whole point where it has none."""
    parts, names = pattern.split("/"), point.split("/")
    found = [name for part, name in zip(parts, names, strict=False) if part == "*"]
    if parts[-1] == "**":
        found += names[len(parts) - 1 :]
    return "/".join(found) or point


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
