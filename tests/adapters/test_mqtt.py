"""The MQTT adapter at a real Mosquitto: what arrives, what is refused, and what happens when the broker goes away."""

import itertools
import json
import logging
import sys
import threading
import time

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from telemetry_servers import Broker, Collector, Server, publish, wait_until

from gridtone_adapters import MqttConfig, Quality, Reading, open_adapter
from waiting import PATIENCE_SECONDS, free_port

JSON_TOPIC = {
    "topic": "grid/{element}/{id}/{quantity}",
    "point": "{element}/{id}/{quantity}",
    "time_path": "time",
    "quality_path": "quality",
    "unit_path": "unit",
}
NUMBER_TOPIC = {"topic": "plain/{rest...}", "point": "{rest}", "payload": "number", "unit": "Hz", "words": {"open": 0, "closed": 1}}


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    server = Broker(tmp_path_factory.mktemp("broker")).start()
    yield server
    server.stop()


def config(port: int, **changes) -> MqttConfig:
    defaults = {
        "host": "127.0.0.1",
        "port": port,
        "name": f"test-{time.monotonic_ns()}",
        "topics": [JSON_TOPIC, NUMBER_TOPIC],
        "retry_seconds": 0.1,
        "retry_max_seconds": 0.3,
    }
    return MqttConfig.model_validate(defaults | changes)


def message(value: object, **parts: object) -> bytes:
    return json.dumps({"value": value, "time": time.time(), **parts}).encode()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_messages_become_readings_in_order(broker, collect, protocol):
    collector = collect(open_adapter(config(broker.port, protocol=protocol)))
    collector.wait_connected()
    now = time.time()
    broker.publish(
        ("grid/line/HV-1/loading_pct", message(71.5, unit="%", quality="uncertain", time=now)),
        ("grid/breaker/B2/closed", message(True, time=now)),
        ("plain/frequency/north", "49.98"),
        ("plain/breaker/B3", "Closed"),
    )
    line, breaker, frequency, word = collector.wait_count(4)
    assert line == Reading("line/HV-1/loading_pct", 71.5, now, "%", Quality.UNCERTAIN)
    assert breaker == Reading("breaker/B2/closed", 1.0, now, "", Quality.GOOD)
    assert (frequency.point, frequency.value, frequency.unit, frequency.quality) == ("frequency/north", 49.98, "Hz", Quality.GOOD)
    assert abs(frequency.time - now) < 5
    assert (word.point, word.value) == ("breaker/B3", 1.0)
    health = collector.adapter.health()
    assert (health.received, health.dropped, health.rejected) == (4, 0, {})


BAD = {
    "not_json": b'{"value": 1',
    "not_utf8": b'{"value": "\xff"}',
    "empty": b"",
    "oversized": b"9" * 2000,
    "missing_value": b'{"time": 1700000000}',
    "not_a_number": b'{"value": "high", "time": 1700000000}',
    "not_finite": b'{"value": "NaN", "time": 1700000000}',
    "bad_time": b'{"value": 1, "time": "yesterday"}',
    "absurd_time": b'{"value": 1, "time": 9999999999}',
    "unknown_quality": b'{"value": 1, "time": 1700000000, "quality": "fine"}',
}


def test_bad_messages_are_counted_by_reason_and_lose_nothing_else(broker, collect, caplog):
    caplog.set_level(logging.WARNING)
    topics = [JSON_TOPIC, NUMBER_TOPIC, {"topic": "cell-{n}/value", "point": "cell/{n}"}]
    collector = collect(open_adapter(config(broker.port, max_payload_bytes=1000, topics=topics)))
    collector.wait_connected()
    messages = []
    for number, bad in enumerate(BAD.values()):
        messages += [("grid/line/bad/p", bad), ("grid/line/good/p", message(number))]
    messages += [
        ("unit-7/value", "1"),
        ("grid/line/deep/p", b"[" * 900),
        ("grid/line/nan/p", b'{"value": NaN, "time": 1700000000}'),
        ("plain/x", "1_000"),
        ("grid/line/last/p", message(99)),
    ]
    broker.publish(*messages)
    readings = collector.wait_count(len(BAD) + 1)
    assert [reading.value for reading in readings] == [*range(len(BAD)), 99]
    health = collector.adapter.health()
    assert health.rejected == dict.fromkeys(BAD, 1) | {"unknown_topic": 1, "not_json": 2, "not_finite": 2, "not_a_number": 2}
    assert {(sample.reason, sample.source) for sample in health.samples} >= {("unknown_topic", "unit-7/value"), ("not_json", "grid/line/bad/p")}
    assert any(sample.sample.startswith("99999") and len(sample.sample) < 200 for sample in health.samples)
    assert "absurd_time" in caplog.text


