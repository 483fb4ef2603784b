"""What people see of the sampler and of the stock."""

from collections.abc import Mapping
from dataclasses import dataclass

from gridtone.stock.forecast import Expectation


@dataclass(frozen=True, slots=True)
class Level:
    """How many tracks of a state are in stock."""

    fresh: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where the grid is going, as far as the stock looks ahead."""

    horizon_seconds: float
    current: str | None
    """The state from which it looks; None while there is none yet."""
    states: Mapping[str, Expectation]
    """Every state that is not silent."""


@dataclass(frozen=True, slots=True)
class SamplerView:
    """What the sampler is doing."""

    running: bool
    engine: str
    """The engine at work now, which may be a fallback."""
    problem: str
    """Why the sampler or a preferred engine does not work, and what to do; empty when nothing is wrong."""
    job: str
    """What is being sampled, for a person; empty when idle."""
    fraction: float
    """Progress of that job, 0 to 1."""
    failures: tuple[str, ...]
    """The latest tracks that failed the gate or could not be made, with reasons, newest first."""
