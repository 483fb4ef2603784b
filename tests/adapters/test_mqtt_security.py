"""The MQTT adapter where a broker asks who we are: passwords, access lists, TLS, and what an engineer is told when they do not fit."""

import base64
import hashlib
import json
import subprocess
import time
from pathlib import Path

import pytest
from certificates import Authority
from pydantic import ValidationError
from telemetry_servers import Broker, find_program, wait_until

from gridtone.alarms import AlarmBoard, AlarmSettings
from gridtone.config import load_site
from gridtone.documents import DocumentError
from gridtone_adapters import MqttConfig, open_adapter
from waiting import free_port

TOPIC = {"topic": "grid/{id}", "point": "{id}", "payload": "number"}


def config(port: int, **changes) -> MqttConfig:
    defaults = {"host": "127.0.0.1", "port": port, "name": f"test-{time.monotonic_ns()}", "topics": [TOPIC], "retry_seconds": 0.1, "retry_max_seconds": 0.3}
    return MqttConfig.model_validate(defaults | changes)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A broker that wants a password. `reader` may read grid/#, `gateway` may write there."""
    folder = tmp_path_factory.mktemp("guarded")
    passwords, access = folder / "passwords", folder / "access"
    passwords.touch(mode=0o600)
    for user in ("reader", "gateway"):
        subprocess.run([find_program("mosquitto_passwd"), "-b", str(passwords), user, user], check=True, capture_output=True)
    access.write_text("user reader\ntopic read grid/#\n\nuser gateway\ntopic readwrite grid/#\n")
    access.chmod(0o600)
    server = Broker(folder, f"allow_anonymous false\npassword_file {passwords}\nacl_file {access}").start()
    yield server
    server.stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_password_from_a_file_may_be_corrected_while_running(guarded, collect, tmp_path, protocol, caplog):
    secret = tmp_path / "password"
    collector = collect(open_adapter(config(guarded.port, protocol=protocol, username="reader", password={"file": str(secret)})))
    collector.wait_problem(str(secret), "check the path")
    secret.write_text("hunter2\n")
    collector.wait_problem("refused us", "check `username` and `password`")
    assert not collector.adapter.health().connected
    secret.write_text("reader\n")
    collector.wait_connected()
    guarded.publish(("grid/x", "5"), username="gateway")
    assert collector.wait_count(1)[0].value == 5
    assert "hunter2" not in caplog.text


def test_user_and_password_from_the_environment(guarded, collect, monkeypatch):
    settings = config(guarded.port, username={"env": "SITE_USER"}, password={"env": "SITE_PASSWORD"})
    monkeypatch.delenv("SITE_USER", raising=False)
    monkeypatch.setenv("SITE_PASSWORD", "reader")
    collector = collect(open_adapter(settings))
    collector.wait_problem("SITE_USER", "not set")
    monkeypatch.setenv("SITE_USER", "reader")
    collector.wait_connected()


