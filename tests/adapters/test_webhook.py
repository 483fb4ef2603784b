"""Alerts of Prometheus Alertmanager and Grafana, sent as they send them, become readings; whatever else is sent is refused and harms nothing."""

import copy
import json
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from certificates import Authority
from pydantic import ValidationError
from telemetry_servers import Collector, wait_until

from gridtone_adapters import Adapter, Quality, WebhookConfig, open_adapter
from waiting import free_port

TOKEN = "a-token-that-nobody-guesses"
NEVER = "0001-01-01T00:00:00Z"


def alertmanager(**changes: Any) -> dict[str, Any]:
    """A message in the format of Alertmanager's webhook_config, version 4."""
    labels = {"alertname": "TransformerHot", "instance": "T1", "severity": "critical"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "winding temperature above 110 °C"},
        "startsAt": "2026-11-20T07:52:26.739266876+02:00",
        "endsAt": NEVER,
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=x",
        "fingerprint": "1a30ba71cca2921f",
    } | changes
    return {
        "version": "4",
        "groupKey": '{}:{alertname="TransformerHot"}',
        "truncatedAlerts": 0,
        "status": alert["status"],
        "receiver": "gridtone",
        "groupLabels": {"alertname": "TransformerHot"},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": [alert],
    }


def grafana() -> dict[str, Any]:
    """A message in the format of Grafana's webhook contact point: one alert fires, another has ended."""

    def alert(status: str, name: str, fingerprint: str, **labels: str) -> dict[str, Any]:
        return {
            "status": status,
            "labels": {"alertname": name, "grafana_folder": "grid"} | labels,
            "annotations": {"summary": "…"},
            "startsAt": "2026-11-20T09:51:03.157076+02:00",
            "endsAt": NEVER if status == "firing" else "2026-11-20T10:00:03+02:00",
            "generatorURL": "https://grafana.example/alerting/1/edit",
            "fingerprint": fingerprint,
            "silenceURL": "https://grafana.example/alerting/silence/new",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 44.23943737541908, "C": 1},
        }

    return {
        "receiver": "gridtone",
        "status": "firing",
        "orgId": 1,
        "alerts": [alert("firing", "Bus voltage/low", "c6eadffa33fcdf37", severity="warning"), alert("resolved", "Feeder load", "bc97ff14869b13e3")],
        "groupLabels": {},
        "commonLabels": {"grafana_folder": "grid"},
        "commonAnnotations": {},
        "externalURL": "https://grafana.example/",
        "version": "1",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "title": "[FIRING:1, RESOLVED:1]",
        "state": "alerting",
        "message": "**Firing**",
    }


class Hook:
    """An adapter that listens, and somebody who sends."""

    def __init__(self, collect: Callable[[Adapter], Collector], folder: Path, **settings: Any) -> None:
        self.secret = folder / "token"
        self.secret.write_text(TOKEN + "\n")
        self.config = WebhookConfig(port=free_port(), token={"file": self.secret}, **settings)
        self.adapter = open_adapter(self.config)
        self.collector = collect(self.adapter)
        self.collector.wait_connected()
        self.url = f"http{'s' if self.config.tls else ''}://127.0.0.1:{self.config.port}{self.config.path}"

    def send(self, message: object, token: str | None = TOKEN, **how: Any) -> requests.Response:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return requests.post(how.pop("url", self.url), data=body, headers=headers, timeout=60, **how)

    def values(self) -> dict[str, float]:
        """Point -> what it said last."""
        return {reading.point: reading.value for reading in self.collector.readings}

    def rejected(self) -> dict[str, int]:
        return self.adapter.health().rejected


@pytest.fixture
def hook(collect: Callable[[Adapter], Collector], tmp_path: Path) -> Hook:
    return Hook(collect, tmp_path)


