"""The readings of the last hours on disk, for a replay of them under other rules. A historian keeps more, and exactly.

Every `STEP_SECONDS` the points that changed are noted, so that the cost depends on how many points there are, not on how often they report. Where many change,
the looks lie further apart, so that no more than `READINGS_A_SECOND` are kept in the long run. A few minutes of looks make a file; files that are too old go.
"""

import json
import logging
import math
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridtone.rules import Evaluator, Rules
from gridtone_adapters import Quality
from gridtone_adapters.recording import Moment

log = logging.getLogger(__name__)

STEP_SECONDS = 5.0
READINGS_A_SECOND = 50.0
ALL_POINTS = 2_000
"""Of grids with more points, only those are kept that the rules speak of."""
FILE_SECONDS = 300.0
LOOKING_SECONDS = 1.0
"""How often the service asks whether a look is due."""
QUALITIES = {int(quality): quality for quality in Quality}


@dataclass(frozen=True, slots=True)
class Look:
    """What changed since the look before."""

    time: float
    points: NDArray[np.uint32]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    qualities: NDArray[np.uint8]


class Recent:
    """Safe to use from any thread."""

    def __init__(self, folder: Path, hours: float) -> None:
        """`folder` is made when there is something to keep. 0 `hours` keep nothing."""
        self.folder = folder
        self._hours = hours
        self._looks: list[Look] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._due = 0.0
        self._times = np.empty(0)
        self._values = np.empty(0)
        self._wanted: NDArray[np.bool_] = np.empty(0, bool)
        self._rules: Rules | None = None
        self._names: list[str] = []
        self._units: list[str] = []

    def due(self, now: float) -> bool:
        return self._hours > 0 and now >= self._due

    def set_back(self, seconds: float) -> None:
        """The clock was set back by so much. What is in files stays as it was written."""
        with self._lock:
            self._due -= seconds
            self._looks = [replace(look, time=look.time - seconds, times=look.times - seconds) for look in self._looks]

    def look(self, evaluator: Evaluator, now: float) -> None:
        """Note what changed. The evaluator must stand still for so long: milliseconds."""
        points = evaluator.points
        times, values = np.array(points.times), np.array(points.values)
        known = len(self._times)
        changed = times > -math.inf
        changed[:known] &= (times[:known] != self._times) | (values[:known] != self._values)
        changed &= self._wants(evaluator)
        found = np.flatnonzero(changed)
        self._times, self._values = times, values
        self._names, self._units = points.names, points.units
        qualities = np.frombuffer(bytes(points.qualities), np.uint8)
        with self._lock:
            self._looks.append(Look(now, found.astype(np.uint32), times[found], values[found], qualities[found]))
        self._due = now + max(STEP_SECONDS, len(found) / READINGS_A_SECOND)

    def _wants(self, evaluator: Evaluator) -> NDArray[np.bool_]:
        count = len(evaluator.points)
        if evaluator.rules is not self._rules or count != len(self._wanted):
            self._rules = evaluator.rules
            self._wanted = np.fromiter(map(bool, evaluator.points.listeners), bool, count) if count > ALL_POINTS else np.ones(count, bool)
        return self._wanted

    def full(self, now: float) -> bool:
        """It is time to `write`."""
        return bool(self._looks) and now >= self._looks[0].time + FILE_SECONDS

    def write(self) -> None:
        """Put the looks into a file and remove files that are too old. Where the disk refuses, they are lost and the log says so."""
        with self._writing:
            with self._lock:
                looks, self._looks = self._looks, []
            try:
                if looks:
                    self._put(looks)
            except OSError as error:
                log.warning("the readings of the last minutes are not kept for a replay: %s", error)

    def _put(self, looks: list[Look]) -> None:
        used, points = np.unique(np.concatenate([look.points for look in looks]), return_inverse=True)
        names = [[self._names[point], self._units[point]] for point in used.tolist()]
        self.folder.mkdir(parents=True, exist_ok=True)
        for ended, old in _files(self.folder):
            if ended < looks[-1].time - self._hours * 3600:
                old.unlink(missing_ok=True)
        incoming = self.folder / "incoming"
        with incoming.open("wb") as file:
            np.savez_compressed(
                file,
                names=np.frombuffer(json.dumps(names).encode(), np.uint8),
                looks=np.array([look.time for look in looks]),
                counts=np.array([len(look.points) for look in looks], np.uint32),
                points=points.astype(np.uint32),
                times=np.concatenate([look.times for look in looks]),
                values=np.concatenate([look.values for look in looks]),
                qualities=np.concatenate([look.qualities for look in looks]),
            )
        incoming.replace(self.folder / f"{looks[-1].time:.3f}.npz")


def moments(folder: Path, start: float) -> Iterator[Moment]:
    """The readings since `start`, look by look, in order of time."""
    for kept in _kept(folder, start):
        names = json.loads(kept["names"].tobytes())
        points, times, values, qualities = (kept[column].tolist() for column in ("points", "times", "values", "qualities"))
        at = 0
        for time, count in zip(kept["looks"].tolist(), kept["counts"].tolist(), strict=True):
            rows = range(at, at + count)
            at += count
            if time >= start:
                yield time, [(names[points[row]][0], values[row], times[row], names[points[row]][1], QUALITIES[qualities[row]]) for row in rows]


@dataclass(frozen=True, slots=True)
class Survey:
    points: set[str]
    spacing_seconds: float
    """How long after a look the next one was at the latest, the service running."""


def survey(folder: Path, start: float) -> Survey:
    """What `moments` would give."""
    points: set[str] = set()
    most = 0
    for kept in _kept(folder, start):
        points.update(name for name, _ in json.loads(kept["names"].tobytes()))
        most = max(most, *kept["counts"].tolist())
    return Survey(points, max(STEP_SECONDS, most / READINGS_A_SECOND) + LOOKING_SECONDS)


def _kept(folder: Path, start: float) -> Iterator[dict[str, NDArray[Any]]]:
    """The arrays of every file, in order of time."""
    for ended, file in _files(folder):
        if ended < start:
            continue
        try:
            with np.load(file) as kept:
                yield dict(kept)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s is left out, it cannot be read: %s", file, error)


def _files(folder: Path) -> list[tuple[float, Path]]:
    """Each with the time of its last look, in order of time."""
    return sorted((float(file.stem), file) for file in folder.glob("*.npz") if re.fullmatch(r"\d+\.\d+", file.stem))
