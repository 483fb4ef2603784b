"""The replay adapter: every format, at the right times, with bad rows told by file and line."""

import gzip
import json
import sys
import time
import tracemalloc
from datetime import UTC, datetime, timedelta

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from telemetry_servers import Collector

from gridtone_adapters import Quality, Reading, ReplayConfig, open_adapter

T = 1_700_000_000.0
LONG = [(T, "line/A", 71.5, "%", "good"), (T + 1, "breaker/B", 1.0, "", "uncertain")]
LONG_READINGS = [Reading("line/A", 71.5, T, "%", Quality.GOOD), Reading("breaker/B", 1.0, T + 1, "", Quality.UNCERTAIN)]
WIDE_READINGS = [Reading("line/A", 71.5, T, "MW"), Reading("bus/X", 1.02, T, "MW"), Reading("line/A", 72.0, T + 900, "MW")]


def write_csv(path):
    path.write_text("time,point,value,unit,quality\n" + "".join(",".join(map(str, row)) + "\n" for row in LONG))


def write_csv_gz(path):
    path.write_bytes(gzip.compress(b"\xef\xbb\xbftime,point,value,unit,quality\r\n" + b"".join(",".join(map(str, row)).encode() + b"\r\n" for row in LONG)))


def write_jsonl(path):
    path.write_text("".join(json.dumps(dict(zip(("time", "point", "value", "unit", "quality"), row, strict=True))) + "\n" for row in LONG) + "\n")


def write_parquet(path):
    parquet.write_table(pyarrow.table(dict(zip(("time", "point", "value", "unit", "quality"), zip(*LONG, strict=True), strict=True))), path)


def write_wide_csv(path):
    path.write_text("time,line/A,bus/X\n2023-11-14T22:13:20Z,71.5,1.02\n2023-11-14T22:28:20Z,72,\n")


def write_wide_parquet(path):
    start = datetime.fromtimestamp(T, UTC).replace(tzinfo=None)
    times = pyarrow.array([start, start + timedelta(minutes=15)], pyarrow.timestamp("ns"))
    parquet.write_table(pyarrow.table({"time": times, "line/A": [71.5, 72.0], "bus/X": [1.02, None]}), path)


def replay(path, **changes):
    return open_adapter(ReplayConfig.model_validate({"file": str(path), "speed": 0, "restamp": "original"} | changes))


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("a.csv", write_csv, LONG_READINGS),
        ("a.csv.gz", write_csv_gz, LONG_READINGS),
        ("a.jsonl", write_jsonl, LONG_READINGS),
        ("a.parquet", write_parquet, LONG_READINGS),
        ("wide.csv", write_wide_csv, WIDE_READINGS),
        ("wide.parquet", write_wide_parquet, WIDE_READINGS),
    ],
)
def test_formats(tmp_path, collect, name, write, expected):
    write(tmp_path / name)
    collector = collect(replay(tmp_path / name, unit="MW" if expected is WIDE_READINGS else ""))
    assert collector.wait_count(len(expected)) == expected
    collector.wait_problem("played to its end")
    assert collector.readings == expected
    assert collector.adapter.health().received == len(expected)


def test_bad_rows_are_told_by_line_and_cost_nothing_else(tmp_path, collect):
    path = tmp_path / "bad.csv"
    rows = [f"{T},p,0", f"{T},p", f"{T},p,high", f"{T},p,1", "soon,p,1", f'{T},"p,1', f"{T},p,nan", f"{T},,1", f"{T},p,2", f"{T},p\xff,3", "", f"{T},p,4"]
    path.write_bytes("\n".join(["time,point,value", *rows]).encode("latin-1"))
    collector = collect(replay(path))
    collector.wait_problem("played to its end")
    health = collector.adapter.health()
    assert [reading.value for reading in collector.readings] == [0, 1, 2, 4]
    assert health.rejected == {"wrong_columns": 2, "not_a_number": 1, "bad_time": 1, "not_finite": 1, "missing_point": 1, "not_utf8": 1}
    assert {sample.source.removeprefix(str(path)) for sample in health.samples} == {":3", ":4", ":6", ":7", ":8", ":9", ":11"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary().map(lambda junk: junk.replace(b"\n", b" ").replace(b"\r", b" ")), max_size=5), st.sampled_from(["csv", "jsonl"]))
def test_no_junk_between_rows_loses_a_row(tmp_path, junk, kind):
    path = tmp_path / f"junk.{kind}"
    header, good = (b"time,point,value", b"1700000000,p,%d") if kind == "csv" else (b"", b'{"time": 1700000000, "point": "p", "value": %d}')
    path.write_bytes(b"\n".join([header, *(part for number, line in enumerate(junk) for part in (line, good % number)), good % 99]))
    collector = Collector(replay(path))
    try:
        collector.wait_problem("played to its end")
    finally:
        collector.close()
    expected = [float(number) for number in range(len(junk))] + [99.0]
    arrived = iter(reading.value for reading in collector.readings)
    assert all(value in arrived for value in expected)


def test_times_and_speed(tmp_path, collect):
    path = tmp_path / "slow.csv"
    path.write_text("time,a\n" + "".join(f"{T + n * 10},{n}\n" for n in range(6)))
    started = time.time()
    readings = collect(replay(path, speed=50, restamp="now")).wait_count(6)
    assert time.time() - started >= 0.95
    offsets = [reading.time - readings[0].time for reading in readings]
    assert offsets == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0], abs=0.001)
    assert readings[0].time >= started


def test_loop(tmp_path, collect):
    path = tmp_path / "loop.csv"
    path.write_text(f"time,a\n{T},1\n{T + 1},2\n")
    assert [reading.value for reading in collect(replay(path, loop=True, speed=100)).wait_count(6)[:6]] == [1, 2, 1, 2, 1, 2]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.csv", None, ("cannot read", "No such file")),
        ("a.txt", b"x", ("must end in .csv",)),
        ("a.csv", b"point,value\nx,1\n", ("no column `time`",)),
        ("b.csv", b"time,point\n1,x\n", ("none `value`",)),
        ("c.csv", b"time,a\n", ("no readings",)),
        ("a.csv.gz", b"not gzip", ("cannot read",)),
        ("a.parquet", b"not parquet", ("cannot read",)),
    ],
)
def test_trouble_says_what_to_do(tmp_path, collect, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    collector = collect(replay(tmp_path / name))
    collector.wait_problem(name, *words)
    assert not collector.adapter.health().connected


def test_parquet_without_pyarrow(tmp_path, collect, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"")
    collect(replay(tmp_path / "a.parquet")).wait_problem("gridtone[parquet]")


def test_a_recording_that_is_written_later_is_found(tmp_path, collect, monkeypatch):
    monkeypatch.setattr("gridtone_adapters.replay.RETRY_SECONDS", 0.05)
    collector = collect(replay(tmp_path / "a.csv"))
    collector.wait_problem("No such file")
    write_csv(tmp_path / "a.csv")
    collector.wait_count(2)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("time,point,value\n")
        file.writelines(f"{T + n},line/{n % 100},{n}\n" for n in range(60_000))
    adapter = replay(path)
    tracemalloc.start()
    count = 0
    for batch in adapter.batches():
        count += len(batch)
        if count == 60_000:
            adapter.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 8_000_000  # a list of all the readings takes 14 MB
