"""The demo's grid, gateway and brokers: real data, real power flows, real MQTT."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gridtone.demo import faults, gateway
from gridtone.demo import grid as demo_grid
from gridtone.demo.broker import RunningBroker, start_broker
from gridtone.demo.faults import TelemetryFaults
from gridtone.demo.gateway import Gateway, start_gateway
from gridtone.demo.grid import Grid, load_grid
from gridtone.demo.options import DemoError, DemoOptions
from gridtone.demo.processes import stop
from gridtone.demo.simulation import GridSimulation, PointValue
from waiting import PATIENCE_SECONDS, free_port, until

QUIET = DemoOptions(events_per_day=0, first_event_minutes=None)
WINDY_MORNING = datetime(2016, 10, 11, 4, 15)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def grid(cache: Path) -> Grid:
    return load_grid(cache)


def simulation(grid: Grid, options: DemoOptions = QUIET, start: datetime = WINDY_MORNING) -> GridSimulation:
    return GridSimulation(grid, replace(options, start=start))


def moment(row: int) -> datetime:
    return datetime(2016, 1, 1) + timedelta(minutes=15 * row)


def values(points: list[PointValue]) -> dict[str, float]:
    return {point.path: point.value for point in points}


def matching(step: dict[str, float], end: str) -> np.ndarray:
    return np.array([value for path, value in step.items() if path.endswith(end)])


def test_every_point_of_the_contract_is_there(grid: Grid):
    points = simulation(grid).step()
    step = values(points)

    assert len(step) == len(points)
    for name in ("clock", "load_mw", "load_pct", "load_rate_pct_per_h", "lost_load_mw", "restoring"):
        assert f"grid/{name}" in step
    for path, count in (("line", 95), ("trafo", 6)):
        assert sum(point.path.startswith(f"{path}/") and point.path.endswith("/loading_pct") for point in points) == count
        assert sum(point.path.startswith(f"{path}/") and point.path.endswith("/in_service") for point in points) == count
    assert len(matching(step, "/vm_pu")) == len(matching(step, "/energized")) == 122
    assert all(set(path) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/") for path in step)
    assert {point.unit for point in points if point.path.endswith("loading_pct")} == {"%"}
    assert step["grid/clock"] == datetime.fromisoformat("2016-10-11T04:15+00:00").timestamp()


def test_an_undisturbed_day_is_secure_and_its_load_follows_the_profiles(grid: Grid):
    run = simulation(grid)
    steps = [values(run.step()) for _ in range(32)]

    assert max(matching(step, "/loading_pct").max() for step in steps) < 85
    assert all(1.0 < voltage < 1.1 for step in steps for voltage in matching(step, "/vm_pu"))
    night, morning = steps[0]["grid/load_pct"], steps[16]["grid/load_pct"]
    assert morning > night + 20, "the mean of the last hour"
    assert max(step["grid/load_rate_pct_per_h"] for step in steps[4:16]) > 10
    assert steps[20]["grid/load_pct"] == pytest.approx(sum(step["grid/load_mw"] for step in steps[17:21]) / 4 / grid.load_mw.sum(axis=1).max() * 100, abs=0.01)
    assert steps[5]["grid/load_mw"] == pytest.approx(grid.load_mw[grid.step_at(WINDY_MORNING) + 5].sum(), abs=0.01)


def test_the_first_event_overloads_is_relieved_and_ends_where_the_grid_would_have_been(grid: Grid, cache: Path):
    run = simulation(grid, replace(QUIET, first_event_minutes=345.0))
    steps = [values(run.step()) for _ in range(64)]
    worst = [matching(step, "/loading_pct").max() for step in steps]
    out = [(matching(step, "/in_service") == 0).sum() for step in steps]

    assert max(worst[:23]) < 85 and out[22] == 0
    assert worst[23] > 100 and out[23] == 1
    restoring = [i for i, step in enumerate(steps) if step["grid/restoring"]]
    assert max(worst[restoring[0] :]) < 100, "curtailed before the restoration"
    assert len(restoring) >= 10 and restoring == list(range(restoring[0], restoring[-1] + 1))
    assert restoring[-1] < 62 and out[-1] == 0

    undisturbed = simulation(load_grid(cache))
    for _ in range(63):
        undisturbed.step()
    calm = values(undisturbed.step())
    assert all(steps[-1][path] == pytest.approx(value, abs=0.05) for path, value in calm.items())


def test_a_storm_leaves_dead_buses_and_lost_load_that_come_back_in_stages(grid: Grid):
    run = simulation(grid)
    before = values(run.step())
    run.force("storm")
    steps = [values(run.step()) for _ in range(68)]
    lost = np.array([step["grid/lost_load_mw"] for step in steps])
    dead = np.array([(matching(step, "/energized") == 0).sum() for step in steps])

    assert dead[0] < dead[3] <= dead[6], "one corridor after another"
    assert all((matching(step, "/vm_pu") == 0).sum() == count for step, count in zip(steps, dead, strict=True))
    demand = grid.load_mw[grid.step_at(WINDY_MORNING) + 7].sum()
    assert steps[6]["grid/load_mw"] + lost[6] == pytest.approx(demand, abs=0.05)
    assert lost[6] > 0.1 * demand
    live = np.flatnonzero(dead[10:] == 0)[0] + 10
    assert lost[live] > 0, "buses are energized before their load is picked up"
    assert np.all(np.diff(lost[live + 1 : live + 8]) < 0.05 * demand)
    assert lost[-1] == 0 and dead[-1] == 0 and steps[-1]["grid/restoring"] == 0 and before["grid/lost_load_mw"] == 0


def test_protection_trips_a_line_that_stays_far_overloaded(grid: Grid):
    export = grid.infeed_mw.sum(axis=1) - grid.load_mw.sum(axis=1)
    stormy = int(np.argmax(np.convolve(export, np.ones(8) / 8, mode="valid")))
    run = simulation(grid, replace(QUIET, first_event_minutes=0.0), moment(stormy))
    steps = [values(run.step()) for _ in range(8)]
    out = [(matching(step, "/in_service") == 0).sum() for step in steps]

    assert matching(steps[0], "/loading_pct").max() > 130
    assert out[0] == 1 and out[-1] >= 2


def test_a_voltage_collapse_is_a_blackout_not_a_crash(grid: Grid):
    run = simulation(replace(grid, load_mw=grid.load_mw * 400))
    steps = [values(run.step()) for _ in range(40)]

    assert np.all(matching(steps[0], "/energized") == 0) and np.all(matching(steps[0], "/loading_pct") == 0)
    assert steps[0]["grid/load_mw"] == 0 and steps[0]["grid/lost_load_mw"] > 1000
    assert any(step["grid/restoring"] for step in steps)
    assert any(np.all(matching(step, "/energized") == 1) for step in steps), "switched on again, without load"


def test_a_seed_decides_the_events(cache: Path):
    busy = DemoOptions(seed=5, events_per_day=90, first_event_minutes=None)
    one, same = (simulation(load_grid(cache), busy) for _ in range(2))
    other = simulation(load_grid(cache), replace(busy, seed=6))
    runs = [[values(run.step()) for _ in range(6)] for run in (one, same, other)]

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert (matching(runs[0][-1], "/in_service") == 0).any()


def test_the_year_begins_where_it_is_told_to_and_the_wind_blows_for_the_first_event(grid: Grid):
    assert grid.step_at(datetime(2031, 1, 1, 0, 30)) == 2
    for month in range(1, 13):
        start = grid.windy_step(datetime(2026, month, 15, 18, 0), 23)
        assert start % 96 == 72, "the time of day is the listener's"
        run = simulation(grid, start=moment(start + 23))
        assert 50 < matching(values(run.step()), "/loading_pct").max() < 80, month


def test_packages_that_are_missing_are_named_with_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch):
    def no_package(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(demo_grid, "version", no_package)
    with pytest.raises(DemoError, match=r"simbench.*pip install 'gridtone\[demo\]'"):
        load_grid()


def test_telemetry_is_good_at_first_then_some_is_doubtful_and_a_line_falls_silent():
    points = [PointValue(f"line/L{i}/loading_pct", 50.0, "%") for i in range(20)] + [PointValue("grid/load_pct", 50.0, "%")]
    field = TelemetryFaults(seed=1)
    story = [field.at(float(second), points) for second in range(0, 6000, 2)]

    clean = int(faults.CLEAN_SECONDS / 2)
    assert all(not qualities and not silent for qualities, silent in story[:clean])
    assert {quality for qualities, _ in story for quality in qualities.values()} == {"uncertain", "bad"}
    silences = sum(len(silent) for _, silent in story) * 2
    assert 120 <= silences <= 1800
    assert all(prefix.startswith("line/") and prefix.endswith("/") for _, silent in story for prefix in silent)


class Listener:
    def __init__(self, broker: RunningBroker, topics: str = "gridtone/demo/#") -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _client, _userdata, message: self.messages.append(message)
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_connect = lambda client, *_: client.subscribe(topics, qos=1)
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert subscribed.wait(PATIENCE_SECONDS)

    def payloads(self) -> dict[str, dict[str, object]]:
        return {message.topic: json.loads(message.payload) for message in self.messages}

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest) -> Iterator[RunningBroker]:
    with start_broker(free_port(), request.param) as running:
        yield running


def test_the_gateway_reports_by_exception_and_scans(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch):
    points = [PointValue("line/L1/loading_pct", 50.0, "%"), PointValue("line/L1/in_service", 1.0), PointValue("bus/B1/vm_pu", 1.02, "pu")]
    publisher, listener = Gateway(broker.host, broker.port), Listener(broker)
    monkeypatch.setattr(gateway, "SCAN_SECONDS", float("inf"))
    try:
        before = datetime.now(UTC)
        assert publisher.wait_connected(PATIENCE_SECONDS)
        assert publisher.publish(points) == 3, "the first report is a scan"
        until(lambda: len(listener.messages) == 3)
        payload = listener.payloads()["gridtone/demo/line/L1/loading_pct"]
        assert payload.keys() == {"value", "unit", "time", "quality"}
        assert (payload["value"], payload["unit"], payload["quality"]) == (50.0, "%", "good")
        assert before - timedelta(milliseconds=1) < datetime.fromisoformat(str(payload["time"])) <= datetime.now(UTC)

        assert publisher.publish(points) == 0
        assert publisher.publish([points[0]._replace(value=50.4), *points[1:]]) == 0, "within the deadband"
        assert publisher.publish([points[0]._replace(value=50.6), *points[1:]]) == 1
        assert publisher.publish([points[0]._replace(value=50.6), points[1]._replace(value=0.0), points[2]]) == 1
        monkeypatch.setattr(gateway, "SCAN_SECONDS", 0.0)
        assert publisher.publish(points) == 3

        until(lambda: len(listener.messages) == 8)
        late = Listener(broker)
        until(lambda: len(late.payloads()) == 3)
        assert all(message.retain for message in late.messages)
        late.close()
    finally:
        publisher.close()
        listener.close()


def test_doubt_and_silence_reach_the_listener(monkeypatch: pytest.MonkeyPatch):
    class Scripted(TelemetryFaults):
        def at(self, seconds: float, points: object) -> tuple[dict[str, str], tuple[str, ...]]:
            return {"bus/B1/vm_pu": "bad"}, ("line/L1/",)

    points = [PointValue("line/L1/loading_pct", 50.0, "%"), PointValue("line/L10/loading_pct", 60.0, "%"), PointValue("bus/B1/vm_pu", 1.02, "pu")]
    with start_broker(free_port()) as broker:
        publisher, listener = Gateway(broker.host, broker.port, faults=Scripted(0)), Listener(broker)
        assert publisher.wait_connected(PATIENCE_SECONDS)
        assert publisher.publish(points) == 2
        until(lambda: len(listener.messages) == 2)
        qualities = {topic: payload["quality"] for topic, payload in listener.payloads().items()}
        assert qualities == {"gridtone/demo/line/L10/loading_pct": "good", "gridtone/demo/bus/B1/vm_pu": "bad"}
        publisher.close()
        listener.close()


def test_a_broker_that_dies_is_reported_and_one_that_comes_back_gets_a_scan(caplog: pytest.LogCaptureFixture):
    points = [PointValue("line/L1/in_service", 1.0)]
    broker = start_broker(free_port())
    publisher = Gateway(broker.host, broker.port)
    try:
        assert publisher.wait_connected(PATIENCE_SECONDS)
        publisher.publish(points)
        assert broker.problem() == ""
        broker.process.kill()
        until(broker.problem)
        assert f"port {broker.port} ended with exit code -9" in broker.problem()
        until(lambda: f"Lost the broker at 127.0.0.1:{broker.port}" in caplog.text)
        assert publisher.publish(points) == 0

        with start_broker(port=broker.port):
            assert publisher.wait_connected(PATIENCE_SECONDS)
            assert publisher.publish(points) == 1
    finally:
        publisher.close()
        broker.close()


def test_a_port_that_is_taken_is_said_and_nothing_is_left_behind():
    with start_broker(free_port()) as first, pytest.raises(DemoError, match=str(first.port)):
        start_broker(port=first.port)


def test_the_demo_process_publishes_the_whole_grid_and_ends_when_told(monkeypatch: pytest.MonkeyPatch, cache: Path):
    load_grid(cache / "gridtone")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with start_broker(free_port()) as broker:
        listener = Listener(broker)
        process = start_gateway(broker.host, broker.port, replace(QUIET, start=WINDY_MORNING, minutes_per_second=60.0))
        try:
            until(lambda: len(listener.payloads()) == 452, 250)
            until(lambda: len({message.payload for message in listener.messages if message.topic.endswith("grid/clock")}) >= 3)
            process.send_signal(signal.SIGUSR2)
            until(lambda: listener.payloads()["gridtone/demo/grid/lost_load_mw"]["value"])
        finally:
            stop(process, PATIENCE_SECONDS)
            listener.close()
        assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_nothing_outlives_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from gridtone.demo.broker import start_broker; b = start_broker(); print(b.process.pid, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    with parent.stdout:
        broker_pid = int(parent.stdout.readline())
        os.kill(broker_pid, 0)
        parent.kill()
        parent.wait()

    def gone() -> bool:
        status = Path(f"/proc/{broker_pid}/status")
        return not status.exists() or "State:\tZ" in status.read_text()

    until(gone)


def test_the_service_never_imports_the_demo_packages():
    script = textwrap.dedent("""
        import sys
        import gridtone.demo.broker, gridtone.demo.gateway
        heavy = {"pandapower", "simbench", "pandas", "amqtt"} & sys.modules.keys()
        sys.exit(f"imported: {heavy}" if heavy else 0)
    """)
    subprocess.run([sys.executable, "-c", script], check=True)