def test_an_alert_of_alertmanager_comes_and_goes(hook: Hook):
    sent = time.time()
    assert hook.send(alertmanager()).status_code == 200
    active, priority, heartbeat = hook.collector.wait_count(3)
    assert (active.point, active.value, active.quality) == ("alert/TransformerHot/1a30ba71cca2921f/active", 1.0, Quality.GOOD)
    assert active.time == datetime(2026, 11, 20, 5, 52, 26, 739266, tzinfo=UTC).timestamp()
    assert (priority.point, priority.value) == ("alert/TransformerHot/1a30ba71cca2921f/priority", 1.0)
    assert type(priority.value) is float
    assert heartbeat.point == "alert/heartbeat" and sent <= heartbeat.time <= time.time()

    hook.send(alertmanager(status="resolved", endsAt="2026-11-20T06:00:00Z"))
    ended = hook.collector.wait_count(6)[3]
    assert (ended.point, ended.value) == (active.point, 0.0)
    assert ended.time == datetime(2026, 11, 20, 6, tzinfo=UTC).timestamp()


def test_alerts_of_grafana_come_and_go(hook: Hook):
    assert hook.send(grafana()).json() == {"readings": 4}
    hook.collector.wait_count(4)
    assert hook.values() == {
        "alert/Bus voltage_low/c6eadffa33fcdf37/active": 1.0,
        "alert/Bus voltage_low/c6eadffa33fcdf37/priority": 3.0,
        "alert/Feeder load/bc97ff14869b13e3/active": 0.0,
        "alert/heartbeat": 1.0,
    }


def test_points_are_named_by_labels_and_no_alert_is_lost_for_want_of_one(collect: Callable[[Adapter], Collector], tmp_path: Path):
    hook = Hook(collect, tmp_path, point="site/{instance}/{feeder}/{fingerprint}", priorities={"p1": 1, "p2": 2}, priority_label="prio")
    message = alertmanager(labels={"instance": "T1", "prio": "P2"}, fingerprint=None)
    assert hook.send(message).ok
    [active, priority, _] = hook.collector.wait_count(3)
    assert active.point.startswith("site/T1/-/") and len(active.point.split("/")[3]) == 16, "a fingerprint of its own"
    assert priority.value == 2.0
    hook.send(alertmanager(labels={"instance": "T1", "prio": "who knows"}))
    assert hook.collector.wait_count(6)[4].value == 1.0, "what cannot be told is the highest"


def test_a_time_that_cannot_be_is_now(hook: Hook):
    for wrong in ("tomorrow", None, "2099-01-01T00:00:00Z"):
        before = time.time()
        hook.send(alertmanager(startsAt=wrong))
        hook.collector.wait_count(3)
        assert before <= hook.collector.readings[0].time <= time.time()
        hook.collector.readings.clear()


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "not_json"),
        (b"\xff\xfe", 400, "not_json"),
        (b"[" * 100_000, 400, "not_json"),
        (b"", 400, "not_json"),
        (b"[]", 400, "not_alerts"),
        (b'{"alerts": {}}', 400, "not_alerts"),
        (b'{"alerts": [1, null, {"labels": 3}]}', 400, "not_alerts"),
        (json.dumps(alertmanager(status="pending")).encode(), 400, "unknown_status"),
        (json.dumps(alertmanager(status=["firing"])).encode(), 400, "unknown_status"),
        (b"x" * 1_000_001, 413, "oversized"),
        (b"x" * 10_000_001, 413, None),
    ],
    ids=lambda value: None if isinstance(value, int | str | None) else "",
)
def test_what_is_no_message_is_refused_and_the_next_one_is_read(hook: Hook, body: bytes, status: int, reason: str | None):
    try:
        assert hook.send(body).status_code == status
    except requests.ConnectionError:
        assert status == 413, "cut off while it was still sending"
    if reason:
        assert hook.rejected()[reason] >= 1
    assert hook.collector.readings == []
    assert hook.send(alertmanager()).ok
    hook.collector.wait_count(3)


def test_a_watchdog_is_a_sign_of_life_and_no_alarm(hook: Hook):
    watchdog = {"alertname": "Watchdog", "severity": "none"}
    assert hook.send(alertmanager(labels=watchdog)).json() == {"readings": 1}
    assert [reading.point for reading in hook.collector.wait_count(1)] == ["alert/heartbeat"]
    assert hook.send(alertmanager(labels=watchdog, status="resolved", endsAt="2026-11-20T06:00:00Z")).json() == {"readings": 0}


