"""History out of a real InfluxDB, and `gridtone replay` over it."""

import json

import pytest
from click.testing import CliRunner
from test_influxdb import LINES, config, database, influx, ns  # noqa: F401 - fixtures

from gridtone.cli import main
from gridtone_adapters.influx_history import influx_history
from gridtone_adapters.influx_languages import Refused


def test_every_point_between_two_times_once_and_in_order(influx, database):  # noqa: F811
    start = ns(1000)
    influx.write(database, *(f"line,id=L{n % 7} loading_pct={n},p_mw={n} {start + n // 14 * 10**9}" for n in range(500)))
    influx.write(database, f"line,id=L1 loading_pct=999 {start - 10**9}")
    influx.write(database, *(f"breaker,id=B closed={n % 2} {start + n * 7 * 10**8}" for n in range(20)))
    breaker = {"measurement": "breaker", "fields": "closed", "point": "breaker/{tag:id}"}
    readings = list(influx_history(config(influx, database, queries=[LINES, breaker], page_points=10), start / 1e9 - 0.5, start / 1e9 + 1000))
    written = {(f"line/L{n % 7}/{field}", float(n)) for n in range(500) for field in ("loading_pct", "p_mw")}
    # of the points that one line wrote twice at one instant the database keeps the later
    kept = {(f"line/L{n % 7}/{field}", float(n)) for n in range(500) for field in ("loading_pct", "p_mw") if n + 7 >= 500 or (n + 7) // 14 != n // 14}
    lines = [(reading.point, reading.value) for reading in readings if reading.point.startswith("line")]
    assert set(lines) == kept <= written and len(lines) == len(kept)
    assert sum(reading.point == "breaker/B" for reading in readings) == 20
    assert [reading.time for reading in readings] == sorted(reading.time for reading in readings)


def test_replay_of_a_sites_database(influx, database, tmp_path, monkeypatch):  # noqa: F811
    influx.write(database, *(f"line,id=HV-1 loading_pct={120 if 200 <= ago < 400 else 50} {ns(ago)}" for ago in range(590, 0, -10)))
    adapter = config(influx, database).model_dump(mode="json", exclude_unset=True) | {"kind": "influxdb"}
    (tmp_path / "site.yaml").write_text(json.dumps({"adapters": [adapter]}))
    signals, states = {"top": {"of": "line/*/loading_pct", "take": "max"}}, {"over": {"when": "top > 100", "silent": True}, "day": {"silent": True}}
    (tmp_path / "rules.yaml").write_text(json.dumps({"gridtone": 1, "signals": signals, "states": states, "fallback": "day"}))
    run = CliRunner().invoke(main, ["replay", "--from", "influx", "--config", f"{tmp_path}/site.yaml", "--since", "1h", "--rules", f"{tmp_path}/rules.yaml"])
    assert run.exit_code == 0, run.output
    assert "59 readings, 2 changes of state" in run.output
    [over] = [line.split() for line in run.output.splitlines() if line.strip().startswith("over ")]
    assert over[1] == "3m20s"


def test_a_database_that_refuses(influx, database):  # noqa: F811
    with pytest.raises(Refused, match="check `username`"):
        list(influx_history(config(influx, database, username="nobody"), 0.0, 1.0))
