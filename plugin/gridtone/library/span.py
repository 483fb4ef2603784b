"""A stretch of the grid's history."""

from dataclasses import dataclass

from gridtone.words import Words


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A stretch of time that the grid spent in one state."""

    state: str
    severity: str
    start: float
    """Seconds since the Unix epoch."""
    end: float | None
    """None while it lasts."""
    reason: Words
