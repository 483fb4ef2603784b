"""A site whose music is in stock already, a broker that can fail, and listeners: for what a control room asks. No sampler runs."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import requests
from paho.mqtt.enums import CallbackAPIVersion

from gridtone.config import Site, load_site
from gridtone.demo.broker import start_broker
from gridtone.library.library import Library
from gridtone.library.track import Track
from gridtone.room.masking import limits_of
from gridtone.server import create_app, serve
from gridtone.service import Service
from gridtone.stock.stock import StateNeed, prompt_hash
from gridtone_adapters import Reading
from waiting import PATIENCE_SECONDS, free_port, until

STALE_SECONDS = 1.0
RULES: dict[str, Any] = {
    "gridtone": 1,
    "signals": {"load": {"of": "grid/load_pct", "unit": "%", "stale_after": STALE_SECONDS}},
    "states": {
        "high": {"severity": "alert", "priority": 10, "when": "load > 80", "prompt": "steady, 90 bpm"},
        "low": {"when": "load <= 80", "prompt": "calm, 60 bpm"},
    },
}


LASTING_RULES = {**RULES, "signals": {"load": {**RULES["signals"]["load"], "stale_after": 3600}}}
"""The same where telemetry never is stale, however slow the machine."""


def site_of(folder: Path, broker_port: int, **settings: Any) -> Site:
    """A site's file, read as `gridtone serve` would."""
    mqtt_source = {"kind": "mqtt", "host": "127.0.0.1", "port": broker_port, "retry_seconds": 0.1, "retry_max_seconds": 0.3, "keepalive_seconds": 5}
    mqtt_source["topics"] = [{"topic": "site/{point...}", "point": "{point}", "time_path": "time"}]
    written = {
        "data": str(folder / "data"),
        "rules": RULES,
        "server": {"port": free_port(), "max_listeners": 10},
        "stock": {"per_state": 1, "fresh_plays": 1_000_000},
        "conductor": {"dwell_seconds": 0},
        "adapters": [mqtt_source],
    } | settings
    (folder / "site.yaml").write_text(json.dumps(written))
    return load_site(folder / "site.yaml", {})


def fill_library(site: Site) -> None:
    """Put a long track of each state into stock. Nobody listens to the audio."""
    with Library.open(site.library, site.data) as library:
        for number, (name, state) in enumerate(site.load_rules().states.items()):
            assert state.prompt
            track = Track(
                f"{number:064x}", name, "calm", 36_000.0, 48000, 60.0, "C major", 0.3, 4.0, 0.0, -23.0, -6.0, "test", "test", number, "CC0-1.0", time.time()
            )
            files = [library.incoming / f"{track.id}.{codec}" for codec in ("flac", "opus")]
            for file in files:
                file.write_bytes(b"nothing")
            need = StateNeed(name, state.prompt.for_engine(), limits=limits_of(state.severity, site.room, site.gate))
            library.add(track, prompt_hash(need), *files)


@contextmanager
def serving(site: Site) -> Iterator[tuple[Service, str]]:
    """The service in this process, as `gridtone serve` runs it; and its address."""
    ready, stop, addresses = threading.Event(), threading.Event(), list[str]()

    def on_ready(address: str) -> None:
        addresses.append(address)
        ready.set()

    with Service(site) as service:
        thread = threading.Thread(target=serve, args=(create_app(service, site.server, site.data), site.server, on_ready, stop))
        thread.start()
        try:
            assert ready.wait(PATIENCE_SECONDS), "the server did not start"
            yield service, addresses[0]
        finally:
            stop.set()
            thread.join(PATIENCE_SECONDS)