def test_a_password_in_the_file_itself_is_refused_and_not_repeated():
    with pytest.raises(ValidationError) as refused:
        config(1, password="hunter2")
    assert "never written here" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_nor_does_a_check_of_the_site_repeat_it(tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text('adapters:\n  - {kind: mqtt, host: broker, password: hunter2, topics: [{topic: "a", point: "a"}]}\n')
    with pytest.raises(DocumentError) as refused:
        load_site(site, {})
    assert "never written here" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def dynamic_security(folder: Path, readable: list[str], port: int | None = None) -> Broker:
    """A broker that refuses subscriptions to all but `readable`. Mosquitto's access list lets everyone subscribe and then sends nothing."""
    plugin = next(Path("/usr/lib").rglob("mosquitto_dynamic_security.so"), None)
    if not plugin:
        pytest.skip("mosquitto's dynamic security plugin is not installed")
    salt = b"0123456789ab"
    clients = []
    for user in ("reader", "gateway"):
        password = base64.b64encode(hashlib.pbkdf2_hmac("sha512", user.encode(), salt, 101, 64)).decode()
        clients.append({"username": user, "password": password, "salt": base64.b64encode(salt).decode(), "iterations": 101, "roles": [{"rolename": user}]})
    grants = {"reader": [("subscribePattern", topic) for topic in readable], "gateway": [("publishClientSend", "#"), ("publishClientSend", "$CONTROL/#")]}
    roles = [
        {"rolename": user, "acls": [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in granted]}
        for user, granted in grants.items()
    ]
    access = {"publishClientSend": False, "publishClientReceive": True, "subscribe": False, "unsubscribe": False}
    rules = folder / "rules.json"
    rules.write_text(json.dumps({"defaultACLAccess": access, "clients": clients, "groups": [], "roles": roles}))
    return Broker(folder, f"allow_anonymous false\nplugin {plugin}\nplugin_opt_config_file {rules}", port)


def as_reader(tmp_path: Path, port: int, **changes) -> MqttConfig:
    return config(port, username="reader", password={"file": str(write(tmp_path / "p", "reader"))}, **changes)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refused_subscription_says_which_and_is_no_connection(tmp_path, collect, protocol):
    server = dynamic_security(tmp_path, ["alarm/#"]).start()
    try:
        topics = [TOPIC, {"topic": "alarm/{id}", "point": "alarm/{id}", "payload": "number"}]
        collector = collect(open_adapter(as_reader(tmp_path, server.port, protocol=protocol, topics=topics)))
        problem = collector.wait_problem("refused the subscription to grid/+", "access list")
        assert "alarm/+" not in problem and not collector.adapter.health().connected
        server.publish(("alarm/T1", "1"), username="gateway")
        assert collector.wait_count(1)[0].point == "alarm/T1", "what may be read is read"
        assert not collector.adapter.health().connected and collector.adapter.health().problem == problem
    finally:
        server.stop()


def test_alarms_that_may_no_longer_be_read_are_unknown(tmp_path, collect):
    """The broker comes back with another access list. The source has no heartbeat: nothing but the connection tells."""
    server = dynamic_security(tmp_path, ["grid/#"]).start()
    collector = collect(open_adapter(as_reader(tmp_path, server.port)))
    try:
        alarms = AlarmBoard(AlarmSettings.model_validate({"sources": [{"name": "scada", "active": "*"}]}))
        collector.wait_connected()
        server.publish(("grid/T1", "0"), username="gateway")
        alarms.take(collector.adapter.name, collector.wait_count(1), time.time())
        server.stop()
        server = dynamic_security(tmp_path, [], server.port).start()
        collector.wait_problem("refused the subscription to grid/+")
        health = collector.adapter.health()
        alarms.lose([health.name] if not health.connected else [])
        [problem] = alarms.problems(time.time())
        assert "has lost its source" in problem["en"]
    finally:
        server.stop()


def test_a_refused_subscription_is_asked_for_again(tmp_path, collect):
    server = dynamic_security(tmp_path, []).start()
    try:
        collector = collect(open_adapter(as_reader(tmp_path, server.port)))
        collector.wait_problem("refused the subscription to grid/+")
        accepted_at = collector.adapter._accepted_at
        allow = {"command": "setDefaultACLAccess", "acls": [{"acltype": "subscribe", "allow": True}]}
        server.publish(("$CONTROL/dynamic-security/v1", json.dumps({"commands": [allow]})), username="gateway")
        collector.wait_connected()
        assert collector.adapter._accepted_at == accepted_at, "the connection lasted"
        server.publish(("grid/x", "5"), username="gateway")
        assert collector.wait_count(1)[0].value == 5
    finally:
        server.stop()


def test_two_with_one_client_id_are_told_so(guarded, collect, tmp_path):
    settings = config(guarded.port, client_id="twin", username="reader", password={"file": str(write(tmp_path / "p", "reader"))}, retry_seconds=1)
    first = collect(open_adapter(settings))
    first.wait_connected()
    collect(open_adapter(settings))
    first.wait_problem("ended the connection", "another client", "`client_id`")


def write(path, content):
    path.write_text(content)
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("site"), "site-authority")


