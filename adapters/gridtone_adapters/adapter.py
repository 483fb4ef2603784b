"""What every adapter offers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gridtone_adapters.reading import Reading


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that could not become a Reading."""

    reason: str
    """One of a few fixed words, fit for a metric label, such as `not_a_number`."""
    source: str
    """Where it came from: a topic, a measurement, a file and line."""
    sample: str
    """The start of the offending content, made printable."""


@dataclass(frozen=True, slots=True)
class Health:
    """An adapter's state as an engineer wants to see it."""

    name: str
    connected: bool
    problem: str = ""
    """What is wrong and what to do about it; empty when nothing is."""
    received: int = 0
    """Good readings."""
    dropped: int = 0
    """Good readings lost because the bounded queue was full."""
    rejected: dict[str, int] = field(default_factory=dict)
    """How many messages were refused, by reason."""
    samples: tuple[Rejected, ...] = ()
    """The most recent refused messages."""


class Adapter(Protocol):
    """A source of readings. Opened by `open_adapter`, read by one thread, closed by another."""

    name: str

    def batches(self) -> Iterator[list[Reading]]:
        """Yield non-empty batches in order of arrival; block while there is nothing; end after `close()`.

        Connection trouble never ends the iteration and never raises: it shows in `health()` and is retried.
        """
        ...

    def health(self) -> Health: ...

    def close(self) -> None:
        """Stop `batches()`, within a second, from any thread."""
        ...
