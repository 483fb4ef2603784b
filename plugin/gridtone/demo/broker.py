"""A broker for those who have none: Mosquitto where it is installed, else amqtt, on loopback only, in a process of its own, keeping nothing."""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from gridtone.demo.options import DemoError
from gridtone.demo.processes import spawn, stop

HOST = "127.0.0.1"
DEFAULT_PORT = 1883
START_SECONDS = 30.0

Kind = Literal["mosquitto", "amqtt"]


@dataclass(slots=True)
class RunningBroker:
    """A broker that this process started. Also a context manager."""

    host: str
    port: int
    kind: Kind
    process: subprocess.Popen[bytes]
    folder: Path

    def problem(self) -> str:
        """Why it no longer runs; empty while it does."""
        code = self.process.poll()
        if code is None:
            return ""
        return f"the {self.kind} broker on port {self.port} ended with exit code {code}. Its last words: {_last_words(self.folder)}"

    def close(self) -> None:
        stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "RunningBroker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_broker(port: int | None = None, kind: Kind | None = None) -> RunningBroker:
    """Start a broker and wait until it answers.

    port: where to listen; None takes 1883 if it is free, else any free port.
    kind: None takes Mosquitto if it is installed, else amqtt.

    Call it from the main thread: on Linux the broker ends with the thread that started it.
    Raises DemoError if there is no broker to start, or if it does not start.
    """
    mosquitto = shutil.which("mosquitto", path=os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin")
    kind = kind or ("mosquitto" if mosquitto else "amqtt")
    port = _choose_port(port)
    folder = Path(tempfile.mkdtemp(prefix="gridtone-broker-"))
    if kind == "mosquitto":
        if not mosquitto:
            raise DemoError("Mosquitto is not installed. Install it (Debian: apt-get install mosquitto), or leave the choice of broker open.")
        configuration = folder / "mosquitto.conf"
        # Without `user`, Mosquitto started by root becomes another user and forgets to end with its parent.
        user = "user root\n" if os.geteuid() == 0 else ""
        configuration.write_text(f"listener {port} {HOST}\nallow_anonymous true\npersistence false\n{user}log_type error\nlog_type warning\nlog_type notice\n")
        command = [mosquitto, "-c", str(configuration)]
    else:
        if not find_spec("amqtt"):
            raise DemoError(
                "There is no MQTT broker here. Install the demo's packages: pip install 'gridtone[demo]', or Mosquitto (Debian: apt-get install mosquitto)."
            )
        command = [sys.executable, "-m", "gridtone.demo.broker", "--port", str(port)]
    broker = RunningBroker(HOST, port, kind, spawn(command, folder / "log"), folder)
    _wait_until_it_answers(broker)
    return broker


def _wait_until_it_answers(broker: RunningBroker) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        problem = broker.problem()
        if not problem and time.monotonic() > deadline:
            problem = f"the {broker.kind} broker does not answer on port {broker.port} after {START_SECONDS:.0f} s: {_last_words(broker.folder)}"
        if problem:
            broker.close()
            raise DemoError(f"No broker: {problem}")
        try:
            socket.create_connection((broker.host, broker.port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)


def _last_words(folder: Path) -> str:
    log = folder / "log"
    return " | ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "none"


def _choose_port(wanted: int | None) -> int:
    for port in (wanted,) if wanted else (DEFAULT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError(f"Port {wanted} on {HOST} is taken. Choose another one for the broker, or none: then a free one is found.")


async def _serve_amqtt(port: int) -> None:
    from amqtt.broker import Broker

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run amqtt on loopback.")
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve_amqtt(parser.parse_args().port))
