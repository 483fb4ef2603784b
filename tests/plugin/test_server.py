"""The server as its clients meet it: over real sockets, with real audio."""

import http.client
import io
import json
import logging
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import soundfile
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import ValidationError

from gridtone.library.errors import LibraryError
from gridtone.server import ServerSettings, create_app
from memory_backend import MemoryBackend, chord, day_of_states, running
from waiting import PATIENCE_SECONDS, until

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery"


@pytest.fixture
def backend() -> MemoryBackend:
    backend = MemoryBackend()
    backend.spans = day_of_states(time.time())
    return backend


@pytest.fixture
def url(backend: MemoryBackend) -> Iterator[str]:
    with running(backend) as address:
        yield address


class Stream:
    """One open event stream, read frame by frame."""

    def __init__(self, url: str, **headers: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_SECONDS)
        self.connection.request("GET", "/api/v1/events", headers=headers)
        self.response = self.connection.getresponse()

    def next(self, *kinds: str) -> tuple[int | None, str, Any]:
        """Id, kind and payload of the next event, of one of `kinds` where given."""
        while True:
            fields: dict[str, str] = {}
            while line := self.response.readline().decode().strip():
                name, _, text = line.partition(": ")
                fields[name] = text
            if "event" in fields and (not kinds or fields["event"] in kinds):
                return int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"])
            assert not self.response.isclosed(), "the stream ended"

    def close(self) -> None:
        self.connection.close()
        self.response.close()


def error(response: requests.Response) -> dict[str, str]:
    detail: dict[str, str] = response.json()["error"]
    assert set(detail) == {"code", "message", "hint"}
    return detail


# What plays, and why


def test_state_cue_states_sampler_adapters_and_history(backend: MemoryBackend, url: str) -> None:
    backend.show("emergency")
    track = backend.add_track(chord([440], 1))
    backend.give("play", track)
    backend.problem = "rules.yaml:3:1: unknown key"
    state = requests.get(f"{url}/api/v1/state", timeout=PATIENCE_SECONDS).json()
    assert (state["state"], state["severity"], state["reason"]["zh"]) == ("emergency", "emergency", "线路 HV-12 负载 112 %（限值 100 %）")
    assert state["signals"][0] == {
        "name": "max_line_loading_pct",
        "title": {"en": "highest line loading", "zh": "最高线路负载率"},
        "value": 112.0,
        "unit": "%",
        "age_seconds": 1.2,
        "stale": False,
        "point": "line/HV-12/loading_pct",
        "expression": "",
    }
    assert requests.get(f"{url}/api/v1/cue", timeout=PATIENCE_SECONDS).json()["track"]["id"] == track.id
    states = requests.get(f"{url}/api/v1/states", timeout=PATIENCE_SECONDS).json()
    assert states["rules_problem"] == backend.problem
    likely = states["forecast"]["likely"]
    assert [(each["state"], each["probability"]) for each in likely] == [("evening_peak", 0.34), ("alert", 0.02)]
    assert likely[0]["reason"]["en"] == "at this hour it followed “Normal, day load” about 12 times in 31 h"
    assert [view["name"] for view in states["states"]][:2] == ["day", "evening_peak"]
    assert requests.get(f"{url}/api/v1/sampler", timeout=PATIENCE_SECONDS).json()["fraction"] == 0.42
    assert requests.get(f"{url}/api/v1/adapters", timeout=PATIENCE_SECONDS).json()["adapters"][1]["connected"] is False
    spans = requests.get(f"{url}/api/v1/history?hours=1", timeout=PATIENCE_SECONDS).json()["spans"]
    assert [span["state"] for span in spans] == ["day"]
    assert spans[0]["end"] is None


def test_signals_over_time(url: str) -> None:
    signals = requests.get(f"{url}/api/v1/signals?hours=1", timeout=PATIENCE_SECONDS).json()["signals"]
    assert [signal["name"] for signal in signals] == ["max_line_loading_pct", "frequency_hz"]
    only = requests.get(f"{url}/api/v1/signals?hours=1&signal=frequency_hz", timeout=PATIENCE_SECONDS).json()
    assert [signal["name"] for signal in only["signals"]] == ["frequency_hz"]
    assert only["signals"][0]["values"][30] is None, "a gap is a gap"
    assert len(only["signals"][0]["times"]) == len(only["signals"][0]["values"])
    assert only["end"] - only["start"] == pytest.approx(3600)


