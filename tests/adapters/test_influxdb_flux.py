"""The Flux half of the InfluxDB adapter, and its token header, against a small HTTP server that answers as InfluxDB's documentation says.

This is not InfluxDB: it answers annotated CSV (Flux) or JSON (InfluxQL) for rows held in memory, within the times and the limit of the query.
"""

import json
import re
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telemetry_servers import wait_until

from gridtone_adapters import InfluxConfig, Quality, open_adapter
from gridtone_adapters.influx_languages import Selection, flux

HEADER = """#datatype,string,long,dateTime:RFC3339,double,string,string\r
#group,false,false,false,false,false,false\r
#default,_result,,,,,\r
,result,table,_time,loading_pct,quality,id\r
"""
TOKEN = "s3cret-token"


class Documented(ThreadingHTTPServer):
    """Holds rows of (nanoseconds, loading, quality, id) and remembers what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows, self.asked, self.broken = [], [], False
        threading.Thread(target=self.serve_forever).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Documented

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        self.server.asked.append((self.command, self.path, query))
        if self.refuse():
            return
        start, stop = (datetime.fromisoformat(text).timestamp() * 1e9 for text in re.search(r"range\(start: (\S+), stop: (\S+)\)", query).groups())
        limit = int(re.search(r"limit\(n: (\d+)\)", query)[1])
        rows = sorted(row for row in self.server.rows if start - 1000 <= row[0] < stop)[:limit]
        lines = [
            f",,0,{datetime.fromtimestamp(when / 1e9, UTC):%Y-%m-%dT%H:%M:%S.%fZ},{value},{quality},{identity}\r\n" for when, value, quality, identity in rows
        ]
        self.answer(200, "text/csv; charset=utf-8", HEADER + "".join(lines) + "\r\n" if rows else "\r\n")

    def do_GET(self):
        self.server.asked.append((self.command, self.path, parse_qs(urlsplit(self.path).query)["q"][0]))
        if self.refuse():
            return
        values = [[when, value, quality, identity] for when, value, quality, identity in sorted(self.server.rows)]
        series = [{"name": "line", "columns": ["time", "loading_pct", "quality", "id"], "values": values}] if values else []
        self.answer(200, "application/json", json.dumps({"results": [{"statement_id": 0, "series": series}]}))

    def refuse(self):
        if self.headers["Authorization"] != f"Token {TOKEN}":
            self.answer(401, "application/json", '{"code":"unauthorized","message":"unauthorized access"}')
        elif self.server.broken:
            self.answer(404, "application/json", '{"code":"not found","message":"failed to initialize execute state: could not find bucket \\"grid\\""}')
        else:
            return False
        return True

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def documented(monkeypatch):
    monkeypatch.setenv("INFLUX_TOKEN", TOKEN)
    server = Documented()
    yield server
    server.shutdown()
    server.server_close()


def config(server, **changes):
    query = {"measurement": "line", "fields": "loading_pct", "point": "line/{tag:id}", "quality_field": "quality", "where": {"site": "north"}}
    defaults = {
        "url": server.url,
        "language": "flux",
        "org": "tso",
        "bucket": "grid",
        "token": {"env": "INFLUX_TOKEN"},
        "queries": [query],
        "poll_seconds": 0.05,
        "retry_max_seconds": 0.2,
    }
    return InfluxConfig.model_validate(defaults | changes)


def now_us():
    return time.time_ns() // 1000 * 1000


def test_flux_points_come_once_page_by_page(documented, collect):
    when = now_us() - 10**9
    documented.rows += [(when + n // 3 * 1000, n + 0.5, "good", f"L{n}") for n in range(40)]
    collector = collect(open_adapter(config(documented, page_points=5)))
    first = collector.wait_count(40)[0]
    assert (first.point, first.value, first.quality, first.time) == ("line/L0", 0.5, Quality.GOOD, pytest.approx(when / 1e9, abs=1e-5))
    documented.rows += [(when - 30 * 10**9, 99.5, "Bad_Late", "L1"), (now_us(), 100.5, "", "L2")]
    collector.wait_count(42)
    polls = len(documented.asked)
    wait_until(lambda: len(documented.asked) > polls + 3, "more polls")
    assert sorted(reading.value for reading in collector.readings) == [*(n + 0.5 for n in range(40)), 99.5, 100.5]
    assert {reading.quality for reading in collector.readings if reading.value == 99.5} == {Quality.BAD}
    assert {(method, path) for method, path, _ in documented.asked} == {("POST", "/api/v2/query?org=tso")}
    assert all(query.startswith('from(bucket: "grid") |> range(start: ') and "to(" not in query for _, _, query in documented.asked)
    assert 'r._measurement == "line" and (r._field == "loading_pct" or r._field == "quality") and r["site"] == "north"' in documented.asked[0][2]


def test_flux_trouble_and_recovery(documented, collect, monkeypatch):
    monkeypatch.setenv("INFLUX_TOKEN", "wrong-token")
    documented.rows.append((now_us(), 1.5, "good", "A"))
    collector = collect(open_adapter(config(documented)))
    assert "wrong-token" not in collector.wait_problem("401", "`token`")
    documented.broken = True
    monkeypatch.setenv("INFLUX_TOKEN", TOKEN)
    collector.wait_problem("could not find bucket", "404", "names of database, bucket")
    documented.broken = False
    assert collector.wait_count(1)[0].value == 1.5
    collector.wait_connected()


def test_flux_server_away(documented, collect):
    url = documented.url
    documented.shutdown()
    documented.server_close()
    collect(open_adapter(config(documented, url=url))).wait_problem("nothing listens", url)


def test_influxql_with_the_token_of_2_and_3(documented, collect):
    documented.rows.append((now_us(), 1.5, "good", "A"))
    collector = collect(open_adapter(config(documented, language="influxql", database="grid", org=None, bucket=None)))
    assert collector.wait_count(1)[0].point == "line/A"
    assert {method for method, _, _ in documented.asked} == {"GET"}
    assert all(query.startswith('SELECT "loading_pct"::field, "quality"::field, "id"::tag FROM "line" WHERE time >= ') for _, _, query in documented.asked)


def unquoted(text):
    """What is left of a Flux script without its strings, as Flux reads them."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', "S", text, flags=re.DOTALL)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_name_escapes_a_flux_string(bucket, measurement, tag, value):
    plain = flux(Selection("m", ("f",), None, (), (("t", "v"),)), "b", 0, 1, 1)
    hostile = flux(Selection(measurement, ("f",), None, (), ((tag, value),)), bucket, 0, 1, 1)
    assert unquoted(hostile) == unquoted(plain)
    assert not re.search(r"(?<!\\)(\\\\)*\$\{", hostile)
