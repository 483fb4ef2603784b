"""Payloads that no source should send, by the million, between good ones whose readings are known beforehand.

Everything follows from a seed. Each surface feeds an adapter as its protocol does, without the network in between, and returns what came of it.
"""

import io
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from paho.mqtt.client import MQTTMessage

from gridtone_adapters import InfluxConfig, MqttConfig, Quality, Reading, ReplayConfig
from gridtone_adapters.influx_languages import InfluxQl, Refused
from gridtone_adapters.influxdb import InfluxAdapter
from gridtone_adapters.mqtt import MqttAdapter
from gridtone_adapters.recording import Recording
from gridtone_adapters.replay import ReplayAdapter
from gridtone_adapters.security import SetupError
from gridtone_adapters.webhook import WebhookAdapter, WebhookConfig

GOOD_SHARE = 0.2
PART = 5_000
"""Payloads between two looks at what has come."""
GOOD = "good/"
"""Points of good payloads begin so, and nothing else does."""

NUMBERS = (
    "NaN", "-Infinity", "Infinity", "1e999", "-1e999", "1e-999", "-0", "00", "1_000", "0x1F", "１２", "1,5", "+", "", "null", "true", '""', '" "', "[]", "{}",
    "9" * 400, "-" + "9" * 5000, "1" + "0" * 309, '"NaN"', '"inf"', '"1e400"', '"2024-02-30"', '"9999-12-31T23:59:59Z"', '"0000-00-00T00:00:00Z"', "[[[[1]]]]",
    '"2016-12-31T23:59:60Z"', '"0001-01-01T00:00:00+23:59"', "1e18", "-1", "253402300800", "9223372036854775808", "18446744073709551616", "1e308",
    '"\\ud800"', '"\\u0000"', '"Bad_"', "3.0000000001", "\\ud800",
)  # fmt: skip
CHUNKS = (
    b"\xff",
    b"\xfe\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\0",
    b"\x1b[2J",
    b"\xef\xbb\xbf",
    b"\r",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b",",
    b":",
)


@dataclass(slots=True)
class Tally:
    """What came of a surface."""

    payloads: int = 0
    readings: int = 0
    expected: int = 0
    """Good readings that must arrive."""
    lost: int = 0
    """Of those: missing, changed, doubled or out of order."""
    refused: int = 0
    crashes: list[str] = field(default_factory=list)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def broken(chance: random.Random, good: bytes) -> bytes:
    """Something that was a good payload before."""
    match chance.randrange(9):
        case 0:
            return chance.randbytes(chance.randrange(64))
        case 1:
            return good[: chance.randrange(len(good))]
        case 2:
            depth = chance.choice((10, 200, 1000, 3000, 20_000))
            return chance.choice((b"[", b'{"value":', b'{"value":[', b'[[[{"a":')) * depth + chance.choice((b"", b"1", good))
        case 3 | 4 | 5:
            return replaced_number(chance, good)
        case _:
            payload = bytearray(good)
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(len(payload) + 1)
                if chance.random() < 0.5:
                    payload[at:at] = chance.choice(CHUNKS)
                else:
                    payload[at : at + chance.randrange(1, 6)] = chance.randbytes(chance.randrange(3))
            return bytes(payload)


def replaced_number(chance: random.Random, good: bytes) -> bytes:
    """One of the numbers or texts in it becomes something else."""
    text = good.decode(errors="replace")
    starts = [index for index, character in enumerate(text) if character.isdigit() and not text[index - 1 : index].isalnum()] or [0]
    start = chance.choice(starts)
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] in ".+-"):
        end += 1
    return (text[:start] + chance.choice(NUMBERS) + text[end:]).encode()


def sound(reading: Any) -> bool:
    return (
        isinstance(reading, Reading)
        and math.isfinite(reading.value)
        and isinstance(reading.quality, Quality)
        and isinstance(reading.point, str)
        and writable(reading.point + reading.unit)
        and 0 <= reading.time <= time.time() + 301
    )


