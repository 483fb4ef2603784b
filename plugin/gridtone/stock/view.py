"""What people see of the sampler and of the stock."""

from collections.abc import Mapping
from dataclasses import dataclass

from gridtone.stock.forecast import Expectation
from gridtone.words import Words


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

    def view(self, titles: Mapping[str, Words]) -> "ForecastView":
        """The same for people, who call the states by their titles."""
        current = titles.get(self.current or "", {"en": self.current or "the present state"})
        likely = [
            Likely(state, titles.get(state, {"en": state}), expected.probability, expected.reason(current))
            for state, expected in self.states.items()
            if state != self.current
        ]
        return ForecastView(self.horizon_seconds, tuple(sorted(likely, key=lambda each: -each.probability)))


@dataclass(frozen=True, slots=True)
class Likely:
    """A state that the grid may enter, for people."""

    state: str
    title: Words
    probability: float
    """That it is entered within the horizon, 0 to 1."""
    reason: Words


@dataclass(frozen=True, slots=True)
class ForecastView:
    """Where the grid is going, for people."""

    horizon_seconds: float
    """How far the stock looks ahead: what is begun now is ready by then."""
    likely: tuple[Likely, ...]
    """Every other state that is not silent, the likeliest first."""


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
