"""A site with secrets, run as sites run it: it speaks with nobody but those it names, and tells no secret. And a site's own certificate authority."""

import ast
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.publish
import pytest
import requests

from gridtone.demo.broker import start_broker
from gridtone.library.audit import open_audit
from gridtone.library.settings import LibrarySettings
from gridtone.server.tokens import TokenFile
from memory_backend import MemoryBackend, running
from waiting import PATIENCE_SECONDS, free_port, until

WATCH = """
import os, sys

def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        tell(event, args[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "subprocess.Popen"):
        tell(event, args[0])

def tell(event, what):
    with open(os.environ["WATCHED"], "a") as file:
        file.write(repr((os.getpid(), event, what)) + "\\n")

tell("started", sys.argv)
sys.addaudithook(watch)
"""
"""Goes into every Python process below: its own, the sampler's, the helper's."""

SITE = """\
data: data
rules: rules.yaml
server: {{port: 0, token_env: LISTENERS}}
room: {{speech: {{token: {{file: secrets/speech}}}}}}
stock: {{per_state: 1, first_seconds: 12, track_seconds: 12}}
adapters:
  - {{kind: mqtt, host: 127.0.0.1, port: {broker}, username: reader, password: {{file: secrets/mqtt}},
     topics: [{{topic: "site/{{point...}}", point: "{{point}}"}}]}}
  - {{kind: influxdb, name: down, url: "http://127.0.0.1:{nobody}", database: grid, username: reader, password: {{env: INFLUX}}, poll_seconds: 0.2,
     queries: [{{measurement: grid, fields: load, point: load}}]}}
"""
RULES = "gridtone: 1\nsignals:\n  load: {of: grid/load}\nstates:\n  calm: {prompt: 'calm ambient, warm pads', when: load >= 0}\n"


@dataclass
class Run:
    """What there was to see of a service, after its end."""

    secrets: dict[str, str]
    answers: list[str]
    log: str
    folder: Path
    port: int
    configured: set[tuple[str, int]]
    watched: list[tuple[int, str, object]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("site")
    secrets = {name: f"this-is-the-secret-of-{name}" for name in ("mqtt", "speech", "INFLUX", "LISTENERS", "mistaken")}
    (folder / "secrets").mkdir()
    for name in ("mqtt", "speech"):
        (folder / "secrets" / name).write_text(secrets[name] + "\n")
    secrets["admin"] = TokenFile(folder / "data").create("chief", "admin")
    (folder / "hook").mkdir()
    (folder / "hook/sitecustomize.py").write_text(WATCH)
    (folder / "rules.yaml").write_text(RULES)
    with start_broker(free_port()) as broker:
        nobody = free_port()
        (folder / "site.yaml").write_text(SITE.format(broker=broker.port, nobody=nobody))
        environment = os.environ | {name: secrets[name] for name in ("INFLUX", "LISTENERS")}
        environment |= {"PYTHONPATH": str(folder / "hook"), "WATCHED": str(folder / "watched")}
        answers = serve_and_ask(folder, secrets, environment, broker.port)
    log = (folder / "log").read_text()
    port = int(re.findall(r"plays on http://127\.0\.0\.1:(\d+)", log)[0])
    watched = [ast.literal_eval(line) for line in (folder / "watched").read_text().splitlines()]
    yield Run(secrets, answers, log, folder, port, {("127.0.0.1", broker.port), ("127.0.0.1", nobody)}, watched)


def serve_and_ask(folder: Path, secrets: dict[str, str], environment: dict[str, str], broker: int) -> list[str]:
    """Run the service, with everything that it keeps a track of, until it plays; ask it rightly and wrongly. Its answers, with their headers."""
    answers = []
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "gridtone", "serve", "--config", str(folder / "site.yaml")]
        service = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        until(lambda: service.poll() is not None or "gridtone plays on" in (folder / "log").read_text())
        assert service.poll() is None, (folder / "log").read_text()
        url = re.findall(r"plays on (http://\S+)", (folder / "log").read_text())[0]

        def ask(method: str, path: str, token: str = "", **arguments: object) -> requests.Response:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = requests.request(method, url + path, headers=headers, timeout=PATIENCE_SECONDS, **arguments)  # type: ignore[arg-type]
            answers.append(f"{answer.status_code} {answer.headers} {answer.text}")
            return answer

        admin = secrets["admin"]
        publish = ("site/grid/load", json.dumps({"value": 1.0}))

        def plays() -> bool:
            paho.mqtt.publish.single(*publish, hostname="127.0.0.1", port=broker)
            return bool(ask("GET", "/api/v1/cue", secrets["LISTENERS"]).json()["action"] == "play")

        until(plays, 3 * PATIENCE_SECONDS)  # a track is made first
        ask("POST", "/api/v1/rules/check", admin, json={"text": RULES})
        for path in ("state", "states", "adapters", "rules", "audit", "openapi.json", "explain", "sampler"):
            assert ask("GET", f"/api/v1/{path}", admin).ok, path
        ask("GET", "/metrics", admin)
        track = ask("GET", "/api/v1/tracks", admin).json()["tracks"][0]["id"]
        ask("GET", f"/api/v1/tracks/{track}/link", admin)
        assert ask("POST", "/api/v1/session", json={"token": admin}).status_code == 204
        assert ask("POST", "/api/v1/speech", secrets["speech"], json={"pressed": False}).status_code == 204
        mistaken = secrets["mistaken"]
        assert ask("GET", "/api/v1/state", mistaken).status_code == 401
        assert ask("POST", "/api/v1/session", json={"token": mistaken}).status_code == 401
        assert ask("POST", "/api/v1/speech", mistaken, json={"pressed": True}).status_code == 401
        assert ask("PUT", "/api/v1/rules", secrets["LISTENERS"], json={}).status_code == 403
        for path in (f"tracks/{admin}", f"tracks/{admin}/audio?token={admin}", f"{admin}", f"state?token={mistaken}"):
            ask("GET", f"/api/v1/{path}", admin)
        ask("POST", "/api/v1/session", data=f"token={admin}")
        ask("POST", f"/api/v1/tracks/{track}/feedback", admin, json={"thumb": admin})
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(PATIENCE_SECONDS)
    return answers