def test_a_listener_says_what_it_thinks_of_a_track(backend: MemoryBackend, url: str) -> None:
    track = backend.add_track(chord([440], 0.2))
    backend.give("play", track)
    address = f"{url}/api/v1/tracks/{track.id}/feedback"
    assert requests.post(address, json={"thumb": -1, "reason": "too busy"}, timeout=PATIENCE_SECONDS).status_code == 204
    assert requests.post(address, json={"thumb": 1}, timeout=PATIENCE_SECONDS).status_code == 204
    kept = requests.get(f"{url}/api/v1/feedback?hours=1", timeout=PATIENCE_SECONDS).json()["feedback"]
    assert [(thumb["thumb"], thumb["reason"], thumb["track_id"]) for thumb in kept] == [(-1, "too busy", track.id), (1, "", track.id)]
    assert [play["track_id"] for play in requests.get(f"{url}/api/v1/plays?hours=1", timeout=PATIENCE_SECONDS).json()["plays"]] == [track.id]
    for body in ({}, {"thumb": 0}, {"thumb": True}, {"thumb": 1, "reason": 3}, [1]):
        refused = requests.post(address, json=body, timeout=PATIENCE_SECONDS)
        assert (refused.status_code, error(refused)["code"]) == (400, "bad_body"), body
    assert requests.post(f"{url}/api/v1/tracks/none/feedback", json={"thumb": 1}, timeout=PATIENCE_SECONDS).status_code == 404
    assert len(backend.thumbs) == 2


