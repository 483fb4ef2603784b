"""Publish to listener: 500 event streams held open by another process, beside a bare loop of sockets that only writes the same bytes."""

import multiprocessing
import selectors
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from memory_backend import MemoryBackend, running

LISTENERS = 500
EVENTS = 60
INTERVAL_SECONDS = 0.25
MARK = b'"sent":'


def listen(port: int, results: Connection) -> None:
    """Open the streams; report how long each event took to each of them, in milliseconds. CLOCK_MONOTONIC is shared by the processes of one machine."""
    selector = selectors.DefaultSelector()
    for _ in range(LISTENERS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        selector.register(connection, selectors.EVENT_READ, bytearray())
    results.send("open")
    delays: list[float] = []
    while len(delays) < LISTENERS * EVENTS:
        ready = selector.select(20)
        if not ready:
            break
        for key, _ in ready:
            chunk = key.fileobj.recv(65536)  # type: ignore[union-attr]
            now = time.monotonic()
            buffer: bytearray = key.data
            buffer += chunk
            while (start := buffer.find(MARK)) >= 0 and (end := buffer.find(b"}", start)) >= 0:
                delays.append(1000 * (now - float(buffer[start + len(MARK) : end])))
                del buffer[: end + 1]
            if not chunk:
                selector.unregister(key.fileobj)
    results.send(delays)


def measure(port: int, publish: Callable[[float], object]) -> list[float]:
    results, theirs = multiprocessing.Pipe()
    client = multiprocessing.get_context("spawn").Process(target=listen, args=(port, theirs))
    client.start()
    assert results.recv() == "open"
    time.sleep(3)
    for _ in range(EVENTS):
        publish(time.monotonic())
        time.sleep(INTERVAL_SECONDS)
    delays: list[float] = results.recv()
    client.join()
    assert len(delays) == LISTENERS * EVENTS, f"{LISTENERS * EVENTS - len(delays)} events were lost"
    return sorted(delays)


def bare() -> list[float]:
    """The floor: one thread, one list of sockets, no HTTP."""
    with socket.create_server(("127.0.0.1", 0), backlog=LISTENERS) as server:
        connections: list[socket.socket] = []

        def accept() -> None:
            while len(connections) < LISTENERS:
                connections.append(server.accept()[0])

        threading.Thread(target=accept).start()

        def publish(now: float) -> None:
            for connection in connections:
                connection.sendall(b'event: stock\ndata: {"sent":%f}\n\n' % now)

        delays = measure(server.getsockname()[1], publish)
        for connection in connections:
            connection.close()
    return delays


def gridtone() -> tuple[list[float], float]:
    backend = MemoryBackend()
    with running(backend, max_listeners=LISTENERS) as url:
        delays = measure(int(url.rsplit(":", 1)[1]), lambda now: backend.events.publish("stock", Sent(now)))
        resident = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return delays, int(resident.split()[1]) / 1024


class Sent(dict[str, float]):
    def __init__(self, now: float) -> None:
        super().__init__(sent=now)


def main() -> None:
    floor = bare()
    served, resident = gridtone()
    print(f"publish -> {LISTENERS} listeners, {EVENTS} events, one client process on the same machine")
    print(f"{'':<22}{'p50 ms':>9}{'p99 ms':>9}{'worst ms':>10}")
    for name, delays in (("gridtone", served), ("bare sockets", floor)):
        print(f"{name:<22}{statistics.median(delays):>9.1f}{delays[int(0.99 * len(delays))]:>9.1f}{delays[-1]:>10.1f}")
    print(f"{'ratio':<22}{statistics.median(served) / statistics.median(floor):>9.1f}{served[int(0.99 * len(served))] / floor[int(0.99 * len(floor))]:>9.1f}")
    print(f"resident memory with {LISTENERS} streams open: {resident:.0f} MB (the bench's own imports included)")


if __name__ == "__main__":
    main()
