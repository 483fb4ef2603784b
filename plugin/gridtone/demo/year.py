"""A year of the demo's grid as a recording, to try rules and plans on: `python -m gridtone.demo.year year.parquet`

Loads and infeeds are SimBench's, every 15 minutes; what trips, and when, is drawn as in the demo: `EVENTS_PER_DAY` while the grid is intact, of the kinds and
likelihoods in `disturbances.py`. Every overload, dead bus and restoration then follows from the power flow. With `growth`, loads and infeeds are multiplied and
the grid stays as it is, as where its expansion is late: then more of the trips overload something. Derived from data under ODbL: made where it is needed, never
passed on.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridtone.demo.grid import SOURCE, YEAR_START, load_grid, require_packages
from gridtone.demo.options import STEP_MINUTES, STEPS_A_DAY, DemoError, DemoOptions
from gridtone.demo.simulation import GridSimulation

log = logging.getLogger("gridtone.demo.year")

EVENTS_PER_DAY = 0.4
"""On average while the grid is intact: nothing trips while it is still disturbed, and for a while after."""
STEPS_A_GROUP = 7 * STEPS_A_DAY
"""Rows of a row group of the file."""


def record_year(path: Path, seed: int = 0, days: int = 365, growth: float = 1.0, progress: Callable[[float], None] = lambda fraction: None) -> Path:
    """Write the year from 1 January 2016, 00:00 UTC, as a wide recording: `time` (seconds since the epoch) and one column a point, a row every 15 minutes.

    A file that holds this very recording already is kept. Otherwise it takes about 20 ms a row: 12 minutes a year. The same arguments give the
    same values. Raises DemoError where the demo's packages or pyarrow are missing, OSError where `path` cannot be written.
    """
    versions = require_packages()
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DemoError("A recording needs pyarrow. Install it: pip install 'gridtone[demo,parquet]'") from error
    made_of = {"source": SOURCE, "packages": versions, "seed": seed, "days": days, "growth": growth, "events_per_day": EVENTS_PER_DAY}
    if path.exists() and (parquet.read_schema(path).metadata or {}).get(b"gridtone") == json.dumps(made_of).encode():
        return path
    unfinished = path.with_name(f"{path.name}.unfinished")
    writer = None
    try:
        for fraction, columns in _weeks(seed, days * STEPS_A_DAY, growth):
            table = pyarrow.table(columns).replace_schema_metadata({"gridtone": json.dumps(made_of)})
            writer = writer or parquet.ParquetWriter(unfinished, table.schema, compression="zstd")
            writer.write_table(table)
            progress(fraction)
    finally:
        if writer is not None:
            writer.close()
    return unfinished.replace(path)


def _weeks(seed: int, steps: int, growth: float) -> Iterator[tuple[float, dict[str, NDArray[np.float64]]]]:
    """How much is done, and some rows, column by column."""
    options = DemoOptions(start=YEAR_START, seed=seed, events_per_day=EVENTS_PER_DAY, first_event_minutes=None)
    grid = load_grid()
    grid = replace(grid, load_mw=growth * grid.load_mw, load_mvar=growth * grid.load_mvar, infeed_mw=growth * grid.infeed_mw)
    simulation = GridSimulation(grid, options)
    for start in range(0, steps, STEPS_A_GROUP):
        end = min(start + STEPS_A_GROUP, steps)
        rows = [simulation.step() for _ in range(start, end)]
        times = YEAR_START.timestamp() + 60 * STEP_MINUTES * np.arange(start, end)
        values = np.array([[point.value for point in row] for row in rows])
        yield end / steps, {"time": times} | {point.path: values[:, column] for column, point in enumerate(rows[0])}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gridtone.demo.year", description="Record a year of the demo's grid. " + SOURCE)
    parser.add_argument("file", type=Path, help="where to write it: a .parquet file")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other events (default %(default)s)")
    parser.add_argument("--days", type=int, default=365, help="from 1 January on (default %(default)s)")
    parser.add_argument("--growth", type=float, default=1.0, help="of every load and infeed, in a grid that stays as it is (default %(default)s)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    try:
        record_year(chosen.file, chosen.seed, chosen.days, chosen.growth, lambda fraction: log.info("%3.0f %%", 100 * fraction))
    except (DemoError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
