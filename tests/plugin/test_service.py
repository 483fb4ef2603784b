"""The whole service as a site runs it: `gridtone serve` against a real broker, heard over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import pytest
import requests

from gridtone.demo.broker import RunningBroker, start_broker

RULES = """\
gridtone: 1
signals:
  load:
    of: grid/load_pct
    unit: "%"
    stale_after: 4s
states:
  high:
    title: {en: High load, zh: 高负荷}
    severity: alert
    priority: 10
    when: load > 80
    prompt: focused, steady, rhythmic, 90 bpm
  low:
    prompt: calm ambient, warm pads, 60 bpm
    when: load <= 80
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait for `condition` to give something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


class Site:
    """A folder with a site's files, a broker, and `gridtone serve` when it is started."""

    def __init__(self, folder: Path, broker: RunningBroker) -> None:
        self.folder, self.broker = folder, broker
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        (folder / "site.yaml").write_text(
            f"""\
data: data
rules: rules.yaml
server: {{port: {port}}}
stock: {{per_state: 1, first_seconds: 12, track_seconds: 12}}
conductor: {{dwell_seconds: 0.5, crossfade_seconds: 1, lead_seconds: 2}}
adapters:
  - kind: mqtt
    host: 127.0.0.1
    port: {broker.port}
    retry_max_seconds: 1
    topics:
      - topic: site/{{point...}}
        point: "{{point}}"
        time_path: time
"""
        )

    def start(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gridtone", "serve", "--config", str(self.folder / "site.yaml")],
            stderr=(self.folder / "log").open("ab"),
            stdout=subprocess.DEVNULL,
            env=os.environ | environment,
        )
        until(lambda: self.get("/healthz", parse=False))

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(15)
            self.process = None

    def get(self, path: str, parse: bool = True) -> Any:
        try:
            answer = requests.get(self.url + path, timeout=5)
        except requests.ConnectionError:
            return None
        return answer.json() if parse else answer.ok

    def publish(self, value: object, at: float | None = None, retain: bool = False, point: str = "grid/load_pct") -> None:
        payload = json.dumps({"value": value, "time": at or time.time()})
        paho.mqtt.publish.single(f"site/{point}", payload, qos=1, retain=retain, hostname="127.0.0.1", port=self.broker.port)

    @contextmanager
    def publishing(self, value: float) -> Iterator[None]:
        """Publish `value` every half second, so that it stays fresh."""
        ended = threading.Event()

        def run() -> None:
            while not ended.wait(0.5):
                self.publish(value)

        thread = threading.Thread(target=run, daemon=True)
        self.publish(value)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def is_in(self, state: str) -> bool:
        return bool((standing := self.get("/api/v1/state")) and standing["state"] == state)

    def playing(self, state: str) -> Any:
        cue = self.get("/api/v1/cue")
        return cue if cue and cue["action"] == "play" and cue["track"]["state"] == state else None

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def broker() -> Iterator[RunningBroker]:
    with start_broker(free_port()) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, broker: RunningBroker) -> Iterator[Site]:
    site = Site(tmp_path, broker)
    try:
        yield site
    finally:
        site.stop()


def events(url: str, kinds: set[str]) -> Iterator[tuple[str, Any]]:
    with requests.get(f"{url}/api/v1/events", stream=True, timeout=30) as stream:
        kind = ""
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and kind in kinds:
                yield kind, json.loads(line.removeprefix("data: "))


def test_a_change_of_the_grid_changes_the_music_of_a_listener(site: Site):
    site.start()
    assert site.is_in("no_data"), "nothing was published yet"
    assert site.get("/api/v1/cue")["action"] == "silence"
    with site.publishing(50):
        cue = until(lambda: site.playing("low"))
        assert "load" in cue["reason"]["en"]
        audio = requests.get(f"{site.url}/api/v1/tracks/{cue['track']['id']}/audio", timeout=5)
        assert audio.ok and audio.content[:4] == b"OggS"
        until(lambda: site.get("/api/v1/tracks?state=high")["tracks"])

    heard: list[Any] = []
    listening = threading.Event()

    def listen() -> None:
        for kind, payload in events(site.url, {"cue", "heartbeat"}):
            listening.set()
            if kind == "cue" and payload["state"] == "high":
                heard.append(payload)
                return

    thread = threading.Thread(target=listen)
    thread.start()
    assert listening.wait(5)
    published = time.time()
    site.publish(95)
    thread.join(5)
    assert heard, "the listener was not told"
    assert heard[0]["track"]["state"] == "high"
    assert heard[0]["time"] - published < 1, "an escalation does not wait for a bar"


