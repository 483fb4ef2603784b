"""A year of a real grid, step by step: profiles, trips, protection, an operator, and the power flow that says what they do to each other."""

import logging
import re
from collections import deque
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from gridtone.demo.disturbances import KINDS, LIKELIHOOD, Branch, Kind, choose_trips
from gridtone.demo.grid import YEAR_START, Corridor, Grid
from gridtone.demo.options import STEP_MINUTES, STEPS_A_DAY, DemoOptions

log = logging.getLogger("gridtone.demo")

HOUR_STEPS = int(60 / STEP_MINUTES)
RATE_HOURS = 2
"""The load's rate of change is taken over so long."""

PROTECTION_PCT, PROTECTION_STEPS = 130.0, 4
"""Protection trips a branch that was loaded beyond this for so many steps."""
OPERATOR_STEPS = 8
"""So long an overload lasts before the operator begins to curtail infeed."""
CURTAIL_TO_PCT = 92.0
CURTAILED_SHARE = 0.05
"""Of the infeed, per step, until no branch is loaded beyond `CURTAIL_TO_PCT`."""
RELEASE_PCT = 85.0
RELEASED_SHARE = 0.03
"""Of the infeed, per step, when nothing is out any more and no branch is loaded beyond `RELEASE_PCT`."""
REPAIR_STEPS = (20, 28)
"""From the last trip until the operator begins to switch back: drawn between these."""
SWITCHING_STEPS = 3
"""Between two switchings of a restoration."""
PICKUP_SHARE = 0.1
"""Of each lost load and infeed, picked up again per step."""
WATCH_STEPS = 10
"""From the last switching to the end of a restoration, at least."""
CALM_STEPS = 75
"""After a restoration nothing trips for so long."""


class PointValue(NamedTuple):
    path: str
    value: float
    unit: str = ""


