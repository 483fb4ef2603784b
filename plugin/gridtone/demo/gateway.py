"""The demo's substation gateway: it publishes the simulated grid over MQTT as a remote terminal unit would.

One retained topic a point with JSON `{"value", "unit", "time", "quality"}`; by exception (beyond a deadband) and, all of them, in a periodic integrity scan.
This is the only place in gridtone that publishes to a broker.
"""

import argparse
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from gridtone.demo.faults import TelemetryFaults
from gridtone.demo.grid import SOURCE, load_grid
from gridtone.demo.options import TOPIC_PREFIX, DemoError, DemoOptions
from gridtone.demo.processes import spawn
from gridtone.demo.simulation import GridSimulation, PointValue

log = logging.getLogger("gridtone.demo")

DEADBANDS = {"%": 0.5, "pu": 0.001, "MW": 0.5, "%/h": 0.5}
"""By unit: a change up to this is not reported before the next integrity scan. Points without a unit are switches: every change counts."""
SCAN_SECONDS = 10.0


class Gateway:
    """Publishes point values to one broker. Reconnects by itself; while there is no broker, values are lost, as they should be, and a scan follows."""

    def __init__(self, host: str, port: int, prefix: str = TOPIC_PREFIX, faults: TelemetryFaults | None = None) -> None:
        self._prefix, self._faults = prefix, faults
        self._address = f"{host}:{port}"
        self._reported: dict[str, tuple[float, str]] = {}
        self._started = time.monotonic()
        self._scanned = float("-inf")
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = lambda *_: log.warning("No broker at %s; trying again", self._address)
        self._client.on_disconnect = self._disconnected
        self._client.reconnect_delay_set(1, 5)
        self._client.connect_async(host, port, keepalive=10)
        self._client.loop_start()

    def _connected(self, _client: mqtt.Client, _userdata: object, _flags: mqtt.ConnectFlags, reason: ReasonCode, _properties: object) -> None:
        if reason.is_failure:
            log.warning("The broker at %s refuses the connection: %s", self._address, reason)
        else:
            log.info("Publishing to %s under %s/", self._address, self._prefix)
            self._scanned = float("-inf")

    def _disconnected(self, _client: mqtt.Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object) -> None:
        if reason.is_failure:
            log.warning("Lost the broker at %s (%s); trying again", self._address, reason)

    def wait_connected(self, seconds: float) -> bool:
        """Wait until there is a broker. Returns whether there is one."""
        deadline = time.monotonic() + seconds
        while not self._client.is_connected() and time.monotonic() < deadline:
            time.sleep(0.02)
        return self._client.is_connected()

    def publish(self, points: Sequence[PointValue]) -> int:
        """Publish what changed beyond its deadband, or everything when a scan is due. Returns how many points were published."""
        if not self._client.is_connected():
            return 0
        now = time.monotonic()
        scan = now - self._scanned >= SCAN_SECONDS
        if scan:
            self._scanned = now
        qualities, silent = self._faults.at(now - self._started, points) if self._faults else ({}, ())
        measured = datetime.now(UTC).isoformat(timespec="milliseconds")
        published = 0
        for point in points:
            quality = qualities.get(point.path, "good")
            if point.path.startswith(silent) or not (scan or self._changed(point, quality)):
                continue
            self._reported[point.path] = (point.value, quality)
            payload = json.dumps({"value": point.value, "unit": point.unit, "time": measured, "quality": quality})
            self._client.publish(f"{self._prefix}/{point.path}", payload, qos=0 if point.unit else 1, retain=True)
            published += 1
        return published

    def _changed(self, point: PointValue, quality: str) -> bool:
        before, quality_before = self._reported.get(point.path, (float("inf"), ""))
        return abs(point.value - before) > DEADBANDS.get(point.unit, 0.0) or quality != quality_before

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def simulate(host: str, port: int, options: DemoOptions, stop: threading.Event) -> None:
    """Load the grid and publish it until `stop` is set. Raises DemoError where the demo's packages are missing."""
    gateway = Gateway(host, port, faults=TelemetryFaults(options.seed))
    try:
        grid = load_grid()
        log.info("Grid data: %s", SOURCE)
        simulation = GridSimulation(grid, options)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, lambda *_: simulation.force("circuit"))
            signal.signal(signal.SIGUSR2, lambda *_: simulation.force("storm"))
        gateway.wait_connected(10)
        due = time.monotonic()
        points: list[PointValue] = []
        while not stop.is_set():
            if time.monotonic() >= due:
                points = simulation.step()
                due = max(due + options.step_seconds, time.monotonic())
            gateway.publish(points)
            stop.wait(min(max(0.0, due - time.monotonic()), SCAN_SECONDS))
    finally:
        gateway.close()


def start_gateway(host: str, port: int, options: DemoOptions) -> subprocess.Popen[bytes]:
    """Run `simulate` in a process of its own. Call it from the main thread: on Linux the process ends with the thread that started it."""
    command = [sys.executable, "-W", "ignore", "-m", "gridtone.demo.gateway", f"--host={host}", f"--port={port}"]
    command += [f"--minutes-per-second={options.minutes_per_second}", f"--seed={options.seed}", f"--events-per-day={options.events_per_day}"]
    if options.start:
        command.append(f"--start={options.start.isoformat()}")
    command.append(f"--first-event-minutes={'none' if options.first_event_minutes is None else options.first_event_minutes}")
    return spawn(command)


def main(arguments: Sequence[str] | None = None) -> int:
    defaults = DemoOptions()
    parser = argparse.ArgumentParser(prog="python -m gridtone.demo.gateway", description="Publish a simulated real grid over MQTT. " + SOURCE)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--start", type=datetime.fromisoformat, help="date and time in 2016, such as 2016-02-09T06:00 (default: now, on a windy day)")
    parser.add_argument("--minutes-per-second", type=float, default=defaults.minutes_per_second, help="simulated minutes per second (default %(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="another seed, other events (default %(default)s)")
    parser.add_argument("--events-per-day", type=float, default=defaults.events_per_day, help="on average, per simulated day (default %(default)s)")
    parser.add_argument(
        "--first-event-minutes",
        type=lambda text: None if text == "none" else float(text),
        default=defaults.first_event_minutes,
        help="simulated minutes until the first event, or none (default %(default)s)",
    )
    chosen = vars(parser.parse_args(arguments))
    host, port = chosen.pop("host"), chosen.pop("port")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s demo: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("gridtone").setLevel(logging.INFO)
    stop = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stop.set())
    try:
        simulate(host, port, DemoOptions(**chosen), stop)
    except DemoError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