@pytest.fixture(scope="module")
def tls_broker(site):
    certificate, key = site.issue("broker", "127.0.0.1")
    tls = f"cafile {site.file}\ncertfile {certificate}\nkeyfile {key}"
    plain_port = free_port()
    server = Broker(
        site.folder,
        f"{tls}\nrequire_certificate true\nuse_identity_as_username true\nallow_anonymous true\nlistener {plain_port} 127.0.0.1\nallow_anonymous true",
    ).start()
    server.plain_port = plain_port
    yield server
    server.stop()


def test_tls_with_the_site_authority_and_a_client_certificate(tls_broker, site, collect, tmp_path):
    certificate, key = site.issue("gridtone", password=b"sesame")
    tls = {"ca_file": str(site.file), "cert_file": certificate, "key_file": key, "key_password": {"file": str(write(tmp_path / "sesame", "sesame"))}}
    collector = collect(open_adapter(config(tls_broker.port, tls=tls)))
    collector.wait_connected()
    tls_broker.publish(*[("grid/x", str(n)) for n in range(500)], port=tls_broker.plain_port)
    assert [reading.value for reading in collector.wait_count(500)] == [float(n) for n in range(500)]


def problem_with(collect, port, tls, *words):
    return collect(open_adapter(config(port, tls=tls, connect_timeout_seconds=2))).wait_problem(*words)


def test_tls_trouble_says_what_to_do(tls_broker, site, collect, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    certificate, key = site.issue("ours")
    foreign_certificate, foreign_key = stranger.issue("foreign")
    ours = {"cert_file": certificate, "key_file": key}
    trusted = {"ca_file": str(site.file)}
    problem_with(collect, tls_broker.port, ours, "certificate", "was refused", "`tls.ca_file`")
    problem_with(collect, tls_broker.port, ours | {"ca_file": str(stranger.file)}, "was refused", "`tls.ca_file`")
    problem_with(collect, tls_broker.port, trusted, "wants a certificate from us", "`tls.cert_file`")
    problem_with(collect, tls_broker.port, trusted | {"cert_file": foreign_certificate, "key_file": foreign_key}, "refused our certificate")
    problem_with(collect, tls_broker.port, trusted | {"cert_file": certificate, "key_file": foreign_key}, "do they belong together")
    problem_with(collect, tls_broker.port, {"ca_file": str(tmp_path / "absent")}, "cannot read", "absent")
    problem_with(collect, tls_broker.port, {"ca_file": str(write(tmp_path / "text", "not PEM"))}, "must be PEM")
    problem_with(collect, tls_broker.plain_port, ours | trusted, "TLS port")
    problem_with(collect, tls_broker.port, None, "does this port want TLS?")


def test_a_certificate_for_another_name_is_refused(site, collect):
    certificate, key = site.issue("elsewhere", "192.0.2.1")
    server = Broker(site.folder, f"cafile {site.file}\ncertfile {certificate}\nkeyfile {key}\nallow_anonymous true").start()
    try:
        problem_with(collect, server.port, {"ca_file": str(site.file)}, "the certificate", "127.0.0.1", "use the host name that the certificate names")
    finally:
        server.stop()


def test_a_name_that_does_not_exist(collect):
    collect(open_adapter(config(1883, host="broker.invalid"))).wait_problem("broker.invalid", "cannot be resolved")


def test_a_server_that_is_no_broker_and_says_nothing(collect):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        adapter = open_adapter(config(silent.getsockname()[1], connect_timeout_seconds=0.3))
        collect(adapter).wait_problem("no answer")
    wait_until(lambda: not adapter.health().connected, "never connected")