def test_feedback_that_was_not_kept_is_not_thanked_for(backend: MemoryBackend, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LibraryError("the database could not write the feedback (disk full)")

    track = backend.add_track(chord([440], 0.2))
    monkeypatch.setattr(backend, "record_feedback", refuse)
    refused = requests.post(f"{url}/api/v1/tracks/{track.id}/feedback", json={"thumb": 1}, timeout=PATIENCE_SECONDS)
    assert (refused.status_code, error(refused)["code"]) == (503, "not_kept")
    assert "disk full" in error(refused)["message"]


def test_tracks_are_paged(backend: MemoryBackend, url: str) -> None:
    ids = [backend.add_track(chord([200 + i], 0.1), state="alert" if i == 3 else "day").id for i in range(5)]
    first = requests.get(f"{url}/api/v1/tracks?limit=3", timeout=PATIENCE_SECONDS).json()
    rest = requests.get(f"{url}/api/v1/tracks?limit=3&before={first['next_before']!r}", timeout=PATIENCE_SECONDS).json()
    assert [track["id"] for track in first["tracks"] + rest["tracks"]] == ids[::-1]
    assert rest["next_before"] is None
    assert [track["id"] for track in requests.get(f"{url}/api/v1/tracks?state=alert", timeout=PATIENCE_SECONDS).json()["tracks"]] == [ids[3]]


@pytest.mark.parametrize(
    "path",
    [
        "tracks?limit=0",
        "tracks?limit=501",
        "tracks?limit=nan",
        "tracks?limit=x",
        "tracks?limit=2.5",
        "tracks?limit=1_0",
        "tracks?before=-1",
        "tracks?before=",
        "history?hours=0",
        "history?hours=inf",
    ],
)
def test_bad_parameters_are_explained(url: str, path: str) -> None:
    response = requests.get(f"{url}/api/v1/{path}", timeout=PATIENCE_SECONDS)
    assert response.status_code == 400
    assert path.split("?")[1].split("=")[0] in error(response)["message"]


def test_unknown_paths_methods_and_tracks(url: str) -> None:
    assert error(requests.get(f"{url}/api/v1/nothing", timeout=PATIENCE_SECONDS))["code"] == "not_found"
    refused = requests.post(f"{url}/api/v1/state", timeout=PATIENCE_SECONDS)
    assert (refused.status_code, error(refused)["code"]) == (405, "method_not_allowed")
    assert "GET" in refused.headers["Allow"]
    for path in ("tracks/abc", "tracks/abc/audio", "tracks/..%2f..%2fetc/audio"):
        assert requests.get(f"{url}/api/v1/{path}", timeout=PATIENCE_SECONDS).status_code == 404


def test_a_failing_backend_is_logged_and_told_apart(
    backend: MemoryBackend, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backend, "sampler", lambda: 1 / 0)
    response = requests.get(f"{url}/api/v1/sampler", timeout=PATIENCE_SECONDS)
    assert (response.status_code, error(response)["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in response.text


# Audio


def test_audio_decodes_in_both_codecs(backend: MemoryBackend, url: str) -> None:
    track = backend.add_track(chord([440], 1))
    for codec, kind in (("opus", "audio/ogg; codecs=opus"), ("flac", "audio/flac")):
        response = requests.get(f"{url}/api/v1/tracks/{track.id}/audio?codec={codec}", timeout=PATIENCE_SECONDS)
        assert response.headers["Content-Type"] == kind
        assert int(response.headers["Content-Length"]) == len(response.content)
        samples, rate = soundfile.read(io.BytesIO(response.content))
        assert len(samples) / rate == pytest.approx(1, abs=0.05)
    assert error(requests.get(f"{url}/api/v1/tracks/{track.id}/audio?codec=mp3", timeout=PATIENCE_SECONDS))["hint"] == "ask for opus or flac"
    exact_only = backend.add_track(chord([550], 1), codecs=("flac",))
    missing = requests.get(f"{url}/api/v1/tracks/{exact_only.id}/audio", timeout=PATIENCE_SECONDS)
    assert (missing.status_code, error(missing)["hint"]) == (404, "ask for codec=flac")


def test_audio_ranges_and_caching(backend: MemoryBackend, url: str) -> None:
    track = backend.add_track(chord([440], 1))
    address = f"{url}/api/v1/tracks/{track.id}/audio?codec=flac"
    whole = requests.get(address, timeout=PATIENCE_SECONDS)
    content, size, etag = whole.content, len(whole.content), whole.headers["ETag"]
    assert etag == f'"{track.id}-flac"'
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Cache-Control"] == "private, max-age=31536000, immutable"

    def ask(**headers: str) -> requests.Response:
        return requests.get(address, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=PATIENCE_SECONDS)

    for wanted, expected in (("0-9", content[:10]), ("10-", content[10:]), ("-7", content[-7:]), (f"5-{size * 2}", content[5:])):
        part = ask(Range=f"bytes={wanted}")
        assert (part.status_code, part.content) == (206, expected)
        start = content.index(expected) if wanted != "-7" else size - 7
        assert part.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{size}"
    for wanted in (f"bytes={size}-", "bytes=0-1,4-5", "bytes=nonsense", "lines=0-1"):
        refused = ask(Range=wanted)
        assert refused.status_code == 416, wanted
        assert refused.headers["Content-Range"] == f"bytes */{size}"
        assert error(refused)["code"] == "requested_range_not_satisfiable"
    assert ask(If_None_Match=etag).status_code == 304
    assert ask(If_None_Match='"other"').status_code == 200
    assert ask(Range="bytes=0-3", If_Range=etag).status_code == 206
    changed = ask(Range="bytes=0-3", If_Range='"other"')
    assert (changed.status_code, changed.content) == (200, content)
    head = requests.head(address, timeout=PATIENCE_SECONDS)
    assert (head.headers["Content-Length"], head.content) == (str(size), b"")


# Events


def test_a_listener_gets_the_present_at_once_then_events_with_ids(backend: MemoryBackend, url: str) -> None:
    before = time.time()
    stream = Stream(url)
    assert stream.response.headers["Content-Type"].startswith("text/event-stream")
    assert stream.response.headers["X-Accel-Buffering"] == "no"
    _, kind, beat = stream.next()
    assert kind == "heartbeat"
    assert before <= beat["time"] <= time.time()
    assert [stream.next()[1] for _ in range(3)] == ["state", "alarms", "cue"]
    backend.show("alert")
    backend.give("silence")
    state_id, _, state = stream.next("state")
    cue_id, _, cue = stream.next("cue")
    assert (state["state"], cue["action"], cue_id) == ("alert", "silence", state_id + 1)
    assert stream.next("heartbeat")[2]["time"] > beat["time"]
    stream.close()


def test_a_service_that_stands_still_leaves_its_listeners_without_a_heartbeat(backend: MemoryBackend, url: str) -> None:
    stream = Stream(url)
    stream.next("cue")
    backend.stalled = True
    assert stream.response.read(1) == b"", "the stream ends"
    stream.close()
    refused = requests.get(f"{url}/api/v1/events", timeout=PATIENCE_SECONDS)
    assert (refused.status_code, error(refused)["code"]) == (503, "stalled")
    assert requests.get(f"{url}/healthz", timeout=PATIENCE_SECONDS).status_code == 503


@pytest.mark.parametrize("path", ["state", "cue"])
def test_a_service_that_stands_still_tells_nobody_who_asks_what_plays(backend: MemoryBackend, url: str, path: str) -> None:
    """A listener whose events are held back asks, and takes each answer for a sign of life."""
    backend.stalled = True
    refused = requests.get(f"{url}/api/v1/{path}", timeout=PATIENCE_SECONDS)
    assert (refused.status_code, error(refused)["code"]) == (503, "stalled")
    described = requests.get(f"{url}/api/v1/openapi.json", timeout=PATIENCE_SECONDS).json()["paths"][f"/api/v1/{path}"]["get"]
    assert "503" in described["responses"]
    backend.stalled = False
    assert requests.get(f"{url}/api/v1/{path}", timeout=PATIENCE_SECONDS).ok


def test_a_listener_resumes_where_it_was(backend: MemoryBackend, url: str) -> None:
    for number in range(5):
        backend.events.publish("stock", {"number": number})
    stream = Stream(url, **{"Last-Event-ID": "3"})
    assert [stream.next("stock")[::2] for _ in range(2)] == [(4, {"number": 3}), (5, {"number": 4})]
    stream.close()


@pytest.mark.parametrize("last_id", ["99", "-4", "x"])
def test_an_event_id_of_another_life_misses_nothing_new(backend: MemoryBackend, url: str, last_id: str) -> None:
    backend.events.publish("stock", "old")
    stream = Stream(url, **{"Last-Event-ID": last_id})
    stream.next("cue")
    backend.events.publish("stock", "new")
    assert stream.next("stock")[2] == "new"
    stream.close()


def test_one_listener_too_many_is_refused_and_a_place_freed_is_given_again(backend: MemoryBackend) -> None:
    with running(backend, max_listeners=2) as url:
        streams = [Stream(url), Stream(url)]
        for stream in streams:
            stream.next("cue")
        refused = Stream(url)
        assert refused.response.status == 503
        assert json.loads(refused.response.read())["error"]["code"] == "too_many_listeners"
        assert requests.get(f"{url}/api/v1/state", timeout=PATIENCE_SECONDS).ok, "others must not suffer"
        streams[0].close()

        def enter() -> Stream | None:
            backend.events.publish("stock", {})  # the server notices that a listener is gone when it writes to it
            stream = Stream(url)
            if stream.response.status == 200:
                return stream
            stream.close()
            return None

        streams[0] = until(enter)
        for stream in streams:
            stream.close()


# Who may read


@pytest.fixture
def guarded(backend: MemoryBackend, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "tokens").write_text(f"# listeners\n\n{TOKEN}\nanother-token-for-grafana\n", encoding="utf-8")
    with running(backend, token_file=tmp_path / "tokens") as address:
        yield address


def test_without_a_token_only_the_page_and_the_probes_answer(backend: MemoryBackend, guarded: str) -> None:
    backend.missing = ["no track in stock for Alert"]
    for path in ("state", "cue", "events", "states", "history", "tracks", "tracks/x", "tracks/x/audio", "sampler", "adapters", "openapi.json", "../../metrics"):
        response = requests.get(f"{guarded}/api/v1/{path}", timeout=PATIENCE_SECONDS)
        assert response.status_code == 401, path
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert error(response)["code"] == "token_needed"
    assert requests.get(guarded, timeout=PATIENCE_SECONDS).ok
    assert requests.get(f"{guarded}/healthz", timeout=PATIENCE_SECONDS).text == "ok\n"
    assert requests.get(f"{guarded}/readyz", timeout=PATIENCE_SECONDS).json() == {"ready": False, "missing": []}


@pytest.mark.parametrize(
    ("header", "status"),
    [(f"Bearer {TOKEN}", 200), ("bearer another-token-for-grafana", 200), (f"Bearer {TOKEN}x", 401), (f"Basic {TOKEN}", 401), ("Bearer", 401)],
)
def test_bearer_tokens(guarded: str, header: str, status: int) -> None:
    assert requests.get(f"{guarded}/api/v1/state", headers={"Authorization": header}, timeout=PATIENCE_SECONDS).status_code == status


def test_a_browser_signs_in_and_out(guarded: str, caplog: pytest.LogCaptureFixture) -> None:
    browser = requests.Session()
    wrong = browser.post(f"{guarded}/api/v1/session", json={"token": "wrong-secret-token"}, timeout=PATIENCE_SECONDS)
    assert (wrong.status_code, error(wrong)["code"]) == (401, "token_refused")
    assert browser.post(f"{guarded}/api/v1/session", data=f"token={TOKEN}", timeout=PATIENCE_SECONDS).status_code == 400
    signed_in = browser.post(f"{guarded}/api/v1/session", json={"token": TOKEN}, timeout=PATIENCE_SECONDS)
    cookie = signed_in.headers["Set-Cookie"]
    assert signed_in.status_code == 204
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert browser.get(f"{guarded}/api/v1/state", timeout=PATIENCE_SECONDS).ok
    assert requests.get(f"{guarded}/api/v1/state", cookies={"gridtone_session": "forged"}, timeout=PATIENCE_SECONDS).status_code == 401
    browser.delete(f"{guarded}/api/v1/session", timeout=PATIENCE_SECONDS)
    assert browser.get(f"{guarded}/api/v1/state", timeout=PATIENCE_SECONDS).status_code == 401
    assert "wrong-secret-token" not in caplog.text
    assert TOKEN not in caplog.text


def test_it_refuses_to_listen_beyond_loopback_without_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "grid.example"):
        with pytest.raises(ValueError, match=r"refusing to listen on .* without a token"):
            create_app(MemoryBackend(), ServerSettings(host=host))
    for host in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
        assert ServerSettings(host=host).tokens() == ()
    monkeypatch.setenv("GRID_TOKENS", "too-short")
    with pytest.raises(ValueError, match="shorter than 16"):
        create_app(MemoryBackend(), ServerSettings(host="0.0.0.0", token_env="GRID_TOKENS"))
    with pytest.raises(ValueError, match="UNSET_TOKENS is not set"):
        create_app(MemoryBackend(), ServerSettings(host="0.0.0.0", token_env="UNSET_TOKENS"))
    with pytest.raises(ValueError, match="cannot be read"):
        create_app(MemoryBackend(), ServerSettings(host="0.0.0.0", token_file=tmp_path / "none"))
    (tmp_path / "empty").write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no token"):
        create_app(MemoryBackend(), ServerSettings(token_file=tmp_path / "empty"))
    with pytest.raises(ValidationError, match="Extra inputs"):
        ServerSettings(token="in-the-yaml-file")  # type: ignore[call-arg]


def test_beyond_loopback_with_a_token(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("GRID_TOKENS", TOKEN)
    with running(backend, host="0.0.0.0", token_env="GRID_TOKENS") as url:
        assert requests.get(f"{url}/api/v1/state", timeout=PATIENCE_SECONDS).status_code == 401
        assert requests.get(f"{url}/api/v1/state", headers={"Authorization": f"Bearer {TOKEN}", "Host": "grid.example"}, timeout=PATIENCE_SECONDS).ok
    assert "without TLS" in caplog.text
    assert TOKEN not in caplog.text


def test_a_foreign_host_name_on_loopback_is_refused(url: str) -> None:
    port = url.rsplit(":", 1)[1]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example"):
        response = requests.get(f"{url}/api/v1/state", headers={"Host": host}, timeout=PATIENCE_SECONDS)
        assert (response.status_code, error(response)["code"]) == (421, "wrong_host")
    for host in ("localhost", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert requests.get(f"{url}/api/v1/state", headers={"Host": host}, timeout=PATIENCE_SECONDS).ok


def test_origins(backend: MemoryBackend) -> None:
    with running(backend, allowed_origins=("https://grafana.example",)) as url:
        allowed = requests.options(
            f"{url}/api/v1/state", headers={"Origin": "https://grafana.example", "Access-Control-Request-Method": "GET"}, timeout=PATIENCE_SECONDS
        )
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://grafana.example"
        assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
        foreign = requests.get(f"{url}/api/v1/state", headers={"Origin": "https://evil.example"}, timeout=PATIENCE_SECONDS)
        assert "Access-Control-Allow-Origin" not in foreign.headers
        assert "Origin" in foreign.headers["Vary"]


def test_security_headers_everywhere(url: str) -> None:
    for path in ("/", "/api/v1/state", "/api/v1/nothing", "/healthz"):
        headers = requests.get(url + path, timeout=PATIENCE_SECONDS).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert float(headers["X-Gridtone-Time"]) == pytest.approx(time.time(), abs=5)


def test_the_page_needs_nothing_from_elsewhere(url: str) -> None:
    """Every address that the player's files mention is their own; no script or style is inline."""
    page = requests.get(url, timeout=PATIENCE_SECONDS).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|\bstyle=", page)
    static = ROOT / "plugin/gridtone/server/static"
    for file in static.rglob("*"):
        if file.suffix in (".html", ".js", ".css", ".svg"):
            foreign = [link for link in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text(encoding="utf-8")) if "www.w3.org" not in link]
            assert not foreign, f"{file.name} reaches for {foreign}"


# Running it


def test_readiness_and_metrics(backend: MemoryBackend, url: str) -> None:
    assert requests.get(f"{url}/readyz", timeout=PATIENCE_SECONDS).json() == {"ready": True, "missing": []}
    backend.missing = ["no track in stock for Alert"]
    response = requests.get(f"{url}/readyz", timeout=PATIENCE_SECONDS)
    assert (response.status_code, response.json()["missing"]) == (503, backend.missing)
    stream = Stream(url)
    stream.next("cue")
    backend.give("silence")
    stream.next("cue")
    text = requests.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text
    stream.close()
    assert re.search(r"^gridtone_listeners [1-9]", text, re.M)
    assert re.search(r'^gridtone_events_total\{kind="cue"\} [1-9]', text, re.M)
    assert re.search(r'^gridtone_http_requests_total\{endpoint="readyz",status="503"\} [1-9]', text, re.M)


def test_the_openapi_document_is_valid_complete_and_true(backend: MemoryBackend, url: str) -> None:
    backend.give("play", backend.add_track(chord([440], 0.2)))
    document = requests.get(f"{url}/api/v1/openapi.json", timeout=PATIENCE_SECONDS).json()
    validate(document)
    app = create_app(backend, ServerSettings())
    routes = {rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules() if rule.endpoint != "static"}
    assert set(document["paths"]) == routes
    checked = 0
    for path, operations in document["paths"].items():
        schema = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            body = requests.get(url + path.replace("{id}", next(iter(backend.library))).replace("{number}", "1"), timeout=PATIENCE_SECONDS).json()
            Draft202012Validator({**schema, "components": document["components"]}).validate(body)
            checked += 1
    assert checked >= 10
    error_schema = {"$ref": "#/components/schemas/Error", "components": document["components"]}
    Draft202012Validator(error_schema).validate(requests.get(f"{url}/api/v1/tracks/none", timeout=PATIENCE_SECONDS).json())


def test_every_route_is_in_the_handbook() -> None:
    text = (ROOT / "docs/http-api.md").read_text(encoding="utf-8")
    for rule in create_app(MemoryBackend(), ServerSettings()).url_map.iter_rules():
        assert rule.endpoint == "static" or f" {rule.rule}`" in text, f"docs/http-api.md does not mention {rule.rule}"
    for field in ServerSettings.model_fields:
        assert f"`{field}`" in text, f"docs/http-api.md does not mention the setting {field}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_seconds_though_streams_are_open(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, ROOT / "tests/memory_backend.py", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        streams = [Stream(url) for _ in range(20)]
        for stream in streams:
            stream.next("cue")
        process.send_signal(number)
        assert process.wait(PATIENCE_SECONDS) == 0
        for stream in streams:
            stream.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_port_in_use_is_refused_with_its_number(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=str(port)):
        from gridtone.server import serve

        serve(create_app(MemoryBackend(), ServerSettings(port=port)), ServerSettings(port=port), stop=threading.Event())


def test_tls_serves_and_a_client_that_stalls_its_handshake_stops_nobody(backend: MemoryBackend, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    with running(backend, tls_certificate=certificate, tls_key=key) as url:
        assert url.startswith("https://")
        port = int(url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)):
            time.sleep(0.2)
            assert requests.get(f"https://localhost:{port}/api/v1/state", verify=str(certificate), timeout=PATIENCE_SECONDS).ok
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(raw)
        assert requests.get(f"https://localhost:{port}/healthz", verify=str(certificate), timeout=PATIENCE_SECONDS).ok
    with pytest.raises(ValidationError, match="belong together"):
        ServerSettings(tls_certificate=certificate)


def test_no_request_is_logged_with_its_query(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    requests.get(f"{url}/api/v1/tracks?state=secret-thing", timeout=PATIENCE_SECONDS)
    assert "secret-thing" not in "".join(record.getMessage() for record in caplog.records if not record.name.startswith("urllib3"))