@pytest.mark.slow
def test_it_connects_to_nobody_but_those_that_its_settings_name(run: Run) -> None:
    started = {pid for pid, event, _ in run.watched if event == "started"}
    assert len(started) > 1, "the sampler and the helper are watched too"
    connected = {what for _, event, what in run.watched if event.startswith("socket.connect")}
    assert connected - {("127.0.0.1", run.port)} == run.configured, "beside itself, which the server wakes so when it stops"
    assert not [what for _, event, what in run.watched if event.startswith("socket.send")]
    assert {what for _, event, what in run.watched if event.startswith("socket.get")} <= {"127.0.0.1"}, "no other name is looked up"
    programs = {Path(str(what)).name for _, event, what in run.watched if event == "subprocess.Popen"}
    assert programs <= {Path(sys.executable).name}, "no other program is run"


@pytest.mark.slow
def test_no_secret_is_in_any_log_answer_or_file(run: Run) -> None:
    settings = LibrarySettings()
    audit = "".join(str(entry) for entry in open_audit(settings, run.folder / "data").verified())
    assert "token_refused" in audit and "role_refused" in audit
    assert "down: nothing listens at" in run.log, "what goes wrong is told"
    assert "Warning" not in run.log and "Traceback" not in run.log
    kept = b"".join(file.read_bytes() for file in (run.folder / "data").rglob("*") if file.is_file() and file.suffix not in (".flac", ".opus"))
    for name, secret in run.secrets.items():
        for place, text in (("log", run.log), ("audit", audit), ("answers", "".join(run.answers)), ("files", kept.decode("latin-1"))):
            assert secret not in text, f"the secret {name} is in the {place}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a site's authority (ca.pem), and a server's certificate that it signed (server.pem, server.key)."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Site authority")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl(
        "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "names"
    )
    return folder


def test_tls_with_the_sites_own_authority(authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = TokenFile(tmp_path).create("desk", "listener")
    with running(MemoryBackend(), tmp_path, tls_certificate=authority / "server.pem", tls_key=authority / "server.key") as url:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{url}/healthz", timeout=PATIENCE_SECONDS)  # trusts the public authorities only
        browser, trusted = requests.Session(), str(authority / "ca.pem")
        signed_in = browser.post(f"{url}/api/v1/session", json={"token": token}, verify=trusted, timeout=PATIENCE_SECONDS)
        assert "; Secure" in signed_in.headers["Set-Cookie"]
        assert "max-age" in signed_in.headers["Strict-Transport-Security"]
        assert browser.get(f"{url}/api/v1/state", verify=trusted, timeout=PATIENCE_SECONDS).ok
        with pytest.raises(requests.ConnectionError):
            requests.get(url.replace("https", "http") + "/api/v1/state", timeout=PATIENCE_SECONDS)
        assert browser.get(f"{url}/api/v1/state", verify=trusted, timeout=PATIENCE_SECONDS).ok
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
