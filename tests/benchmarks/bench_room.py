"""How soon a control room is silent: for an unacknowledged alarm at 500 listeners under load, and when telemetry stops, over 200 random faults.

A real Mosquitto, the service as a site runs it, a publisher and the listeners in processes of their own.
"""

import argparse
import json
import logging
import multiprocessing
import random
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import requests
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from gridtone.demo.broker import start_broker
from room_site import LASTING_RULES, STALE_SECONDS, FaultySite, fill_library, site_of
from waiting import free_port

MARK = b"event: cue\ndata: "
ALARMS = {"sources": [{"active": "alarm/*/active", "acknowledged": "alarm/*/acknowledged"}], "flood_alarms": 1_000_000}


def listen(port: int, listeners: int, results: Connection) -> None:
    """Hold event streams open. Report (arrival, id, action, fade) of every cue at every listener since the last question; the end of a stream as `ended`."""
    selector = selectors.DefaultSelector()
    for _ in range(listeners):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        selector.register(connection, selectors.EVENT_READ, bytearray())
    selector.register(results, selectors.EVENT_READ)
    heard: list[tuple[float, int, str, float]] = []
    opening = True
    while True:
        if opening and len(heard) >= listeners:  # each was told of the present
            opening = False
            results.send("open")
        for key, _ in selector.select():
            if key.fileobj is results:
                results.recv()
                results.send(heard)
                heard = []
                continue
            chunk = key.fileobj.recv(65_536)  # type: ignore[union-attr]
            now = time.time()
            buffer: bytearray = key.data
            buffer += chunk
            while (start := buffer.find(MARK)) >= 0 and (end := buffer.find(b"\n\n", start)) >= 0:
                cue = json.loads(buffer[start + len(MARK) : end].split(b"\r\n")[0])
                heard.append((now, cue["id"], cue["action"], cue["crossfade_seconds"]))
                del buffer[: end + 2]
            if len(buffer) > 100_000:
                del buffer[:-20_000]
            if not chunk:
                selector.unregister(key.fileobj)
                heard.append((now, 0, "ended", 0.0))


def publish_background(port: int, rate_hz: float) -> None:
    """`rate_hz` readings a second, evenly, over 1,000 points, until killed; those of the rules among them."""
    publisher = mqtt.Client(CallbackAPIVersion.VERSION2)
    publisher.connect("127.0.0.1", port)
    publisher.loop_start()
    begun, number = time.time(), 0
    while True:
        wait = begun + number / rate_hz - time.time()
        if wait > 0:
            time.sleep(wait)
        point = "grid/load_pct" if number % 10 == 0 else f"line/L{number % 1000}/loading_pct"
        publisher.publish(f"site/{point}", json.dumps({"value": 50.0, "time": time.time()}))
        number += 1


