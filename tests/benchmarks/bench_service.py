"""From a publish at the broker to the order at a listener, under load; what of a bare subscriber's rate is left with all rules behind; resident memory.

A real Mosquitto, `gridtone serve` with its default rules plus one state that a single point decides, a listener over HTTP, a publisher in its own process.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import psutil
import requests
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gridtone.demo.broker import start_broker

sys.path.insert(0, str(Path(__file__).parents[1]))

from waiting import free_port

RULE = """
  benchmark:
    when: benchmark > 0
    severity: in_extremis
    priority: 999
    prompt: sparse, 60 bpm
"""
SIGNAL = """
  benchmark: {of: benchmark/trigger, stale_after: 1h}
"""


def client(port: int) -> mqtt.Client:
    made = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    made.max_queued_messages_set(0)
    made.connect("127.0.0.1", port)
    return made


def publish_background(port: int, rate_hz: float, seconds: float, points: int) -> None:
    """`rate_hz` readings a second, evenly, over many points that the default rules speak of."""
    publisher = client(port)
    publisher.loop_start()
    random = np.random.default_rng(0)
    begun = time.time()
    for number in range(int(rate_hz * seconds)):
        wait = begun + number / rate_hz - time.time()
        if wait > 0:
            time.sleep(wait)
        value = round(float(random.uniform(20, 60)), 2)
        publisher.publish(f"grid/line/L{number % points}/loading_pct", json.dumps({"value": value, "unit": "%", "time": time.time()}))
    publisher.disconnect()
    publisher.loop_stop()


def publish_burst(port: int, messages: int, points: int) -> None:
    publisher = client(port)
    publisher.loop_start()
    payloads = [json.dumps({"value": 20 + number % 40, "unit": "%", "time": time.time()}) for number in range(100)]
    for number in range(messages):
        info = publisher.publish(f"grid/line/L{number % points}/loading_pct", payloads[number % 100])
    info.wait_for_publish(60)
    publisher.disconnect()
    publisher.loop_stop()


@contextmanager
def service(folder: Path, broker_port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    pack = files("gridtone.rules").joinpath("packs/transmission.yaml").read_text(encoding="utf-8")
    rules = pack.replace("\nsignals:", "\nsignals:" + SIGNAL, 1).replace("\nstates:", "\nstates:" + RULE, 1)
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    port = free_port()
    site = {
        "data": str(folder / "data"),
        "rules": "rules.yaml",
        "server": {"port": port},
        "stock": {"per_state": 1, "first_seconds": 60, "track_seconds": 60},
        "conductor": {"dwell_seconds": 0},
        "adapters": [
            {"kind": "mqtt", "host": "127.0.0.1", "port": broker_port, "topics": [{"topic": "grid/{point...}", "point": "{point}", "time_path": "time"}]}
        ],
    }
    (folder / "site.yaml").write_text(json.dumps(site))
    process = subprocess.Popen([sys.executable, "-m", "gridtone", "serve", "--config", str(folder / "site.yaml")], stderr=(folder / "log").open("wb"))
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                states = requests.get(f"{url}/api/v1/states", timeout=5).json()["states"]
                if all(state["fresh"] >= state["wanted"] for state in states):
                    break
            except requests.ConnectionError:
                pass
            time.sleep(0.2)
        else:
            raise SystemExit("the stock was not filled: " + (folder / "log").read_text())
        yield url, process
    finally:
        process.terminate()
        process.wait(15)


def cue_latencies(url: str, broker_port: int, changes: int, rate_hz: float, points: int) -> list[float]:
    """Seconds from the publish of each change to the arrival of its cue."""
    arrived: dict[str, float] = {}
    condition = threading.Condition()

    def listen() -> None:
        kind = ""
        with requests.get(f"{url}/api/v1/events", stream=True, timeout=60) as stream:
            for line in stream.iter_lines(chunk_size=1, decode_unicode=True):
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind == "cue":
                    now = time.perf_counter()
                    with condition:
                        arrived[json.loads(line.removeprefix("data: "))["state"]] = now
                        condition.notify_all()

    threading.Thread(target=listen, daemon=True).start()
    background = multiprocessing.get_context("spawn").Process(target=publish_background, args=(broker_port, rate_hz, changes * 0.35 + 10, points))
    background.start()
    publisher = client(broker_port)
    publisher.loop_start()
    time.sleep(3)
    latencies = []
    for change in track(range(changes), description="changes of state", console=Console(stderr=True)):
        on = change % 2 == 0
        with condition:
            arrived.clear()
            published = time.perf_counter()
            publisher.publish("grid/benchmark/trigger", json.dumps({"value": int(on), "time": time.time()}), qos=0)
            if not condition.wait_for(lambda on=on: any((state == "benchmark") == on for state in arrived), timeout=10):
                raise SystemExit("a cue did not arrive within 10 s")
            latencies.append(next(at for state, at in arrived.items() if (state == "benchmark") == on) - published)
        time.sleep(0.2)
    background.terminate()
    publisher.disconnect()
    publisher.loop_stop()
    return latencies


def bare_rate(broker_port: int, messages: int, points: int) -> float:
    """Messages a second that a subscriber takes that only counts."""
    count = 0

    def on_message(*_: object) -> None:
        nonlocal count
        count += 1

    subscriber = client(broker_port)
    subscriber.on_message = on_message
    subscriber.subscribe("grid/#")
    subscriber.loop_start()
    time.sleep(0.5)
    used = psutil.Process().cpu_times()
    run_burst(broker_port, messages, points)
    wait_for_the_last(lambda: count)
    spent = psutil.Process().cpu_times()
    subscriber.disconnect()
    subscriber.loop_stop()
    return count / (spent.user + spent.system - used.user - used.system)


def wait_for_the_last(count: Callable[[], int]) -> None:
    """Wait until nothing more comes: a broker drops what a subscriber is too slow for."""
    before = -1
    while (now := count()) != before:
        before = now
        time.sleep(0.5)


def run_burst(broker_port: int, messages: int, points: int) -> None:
    process = multiprocessing.get_context("spawn").Process(target=publish_burst, args=(broker_port, messages, points))
    process.start()
    process.join()


def service_rate(url: str, process: subprocess.Popen[bytes], broker_port: int, messages: int, points: int) -> float:
    """Messages a second of CPU that the whole service takes, every reading judged by the rules."""

    def received() -> int:
        return int(requests.get(f"{url}/api/v1/adapters", timeout=10).json()["adapters"][0]["received"])

    service = psutil.Process(process.pid)
    before, used = received(), service.cpu_times()
    run_burst(broker_port, messages, points)
    wait_for_the_last(received)
    spent = service.cpu_times()
    return (received() - before) / (spent.user + spent.system - used.user - used.system)


def resident_mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--rate", type=float, default=1000.0, help="background messages a second")
    parser.add_argument("--messages", type=int, default=100_000, help="of each burst")
    parser.add_argument("--points", type=int, default=1000)
    chosen = parser.parse_args()
    table = Table("what", "measured", "to reach")
    with tempfile.TemporaryDirectory() as folder, start_broker(free_port()) as broker, service(Path(folder), broker.port) as (url, process):
        latencies = np.array(cue_latencies(url, broker.port, chosen.changes, chosen.rate, chosen.points)) * 1000
        p50, p99 = np.percentile(latencies, [50, 99])
        what = f"MQTT publish -> cue at an SSE listener, {chosen.rate:,.0f} messages/s background, {chosen.changes} changes"
        table.add_row(what, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {latencies.max():.1f} ms", "p50 <= 30 ms, p99 <= 150 ms")
        ratios = []
        for _ in range(3):
            bare = bare_rate(broker.port, chosen.messages, chosen.points)
            ours = service_rate(url, process, broker.port, chosen.messages, chosen.points)
            ratios.append((ours / bare, ours, bare))
        ratio, ours, bare = sorted(ratios)[1]
        table.add_row("ingest with the default rules, of a bare counting subscriber", f"{ratio:.2f} ({ours:,.0f} of {bare:,.0f}/s of CPU)", ">= 0.7")
        own = psutil.Process(process.pid)
        children = own.children(recursive=True)
        total = resident_mib(own) + sum(map(resident_mib, children))
        table.add_row("resident memory: service, and with the sampler process", f"{resident_mib(own):.0f} MiB, {total:.0f} MiB", "<= 300 MB")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