def test_what_the_broker_retained_is_never_taken_for_fresh(broker, collect):
    hour_ago = time.time() - 3600
    broker.publish(("grid/old/1/p", message(5, time=hour_ago)), ("plain/old/2", "6"), retain=True)
    try:
        collector = collect(open_adapter(config(broker.port)))
        timed, untimed = sorted(collector.wait_count(2))
        assert (timed.time, timed.quality) == (hour_ago, Quality.GOOD)
        assert (untimed.value, untimed.time, untimed.quality) == (6.0, 0.0, Quality.UNCERTAIN)
        before = time.time()
        broker.publish(("plain/old/2", "7"))
        fresh = collector.wait_count(3)[2]
        assert before <= fresh.time <= time.time()
        assert fresh.quality == Quality.GOOD
    finally:
        broker.publish(("grid/old/1/p", ""), ("plain/old/2", ""), retain=True)


def test_one_document_with_several_values_yields_all_that_are_good(broker, collect):
    topic = {"topic": "rtu/{id}", "point": "bus/{id}", "values": {"m.p": "p_mw", "m.q": "q_mvar", "v.0": "voltage_pu", "m.absent": "absent"}, "time_path": "t"}
    collector = collect(open_adapter(config(broker.port, topics=[topic])))
    collector.wait_connected()
    broker.publish(("rtu/A", json.dumps({"t": time.time() * 1000, "m": {"p": 12, "q": "broken"}, "v": [1.02]})))
    assert [(reading.point, reading.value) for reading in collector.wait_count(2)] == [("bus/A/p_mw", 12.0), ("bus/A/voltage_pu", 1.02)]
    wait_until(lambda: collector.adapter.health().rejected == {"not_a_number": 1}, "the refusal of q_mvar")


def test_broker_down_at_start_and_killed_later(tmp_path, collect):
    port = free_port()
    collector = collect(open_adapter(config(port)))
    collector.wait_problem("nothing listens at the broker 127.0.0.1", "is the server running")
    assert not collector.adapter.health().connected
    server = Broker(tmp_path, port=port).start()
    try:
        for lap in range(3):
            collector.wait_connected()
            server.publish(*[("grid/lap/x/p", message(lap * 100 + n)) for n in range(100)])
            collector.wait_count(100 * (lap + 1))
            server.kill()
            wait_until(lambda: not collector.adapter.health().connected, "the loss of the connection")
            assert collector.adapter.health().problem
            server.start()
        assert [reading.value for reading in collector.readings] == [float(n) for n in range(300)]
    finally:
        server.stop()


def test_broker_killed_in_the_middle_of_a_stream(tmp_path, collect):
    server = Broker(tmp_path, "allow_anonymous true\nmax_queued_messages 0").start()
    collector = collect(open_adapter(config(server.port)))
    collector.wait_connected()
    stream = threading.Thread(target=publish_until_it_is_gone, args=(server.port,))
    stream.start()
    collector.wait_count(500)
    server.kill()
    stream.join()
    wait_until(lambda: not collector.adapter.health().connected, "the loss of the connection")  # else the next wait may be for the old one
    server.start()
    try:
        collector.wait_connected()
        server.publish(("grid/line/end/p", message(-1)))
        wait_until(lambda: collector.points[-1] == "line/end/p", "the message after the restart")
        values = [reading.value for reading in collector.readings[:-1]]
        assert values == sorted(set(values))
        assert collector.adapter.health().rejected == {}
    finally:
        server.stop()


