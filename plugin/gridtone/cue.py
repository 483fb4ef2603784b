"""A Cue: the order to listeners, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gridtone.library.track import Track
from gridtone.words import Words


@dataclass(frozen=True, slots=True)
class Cue:
    """What every listener does. The newest cue is the whole truth: a listener that missed some needs no other."""

    id: int
    """Grows by one; survives a restart of the service."""
    time: float
    """When the track begins and the crossfade with it, seconds since the Unix epoch on the service's clock: now, or a few seconds ahead at the next bar or at
    the end of what plays. Who joins later starts that far into the track, so that all listeners hear the same."""
    action: Literal["play", "silence"]
    state: str
    reason: Words
    track: Track | None = None
    """What plays; None for silence."""
    upcoming: Track | None = None
    """What will most likely play after it, so that listeners can load it ahead."""
    crossfade_seconds: float = 4.0
    duck_db: float = 0.0
    """How far to turn the music down, 0 or negative."""


def at_desk(cue: Cue, desk: str | None, desks: Mapping[str, float]) -> Cue:
    """The cue as it is for a desk. `desks`: how far the music is turned down at each, dB; who names none gets the lowest."""
    duck_db = desks[desk] if desk is not None else min(desks.values(), default=0.0)
    return cue if cue.duck_db <= duck_db else replace(cue, duck_db=duck_db)
