"""What must outlive a restart: the alarms that keep the room silent, and how many came of late.

What was acknowledged, cleared or shelved is not kept: that may change unseen while gridtone is down, so telemetry has to say it anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptAlarm:
    """An alarm that nobody has acknowledged, or whose state nobody can tell."""

    source: str
    name: str
    said: dict[str, float | None]
    """What its points said last, but for acknowledgement and shelving; None where that was no number."""
    since: float | None
    latched: bool


@dataclass(frozen=True, slots=True)
class KeptAlarms:
    alarms: tuple[KeptAlarm, ...] = ()
    came: tuple[float, ...] = ()
    """When the newest alarms came: as many as decide whether there is a flood."""
    flood: bool = False
