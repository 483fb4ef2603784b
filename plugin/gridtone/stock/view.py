"""What people see of the sampler and of the stock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """How many tracks of a state are in stock."""

    fresh: int
    wanted: int


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