def writable(text: str) -> bool:
    """JSON may hold halves of characters; nothing could send them on."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def compared(tally: Tally, expected: list[Reading], got: list[Reading]) -> None:
    """Count into the tally what is missing of the good readings, and what is unsound of the others."""
    tally.readings += len(got)
    tally.expected += len(expected)
    good = [reading for reading in got if reading.point.startswith(GOOD)]
    if good != expected:
        found = {reading.point: reading for reading in good}
        missing = sum(reading != found.get(reading.point) for reading in expected)
        tally.lost += missing or max(1, len(good) - len(expected))  # all there, but doubled or out of order
    tally.crashes += [f"unsound: {reading!r}" for reading in got if not sound(reading)]


def caught(tally: Tally, what: Callable[[], object], payload: object, expected: tuple[type[Exception], ...] = ()) -> None:
    try:
        what()
    except expected:
        pass
    except Exception as error:
        tally.crashes.append(f"{type(error).__name__}: {error} <- {payload!r:.300}")


TOPICS = [
    {"topic": "json/{id...}", "point": "{id}", "time_path": "time", "quality_path": "q", "unit_path": "unit"},
    {"topic": "number/{id...}", "point": "{id}", "payload": "number", "unit": "Hz", "words": {"open": 0, "closed": 1}},
    {"topic": "many/{id...}", "point": "{id}", "values": {"p.mw": "p", "p.mvar": "q", "list.1": "i"}, "time_path": "time"},
    {"topic": "bare/{id...}", "point": "{id}", "value_path": "", "quality_numbers": "opc_ua"},
]


def mqtt(count: int, seed: int = 0) -> Tally:
    chance, tally = random.Random(seed), Tally(count)
    adapter = MqttAdapter(MqttConfig.model_validate({"host": "nowhere", "topics": TOPICS, "queue_limit": 10 * PART}))
    batches = adapter._intake.batches()
    for start in range(0, count, PART):
        expected: list[Reading] = []
        before = adapter.health().received
        for number in range(start, min(start + PART, count)):
            good = chance.random() < GOOD_SHARE
            topic, payload, readings = mqtt_message(chance, number, GOOD if good else "bad/")
            if good:
                expected += readings
            else:
                payload = broken(chance, payload)
                if chance.random() < 0.01:
                    topic = chance.choice((topic + b"\xff", b"json/", b"elsewhere", b"/", b"json/\0", topic * 200))
            message = MQTTMessage(topic=topic)
            message.payload, message.retain = payload, not good and chance.random() < 0.1
            caught(tally, lambda message=message: adapter._on_message(None, None, message), (topic, payload))  # type: ignore[arg-type, misc]
        compared(tally, expected, [] if adapter.health().received == before else drained(batches, adapter.health().received - before))
    tally.refused = sum(adapter.health().rejected.values())
    adapter.close()
    return tally


def drained(batches: Iterator[list[Reading]], count: int) -> list[Reading]:
    readings: list[Reading] = []
    while len(readings) < count:
        readings += next(batches)
    return readings


def mqtt_message(chance: random.Random, number: int, prefix: str) -> tuple[bytes, bytes, list[Reading]]:
    """Topic, payload and the readings in it. Those without a time of their own have it as NaN here, to be ignored."""
    point, value = f"{prefix}{number}", chance.choice((float(number), chance.uniform(-1e6, 1e6), chance.expovariate(1e-3)))
    now = round(time.time() - chance.uniform(0, 100), 3)
    match chance.randrange(4):
        case 0:
            quality = chance.choice(list(Quality))
            written = chance.choice(
                (now, round(now * 1000), round(now * 1e6), f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{round(now % 1 * 1000):03}Z")
            )
            seconds = now if not isinstance(written, str) else math.floor(now) + round(now % 1 * 1000) / 1000
            document = {"value": chance.choice((value, repr(value))), "time": written, "q": quality.name.title(), "unit": "MW"}
            return f"json/{point}".encode(), json.dumps(document).encode(), [Timed(point, value, seconds, "MW", quality)]
        case 1:
            text, value = chance.choice(((repr(value), value), ("OPEN", 0.0), (" closed ", 1.0), ("true", 1.0)))
            return f"number/{point}".encode(), text.encode(), [Timed(point, value, None, "Hz", Quality.GOOD)]
        case 2:
            parts = {"p": value, "q": -value, "i": float(number)}
            spoilt = chance.choice((None, "p", "q", "i"))
            tokens = {name: repr(part) if name != spoilt else chance.choice(SPOILT) for name, part in parts.items()}
            text = f'{{"p": {{"mw": {tokens["p"]}, "mvar": {tokens["q"]}}}, "list": [0, {tokens["i"]}], "time": {now}}}'
            return (
                f"many/{point}".encode(),
                text.encode(),
                [Timed(f"{point}/{name}", part, now, "", Quality.GOOD) for name, part in parts.items() if name != spoilt],
            )
        case _:
            return f"bare/{point}".encode(), repr(value).encode(), [Timed(point, value, None, "", Quality.GOOD)]


SPOILT = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "null", '"?"', "{}", "[]", '"NaN"', '""')
"""One value among others that costs only itself."""


class Timed(Reading):
    """A Reading that equals one whose time is the same within rounding; any time where its own is None."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and self[:2] + self[3:] == other[:2] + other[3:] and (self[2] is None or abs(self[2] - other[2]) < 2e-3)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]


