"""Sustained ingest of the MQTT adapter against a bare paho subscriber that only counts: same broker, same messages, one run.

The messages are encoded before the clock starts and sent by a process of its own as fast as the broker takes them; the broker (mosquitto) keeps what a
subscriber has not read yet, so each subscriber is measured at its own full speed, from its first message to its last.

    python tests/benchmarks/bench_ingest_adapter.py [messages]
"""

import json
import multiprocessing
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gridtone_adapters import Adapter, MqttConfig, Reading, open_adapter

sys.path.insert(0, str(Path(__file__).parents[1]))

from waiting import free_port

POINTS = 2_000
ROUNDS = 5
TARGET = 0.85


def packet(kind: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (128 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


def text(content: str) -> bytes:
    encoded = content.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def publish(port: int, messages: int) -> None:
    """Send messages (MQTT 3.1.1, quality of service 0) of 2,000 points, as a gateway writes them."""
    now = time.time()
    packets = b"".join(
        packet(
            0x30,
            text(f"grid/line/HV-{i % POINTS}/loading_pct")
            + json.dumps({"value": 40 + i % 50 + 0.25, "unit": "%", "time": now + i * 1e-3, "quality": "good"}).encode(),
        )
        for i in range(messages)
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("load")))
        connection.recv(4)
        connection.sendall(packets)
        connection.sendall(packet(0xE0, b""))
        connection.recv(1)


def send(port: int, messages: int) -> None:
    publisher = multiprocessing.get_context("spawn").Process(target=publish, args=(port, messages))
    publisher.start()
    publisher.join()


def bare(port: int, messages: int) -> tuple[float, float]:
    """Messages a second, and microseconds of processor time a message, of a paho subscriber that only counts."""
    count, began, cpu, done, ready = 0, 0.0, 0.0, threading.Event(), threading.Event()

    def on_message(_client: paho.Client, _userdata: object, _message: paho.MQTTMessage) -> None:
        nonlocal count, began, cpu
        if not count:
            began, cpu = time.perf_counter(), time.process_time()
        count += 1
        if count == messages:
            done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe("grid/#")
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    ready.wait(10)
    send(port, messages)
    if not done.wait(120):
        raise SystemExit(f"bare: {count} of {messages} messages arrived")
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    client.disconnect()
    client.loop_stop()
    return messages / seconds, cpu / messages * 1e6


def connected(port: int, messages: int) -> tuple[Adapter, Iterator[list[Reading]]]:
    """The adapter, subscribed, and its batches."""
    topic = {
        "topic": "grid/{element}/{id}/{quantity}",
        "point": "{element}/{id}/{quantity}",
        "time_path": "time",
        "quality_path": "quality",
        "unit_path": "unit",
    }
    source = open_adapter(
        MqttConfig.model_validate({"host": "127.0.0.1", "port": port, "queue_limit": messages + 1, "topics": [topic | {"max_future_seconds": 1e6}]})
    )
    batches = source.batches()
    deadline = time.monotonic() + 10
    while source.health().problem and time.monotonic() < deadline:
        time.sleep(0.05)
    return source, batches


def adapter(port: int, messages: int) -> tuple[float, float]:
    """Readings a second that come out of the adapter's batches, and microseconds of processor time a reading."""
    source, batches = connected(port, messages)
    threading.Thread(target=send, args=(port, messages)).start()
    count, began, cpu = (first := len(next(batches))), time.perf_counter(), time.process_time()
    for batch in batches:
        count += len(batch)
        if count == messages:
            break
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    health = source.health()
    source.close()
    if health.dropped or health.rejected:
        raise SystemExit(f"adapter: {health}")
    return (messages - first) / seconds, cpu / (messages - first) * 1e6


def publish_slowly(port: int, messages: int, per_second: int) -> None:
    """Send messages that carry the time of their sending."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("load")))
        connection.recv(4)
        began = time.perf_counter()
        for number in range(messages):
            time.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            connection.sendall(packet(0x30, text(f"grid/line/HV-{number % POINTS}/loading_pct") + json.dumps({"value": number, "time": time.time()}).encode()))
        connection.sendall(packet(0xE0, b""))
        connection.recv(1)


def delays_ms(port: int, messages: int, per_second: int) -> list[float]:
    """From each publish to its reading in a batch."""
    source, batches = connected(port, messages)
    publisher = multiprocessing.get_context("spawn").Process(target=publish_slowly, args=(port, messages, per_second))
    publisher.start()
    delays: list[float] = []
    for batch in batches:
        now = time.time()
        delays += [(now - reading.time) * 1000 for reading in batch]
        if len(delays) == messages:
            break
    source.close()
    publisher.join()
    return sorted(delays)


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "mosquitto.conf"
        configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        broker = subprocess.Popen([mosquitto, "-c", str(configuration)], stderr=subprocess.DEVNULL)
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.05)
            rounds: list[tuple[Callable[[int, int], tuple[float, float]], list[tuple[float, float]]]] = [(bare, []), (adapter, [])]
            for _ in range(ROUNDS):
                for measure, rates in rounds:
                    rates.append(measure(port, messages))
            delays = delays_ms(port, 5_000, 1_000)
        finally:
            broker.terminate()
            broker.wait()
    (bare_rate, bare_cpu), (adapter_rate, adapter_cpu) = (tuple(map(statistics.median, zip(*rates, strict=True))) for _, rates in rounds)
    ratios = sorted(ours[0] / theirs[0] for ours, theirs in zip(rounds[1][1], rounds[0][1], strict=True))
    print(f"{'what':44}{'measured':>14}{'target':>10}")
    print(f"{'bare paho subscriber, messages/s':44}{bare_rate:14,.0f}{'':>10}")
    print(f"{'MQTT adapter (JSON, time, quality), /s':44}{adapter_rate:14,.0f}{'':>10}")
    print(f"{'adapter / bare, median of ' + str(ROUNDS) + ' pairs':44}{statistics.median(ratios):14.2f}{TARGET:>10}")
    print(f"{'adapter / bare, lowest and highest':44}{f'{ratios[0]:.2f} - {ratios[-1]:.2f}':>14}")

    print(f"{'processor time a message, us, bare':44}{bare_cpu:14.1f}")
    print(f"{'processor time a message, us, adapter':44}{adapter_cpu:14.1f}")
    print(f"{'publish to reading at 1,000/s, ms, p50':44}{delays[len(delays) // 2]:14.1f}")
    print(f"{'publish to reading at 1,000/s, ms, p99':44}{delays[len(delays) * 99 // 100]:14.1f}")


if __name__ == "__main__":
    main()