def test_telemetry_that_stops_is_silence_and_history_remembers(site: Site):
    site.start()
    with site.publishing(50):
        until(lambda: site.playing("low"))
    stopped = time.monotonic()
    until(lambda: site.get("/api/v1/cue")["action"] == "silence", 10)
    assert time.monotonic() - stopped < 4 + 1 + 0.5, "stale_after and one second, and the time between two looks"
    assert site.is_in("no_data")
    assert [span["state"] for span in site.get("/api/v1/history?hours=1")["spans"]][-2:] == ["low", "no_data"]


def test_it_explains_every_state_to_the_command_line(site: Site):
    site.start()
    with site.publishing(50):
        until(lambda: site.is_in("low"))
        run = subprocess.run([sys.executable, "-m", "gridtone", "explain", "--url", site.url], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("low (normal) since") and " low: ACTIVE" in run.stdout and "at grid/load_pct" in run.stdout


def test_killed_and_started_again_it_is_in_the_same_state_with_the_same_library(site: Site):
    site.start()
    with site.publishing(50):
        cue = until(lambda: site.playing("low"))
        tracks = {track["id"] for track in site.get("/api/v1/tracks")["tracks"]}
        site.stop(signal.SIGKILL)
        killed = time.time()
        site.start()
        again = until(lambda: site.playing("low"))
        assert site.get("/api/v1/history?hours=1")["spans"][-1]["start"] >= killed, "history has a gap where nobody watched"
        assert tracks <= {track["id"] for track in site.get("/api/v1/tracks")["tracks"]}
        assert again["id"] >= cue["id"]


def test_a_second_service_on_the_same_data_refuses(site: Site):
    site.start()
    second = subprocess.run(
        [sys.executable, "-m", "gridtone", "serve", "--config", str(site.folder / "site.yaml")],
        env=os.environ | {"GRIDTONE_SERVER__PORT": "0"},
        capture_output=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert "in use" in second.stderr.decode() and str(site.process.pid) in second.stderr.decode()
    assert "Traceback" not in second.stderr.decode()


def test_rules_are_taken_over_while_running_and_a_bad_save_keeps_the_old_ones(site: Site):
    site.start()
    rules = site.folder / "rules.yaml"
    with site.publishing(50):
        until(lambda: site.playing("low"))
        rules.write_text(RULES.replace("when: load <= 80", "wen: load <= 80"), encoding="utf-8")
        problem = until(lambda: site.get("/api/v1/states")["rules_problem"])
        assert "rules.yaml:16:5" in problem and "did you mean `when`?" in problem
        assert site.playing("low"), "the rules before it stay in force"
        rules.write_text(RULES.replace("80", "40"), encoding="utf-8")
        until(lambda: site.is_in("high"))
        assert site.get("/api/v1/states")["rules_problem"] == ""


def test_a_broker_that_goes_away_and_comes_back(site: Site):
    site.start()
    with site.publishing(50):
        until(lambda: site.is_in("low"))
    site.broker.process.kill()
    health = until(lambda: next((a for a in site.get("/api/v1/adapters")["adapters"] if not a["connected"]), None))
    assert str(site.broker.port) in health["problem"]
    until(lambda: site.is_in("no_data"), 10)
    with start_broker(site.broker.port), site.publishing(50):
        until(lambda: site.is_in("low"))


def test_it_starts_without_a_broker_and_says_so(site: Site):
    site.broker.process.kill()
    site.start()
    [adapter] = site.get("/api/v1/adapters")["adapters"]
    assert not adapter["connected"] and "nothing listens" in adapter["problem"]
    assert any("adapter mqtt" in missing for missing in site.get("/readyz")["missing"])


def test_bad_messages_are_counted_and_good_ones_get_through(site: Site):
    site.start()
    for bad in ("NaN", "twelve", None, [1], {"deep": 1}, 1e999):
        site.publish(bad)
    site.publish(50, at=time.time() + 90_000)
    site.publish(50)
    until(lambda: site.is_in("low"))
    [adapter] = site.get("/api/v1/adapters")["adapters"]
    assert sum(adapter["rejected"].values()) >= 6
    assert adapter["samples"][0]["source"] == "site/grid/load_pct"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("server: {prot: 1}", "site.yaml:1:10: `prot` is not a key of server; did you mean `port`?"),
        ("rules: missing.yaml", "missing.yaml:1:1: no such file"),
        ("rules: {pack: transmision}", "transmission"),
        ("server: {host: 0.0.0.0}", "token"),
        ("engines: []", "engines"),
        ("adapters: [{kind: mqqt}]", "mqtt"),
        ("library: {store: }\nlibrary: {}", "stands here twice"),
    ],
)
def test_a_bad_site_file_is_refused_with_the_reason(tmp_path: Path, settings: str, message: str):
    (tmp_path / "site.yaml").write_text(settings)
    run = subprocess.run([sys.executable, "-m", "gridtone", "serve", "--config", "site.yaml"], cwd=tmp_path, capture_output=True, timeout=30)
    error = run.stderr.decode()
    assert run.returncode == 1 and "Traceback" not in error
    assert message in error
