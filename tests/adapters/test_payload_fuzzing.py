"""Nothing that arrives can stop an adapter or cost it a good reading: a seeded sample here, a million in `tests/benchmarks/bench_payloads_fuzzed.py`."""

import http.server
import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

import payload_fuzzer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payload_fuzzer import GOOD, NUMBERS, Tally, Timed, broken, compared
from telemetry_servers import Broker, wait_until

from gridtone_adapters import InfluxConfig, MqttConfig, Quality, Reading, open_adapter
from gridtone_adapters.conventions import Unreadable, decode_json
from gridtone_adapters.influx_languages import InfluxQl, Refused
from gridtone_adapters.influxdb import InfluxAdapter


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("surface", ["mqtt", "influxql", "webhook", "csv", "jsonl"])
def test_no_payload_stops_an_adapter_or_costs_a_good_reading(tmp_path, surface, seed):
    tally = payload_fuzzer.recorded(3000, tmp_path, surface, seed) if surface in ("csv", "jsonl") else getattr(payload_fuzzer, surface)(3000, seed)
    assert tally.crashes == []
    assert tally.lost == 0
    assert tally.expected > 300 and tally.refused > 300, "good ones and bad ones were there"


GOOD_ONES = [Timed(f"{GOOD}{n}", float(n), 1.7e9, "", Quality.GOOD) for n in range(5)]
SAME = [Reading(*reading) for reading in GOOD_ONES]


@pytest.mark.parametrize(
    ("got", "lost"),
    [
        (SAME, 0),
        ([*SAME, Reading("bad/1", 1.0, 1.7e9, "", Quality.GOOD)], 0),
        (SAME[:-1], 1),
        ([SAME[0]._replace(value=7.0), *SAME[1:]], 1),
        ([SAME[0]._replace(time=1.6e9), *SAME[1:]], 1),
        ([*SAME, SAME[0], SAME[1]], 2),
        ([SAME[1], SAME[0], *SAME[2:]], 1),
        ([], 5),
    ],
)
def test_the_comparison_notices_what_is_lost(got, lost):
    tally = Tally()
    compared(tally, GOOD_ONES, got)
    assert tally.lost == lost


def test_the_comparison_notices_an_unsound_reading():
    tally = Tally()
    compared(tally, [], [Reading("x", float("nan"), 1.7e9, "", Quality.GOOD), Reading("\ud800", 1.0, 1.7e9, "", Quality.GOOD)])
    assert len(tally.crashes) == 2


def test_through_a_real_broker(tmp_path, collect):
    chance = random.Random(5)
    messages, expected = [], []
    for number in range(1500):
        good = chance.random() < 0.3
        topic, payload, readings = payload_fuzzer.mqtt_message(chance, number, GOOD if good else "bad/")
        messages.append((topic.decode(), payload if good else broken(chance, payload)))
        expected += readings if good else []
    messages.append(("number/good/last", b"1"))
    server = Broker(tmp_path).start()
    try:
        collector = collect(open_adapter(MqttConfig.model_validate({"host": "127.0.0.1", "port": server.port, "topics": payload_fuzzer.TOPICS})))
        collector.wait_connected()
        server.publish(*messages)
        wait_until(lambda: "good/last" in collector.points, "the arrival of the last one", collector.adapter.health)
    finally:
        server.stop()
    tally = Tally()
    compared(tally, [*expected, Timed("good/last", 1.0, None, "Hz", Quality.GOOD)], collector.readings)
    assert (tally.lost, tally.crashes) == (0, [])


class Database:
    """Answers each request with the next of `answers`, and with the last of them from then on."""

    def __init__(self) -> None:
        answers: deque[tuple[int, bytes]] = deque()

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body = answers.popleft() if len(answers) > 1 else answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.answers = answers
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def database() -> Iterator[Database]:
    served = Database()
    yield served
    served.server.shutdown()
    served.server.server_close()


FLUX = """\
#datatype,string,long,dateTime:RFC3339,double,string,string\r
#group,false,false,false,false,false,false\r
#default,_result,,,,,\r
,result,table,_time,p,q,id\r
,,0,{time},12.5,Good,{point}\r
\r
"""


@pytest.mark.parametrize("language", ["influxql", "flux"])
def test_a_database_that_answers_nonsense_is_read_again_once_it_makes_sense(database, collect, monkeypatch, language):
    monkeypatch.setenv("FLUX_TOKEN", "t")
    chance, now = random.Random(7), time.time_ns()
    if language == "influxql":
        rows = {"results": [{"series": [{"values": [[now, 12.5, "Good", "good/1"]]}]}]}
        good, access = json.dumps(rows).encode(), {"database": "x"}
    else:
        stamp = datetime.fromtimestamp(now // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        good, access = FLUX.format(time=stamp, point="good/1").encode(), {"language": "flux", "org": "o", "bucket": "b", "token": {"env": "FLUX_TOKEN"}}
    nonsense = good.replace(b"good/1", b"bad/1").replace(b"12.5", b"1")
    database.answers += [(chance.choice((200, 200, 500)), broken(chance, nonsense)) for _ in range(60)] + [(200, good)]
    query = {"measurement": "line", "fields": "p", "point": "{tag:id}", "quality_field": "q"}
    config = {"url": database.url, "queries": [query], "poll_seconds": 0.001, "retry_max_seconds": 0.01, **access}
    collector = collect(open_adapter(InfluxConfig.model_validate(config)))
    wait_until(lambda: "good/1" in collector.points, "a good answer", collector.adapter.health)
    collector.wait_connected()
    arrived = [reading for reading in collector.readings if reading.point.startswith(GOOD)]
    assert [(reading.value, reading.quality) for reading in arrived] == [(12.5, Quality.GOOD)]
    assert len(database.answers) == 1, "all of the nonsense was read"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([time.time_ns(), 0, -1, 2**64]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["results", "series", "values", "error", "message", "partial"]) | st.text(), inner),
)


@settings(deadline=None)
@given(anything | st.lists(anything).map(lambda rows: {"results": [{"series": [{"values": rows}]}]}), st.sampled_from([200, 204, 302, 401, 500]))
def test_an_answer_of_any_shape_is_rows_or_refused(document, status):
    answers, adapter = (
        payload_fuzzer.Answers(),
        InfluxAdapter(InfluxConfig.model_validate({"url": "http://x", "database": "x", "queries": [payload_fuzzer.QUERY]})),
    )
    answers.data, answers.status = json.dumps(document).encode(), status
    try:
        adapter._poll(InfluxQl(answers, "http://x", "x", None, lambda: None), adapter._windows[0])
    except Refused as refused:
        assert str(refused)


@pytest.mark.parametrize("token", [*(number for number in NUMBERS if number and "\\ud" not in number), "0"])
def test_a_number_that_is_none_costs_no_other_value(token):
    try:
        document = decode_json(f'{{"a": {token}, "b": 5.5}}'.encode())
    except Unreadable as error:
        assert error.reason == "not_json"
        with pytest.raises(ValueError):
            json.loads(f'{{"a": {token}}}')
    else:
        assert document["b"] == 5.5


def test_halves_of_characters_are_no_json():
    for text in (rb'{"unit": "\ud800"}', rb'{"unit": "\udfff", "value": NaN}'):
        with pytest.raises(Unreadable, match="not_json"):
            decode_json(text)
    assert decode_json(rb'{"unit": "\ud83d\ude00"}') == {"unit": "\U0001f600"}