def publish_until_it_is_gone(port: int) -> None:
    """Publish until the broker is gone."""
    client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.connect("127.0.0.1", port)
    client.loop_start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for number in itertools.count():
        client.publish("grid/line/stream/p", message(number))
        if number % 100 == 0:
            time.sleep(0.005)
        if number > 500 and not client.is_connected():
            break
        assert time.monotonic() < deadline
    client.loop_stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_messages_of_quality_1_wait_while_we_are_away(broker, protocol):
    settings = config(broker.port, protocol=protocol, name=f"away-{protocol}", topics=[JSON_TOPIC])
    first = Collector(open_adapter(settings))
    first.wait_connected()
    first.close()
    broker.publish(*[("grid/line/away/p", message(n)) for n in range(50)])
    second = Collector(open_adapter(settings))
    try:
        assert [reading.value for reading in second.wait_count(50)] == [float(n) for n in range(50)]
    finally:
        second.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_does_not_say_its_time_does_not_wait_and_is_never_taken_for_fresh(broker, protocol):
    settings = config(broker.port, protocol=protocol, name=f"untimed-{protocol}")
    first = Collector(open_adapter(settings))
    first.wait_connected()
    first.close()
    broker.publish(("plain/missed", "1"), ("plain/missed", "2"))
    broker.publish(("plain/kept", "3"), retain=True)
    second = Collector(open_adapter(settings))
    try:
        second.wait_count(1)
        broker.publish(("plain/missed", "4"))
        assert [(reading.value, reading.time > 0, reading.quality) for reading in second.wait_count(2)] == [
            (3.0, False, Quality.UNCERTAIN),
            (4.0, True, Quality.GOOD),
        ]
    finally:
        second.close()
        broker.publish(("plain/kept", ""), retain=True)


def test_other_topics_start_another_session(broker):
    assert config(1, name="a").session_id() == config(2, name="a").session_id()
    assert config(1, name="a").session_id() != config(1, name="a", topics=[JSON_TOPIC]).session_id()


def test_a_full_queue_drops_the_oldest_and_counts_them(broker):
    adapter = open_adapter(config(broker.port, queue_limit=10))
    batches = adapter.batches()  # connects; nobody reads yet
    wait_until(lambda: adapter.health().connected and not adapter.health().problem, "a connection")
    broker.publish(*[("grid/line/x/p", message(n)) for n in range(100)])
    wait_until(lambda: adapter.health().received == 100, "the arrival")
    assert adapter.health().dropped == 90
    read = []
    while len(read) < 10:
        read += [reading.value for reading in next(batches)]
    assert read == [float(n) for n in range(90, 100)]
    adapter.close()


def test_a_shared_subscription_gives_each_message_to_one(broker, collect):
    collectors = [collect(open_adapter(config(broker.port, share_group="pair"))) for _ in range(2)]
    for collector in collectors:
        collector.wait_connected()
    broker.publish(*[("grid/line/x/p", message(n)) for n in range(100)])
    wait_until(lambda: sum(len(collector.readings) for collector in collectors) >= 100, "the arrival")
    assert sorted(reading.value for collector in collectors for reading in collector.readings) == [float(n) for n in range(100)]
    assert all(collector.readings for collector in collectors)


def test_silence_after_connecting_is_explained(broker, collect, monkeypatch):
    monkeypatch.setattr("gridtone_adapters.mqtt.SILENT_SECONDS", 0.2)
    collector = collect(open_adapter(config(broker.port, topics=[JSON_TOPIC | {"topic": "nobody/{element}/{id}/{quantity}"}])))
    assert "nobody/+/+/+" in collector.wait_problem("nothing has arrived", "access list")
    assert collector.adapter.health().connected


AMQTT = """
import asyncio, sys
from amqtt.broker import Broker

async def serve():
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    await Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}}, "plugins": plugins}).start()
    await asyncio.Event().wait()

asyncio.run(serve())
"""


def test_another_broker(tmp_path, collect):
    """amqtt speaks MQTT 3.1.1 only, and is the demo's broker where there is no Mosquitto."""
    port = free_port()
    server = Server([sys.executable, "-c", AMQTT, str(port)], port, tmp_path / "log").start()
    try:
        collector = collect(open_adapter(config(port, protocol="3.1.1")))
        collector.wait_connected()
        publish(port, *[("grid/line/x/p", message(n)) for n in range(20)])
        assert [reading.value for reading in collector.wait_count(20)] == [float(n) for n in range(20)]
    finally:
        server.kill()
