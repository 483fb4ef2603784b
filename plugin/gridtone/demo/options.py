"""What can be chosen about the demo."""

from dataclasses import dataclass
from datetime import datetime

TOPIC_PREFIX = "gridtone/demo"
STEP_MINUTES = 15.0
"""Between two rows of SimBench's profiles."""
STEPS_A_DAY = int(24 * 60 / STEP_MINUTES)


class DemoError(Exception):
    """The demo cannot run here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    start: datetime | None = None
    """Where in SimBench's year 2016 to begin (its local time; the year is ignored). None: the present time of day, on the windy day nearest to today."""
    minutes_per_second: float = 7.5
    """Simulated minutes per second of wall time; 7.5 is one 15-minute step every two seconds, a day in 3.2 minutes. 1/60 is real time."""
    seed: int = 1
    """Another seed, other events."""
    events_per_day: float = 0.4
    """Expected events per simulated day while the grid is intact."""
    first_event_minutes: float | None = 345.0
    """Simulated minutes until the first event, a circuit trip that listeners hear in the first minute. None: only random events."""

    @property
    def step_seconds(self) -> float:
        """Wall time of one step."""
        return STEP_MINUTES / self.minutes_per_second
