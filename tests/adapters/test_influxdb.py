"""The InfluxDB adapter at a real InfluxDB 1.x, as a user who may only read: every point once, whoever is restarted and however late it is written."""

import base64
import itertools
import os
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from telemetry_servers import Server, find_program

from gridtone_adapters import InfluxConfig, Quality, open_adapter
from waiting import PATIENCE_SECONDS, free_port

CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = true
[coordinator]
[http]
bind-address = "127.0.0.1:{port}"
auth-enabled = true
log-enabled = true
[monitor]
store-enabled = false
"""

databases = (f"site{number}" for number in itertools.count())


class InfluxDb(Server):
    """influxd with an administrator, who writes here, and a reader."""

    def __init__(self, folder):
        port = free_port()
        file = folder / "influxdb.conf"
        file.write_text(CONFIGURATION.format(folder=folder, port=port, rpc=free_port()))
        super().__init__([find_program("influxd"), "-config", str(file)], port, folder / "influxd.log")

    def request(self, path, body=b"", **parameters):
        query = urllib.parse.urlencode(parameters)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}?{query}", body, {"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode()}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.read()

    def execute(self, statement):
        return self.request("/query", q=statement)

    def write(self, database, *lines):
        self.request("/write", "\n".join(lines).encode(), db=database)


@pytest.fixture(scope="module")
def influx(tmp_path_factory):
    os.environ["READER_PASSWORD"] = "reader"
    server = InfluxDb(tmp_path_factory.mktemp("influx")).start()
    server.execute("CREATE USER admin WITH PASSWORD 'admin' WITH ALL PRIVILEGES")
    server.execute("CREATE USER reader WITH PASSWORD 'reader'")
    server.execute("CREATE USER stranger WITH PASSWORD 'stranger'")
    yield server
    server.stop()


@pytest.fixture
def database(influx):
    name = next(databases)
    influx.execute(f"CREATE DATABASE {name}")
    influx.execute(f"GRANT READ ON {name} TO reader")
    return name


LINES = {"measurement": "line", "fields": ["loading_pct", "p_mw"], "point": "line/{tag:id}/{field}", "quality_field": "quality"}


def config(influx, db, **changes):
    defaults = {
        "url": f"http://127.0.0.1:{influx.port}",
        "database": db,
        "username": "reader",
        "password": {"env": "READER_PASSWORD"},
        "queries": [LINES],
    }
    return InfluxConfig.model_validate(defaults | {"name": "db", "poll_seconds": 0.05, "retry_max_seconds": 0.2} | changes)


def ns(seconds_ago=0.0):
    return time.time_ns() - round(seconds_ago * 1e9)


def test_points_become_readings(influx, database, collect):
    when = ns(5)
    influx.write(
        database,
        f'line,id=HV-1,site=north loading_pct=71.5,p_mw=12i,quality="good" {when}',
        f"line,id=HV-2,site=south loading_pct=90 {when + 1}",
        f'line,id=HV-1,site=north loading_pct=72,quality="Uncertain_SensorCal" {when + 2}',
        f"breaker,id=B1 closed=true {when + 3}",
    )
    breaker = {"measurement": "breaker", "fields": "closed", "point": "breaker/{tag:id}"}
    collector = collect(open_adapter(config(influx, database, queries=[LINES | {"where": {"site": "north"}, "unit": "%"}, breaker])))
    readings = collector.wait_count(4)
    assert [(reading.point, reading.value, reading.unit, reading.quality) for reading in readings] == [
        ("line/HV-1/loading_pct", 71.5, "%", Quality.GOOD),
        ("line/HV-1/p_mw", 12.0, "%", Quality.GOOD),
        ("line/HV-1/loading_pct", 72.0, "%", Quality.UNCERTAIN),
        ("breaker/B1", 1.0, "", Quality.GOOD),
    ]
    assert readings[0].time == pytest.approx(when / 1e9)
    collector.wait_connected()


def test_every_point_comes_once_across_polls_late_points_and_restarts(influx, database, collect):
    collector = collect(open_adapter(config(influx, database, late_seconds=600, page_points=7)))
    written = 0
    for lap in range(4):
        for late in (0, 20, 40):
            influx.write(database, *[f"line,id=X{n} loading_pct={written + n} {ns(late)}" for n in range(10)])
            written += 10
            time.sleep(0.06)
        if lap % 2:
            influx.kill()
            collector.wait_problem("nothing listens")
            assert not collector.adapter.health().connected
            influx.start()
            influx.write(database, f"line,id=backlog loading_pct={written} {ns(55)}")
            written += 1
    collector.wait_count(written)
    time.sleep(0.5)
    assert sorted(reading.value for reading in collector.readings) == [float(n) for n in range(written)]
    assert collector.adapter.health().rejected == {}


def test_what_is_written_after_an_outage_for_the_time_of_the_outage_is_found(influx, database, collect):
    """As when a collecting agent kept what it could not write: points far older than `late_seconds`, after newer ones."""
    influx.write(database, f"line,id=A loading_pct=1 {ns(2)}")
    collector = collect(open_adapter(config(influx, database, late_seconds=1, look_back_seconds=600)))
    collector.wait_count(1)
    influx.kill()
    collector.wait_problem("nothing listens")
    during = ns()
    time.sleep(2.5)
    influx.start()
    influx.write(database, f"line,id=A loading_pct=3 {ns()}")
    collector.wait_count(2)
    influx.write(database, f"line,id=A loading_pct=2 {during}")
    assert [reading.value for reading in collector.wait_count(3)] == [1, 3, 2]


def test_our_own_restart_reads_the_look_back_again(influx, database, collect):
    influx.write(database, f"line,id=A loading_pct=1 {ns(500)}", f"line,id=A loading_pct=2 {ns(50)}")
    first = collect(open_adapter(config(influx, database, look_back_seconds=100)))
    assert [reading.value for reading in first.wait_count(1)] == [2]
    first.close()
    influx.write(database, f"line,id=A loading_pct=3 {ns(10)}")
    second = collect(open_adapter(config(influx, database, look_back_seconds=100)))
    assert [reading.value for reading in second.wait_count(2)] == [2, 3]
    third = collect(open_adapter(config(influx, database, look_back_seconds=1000)))
    assert [reading.value for reading in third.wait_count(3)] == [1, 2, 3]


def test_a_corrected_value_comes_again_and_bad_ones_are_counted(influx, database, collect):
    when = ns(1)
    influx.write(database, f"line,id=A loading_pct=1 {when}")
    collector = collect(open_adapter(config(influx, database)))
    collector.wait_count(1)
    influx.write(
        database,
        f"line,id=A loading_pct=2 {when}",
        f"line loading_pct=3 {ns()}",
        f'line,id=A loading_pct=4,quality="fine" {ns()}',
        f"line,id=A loading_pct=5 {ns()}",
    )
    collector.wait_count(3)
    assert sorted(reading.value for reading in collector.readings) == [1, 2, 5]
    assert collector.adapter.health().rejected == {"missing_tag": 1, "unknown_quality": 1}
    assert {sample.source for sample in collector.adapter.health().samples} == {"line.loading_pct"}


def test_a_backlog_larger_than_pages_and_queue_arrives_whole(influx, database, collect):
    when = ns(30)
    influx.write(database, *[f"line,id=P{n} loading_pct={n} {when}" for n in range(50)], *[f"line,id=A loading_pct={n} {when + n}" for n in range(50, 3000)])
    collector = collect(open_adapter(config(influx, database, page_points=10, queue_limit=100)))
    collector.wait_count(3000)
    assert sorted(reading.value for reading in collector.readings) == [float(n) for n in range(3000)]
    assert collector.adapter.health().dropped == 0


def test_the_reader_could_not_write_and_only_selects_were_sent(influx, database, collect):
    influx.write(database, f"line,id=A loading_pct=1 {ns(1)}")
    collector = collect(open_adapter(config(influx, database)))
    collector.wait_count(1)
    collector.wait_connected()
    log = influx.log.read_text()
    selects = [line for line in log.splitlines() if "Executing query" in line and f"FROM {database}.autogen.line" in line]
    assert selects
    assert all('query="SELECT ' in line and " INTO " not in line for line in selects)
    requests = [line for line in log.splitlines() if " - reader " in line]
    assert requests
    assert all('"GET /query?' in line for line in requests)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(
            f"http://127.0.0.1:{influx.port}/query?" + urllib.parse.urlencode({"db": database, "u": "reader", "p": "reader", "q": "SELECT * INTO x FROM line"})
        )
    assert refused.value.code in (401, 403)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"username": "stranger", "password": {"env": "STRANGER_PASSWORD"}}, ("403", "GRANT READ")),
        ({"password": {"env": "WRONG_PASSWORD"}}, ("401", "check `username` and `password`")),
        ({"database": "absent"}, ("absent",)),
        ({"queries": [LINES | {"measurement": "lime"}]}, ("no points of loading_pct, p_mw", "'lime'", "are the names right")),
        ({"url": "http://database.invalid:8086"}, ("cannot be resolved",)),
        ({"password": {"env": "NOT_SET_AT_ALL"}}, ("NOT_SET_AT_ALL", "not set")),
    ],
)
def test_trouble_says_what_to_do(influx, database, collect, monkeypatch, changes, words):
    monkeypatch.setenv("STRANGER_PASSWORD", "stranger")
    monkeypatch.setenv("WRONG_PASSWORD", "hunter2")
    collector = collect(open_adapter(config(influx, database, **changes)))
    assert "hunter2" not in collector.wait_problem(*words)


def test_an_https_address_on_a_plain_port(influx, database, collect):
    collect(open_adapter(config(influx, database, url=f"https://127.0.0.1:{influx.port}"))).wait_problem("TLS port")


name = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12) | st.sampled_from(
    ['"', "\\", "' OR 1=1 --", '"; DROP DATABASE x; --', "${x}", 'a"b\\', "time", "站 名"]
)


def escaped(text, characters=", ="):
    """As the line protocol wants names."""
    return "".join("\\" + character if character in characters else character for character in text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name, name, name, name)
def test_no_name_escapes_its_quotes(influx, database, measurement, field, tag, value):
    """Two points whose names differ only in what a broken quote would confuse: exactly the one that was asked for comes back."""
    from gridtone_adapters.influxdb import open_language

    names = (measurement, field, tag, value)
    assume(
        field != tag and "time" not in names and not measurement.startswith("#") and not any(name.endswith("\\") for name in names)
    )  # else not to be written
    when = ns(1)
    series = f"{escaped(measurement, ', ')},{escaped(tag)}={escaped(value)}"
    try:
        influx.write(database, f"{series} {escaped(field)}=1 {when}", f"{series}x {escaped(field)}=2 {when}")
    except urllib.error.HTTPError:
        reject()
    query = {"measurement": measurement, "fields": [field], "point": "p", "where": {tag: value}}
    settings_ = config(influx, database, queries=[query])
    rows = open_language(settings_).rows(settings_.queries[0].selection(), when, when + 1, 10)
    assert [row.fields for row in rows] == [[1]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"database": None}, "needs `database`"),
        ({"language": "flux"}, "Flux needs"),
        ({"password": None}, "belong together"),
        ({"token": {"env": "T"}}, "not both"),
        ({"url": "http://reader:reader@db:8086"}, "without user and password"),
        ({"url": "db:8086"}, "url"),
        ({"queries": [LINES | {"point": "line/{id}"}]}, "{tag:NAME}"),
        ({"queries": [LINES | {"point": "line/{tag:id}"}]}, "must contain {field}"),
    ],
)
def test_bad_settings_are_explained(influx, changes, complaint):
    with pytest.raises(ValidationError) as refused:
        config(influx, "x", **changes)
    assert complaint in str(refused.value)


def test_close_while_the_database_does_not_answer(collect):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        adapter = open_adapter(
            InfluxConfig.model_validate(
                {"url": f"http://127.0.0.1:{silent.getsockname()[1]}", "database": "x", "queries": [LINES], "timeout_seconds": 10 * PATIENCE_SECONDS}
            )
        )
        collector = collect(adapter)
        asked, _ = silent.accept()
        with asked:
            collector.close()