class Listener:
    """Hears cues, and when each arrived."""

    def __init__(self, url: str, query: str = "") -> None:
        self.heard: list[tuple[float, dict[str, Any]]] = []
        self._response = requests.get(f"{url}/api/v1/events{query}", stream=True, timeout=PATIENCE_SECONDS)
        assert self._response.ok, self._response.text
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        kind = ""
        try:
            for line in self._response.iter_lines(chunk_size=1):
                if line.startswith(b"event: "):
                    kind = line[7:].decode()
                elif line.startswith(b"data: ") and kind == "cue":
                    self.heard.append((time.time(), json.loads(line[6:])))
        except (requests.RequestException, AttributeError):
            pass  # closed

    @property
    def cue(self) -> dict[str, Any]:
        return self.heard[-1][1] if self.heard else {"action": "nothing yet", "id": -1, "reason": {"en": ""}}

    def wait(self, action: str, after: int = -1) -> tuple[float, dict[str, Any]]:
        """The first cue of that action with a higher id than `after`, and when it arrived."""
        return until(lambda: next(((at, cue) for at, cue in self.heard if cue["action"] == action and cue["id"] > after), None), seen=lambda: self.heard[-3:])

    def close(self) -> None:
        self._response.close()


class Publisher:
    """Publishes a load ten times a second, until it is paused, whatever becomes of the broker; and alarms."""

    def __init__(self, port: int, load: float = 50.0) -> None:
        self.load, self.paused = load, threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[no-untyped-call]
        self._client.max_queued_messages_set(1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed.wait(0.1):
            if not self.paused.is_set():
                self.publish("grid/load_pct", self.load, qos=0)

    def publish(self, point: str, value: float, qos: int = 1, retain: bool = False) -> mqtt.MQTTMessageInfo:
        return self._client.publish(f"site/{point}", json.dumps({"value": value, "time": time.time()}), qos, retain)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(PATIENCE_SECONDS)
        self._client.disconnect()
        self._client.loop_stop()


class Wire:
    """A TCP proxy: a network between a service and its broker that can be cut, after which nothing arrives and nobody is told."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._whole = threading.Event()
        self._whole.set()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near = self._server.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                if self._server.fileno() < 0:
                    return
                near.close()
                continue
            self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                if self._whole.is_set():
                    target.sendall(data)
        except OSError:
            pass  # an end was closed
        finally:
            for end in (source, target):
                end.close()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        """Old connections are gone; new ones work."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):  # closed already
                end.shutdown(socket.SHUT_RDWR)
        self._whole.set()

    def close(self) -> None:
        self._server.close()
        self.mend()


class FaultySite:
    """A site whose telemetry can be made to stop in several ways. Its publisher speaks to the broker, its service through a `Wire`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.broker = start_broker(free_port())
        self.wire = Wire(self.broker.port)
        self.publisher = Publisher(self.broker.port)
        self.site = site_of(folder, self.wire.port, **settings)
        fill_library(self.site)
        self._broken = threading.Event()

    @contextmanager
    def running(self) -> Iterator[tuple[Service, Listener]]:
        with serving(self.site) as (service, url):
            intake: Any = service._adapters[0]._intake  # type: ignore[attr-defined]
            add = intake.add

            def add_or_raise(reading: Reading) -> None:
                if self._broken.is_set():
                    raise RuntimeError("a defect in the adapter")
                add(reading)

            intake.add = add_or_raise
            listener = Listener(url)
            try:
                yield service, listener
            finally:
                listener.close()

    @property
    def faults(self) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
        """Name -> how telemetry is made to stop, and how to go on."""
        return {
            "publisher stops": (self.publisher.paused.set, self.publisher.paused.clear),
            "broker killed": (self._kill_broker, self._start_broker),
            "network cut": (self.wire.cut, self.wire.mend),
            "adapter raises": (self._broken.set, self._broken.clear),
        }

    def stop_telemetry(self, fault: str, service: Service, listener: Listener) -> float:
        """Make telemetry stop while music plays, and go on. Returns the seconds from the newest reading that arrived to silence, its fade included."""
        stop, go_on = self.faults[fault]
        until(lambda: listener.cue["action"] == "play", seen=lambda: listener.heard[-3:])
        time.sleep(random.uniform(0.2, 1.0))
        before = listener.cue["id"]
        stop()
        arrived, cue = listener.wait("silence", after=before)
        asked = time.time()
        age = service.standing().signals[0].age_seconds
        assert age is not None
        go_on()
        return arrived + float(cue["crossfade_seconds"]) - (asked - age)

    def close(self) -> None:
        self.publisher.close()
        self.wire.close()
        self.broker.close()

    def _kill_broker(self) -> None:
        self.broker.process.kill()
        self.broker.process.wait()

    def _start_broker(self) -> None:
        self.broker = start_broker(self.broker.port)
