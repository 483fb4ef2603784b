"""The demo's year without its quiet power flows: SimBench's load of every quarter of an hour, and a dozen simulated events, drawn again and again.

Quiet quarters have the load of the profile and lines at half load, as the power flow has them too. During an event, what the rules look at (worst loading,
branches out, voltages, dead buses, lost load, restoration) is that of the event as it was simulated, from its own day.
"""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from gridtone.demo.disturbances import KINDS, LIKELIHOOD
from gridtone.demo.grid import YEAR_START, Grid, load_grid
from gridtone.demo.options import STEP_MINUTES, STEPS_A_DAY, DemoOptions
from gridtone.demo.simulation import CALM_STEPS, GridSimulation, PointValue
from gridtone.demo.year import EVENTS_PER_DAY
from gridtone_adapters import Quality
from gridtone_adapters.recording import Moment

EVENTS = 12
WITHIN = {"line/worst/loading_pct": 50.0, "line/worst/in_service": 1.0, "bus/low/vm_pu": 1.02, "bus/high/vm_pu": 1.06, "bus/low/energized": 1.0}
QUIET = WITHIN | {"grid/lost_load_mw": 0.0, "grid/restoring": 0.0}


def quick_year(days: int, seed: int = 0) -> Iterator[Moment]:
    """Moments as a recording yields them."""
    grid, random = load_grid(), np.random.default_rng(seed)
    events = [simulated(grid, str(kind), random) for kind in random.choice(KINDS, EVENTS, p=LIKELIHOOD)]
    demand = grid.load_mw.sum(axis=1)
    hourly = 100 / demand.max() * np.convolve(np.concatenate([demand[-3:], demand]), np.ones(4) / 4, mode="valid")
    event: list[dict[str, float]] = []
    calm_until = 0
    for step in range(days * STEPS_A_DAY):
        if not event and step >= calm_until and random.random() < EVENTS_PER_DAY / STEPS_A_DAY:
            event = list(events[random.integers(EVENTS)])
            calm_until = step + len(event) + CALM_STEPS
        row = step % grid.steps
        now = (YEAR_START + timedelta(minutes=STEP_MINUTES * step)).timestamp()
        load = {"grid/load_pct": hourly[row].item(), "grid/load_rate_pct_per_h": (hourly[row] - hourly[row - 8]).item() / 2}
        yield now, [(point, value, now, "", Quality.GOOD) for point, value in ((event.pop(0) if event else QUIET) | load).items()]


def simulated(grid: Grid, kind: str, random: np.random.Generator) -> list[dict[str, float]]:
    """One event, step by step, from when something trips until the grid is whole again."""
    start = YEAR_START + timedelta(days=int(random.integers(365)), hours=int(random.integers(24)))
    simulation = GridSimulation(grid, DemoOptions(start=start, seed=int(random.integers(1_000_000)), events_per_day=0.0, first_event_minutes=None))
    simulation.force(kind)  # type: ignore[arg-type]
    steps = []
    while not steps or simulation._disturbed:
        steps.append(seen(simulation.step()))
    return steps


def seen(points: list[PointValue]) -> dict[str, float]:
    def every(end: str) -> list[float]:
        return [point.value for point in points if point.path.endswith(end)]

    own = {point.path: point.value for point in points if point.path in QUIET}
    return own | {
        "line/worst/loading_pct": max(every("/loading_pct")),
        "line/worst/in_service": min(every("/in_service")),
        "bus/low/vm_pu": min(every("/vm_pu")),
        "bus/high/vm_pu": max(every("/vm_pu")),
        "bus/low/energized": min(every("/energized")),
    }