def test_one_bad_alert_does_not_take_the_others_with_it(hook: Hook):
    message = alertmanager()
    message["alerts"] += [{"status": "firing"}, copy.deepcopy(message["alerts"][0]) | {"fingerprint": "b"}]
    message["truncatedAlerts"] = 2
    assert hook.send(message).json() == {"readings": 5}
    hook.collector.wait_count(5)
    assert hook.rejected() == {"no_labels": 1, "truncated": 1}


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "ä"])
def test_without_the_token_nothing_gets_in(hook: Hook, token: str | None):
    answer = requests.post(hook.url, json=alertmanager(), headers={"Authorization": f"Bearer {token}".encode()} if token is not None else {}, timeout=60)
    assert answer.status_code == 401
    assert hook.rejected() == {"wrong_token": 1}
    assert hook.collector.readings == []
    assert TOKEN not in repr(hook.adapter.health()) and TOKEN not in answer.text


def test_a_token_that_is_changed_counts_at_once(hook: Hook):
    hook.secret.write_text("another-token\n")
    assert hook.send(alertmanager()).status_code == 401
    assert hook.send(alertmanager(), token="another-token").ok


def test_other_paths_and_other_ways_to_ask_find_nothing(hook: Hook):
    assert hook.send(alertmanager(), url=hook.url + "/other").status_code == 404
    assert requests.get(hook.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60).status_code == 400
    assert hook.collector.readings == []


def test_too_many_messages_are_put_off_not_lost(collect: Callable[[Adapter], Collector], tmp_path: Path):
    hook = Hook(collect, tmp_path, max_requests_per_second=0.001)
    assert hook.send(alertmanager()).status_code == 200
    put_off = hook.send(alertmanager())
    assert put_off.status_code == 503 and put_off.headers["Retry-After"] == "1"
    assert hook.rejected() == {"too_many_requests": 1}
    assert hook.send(alertmanager(), token="wrong").status_code == 401, "a stranger uses nothing up"


def test_a_sender_that_never_finishes_holds_nobody_up(hook: Hook):
    slow = [socket.create_connection(("127.0.0.1", hook.config.port)) for _ in range(4)]
    for connection in slow:
        connection.sendall(b"POST /alerts HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n")
    assert hook.send(alertmanager()).ok
    for connection in slow:
        connection.close()


def test_with_tls_and_a_certificate_of_the_sender(collect: Callable[[Adapter], Collector], tmp_path: Path):
    authority = Authority(tmp_path, "site-authority")
    ours, theirs = authority.issue("gridtone", "127.0.0.1"), authority.issue("alertmanager")
    hook = Hook(collect, tmp_path, tls={"cert_file": ours[0], "key_file": ours[1], "client_ca_file": authority.file})
    assert hook.send(alertmanager(), verify=str(authority.file), cert=theirs).ok
    hook.collector.wait_count(3)
    with pytest.raises((requests.exceptions.SSLError, requests.ConnectionError)):
        hook.send(alertmanager(), verify=str(authority.file))
    with pytest.raises((OSError, ssl.SSLError)):
        requests.post(hook.url.replace("https", "http"), json=alertmanager(), timeout=60).raise_for_status()


def test_a_port_that_is_taken_is_tried_again(collect: Callable[[Adapter], Collector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gridtone_adapters.webhook.RETRY_SECONDS", 0.2)
    (tmp_path / "token").write_text(TOKEN)
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        port = other.getsockname()[1]
        adapter = open_adapter(WebhookConfig(port=port, token={"file": tmp_path / "token"}))
        collector = collect(adapter)
        collector.wait_problem("cannot listen", str(port))
    collector.wait_connected()


def test_a_token_that_is_missing_is_said(collect: Callable[[Adapter], Collector], tmp_path: Path):
    adapter = open_adapter(WebhookConfig(port=free_port(), token={"file": tmp_path / "nowhere"}))
    collect(adapter).wait_problem("cannot read the secret", "nowhere")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"token": "secret"}, "a secret is never written here"),
        ({"point": "alert/{alertname}"}, "two alerts could share a point"),
        ({"point": "alert/{alertname/{fingerprint}"}, "braces"),
        ({"port": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        WebhookConfig(**{"port": 9000, "token": {"env": "X"}} | settings)


def test_it_ends_within_a_second_and_frees_its_port(hook: Hook):
    hook.send(alertmanager())
    hook.collector.close()
    wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", hook.config.port)) != 0, "the end of listening")
