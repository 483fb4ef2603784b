"""Packs over a year of a real grid with N-1 events: are all overloads and blackouts recognised, and how often does the state change?

`python tests/benchmarks/bench_year.py [DAYS]`. The first run makes the year (12 minutes on a free core) and keeps it as build/year-0-DAYS.parquet.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from rich.console import Console
from rich.table import Table

from gridtone.demo.year import record_year
from gridtone.proving.past import patient
from gridtone.proving.timeline import STEP_SECONDS, Timeline, changes_an_hour, figures, replay
from gridtone.rules import load_pack
from gridtone.stock.settings import StockSettings
from gridtone_adapters import ReplayConfig
from gridtone_adapters.recording import Recording

PACKS = ("transmission", "distribution")
"""The plant pack speaks of points that this grid does not have."""
STALE_AFTER_SECONDS = 1200.0
"""The readings lie 15 minutes apart."""
GRAVE = {"overload": ("emergency", "in_extremis"), "blackout": ("in_extremis", "emergency")}
"""The severities by which each is recognised. In the distribution pack one dark bus is an emergency, a tenth of them in extremis."""


def onsets(recording: Path) -> dict[str, NDArray[np.float64]]:
    """When each overload and blackout begins, straight from the columns of the recording, whatever the rules say. One that begins while the grid is
    already being switched back is part of the restoration."""
    table = parquet.read_table(recording)
    times = table["time"].to_numpy()
    calm = table["grid/restoring"].to_numpy() < 0.5

    def columns(kind: str) -> NDArray[np.float64]:
        return np.stack([table[name].to_numpy() for name in table.column_names if name.endswith(f"/{kind}")])

    found = {"overload": columns("loading_pct").max(axis=0) > 100, "blackout": (columns("energized") < 0.5).any(axis=0)}
    return {name: times[(here & calm) & ~np.roll(here, 1)] for name, here in found.items()}


def recognised(timeline: Timeline, begins: NDArray[np.float64], severities: tuple[str, ...], for_seconds: float) -> int:
    """How many of them find the grid in a state of such a severity once `for` has passed."""
    starts = np.array([stretch.start for stretch in timeline.stretches])
    at = np.searchsorted(starts, begins + for_seconds, side="right") - 1
    states = [timeline.stretches[index].state for index in at]
    return sum(state in timeline.rules.states and timeline.rules.states[state].severity in severities for state in states)


def main(days: int = 365) -> None:
    recording = record_year(Path(f"build/year-0-{days}.parquet"), days=days)
    begins = onsets(recording)
    table = Table("pack", "what", "measured", "target", title=f"{days} days of {parquet.read_metadata(recording).num_columns - 1} points, every 15 minutes")
    times = Table("pack", "state", "share of the time", "entered", "longest, h")
    source = Recording(ReplayConfig(file=recording, restamp="original"))
    all_rules = [patient(load_pack(name), STALE_AFTER_SECONDS) for name in PACKS]
    for name, rules, timeline in zip(PACKS, all_rules, replay(source.moments(STEP_SECONDS), all_rules), strict=True):
        table.add_row(name, "state changes an hour, 99th percentile", f"{changes_an_hour(timeline):.2f}", "<= 6 (four at most are possible)")
        table.add_row(name, "most in an hour", f"{changes_an_hour(timeline, 100):.0f}", "")
        for kind, severities in GRAVE.items():
            longest = max(state.for_ for state in rules.states.values() if state.severity in severities)
            count = recognised(timeline, begins[kind], severities, longest)
            table.add_row(name, f"{kind}s recognised within {longest:g} s", f"{count} of {len(begins[kind])}", "all")
        for figure in figures(timeline, StockSettings()):
            times.add_row(name, figure.state, f"{figure.share:.2%}", str(figure.entries), f"{figure.longest_seconds / 3600:.1f}")
    console = Console(width=140)
    console.print(table)
    console.print(times)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