QUERY = {"measurement": "line", "fields": ["p", "closed"], "point": "{tag:id}/{field}", "quality_field": "q"}


class Answers:
    """Stands where urllib3's pool does: the next answer."""

    def __init__(self) -> None:
        self.status, self.data = 200, b""

    def request(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(status=self.status, data=self.data)


def influxql(count: int, seed: int = 0) -> Tally:
    """Whole answers of a database. After a broken one the good one comes at the next poll, as from a database that recovers."""
    chance, tally = random.Random(seed), Tally(count)
    config = InfluxConfig.model_validate({"url": "http://nowhere:8086", "database": "x", "queries": [QUERY], "late_seconds": 1})
    answers, adapter = Answers(), InfluxAdapter(config)
    language = InfluxQl(answers, config.url, "x", None, lambda: None)  # type: ignore[arg-type]
    batches, window = adapter._intake.batches(), adapter._windows[0]
    expected: list[Reading] = []
    before = 0
    for number in range(count):
        good, readings = influxql_answer(chance, number)
        answers.data, answers.status = good, 200
        if chance.random() > GOOD_SHARE:
            answers.data = broken(chance, good.replace(GOOD.encode(), b"bad/"))
            answers.status = chance.choice((200, 200, 200, 204, 301, 400, 401, 403, 404, 500, 503))
        else:
            expected += readings
        caught(tally, lambda: adapter._poll(language, window), answers.data, (Refused, OSError, SetupError))
        if number % 500 == 499 or number == count - 1:
            received = adapter.health().received
            compared(tally, expected, drained(batches, received - before))
            expected, before = [], received
    tally.refused = sum(adapter.health().rejected.values())
    adapter.close()
    return tally


def influxql_answer(chance: random.Random, number: int) -> tuple[bytes, list[Reading]]:
    """An answer with some rows, and the readings in it; cells that no database holds cost only themselves."""
    rows, readings = [], []
    for row in range(chance.randrange(1, 4)):
        when, value, closed = time.time_ns() - chance.randrange(10**8), chance.uniform(-1e3, 1e3), chance.random() < 0.5
        quality = chance.choice(list(Quality))
        point = f"{GOOD}{number}.{row}"
        cells: list[Any] = [value, closed]
        good = [Timed(f"{point}/p", value, when / 1e9, "", quality), Timed(f"{point}/closed", float(closed), when / 1e9, "", quality)]
        if chance.random() < 0.3:
            spoilt = chance.randrange(2)
            cells[spoilt] = chance.choice((None, "?", [], {}, [1], {"a": []}, "NaN", "9" * 400))
            del good[spoilt]
        if chance.random() < 0.1:
            when, good = chance.choice((0, -1, 2**63 - 1, 2**64, 9e18)), []  # type: ignore[assignment]
        rows.append([when, *cells, quality.name, point])
        readings += good
    document = {"results": [{"statement_id": 0, "series": [{"name": "line", "columns": ["time", "p", "closed", "q", "id"], "values": rows}]}]}
    return json.dumps(document).encode(), readings


def webhook(count: int, seed: int = 0) -> Tally:
    """Messages of Alertmanager and Grafana, as the HTTP server hands them over."""
    chance, tally = random.Random(seed), Tally(count)
    os.environ["FUZZED_TOKEN"] = "t"
    settings = {"port": 1, "token": {"env": "FUZZED_TOKEN"}, "point": "{alertname}/{fingerprint}", "max_requests_per_second": 1e9, "queue_limit": 100_000}
    adapter = WebhookAdapter(WebhookConfig.model_validate(settings))
    batches = adapter._intake.batches()
    expected: list[Reading] = []
    before = 0
    for number in range(count):
        good = chance.random() < GOOD_SHARE
        body, readings = webhook_message(chance, number, GOOD if good else "bad/")
        if good:
            expected += readings
        else:
            body = broken(chance, body)
        asked = {"PATH_INFO": "/alerts", "REQUEST_METHOD": "POST", "HTTP_AUTHORIZATION": "Bearer t", "wsgi.input": io.BytesIO(body)}
        answered: list[str] = []
        caught(tally, lambda asked=asked, answered=answered: adapter._answer(asked, lambda status, _: answered.append(status)), body)  # type: ignore[misc]
        if not answered or (good and answered != ["200 OK"]):
            tally.crashes.append(f"answered {answered} <- {body!r:.300}")
        if number % 2000 == 1999 or number == count - 1:
            received = adapter.health().received
            compared(tally, expected, drained(batches, received - before))
            expected, before = [], received
    tally.refused = sum(adapter.health().rejected.values())
    adapter.close()
    return tally


NO_ALERTS = (None, [], 5, "alert", {"status": "firing"}, {"labels": {}, "status": "?"}, {"labels": [], "status": 1})


def webhook_message(chance: random.Random, number: int, prefix: str) -> tuple[bytes, list[Reading]]:
    """Alerts, some of which may be none, and the readings of the others."""
    alerts: list[Any] = []
    readings: list[Reading] = []
    began = math.floor(time.time()) - chance.randrange(1000)
    for alert in range(chance.randrange(1, 4)):
        firing = chance.random() < 0.5
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))
        labels = {"alertname": prefix.rstrip("/"), "severity": "warning", "站": chance.choice(("变电站", "a/b", "+#", "\0"))}
        alerts.append({"status": "firing" if firing else "resolved", "labels": labels, "startsAt": when, "endsAt": when, "fingerprint": f"{number}.{alert}"})
        point = f"{prefix}{number}.{alert}"
        readings += [Timed(f"{point}/active", float(firing), began, "", Quality.GOOD), Timed(f"{point}/priority", 3.0, began, "", Quality.GOOD)]
    if chance.random() < 0.3:
        alerts.insert(chance.randrange(len(alerts) + 1), chance.choice(NO_ALERTS))
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode(), readings


