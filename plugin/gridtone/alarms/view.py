"""Alarms as people and programs see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridtone.alarms.settings import Priority
from gridtone.words import Words


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm that is not simply cleared."""

    name: str
    title: Words
    source: str
    state: str
    """`unacknowledged`, `acknowledged` (active both), `returned` (cleared, but not acknowledged), `shelved` or `unknown`."""
    priority: Priority
    since: float | None
    """When it came, seconds since the Unix epoch; None where nobody knows."""
    chattering: bool
    """It comes and goes."""
    stale: bool
    """It has stood for longer than a day, or what the site says."""


@dataclass(frozen=True, slots=True)
class RoomView:
    """What the room asks of the music."""

    muted: bool
    cause: str
    """`alarm`, `flood`, `unknown` (the state of alarms is), `speech`, `dwell` (nothing any more, the music is about to return), or empty."""
    reason: Words
    """Why it is silent and what brings the music back; empty texts while nothing mutes it."""
    returns_at: float | None
    """When the music returns if nothing else comes, seconds since the Unix epoch; None while somebody has to do something first."""
    duck_db: float
    """How far the room turns the music down now, 0 or negative, before the limits of single desks."""


@dataclass(frozen=True, slots=True)
class AlarmsView:
    """The alarms that are not cleared, the gravest first, and what the room makes of them."""

    time: float
    configured: bool
    """Some points are alarms here."""
    room: RoomView
    alarms: Sequence[AlarmView]
    """The gravest of them; `total` counts them all."""
    total: int
    unacknowledged: int
    recent: int
    """New alarms within the time in which they would make a flood."""
    flood: bool
    problems: Sequence[Words]
    """Why the state of some alarms is unknown, one for each source of which it is."""
