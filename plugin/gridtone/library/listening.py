"""What listeners heard, and what they thought of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Play:
    """A cue that played a track."""

    time: float
    """Seconds since the Unix epoch."""
    state: str
    track_id: str
    text: str
    """The prompt's text; empty once the library has removed the track."""
    licence: str
    """Empty once the library has removed the track."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a listener thought of a track."""

    time: float
    """Seconds since the Unix epoch."""
    track_id: str
    state: str
    """The state that the track was made for; empty once the library has removed it."""
    text: str
    """The prompt's text; empty once the library has removed the track."""
    thumb: int
    """1 up, -1 down."""
    reason: str
