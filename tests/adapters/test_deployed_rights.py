"""The rights that `deploy/` gives gridtone, at the real servers: it may read, and every way of writing that these servers have is refused."""

import re
import subprocess
import time
import urllib.error
import urllib.parse
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from telemetry_servers import Broker, find_program, wait_until
from test_influxdb import InfluxDb

from gridtone_adapters import InfluxConfig, MqttConfig, open_adapter

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def broker(tmp_path):
    """Mosquitto with the access list and the settings of `deploy/`; only paths and port are the test's. The password is the user's name."""
    passwords, access = tmp_path / "passwords", tmp_path / "acl"
    passwords.touch(mode=0o600)
    for user in ("gridtone", "gateway", "stranger"):
        subprocess.run([find_program("mosquitto_passwd"), "-b", str(passwords), user, user], check=True, capture_output=True)
    access.write_bytes((DEPLOY / "mosquitto/acl").read_bytes())
    access.chmod(0o600)
    shipped = (DEPLOY / "mosquitto/mosquitto.conf").read_text()
    assert re.findall(r"^listener .*$", shipped, re.MULTILINE) == ["listener 1883"]
    own = re.sub(r"^listener .*$", "", shipped, flags=re.MULTILINE)
    own = own.replace("/mosquitto/config/passwords", str(passwords)).replace("/mosquitto/config/acl", str(access))
    server = Broker(tmp_path, own).start()
    yield server
    server.stop()


