"""A site of its own for the panel: `gridtone serve` at a broker."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import requests

from waiting import free_port

RULES = """\
gridtone: 1
signals:
  load: {of: grid/load_pct, unit: "%", stale_after: 10s}
states:
  high: {title: {en: High load, zh: 高负荷}, severity: alert, priority: 10, when: load > 80, prompt: "focused, steady, 90 bpm"}
  low: {title: {en: Low load, zh: 低负荷}, when: load <= 80, prompt: "calm ambient, warm pads, 60 bpm"}
"""
SITE = """\
data: data
rules: rules.yaml
server: {{port: {port}}}
stock: {{per_state: 1, first_seconds: 20, track_seconds: 20}}
conductor: {{dwell_seconds: 0.5, crossfade_seconds: 1, lead_seconds: 2}}
adapters:
  - kind: mqtt
    host: 127.0.0.1
    port: {broker}
    topics: [{{topic: "site/{{point...}}", point: "{{point}}", time_path: time}}]
"""


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Until `condition` gives something true; a service that does not answer yet is waited for as well."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


@contextmanager
def gridtone_serve(folder: Path, broker_port: int, rules: str = RULES) -> Iterator[str]:
    port = free_port()
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    (folder / "site.yaml").write_text(SITE.format(port=port, broker=broker_port), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "gridtone", "serve", "--config", str(folder / "site.yaml")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def publishing(broker_port: int, load_pct: float) -> Iterator[None]:
    """The load at the broker, every half second."""
    ended = threading.Event()

    def publish() -> None:
        message = json.dumps({"value": load_pct, "time": time.time()})
        paho.mqtt.publish.single("site/grid/load_pct", message, qos=1, hostname="127.0.0.1", port=broker_port)

    def run() -> None:
        while not ended.wait(0.5):
            publish()

    publish()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
