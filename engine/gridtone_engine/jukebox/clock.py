"""How far a run is, and how long it will take."""

import time
from collections.abc import Callable, Mapping, Sequence

from gridtone_engine.engine import Progress
from gridtone_engine.jukebox.configs import PriorConfig


class Clock:
    """The time left is measured for the level at work, and guessed from the models' sizes ("about") for those to come."""

    def __init__(self, priors: Sequence[PriorConfig], codes: Mapping[int, int], progress: Callable[[Progress], None]) -> None:
        self.cost = {level: priors[level].transformer.depth * priors[level].transformer.width ** 2 for level in codes}
        self.codes, self.progress = dict(codes), progress
        self.level, self.done = max(codes), 0
        self.sampled, self.since = 0, 0.0

    def begin(self, level: int, done: int, wanted: int) -> None:
        self.codes[level] = wanted  # windows side by side overlap, so that they may be more than the track has
        self.level, self.done = level, done
        self.sampled, self.since = 0, 0.0
        self.tick(0)

    def tick(self, codes: int) -> None:
        self.done += codes
        if self.since:
            self.sampled += codes
        elif codes:
            self.since = time.monotonic()  # from the first codes on: loading the level and capturing its graph are no measure of its speed
        wanted = self.codes[self.level]
        work = sum(count * self.cost[level] for level, count in self.codes.items())
        finished = self.done * self.cost[self.level] + sum(count * self.cost[level] for level, count in self.codes.items() if level > self.level)
        step = f"level {self.level}: {self.done:,} of {wanted:,} codes"
        if self.sampled:
            rate = self.sampled / (time.monotonic() - self.since)
            here = (wanted - self.done) / rate
            step += f", {_duration(here)} left for this level"
            if self.level > min(self.codes):
                below = sum(count * self.cost[level] / self.cost[self.level] / rate for level, count in self.codes.items() if level < self.level)
                step += f", about {_duration(here + below)} in all"
        self.progress(Progress(finished / work, step))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