class Writer:
    """Publishes by MQTT 5, in which a broker says what it thinks of a message, and reads everything that it is given."""

    def __init__(self, port: int, user: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.answers: list[str] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.username_pw_set(user, user)
        self.client.on_message = lambda _client, _data, message: self.got.append((message.topic, message.payload))
        self.client.on_publish = lambda _client, _data, _id, reason, _properties: self.answers.append(str(reason))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(self.client.is_connected, f"a connection of {user}")

    def publish(self, topic: str, payload: str, **options: object) -> str:
        answered = len(self.answers)
        self.client.publish(topic, payload, qos=1, **options)
        wait_until(lambda: len(self.answers) > answered, "the broker's answer")
        return self.answers[-1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_the_shipped_access_list_lets_gridtone_read_and_publish_nothing(broker, collect, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSWORD", "gridtone")
    topics = [{"topic": "grid/{id...}", "point": "{id}", "payload": "number"}]
    access = {"host": "127.0.0.1", "port": broker.port, "username": "gridtone", "password": {"env": "PASSWORD"}, "topics": topics}
    collector = collect(open_adapter(MqttConfig.model_validate(access)))
    collector.wait_connected()
    as_gridtone, gateway = Writer(broker.port, "gridtone"), Writer(broker.port, "gateway")
    try:
        for topic in ("grid/breaker/1/command", "grid/line/1/loading_pct", "elsewhere", "gridtone/x", "grid"):
            for retain in (False, True):
                assert as_gridtone.publish(topic, "1", retain=retain) == "Not authorized", topic
        assert gateway.publish("grid/after", "5") in ("Success", "No matching subscribers")
        wait_until(lambda: "after" in collector.points, "what the gateway publishes")
        assert collector.points == ["after"], "nothing that gridtone tried to publish came through"
        late = collect(open_adapter(MqttConfig.model_validate(access | {"client_id": "late"})))
        late.wait_connected()
        gateway.publish("grid/last", "6")
        wait_until(lambda: "last" in late.points, "what comes later")
        assert late.points == ["last"], "nor was any of it retained"
    finally:
        as_gridtone.close()
        gateway.close()


def test_whoever_does_not_sign_in_or_is_not_listed_gets_nothing(broker, collect):
    topics = [{"topic": "grid/{id}", "point": "{id}", "payload": "number"}]
    anonymous = collect(open_adapter(MqttConfig.model_validate({"host": "127.0.0.1", "port": broker.port, "topics": topics})))
    anonymous.wait_problem("refused us")
    stranger, gateway = Writer(broker.port, "stranger"), Writer(broker.port, "gateway")
    listener = Writer(broker.port, "gridtone")
    try:
        for reader in (stranger, listener):
            reader.client.subscribe("#", qos=1)
        assert stranger.publish("grid/x", "1") == "Not authorized"
        wait_until(lambda: gateway.publish("grid/x", "2") and listener.got, "what gridtone may read")
        assert stranger.got == []
    finally:
        for each in (stranger, gateway, listener):
            each.close()


def shipped_settings() -> dict[str, str]:
    lines = (DEPLOY / "influxdb/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture
def influx(tmp_path, monkeypatch, request):
    """InfluxDB 1.x with the shipped settings, and gridtone's user as the shipped statements make it."""
    for name, value in (shipped_settings() | getattr(request, "param", {})).items():
        monkeypatch.setenv(name, value)
    server = InfluxDb(tmp_path).start()
    server.execute("CREATE USER admin WITH PASSWORD 'admin' WITH ALL PRIVILEGES")
    for database in ("site", "other"):
        server.execute(f"CREATE DATABASE {database}")
    statements = (DEPLOY / "influxdb/read-only-user.influxql").read_text().replace("<password>", "gridtone").replace("<database>", "site")
    for statement in filter(None, statements.splitlines()):
        server.execute(statement)
    server.write("site", f"line,id=A p=1 {time.time_ns()}")
    yield server
    server.stop()


WRITING = [
    "SELECT * INTO copied FROM line",
    "SELECT * INTO other.autogen.copied FROM line",
    "DROP SERIES FROM line",
    "DROP MEASUREMENT line",
    "DELETE FROM line",
    "DROP DATABASE site",
    "CREATE DATABASE mine",
    "CREATE RETENTION POLICY mine ON site DURATION 1h REPLICATION 1 DEFAULT",
    "ALTER RETENTION POLICY autogen ON site DURATION 1h",
    "DROP RETENTION POLICY autogen ON site",
    "CREATE USER mine WITH PASSWORD 'mine' WITH ALL PRIVILEGES",
    "GRANT ALL ON site TO gridtone",
    "GRANT ALL PRIVILEGES TO gridtone",
    "REVOKE ALL PRIVILEGES FROM admin",
    "SET PASSWORD FOR admin = 'mine'",
    "DROP USER admin",
    "CREATE SUBSCRIPTION mine ON site.autogen DESTINATIONS ALL 'http://127.0.0.1:1'",
    "KILL QUERY 1",
    "DROP SHARD 1",
]


def asked(influx: InfluxDb, path: str, body: bytes | None, **parameters: str) -> tuple[int, str]:
    """As gridtone's user; status and text of the answer."""
    query = urllib.parse.urlencode({"u": "gridtone", "p": "gridtone", **parameters})
    request = urllib.request.Request(f"http://127.0.0.1:{influx.port}{path}?{query}", body)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_the_shipped_database_user_reads_and_every_statement_that_writes_is_refused(influx, collect, monkeypatch):
    monkeypatch.setenv("PASSWORD", "gridtone")
    query = {"measurement": "line", "fields": "p", "point": "{tag:id}"}
    access = {"url": f"http://127.0.0.1:{influx.port}", "database": "site", "username": "gridtone", "password": {"env": "PASSWORD"}, "queries": [query]}
    collector = collect(open_adapter(InfluxConfig.model_validate(access | {"poll_seconds": 0.05})))
    assert collector.wait_count(1)[0].value == 1
    before = [influx.execute(statement) for statement in ("SHOW DATABASES", "SHOW USERS", "SHOW MEASUREMENTS ON site", "SHOW RETENTION POLICIES ON site")]
    for statement in WRITING:
        for body in (b"", None):  # POST, which some of them want, and GET
            status, text = asked(influx, "/query", body, db="site", q=statement)
            assert status in (401, 403) or "error" in text, (statement, status, text)
            assert "authorized" in text or "privilege" in text or "POST" in text, (statement, text)
    assert asked(influx, "/write", f"line,id=A p=9 {time.time_ns()}".encode(), db="site")[0] == 403
    assert asked(influx, "/query", None, db="other", q="SELECT * FROM line")[0] == 403
    after = [influx.execute(statement) for statement in ("SHOW DATABASES", "SHOW USERS", "SHOW MEASUREMENTS ON site", "SHOW RETENTION POLICIES ON site")]
    assert after == before
    influx.write("site", f"line,id=A p=2 {time.time_ns()}")
    assert [reading.value for reading in collector.wait_count(2)] == [1, 2]


@pytest.mark.parametrize(("influx", "written"), [({}, False), ({"INFLUXDB_CONTINUOUS_QUERIES_ENABLED": "true"}, True)], indirect=["influx"])
def test_a_continuous_query_which_influxdb_lets_a_reader_create_never_runs_under_the_shipped_settings(influx, written):
    """With the settings that InfluxDB has by itself it runs, and a user with nothing but READ has written."""
    status, text = asked(influx, "/query", b"", q="CREATE CONTINUOUS QUERY mine ON site BEGIN SELECT mean(p) INTO copied FROM line GROUP BY time(1s) END")
    assert (status, "error" in text) == (200, False)

    def copied() -> bool:
        influx.write("site", f"line,id=A p=2 {time.time_ns()}")
        return b"copied" in influx.execute("SHOW MEASUREMENTS ON site")

    if written:
        wait_until(copied, "what the continuous query writes")
    else:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert not copied()
            time.sleep(0.2)
