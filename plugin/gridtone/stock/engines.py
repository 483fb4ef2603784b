"""The chain of engines: which one works now, and why the preferred one does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CRASHES_ALLOWED = 1
"""In a row, before an engine counts as failed."""
FIRST_REST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine of the chain, by name, with the options that it is opened with."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Rest:
    """An engine that failed."""

    failures: int = 0
    """In a row."""
    until: float = 0.0
    reason: str = ""


class EngineChain:
    """The first engine of the chain that works. One that failed rests before it is tried again, longer each time."""

    def __init__(self, choices: Sequence[EngineChoice], longest_rest_seconds: float) -> None:
        self._choices = choices
        self._longest_rest_seconds = longest_rest_seconds
        self._rests: dict[str, Rest] = {}
        self._crashes = 0

    def current(self, now: float) -> EngineChoice | None:
        """None while all of them rest."""
        return next((choice for choice in self._choices if choice.name not in self._rests or self._rests[choice.name].until <= now), None)

    def is_last(self, choice: EngineChoice) -> bool:
        return choice == self._choices[-1]

    def failed(self, choice: EngineChoice, reason: str, now: float) -> None:
        rest = self._rests.setdefault(choice.name, Rest())
        rest.until = now + min(FIRST_REST_SECONDS * 4**rest.failures, self._longest_rest_seconds)
        rest.failures += 1
        rest.reason = reason
        self._crashes = 0

    def crashed(self, choice: EngineChoice, reason: str, now: float) -> None:
        """The sampler process died at it: once may be chance, twice in a row is a failure."""
        self._crashes += 1
        if self._crashes > CRASHES_ALLOWED:
            self.failed(choice, f"the sampler process {reason}", now)

    def worked(self, choice: EngineChoice) -> None:
        self._rests.pop(choice.name, None)
        self._crashes = 0

    def problem(self, now: float) -> str:
        """Which engines failed and why, and what is done about it; empty while the preferred one works."""
        if not self._rests:
            return ""
        failures = "; ".join(f"engine {name} failed: {rest.reason}" for name, rest in self._rests.copy().items())
        at_work = self.current(now)
        meanwhile = f"engine {at_work.name} fills the stock" if at_work else "no engine fills the stock; what is in it goes on playing"
        return f"{failures}. {meanwhile}, and what failed is tried again within {self._longest_rest_seconds / 60:g} minutes"