class GridSimulation:
    """Moves the grid by one 15-minute step a call. The same grid, options and calls give the same values."""

    def __init__(self, grid: Grid, options: DemoOptions) -> None:
        self._grid, self._net = grid, grid.net
        self._rng = np.random.default_rng(options.seed)
        self._events_per_day = options.events_per_day
        self._first_event = None if options.first_event_minutes is None else round(options.first_event_minutes / STEP_MINUTES)
        self._row = row = grid.step_at(options.start) if options.start else grid.windy_step(datetime.now(), self._first_event or 0)
        self._count = 0
        self._calm_until = (self._first_event or 0) + 1
        self._forced: Kind | None = None

        self._corridors: list[Corridor] = []
        self._due: dict[int, list[Branch]] = {}
        self._out: list[Branch] = []
        self._repaired: int | None = None
        self._switched = 0
        self._restoring = self._blackout = False
        self._load_share, self._infeed_share = np.ones(len(self._net.load)), np.ones(len(self._net.sgen))
        self._feed_in = 1.0
        self._overloaded_for = 0
        self._solved_topology = b""

        self._demand_mw = grid.load_mw.sum(axis=1)
        self._last_hour_mw = deque(self._demand_mw.take(range(row - HOUR_STEPS, row), mode="wrap").tolist(), maxlen=HOUR_STEPS)
        self._measured = (self._net.bus.vn_kv == 110) & (self._net.bus.type != "auxiliary")
        self._bus_of_load, self._bus_of_infeed = self._net.load.bus.to_numpy(), self._net.sgen.bus.to_numpy()
        self._names: dict[str, list[str]] = {table: [f"{table}/{slug(name)}" for name in self._net[table].name] for table in ("line", "trafo")} | {
            "bus": [f"bus/{slug(name)}" for name in self._net.bus.name[self._measured]]
        }

        self._loading: dict[str, np.ndarray] = {}
        self._overload_steps: dict[str, np.ndarray] = {table: np.zeros(len(self._net[table]), int) for table in ("line", "trafo")}
        self._voltage_pu = np.ones(len(self._net.bus))
        self._set_powers()
        for _ in range(3):
            self._solve()  # the tap changers find their positions

    def force(self, kind: Kind) -> None:
        """Let an event of this kind happen at the next step, unless the grid is disturbed already."""
        self._forced = kind

    def step(self) -> list[PointValue]:
        """Move on by 15 minutes. Returns the value of every point."""
        self._disturb()
        self._protect()
        self._operate()
        self._set_powers()
        self._solve()
        points = self._points()
        self._row = (self._row + 1) % self._grid.steps
        self._count += 1
        return points

    @property
    def _disturbed(self) -> bool:
        return self._repaired is not None

    def _disturb(self) -> None:
        """Let an event begin, by order, by plan or by chance, and trip what it trips now."""
        if not self._disturbed:
            kind: Kind | None = self._forced or ("circuit" if self._count == self._first_event else None)
            if not kind and self._count >= self._calm_until and self._rng.random() < self._events_per_day / STEPS_A_DAY:
                kind = self._rng.choice(KINDS, p=LIKELIHOOD)
            if kind:
                log.info("Event: %s", kind)
                self._corridors = self._corridors or self._grid.corridors()
                trips = choose_trips(kind, self._corridors, self._loading["line"], self._net.load.p_mw.to_numpy(), len(self._net.trafo), self._rng)
                self._due = {self._count + steps: branches for steps, branches in trips.items()}
        self._forced = None
        for branch in self._due.pop(self._count, []):
            self._trip(branch, "fault")

    def _trip(self, branch: Branch, why: str) -> None:
        table = self._net[branch.table]
        if table.in_service.at[branch.element]:
            log.info("%s trips: %s", table.name.at[branch.element], why)
            table.loc[branch.element, "in_service"] = False
            self._out.append(branch)
        self._repair_later()

    def _repair_later(self) -> None:
        self._repaired = self._count + int(self._rng.integers(*REPAIR_STEPS))
        self._restoring = False

    def _protect(self) -> None:
        for table, loading in self._loading.items():
            self._overload_steps[table] = np.where(loading > PROTECTION_PCT, self._overload_steps[table] + 1, 0)
            for index in np.flatnonzero(self._overload_steps[table] >= PROTECTION_STEPS):
                self._trip(Branch(table, int(index)), f"overloaded to {loading[index]:.0f} %")  # type: ignore[arg-type]

    def _operate(self) -> None:
        """Curtail while something is overloaded; switch back and pick up load once the fault is repaired."""
        worst_pct = max(loading.max() for loading in self._loading.values())
        self._overloaded_for = self._overloaded_for + 1 if worst_pct > 100 else 0
        if self._overloaded_for > OPERATOR_STEPS or (self._feed_in < 1 and worst_pct > CURTAIL_TO_PCT):
            self._feed_in = max(0.0, self._feed_in - CURTAILED_SHARE)
        if self._repaired is not None and self._count >= self._repaired and not self._due:
            self._restore()
        if not self._out and worst_pct < RELEASE_PCT:
            self._feed_in = min(1.0, self._feed_in + RELEASED_SHARE)

    def _restore(self) -> None:
        if not self._restoring:
            log.info("Restoration begins")
            self._restoring, self._switched = True, self._count
        elif self._out or self._blackout:
            if self._count - self._switched >= SWITCHING_STEPS:
                self._blackout, self._switched = False, self._count
                if self._out:
                    branch = self._out.pop()
                    self._net[branch.table].loc[branch.element, "in_service"] = True
                    log.info("%s is back", self._net[branch.table].name.at[branch.element])
        else:
            self._load_share = np.minimum(1.0, self._load_share + PICKUP_SHARE)
            self._infeed_share = np.minimum(1.0, self._infeed_share + PICKUP_SHARE)
            whole = self._load_share.min() == 1 and self._infeed_share.min() == 1 and self._feed_in == 1
            if whole and self._count - self._switched >= WATCH_STEPS:
                log.info("Restored")
                self._restoring, self._repaired, self._calm_until = False, None, self._count + CALM_STEPS

    def _set_powers(self) -> None:
        self._net.load["p_mw"] = self._grid.load_mw[self._row] * self._load_share
        self._net.load["q_mvar"] = self._grid.load_mvar[self._row] * self._load_share
        self._net.sgen["p_mw"] = self._grid.infeed_mw[self._row] * self._infeed_share * self._feed_in

    def _solve(self) -> None:
        """Run the power flow. One without a solution is a voltage collapse: everything that hangs together goes dark."""
        if not self._blackout and not self._solvable():
            log.info("Voltage collapse: the power flow has no solution")
            self._blackout = True
            self._repair_later()
        dark = np.full(len(self._net.bus), self._blackout) | self._net.res_bus.vm_pu.isna().to_numpy()
        self._voltage_pu = np.where(dark, 0.0, self._net.res_bus.vm_pu.to_numpy())
        self._load_share[dark[self._bus_of_load]] = 0
        self._infeed_share[dark[self._bus_of_infeed]] = 0
        for table in self._names.keys() & {"line", "trafo"}:
            loading = np.nan_to_num(self._net[f"res_{table}"].loading_percent.to_numpy())
            self._loading[table] = np.zeros_like(loading) if self._blackout else loading
        self._change_taps()

    def _solvable(self) -> bool:
        """Run the power flow, from the last solution while the same branches are in service: that takes half the time."""
        import pandapower

        topology = b"".join(self._net[table].in_service.to_numpy().tobytes() for table in ("line", "trafo"))
        if topology == self._solved_topology:
            try:
                pandapower.runpp(self._net, numba=False, recycle={"bus_pq": True, "trafo": True, "gen": False})
                return True
            except pandapower.LoadflowNotConverged:
                self._solved_topology = b""  # a flat start may still find the solution
        try:
            pandapower.runpp(self._net, numba=False)
        except pandapower.LoadflowNotConverged:
            return False
        self._solved_topology = topology
        return True

    def _change_taps(self) -> None:
        """The transformers' tap changers hold SimBench's set point on the 110 kV side, within half a tap."""
        trafo = self._net.trafo
        taps_off = (self._net.res_trafo.vm_lv_pu - trafo.autoTapSetp.astype(float)) / (trafo.tap_step_percent / 100)
        trafo["tap_pos"] = (trafo.tap_pos + taps_off.where(taps_off.abs() > 0.6, 0.0).round()).clip(trafo.tap_min, trafo.tap_max)

    def _points(self) -> list[PointValue]:
        net = self._net
        load_mw = float(net.load.p_mw[self._load_share > 0].sum())
        lost_mw = float((self._grid.load_mw[self._row] * (1 - self._load_share)).sum())
        self._last_hour_mw.append(load_mw)
        percent = 100 / float(self._demand_mw.max())
        hours = self._demand_mw.take(range(self._row + 1 - (RATE_HOURS + 1) * HOUR_STEPS, self._row + 1), mode="wrap").reshape(-1, HOUR_STEPS).mean(axis=1)
        points = [
            PointValue("grid/clock", (YEAR_START + timedelta(minutes=STEP_MINUTES * self._row)).timestamp(), "s"),
            PointValue("grid/restoring", float(self._restoring)),
            PointValue("grid/load_mw", round(load_mw, 2), "MW"),
            PointValue("grid/load_pct", round(percent * sum(self._last_hour_mw) / HOUR_STEPS, 2), "%"),
            PointValue("grid/load_rate_pct_per_h", round(float(percent * (hours[-1] - hours[0]) / RATE_HOURS), 2), "%/h"),
            PointValue("grid/lost_load_mw", round(lost_mw, 2), "MW"),
        ]
        for table in ("line", "trafo"):
            for name, in_service, loading in zip(self._names[table], net[table].in_service, self._loading[table], strict=True):
                points += PointValue(f"{name}/in_service", float(in_service)), PointValue(f"{name}/loading_pct", round(float(loading), 2), "%")
        for name, voltage_pu in zip(self._names["bus"], self._voltage_pu[self._measured], strict=True):
            points += PointValue(f"{name}/energized", float(voltage_pu > 0)), PointValue(f"{name}/vm_pu", round(float(voltage_pu), 4), "pu")
        return points


def slug(name: Any) -> str:
    """A name as it can stand in a topic: letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", str(name))