def recorded(count: int, folder: Path, kind: str, seed: int = 0) -> Tally:
    """Lines of a recording, read as the replay adapter does and as `gridtone replay` does, which must find the same."""
    chance, tally = random.Random(seed), Tally(count)
    file, expected = folder / f"fuzzed{seed}.{kind}", []
    with file.open("wb") as lines:
        if kind == "csv":
            lines.write(b"time,point,value,unit,quality\n")
        for number in range(count):
            now, value, quality = 1.7e9 + number / 100, chance.uniform(-1e6, 1e6), chance.choice(list(Quality))
            good = chance.random() < GOOD_SHARE
            point = f"{GOOD if good else 'bad/'}{number}"
            record = {"time": now, "point": point, "value": value, "unit": "MW", "quality": quality.name}
            line = ",".join(map(str, record.values())).encode() if kind == "csv" else json.dumps(record).encode()
            if good:
                expected.append(Timed(point, value, now, "MW", quality))
            else:
                line = broken(chance, line).replace(b"\n", b" ")
            lines.write(line + b"\n")
    config = ReplayConfig(file=file)
    adapter, recording = ReplayAdapter(config), Recording(config)
    caught(tally, lambda: compared(tally, expected, list(adapter.recorded())), file)
    tally.refused = sum(adapter.health().rejected.values())
    again = Tally()
    caught(again, lambda: compared(again, expected, [Reading(*row) for _, rows in recording.moments(60) for row in rows]), file)
    tally.lost, tally.crashes = tally.lost + again.lost, tally.crashes + again.crashes
    file.unlink()
    return tally