def alarms_under_load(listeners: int, rate_hz: float, alarms: int) -> tuple[list[float], list[float]]:
    """Seconds from the publish of each alarm to its cue at every listener, and the same with the fade that the cue asks for."""
    arrivals: list[float] = []
    silent: list[float] = []
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, start_broker(free_port()) as broker:
        server = {"port": free_port(), "max_listeners": listeners + 10}
        site = site_of(Path(folder), broker.port, rules=LASTING_RULES, alarms=ALARMS, room={"dwell_seconds": 0}, server=server)
        fill_library(site)
        command = [sys.executable, "-m", "gridtone", "serve", "--config", str(Path(folder) / "site.yaml")]
        service = subprocess.Popen(command, stderr=(Path(folder) / "log").open("wb"))
        background = spawn.Process(target=publish_background, args=(broker.port, rate_hz), daemon=True)
        results, theirs = multiprocessing.Pipe()
        client = spawn.Process(target=listen, args=(server["port"], listeners, theirs), daemon=True)
        publisher = mqtt.Client(CallbackAPIVersion.VERSION2)
        try:
            background.start()
            publisher.connect("127.0.0.1", broker.port)
            publisher.loop_start()

            def tell(active: int, acknowledged: int) -> float:
                now = time.time()
                publisher.publish("site/alarm/T1/acknowledged", json.dumps({"value": acknowledged, "time": now}), qos=1)
                publisher.publish("site/alarm/T1/active", json.dumps({"value": active, "time": now}), qos=1)
                return now

            url = f"http://127.0.0.1:{server['port']}/api/v1/cue"
            tell(0, 1)
            wait_for_action(url, "play", lambda: tell(0, 1))
            client.start()
            assert results.recv() == "open"
            for number in range(alarms):
                time.sleep(random.uniform(0.3, 0.6))
                results.send(None)
                results.recv()
                published = tell(1, 0)
                heard: list[tuple[float, int, str, float]] = []
                deadline = time.monotonic() + 30
                while len(told := [cue for cue in heard if cue[2] == "silence"]) < listeners and time.monotonic() < deadline:
                    time.sleep(0.2)
                    results.send(None)
                    heard += results.recv()
                if len(told) < listeners:
                    ended = sum(action == "ended" for _, _, action, _ in heard)
                    who = f"only {len(told)} of {listeners} listeners were told within 30 s"
                    raise SystemExit(f"alarm {number}: {who}; {ended} streams were ended, as by a service that stands still")
                arrivals += [at - published for at, *_ in told]
                silent += [at - published + fade for at, _, _, fade in told]
                tell(0, 1)
                wait_for_action(url, "play")
        finally:
            for process in (background, client):
                if process.pid:
                    process.kill()
            publisher.loop_stop()
            service.terminate()
            service.wait(30)
    return sorted(arrivals), sorted(silent)


def wait_for_action(url: str, action: str, again: object = None) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=10).json()["action"] == action:
                return
        except requests.RequestException:
            pass  # it starts, or the machine is busy
        if callable(again):
            again()
        time.sleep(0.2)
    raise SystemExit(f"no cue to {action} within 60 s")


def random_faults(faults: int, sites: int) -> list[tuple[str, float]]:
    """(fault, seconds from the newest reading that arrived to silence), over sites that fail independently."""
    logging.disable(logging.CRITICAL)  # every fault is logged, as it should be
    found: list[tuple[str, float]] = []
    left = iter(range(faults))
    kinds: list[str] = []

    def run(site: FaultySite) -> None:
        with site.running() as (service, listener):
            for number in left:
                fault = kinds[number]
                found.append((fault, site.stop_telemetry(fault, service, listener)))
                print(f"\r{len(found)} of {faults} faults", end="", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        many = []
        for number in range(sites):
            (Path(folder) / str(number)).mkdir()
            many.append(FaultySite(Path(folder) / str(number)))
        kinds += [random.choice(list(many[0].faults)) for _ in range(faults)]
        threads = [threading.Thread(target=run, args=(site,)) for site in many]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for site in many:
            site.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1000.0, help="background messages a second")
    parser.add_argument("--alarms", type=int, default=30)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--sites", type=int, default=4, help="services that fail side by side")
    chosen = parser.parse_args()
    table = Table("what", "measured", "to reach")
    if chosen.alarms:
        arrivals, silent = (np.array(found) * 1000 for found in alarms_under_load(chosen.listeners, chosen.rate, chosen.alarms))
        what = f"{chosen.alarms} alarms -> cue at {chosen.listeners} listeners, {chosen.rate:,.0f} messages/s"
        for name, found, target in ((what, arrivals, ""), ("the same with the fade into silence", silent, "p99 <= 1000 ms")):
            p50, p99 = np.percentile(found, [50, 99])
            table.add_row(name, f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, worst {found.max():.0f} ms", target)
    if chosen.faults:
        delays = random_faults(chosen.faults, chosen.sites)
        kinds = ", ".join(f"{count} {fault}" for fault, count in Counter(fault for fault, _ in delays).items())
        late = np.array([delay for _, delay in delays]) - STALE_SECONDS
        within = f"{(late <= 1).sum()} of {len(late)} within 1 s"
        what = f"telemetry stops -> silence, past stale_after ({kinds})"
        table.add_row(what, f"p50 {np.median(late):.2f} s, worst {late.max():.2f} s; {within}", "always <= 1 s")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
