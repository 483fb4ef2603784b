"""Real servers for the adapters' tests: Mosquitto and InfluxDB on free loopback ports, which a test may kill and start again."""

import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gridtone_adapters import Adapter, Reading
from waiting import PATIENCE_SECONDS, free_port, until


def find_program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def wait_until(condition: Callable[[], object], what: str, seen: Callable[[], object] = str) -> None:
    until(condition, seen=lambda: f"{what}; {seen()}")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A server process; `kill` is kill -9."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self.command, self.port, self.log = command, port, log

    def start(self) -> "Server":
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_until(lambda: listens(self.port) or self._process.poll() is not None, f"the start of {self.command[0]}")
        assert self._process.poll() is None, self.log.read_text()
        return self

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Broker(Server):
    """Mosquitto. `configuration` follows the `listener` line."""

    def __init__(self, folder: Path, configuration: str = "allow_anonymous true", port: int | None = None) -> None:
        port = port or free_port()
        file = folder / f"mosquitto-{port}.conf"
        file.write_text(f"log_type all\nuser root\nlistener {port} 127.0.0.1\n{configuration}\n")
        super().__init__([find_program("mosquitto"), "-c", str(file)], port, folder / f"mosquitto-{port}.log")

    def publish(self, *messages: tuple[str, bytes | str], port: int | None = None, **options: Any) -> None:
        publish(port or self.port, *messages, **options)


def publish(port: int, *messages: tuple[str, bytes | str], retain: bool = False, qos: int = 1, username: str | None = None) -> None:
    """Publish messages in order and wait until the broker has them all. The password is the user's name."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    if username:
        client.username_pw_set(username, username)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for sent in [client.publish(topic, payload, qos=qos, retain=retain) for topic, payload in messages]:
        sent.wait_for_publish(PATIENCE_SECONDS)
        assert sent.is_published()
    client.disconnect()
    client.loop_stop()


class Collector:
    """Reads an adapter in a thread of its own, as the service does."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.readings: list[Reading] = []
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self) -> None:
        for batch in self.adapter.batches():
            assert batch
            self.readings.extend(batch)

    @property
    def points(self) -> list[str]:
        return [reading.point for reading in self.readings]

    def wait_connected(self) -> None:
        wait_until(lambda: self.adapter.health().connected and not self.adapter.health().problem, "a connection", self.adapter.health)

    def wait_count(self, count: int) -> list[Reading]:
        wait_until(lambda: len(self.readings) >= count, f"the arrival of {count} readings", lambda: (len(self.readings), self.adapter.health()))
        return self.readings

    def wait_problem(self, *words: str) -> str:
        wait_until(lambda: all(word in self.adapter.health().problem for word in words), f"a problem with {words}", self.adapter.health)
        return self.adapter.health().problem

    def close(self) -> None:
        self.adapter.close()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "close() did not end batches()"
