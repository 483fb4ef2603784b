"""The demo's year as a recording: what it holds, that it is the same each time, and that rules run over it."""

import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from gridtone.demo import year
from gridtone.demo.grid import load_grid
from gridtone.demo.options import DemoError, DemoOptions
from gridtone.demo.simulation import GridSimulation
from gridtone.demo.year import record_year
from gridtone.proving.past import patient
from gridtone.proving.timeline import STEP_SECONDS, replay
from gridtone.rules import load_pack
from gridtone_adapters import ReplayConfig
from gridtone_adapters.recording import Recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_year(tmp_path_factory.mktemp("year") / "year.parquet", seed=0, days=1)


def test_a_day_has_a_row_every_quarter_of_an_hour_and_a_column_a_point(recording: Path):
    table = parquet.read_table(recording)

    assert table.num_rows == 96
    times = table["time"].to_numpy()
    assert times[0] == datetime.fromisoformat("2016-01-01T00:00+00:00").timestamp()
    assert set(np.diff(times)) == {900.0}
    assert {"grid/load_pct", "grid/restoring", "line/HV1-Line-88/loading_pct"} <= set(table.column_names)
    assert np.array_equal(table["grid/clock"].to_numpy(), times)


def test_rules_run_over_it(recording: Path):
    rules = patient(load_pack("transmission"), 1200)
    [timeline] = replay(Recording(ReplayConfig(file=recording)).moments(STEP_SECONDS), [rules])

    assert {"day", "in_extremis", "restorative"} <= {stretch.state for stretch in timeline.stretches}
    assert "no_data" not in {stretch.state for stretch in timeline.stretches}


def test_a_finished_recording_is_kept_and_another_one_replaced(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = tmp_path / "year.parquet"
    copy.write_bytes(recording.read_bytes())
    kept = copy.stat().st_mtime_ns
    assert record_year(copy, seed=0, days=1) == copy
    assert copy.stat().st_mtime_ns == kept

    monkeypatch.setattr(year, "STEPS_A_DAY", 4)
    record_year(copy, seed=1, days=1)
    assert parquet.read_table(copy).num_rows == 4
    before = parquet.read_table(copy)
    record_year(copy, seed=1, days=1, growth=1.5)
    assert parquet.read_table(copy)["grid/load_mw"].to_numpy() == pytest.approx(1.5 * before["grid/load_mw"].to_numpy(), abs=0.02)
    assert parquet.read_table(copy)["grid/load_pct"] == before["grid/load_pct"], "of a peak that has grown, too"
    assert [file.name for file in tmp_path.iterdir()] == ["year.parquet"]


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DemoError, match=r"gridtone\[demo,parquet\]"):
        record_year(tmp_path / "year.parquet")


def test_a_power_flow_that_begins_from_the_last_one_finds_the_same():
    def days_of_events(afresh: bool) -> np.ndarray:
        simulation = GridSimulation(load_grid(), DemoOptions(start=datetime(2016, 1, 1), seed=3, events_per_day=8, first_event_minutes=None))
        rows = []
        for _ in range(120):
            if afresh:
                simulation._solved_topology = b""
            rows.append([point.value for point in simulation.step()])
        return np.array(rows)

    recycled, solved_afresh = days_of_events(False), days_of_events(True)
    assert (solved_afresh == 0).any(axis=0).sum() > 10, "branches or buses were out"
    assert np.abs(recycled - solved_afresh).max() <= 0.01
