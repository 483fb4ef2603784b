"""SimBench's grid `1-HV-mixed--0-sw` and its year of 15-minute profiles.

The data (https://simbench.de, Open Database License 1.0) come with the `simbench` package and are read on the user's machine; nothing derived from them is
part of gridtone. Reading them takes seconds, so the grid is kept in the user's cache folder: `python -m gridtone.demo.grid` does that ahead of time.
"""

import logging
import os
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gridtone.demo.options import STEP_MINUTES, STEPS_A_DAY, DemoError

log = logging.getLogger("gridtone.demo")

CODE = "1-HV-mixed--0-sw"
SOURCE = f"SimBench {CODE}, https://simbench.de, Open Database License 1.0 (ODbL); solved with pandapower"
YEAR_START = datetime(2016, 1, 1, tzinfo=UTC)
"""The profiles' first row. Their local time is treated as UTC: the clock is for display."""


@dataclass(frozen=True, slots=True)
class Corridor:
    """The circuits between the same two stations, and what loses supply when all of them are out."""

    circuits: tuple[int, ...]
    """Rows of `net.line`."""
    loads: tuple[int, ...]
    """Positions in `net.load` that are supplied over this corridor alone."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The network and its year. Powers are arrays of shape (steps of the year, elements), in MW and Mvar."""

    net: Any
    """A pandapower network."""
    load_mw: np.ndarray
    load_mvar: np.ndarray
    infeed_mw: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.load_mw)

    def step_at(self, moment: datetime) -> int:
        """The row of the profiles for month, day and time of `moment`; its year and time zone do not matter."""
        in_2016 = moment.replace(year=2016, tzinfo=UTC)
        return int((in_2016 - YEAR_START).total_seconds() // (60 * STEP_MINUTES)) % self.steps

    def windy_step(self, moment: datetime, event_in_steps: int) -> int:
        """The time of day of `moment` on the day nearest to it whose wind makes a circuit trip `event_in_steps` later an overload, but nothing before it."""
        export_mw = self.infeed_mw.sum(axis=1) - self.load_mw.sum(axis=1)
        export = export_mw / export_mw.max()

        def misfit(start: int) -> float:
            story = export.take(range(start, start + event_in_steps + 16), mode="wrap")
            return max(0.0, 0.69 - float(story[event_in_steps : event_in_steps + 8].min()), float(story.max()) - 0.84)

        today = self.step_at(moment)
        nearest_first = ((today + days * STEPS_A_DAY) % self.steps for days in sorted(range(-183, 183), key=abs))
        return min(nearest_first, key=misfit)

    def corridors(self) -> list[Corridor]:
        """Every pair of stations with the lines between them. Needs a solved network, whose fused buses are the stations."""
        import pandapower.topology as topology

        station = self.net._pd2ppc_lookups["bus"]
        circuits: dict[frozenset[int], list[int]] = {}
        for line, ends in zip(self.net.line.index, self.net.line[["from_bus", "to_bus"]].to_numpy(), strict=True):
            circuits.setdefault(frozenset(station[ends]), []).append(line)
        corridors = []
        for lines in circuits.values():
            self.net.line.loc[lines, "in_service"] = False
            dark = topology.unsupplied_buses(self.net)
            self.net.line.loc[lines, "in_service"] = True
            corridors.append(Corridor(tuple(lines), tuple(np.flatnonzero(self.net.load.bus.isin(dark)).tolist())))
        return corridors


def require_packages() -> str:
    """Check that the demo's packages are here. Returns their versions, for the cache's name. Raises DemoError."""
    try:
        return f"{version('simbench')}-{version('pandapower')}"
    except PackageNotFoundError as error:
        raise DemoError(f"The demo's grid needs the package {error.name}. Install the demo's packages: pip install 'gridtone[demo]'") from error


def load_grid(cache: Path | None = None) -> Grid:
    """Load the grid, from `cache` (default: the user's cache folder) if it is there. Raises DemoError where the demo's packages are missing."""
    versions = require_packages()
    import simbench

    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridtone"
    file = cache / f"simbench-{CODE}-{versions}.pickle"
    if file.exists():
        net = pickle.loads(file.read_bytes())  # noqa: S301 - our own file, in the user's own cache
    else:
        net = simbench.get_simbench_net(CODE)
        net.trafo["tap_changer_type"] = "Ratio"
        _keep(net, file)
    profiles = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    return Grid(
        net,
        load_mw=profiles["load", "p_mw"].to_numpy(),
        load_mvar=profiles["load", "q_mvar"].to_numpy(),
        infeed_mw=profiles["sgen", "p_mw"].to_numpy(),
    )


def _keep(net: Any, file: Path) -> None:
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(pickle.dumps(net, pickle.HIGHEST_PROTOCOL))
        unfinished.replace(file)
    except OSError as error:
        log.warning("The grid is not kept for the next start, which will be slower: %s", error)


if __name__ == "__main__":
    load_grid()
