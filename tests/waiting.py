"""What tests share that start programs: patience, and ports. A test waits for what must come, however slow the machine, and never for a fixed time."""

import random
import socket
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE_SECONDS = 120.0
"""For what takes a second or two on an idle machine."""
PORTS = range(12_000, 30_000)
"""Below those that the kernel gives to outgoing connections, which would otherwise take one between its choice and its use, or while a server restarts."""

_given: set[int] = set()


def until(condition: Callable[[], Found], seconds: float = PATIENCE_SECONDS, seen: Callable[[], object] = str) -> Found:
    """Wait for `condition` to give something true, and return that. `seen` tells, if it never does, what was there instead."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {seen()}"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A port on 127.0.0.1 for a program that must be told one; never the same twice in a run."""
    while True:
        port = random.choice(PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
