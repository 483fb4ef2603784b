"""Replay: rules over a recording, against reading the recording alone. `python tests/benchmarks/bench_replay.py`"""

import random
import tempfile
import time
from pathlib import Path

import pyarrow
from pyarrow import csv, parquet
from rich.console import Console
from rich.table import Table

from gridtone.proving.timeline import STEP_SECONDS, collector_paused, replay
from gridtone.rules import load_pack
from gridtone_adapters import ReplayConfig
from gridtone_adapters.recording import Recording

LINES, BUSES = 100, 100
ROUNDS = 3


def write(folder: Path, seconds: int) -> list[Path]:
    """A grid of the default pack's points, every point once a second, quiet but for a daily load and some overloads."""
    chance = random.Random(1)
    names = ["grid/load_pct", "grid/load_rate_pct_per_h"]
    names += [f"line/{n}/{what}" for n in range(LINES) for what in ("loading_pct", "in_service")]
    names += [f"bus/{n}/{what}" for n in range(BUSES) for what in ("vm_pu", "energized")]
    points, values, times = [], [], []
    for second in range(seconds):
        stressed = second % 300 > 280
        for name in names:
            quantity = name.rsplit("/", 1)[1]
            value = {"in_service": 1.0, "energized": 1.0, "load_pct": 45.0, "load_rate_pct_per_h": 0.0}.get(quantity)
            if value is None:
                value = chance.uniform(1.0, 1.05) if quantity == "vm_pu" else chance.uniform(20, 101 if stressed else 70)
            points.append(name)
            values.append(value)
            times.append(1_767_225_600.0 + second)
    table = pyarrow.table({"time": times, "point": points, "value": values})
    parquet.write_table(table, folder / "history.parquet")
    csv.write_csv(table, folder / "history.csv")
    return [folder / "history.parquet", folder / "history.csv"]


def measure(file: Path, with_rules: bool) -> tuple[float, float, int]:
    """Readings a second of processor time, the same of the wall, and how many states were found; the best of some rounds."""
    best = (0.0, 0.0, 0)
    for _ in range(ROUNDS):
        recording = Recording(ReplayConfig(file=file, restamp="original"))
        cpu, wall = time.process_time(), time.perf_counter()
        moments = recording.moments(STEP_SECONDS)
        with collector_paused():
            stretches = len(replay(moments, [load_pack("transmission")])[0].stretches) if with_rules else sum(0 for _ in moments)
        best = max(best, (recording.readings / (time.process_time() - cpu), recording.readings / (time.perf_counter() - wall), stretches))
    return best


def main(seconds: int = 2000) -> None:
    table = Table("what", "readings/s of processor time", "of the wall", "target", "ratio to reading alone", title="replay, default pack")
    with tempfile.TemporaryDirectory() as folder:
        for file in write(Path(folder), seconds):
            alone, alone_wall, _ = measure(file, with_rules=False)
            rules, rules_wall, stretches = measure(file, with_rules=True)
            table.add_row(f"{file.suffix}: reading alone", f"{alone:,.0f}", f"{alone_wall:,.0f}", "", "1")
            table.add_row(f"{file.suffix}: with the rules, {stretches} states", f"{rules:,.0f}", f"{rules_wall:,.0f}", ">= 1,000,000", f"{rules / alone:.2f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
