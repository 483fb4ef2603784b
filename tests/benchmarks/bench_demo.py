"""How fast the demo starts and steps: `python tests/benchmarks/bench_demo.py`."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gridtone.demo.broker import RunningBroker, start_broker
from gridtone.demo.gateway import start_gateway
from gridtone.demo.grid import load_grid
from gridtone.demo.options import DemoOptions
from gridtone.demo.processes import stop
from gridtone.demo.simulation import GridSimulation

SOLVE = """
import sys, time
started = time.monotonic()
import pandapower
from gridtone.demo.grid import load_grid
grid = load_grid()
numba = {numba}
pandapower.runpp(grid.net, numba=numba)
first = time.monotonic() - started
started = time.monotonic()
for _ in range(20):
    pandapower.runpp(grid.net, numba=numba)
print(first, (time.monotonic() - started) / 20)
"""


def seconds_to_first_point(broker: RunningBroker) -> tuple[float, float]:
    """Seconds from the start of the process to the first point that a listener gets, and the process's memory in MB after some steps."""
    arrived: list[float] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda *_: arrived.append(time.monotonic())
    client.on_connect = lambda connected, *_: connected.subscribe("gridtone/demo/#")
    client.connect(broker.host, broker.port)
    client.loop_start()
    time.sleep(0.5)
    arrived.clear()
    started = time.monotonic()
    process = start_gateway(broker.host, broker.port, DemoOptions())
    while not arrived:
        time.sleep(0.01)
    time.sleep(5)
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    stop(process)
    client.disconnect()
    client.loop_stop()
    return arrived[0] - started, pages * resource.getpagesize() / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        with start_broker() as broker:
            first, _ = seconds_to_first_point(broker)
        with start_broker() as broker:
            again, memory_mb = seconds_to_first_point(broker)
        simulation = GridSimulation(load_grid(), DemoOptions())
        started = time.monotonic()
        for _ in range(50):
            simulation.step()
        step = (time.monotonic() - started) / 50
        solves = {
            numba: [
                float(x)
                for x in subprocess.run([sys.executable, "-W", "ignore", "-c", SOLVE.format(numba=numba)], capture_output=True, check=True).stdout.split()
            ]
            for numba in (False, True)
        }
    print(f"{'what':44} {'measured':>10} {'target':>8}")
    print(f"{'first start to first point':44} {first:8.1f} s {'8 s':>8}")
    print(f"{'later starts to first point':44} {again:8.1f} s {'8 s':>8}")
    print(f"{'one step':44} {1000 * step:7.0f} ms {'2000 ms':>8}")
    print(f"{'memory of the demo process':44} {memory_mb:7.0f} MB")
    print(f"{'without numba: start to first power flow':44} {solves[False][0]:8.1f} s, then {1000 * solves[False][1]:.0f} ms each")
    print(f"{'with numba: start to first power flow':44} {solves[True][0]:8.1f} s, then {1000 * solves[True][1]:.0f} ms each")


if __name__ == "__main__":
    main()
