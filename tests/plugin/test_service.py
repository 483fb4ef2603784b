"""The whole service as a site runs it: `gridtone serve` against a real broker, heard over HTTP."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import pytest
import requests

from gridtone.demo.broker import RunningBroker, start_broker
from waiting import PATIENCE_SECONDS, free_port, until

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


class Feed:
    """What `Site.publishing` publishes."""

    def __init__(self, value: float) -> None:
        self.value = value


class Site:
    """A folder with a site's files, a broker, and `gridtone serve` when it is started."""

    def __init__(self, folder: Path, broker: RunningBroker) -> None:
        self.folder, self.broker = folder, broker
        self.url = ""
        self.published = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        (folder / "site.yaml").write_text(
            f"""\
data: data
rules: rules.yaml
server: {{port: 0}}
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
        log = self.folder / "log"
        with log.open("wb") as errors:
            command = [sys.executable, "-m", "gridtone", "serve", "--config", str(self.folder / "site.yaml")]
            self.process = subprocess.Popen(command, stderr=errors, stdout=errors, env=os.environ | environment)
        until(lambda: self.process.poll() is not None or re.search(r"http://\S+", self.log()), seen=self.log)
        assert self.process.poll() is None, self.log()
        self.url = re.search(r"http://127.0.0.1:\d+", self.log())[0]

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(PATIENCE_SECONDS)
            self.process = None

    def get(self, path: str) -> Any:
        return requests.get(self.url + path, timeout=PATIENCE_SECONDS).json()

    def spans(self) -> list[Any]:
        return list(self.get("/api/v1/history?hours=1")["spans"])

    def publish(self, value: object, at: float | None = None, retain: bool = False, point: str = "grid/load_pct") -> None:
        self.published = at or time.time()
        payload = json.dumps({"value": value, "time": self.published})
        paho.mqtt.publish.single(f"site/{point}", payload, qos=1, retain=retain, hostname="127.0.0.1", port=self.broker.port)

    @contextmanager
    def publishing(self, value: float) -> Iterator[Feed]:
        """Publish a value, which may be changed, every half second, so that it stays fresh."""
        ended = threading.Event()
        feed = Feed(value)

        def run() -> None:
            while not ended.wait(0.5):
                self.publish(feed.value)

        thread = threading.Thread(target=run, daemon=True)
        self.publish(value)
        thread.start()
        try:
            yield feed
        finally:
            ended.set()
            thread.join()

    def is_in(self, state: str) -> bool:
        return bool(self.get("/api/v1/state")["state"] == state)

    def playing(self, state: str) -> Any:
        cue = self.get("/api/v1/cue")
        return cue if cue["action"] == "play" and cue["track"]["state"] == state else None

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
    with requests.get(f"{url}/api/v1/events", stream=True, timeout=PATIENCE_SECONDS) as stream:
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
    with site.publishing(50) as feed:
        cue = until(lambda: site.playing("low"))
        assert "load" in cue["reason"]["en"]
        audio = requests.get(f"{site.url}/api/v1/tracks/{cue['track']['id']}/audio", timeout=PATIENCE_SECONDS)
        assert audio.ok and audio.content[:4] == b"OggS"
        until(lambda: site.get("/api/v1/tracks?state=high")["tracks"])
        [next_state] = until(lambda: site.get("/api/v1/states")["forecast"]["likely"])
        assert next_state["state"] == "high" and 0 < next_state["probability"] < 1
        assert 'gridtone_state_probability{state="high"}' in requests.get(f"{site.url}/metrics", timeout=PATIENCE_SECONDS).text
        for _, heard in events(site.url, {"cue"}):
            if heard["state"] == "high":
                break
            feed.value = 95
    assert heard["track"]["state"] == "high"
    assert heard["time"] <= time.time(), "an escalation does not wait for a bar"


def test_telemetry_that_stops_is_silence_and_history_remembers(site: Site):
    site.start()
    with site.publishing(50):
        until(lambda: site.playing("low"))
    until(lambda: site.get("/api/v1/cue")["action"] == "silence")
    assert site.is_in("no_data")
    until(lambda: [span["state"] for span in site.spans()][-2:] == ["low", "no_data"], seen=site.spans)
    assert site.spans()[-1]["start"] >= site.published + 4, "until then it is fresh"


def test_it_explains_every_state_to_the_command_line(site: Site):
    site.start()
    with site.publishing(50):
        until(lambda: site.is_in("low"))
        run = subprocess.run([sys.executable, "-m", "gridtone", "explain", "--url", site.url], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, run.stderr
    assert "likely within" in run.stdout, "where the grid is going"
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
        until(lambda: site.spans()[-1]["start"] >= killed, seen=site.spans)  # history has a gap where nobody watched
        assert tracks <= {track["id"] for track in site.get("/api/v1/tracks")["tracks"]}
        assert again["id"] >= cue["id"]


def test_a_state_that_a_busy_database_refuses_is_in_the_history_once_it_takes_it(site: Site):
    site.start()
    with site.publishing(50) as feed:
        until(lambda: site.is_in("low") and site.spans())
        other = sqlite3.connect(site.folder / "data" / "gridtone.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        feed.value = 95
        until(lambda: "could not write the change of state" in site.log(), seen=site.log)
        assert site.is_in("high") and site.spans()[-1]["state"] == "low"
        other.execute("ROLLBACK")
        other.close()
        until(lambda: site.spans()[-1]["state"] == "high", seen=site.spans)
        assert site.spans()[-2]["end"] == site.spans()[-1]["start"]


def test_a_second_service_on_the_same_data_refuses(site: Site):
    site.start()
    second = subprocess.run(
        [sys.executable, "-m", "gridtone", "serve", "--config", str(site.folder / "site.yaml")],
        env=os.environ | {"GRIDTONE_SERVER__PORT": "0"},
        capture_output=True,
        timeout=PATIENCE_SECONDS,
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
        until(lambda: site.playing("low"))  # the rules before it stay in force
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
    until(lambda: site.is_in("no_data"))
    with start_broker(site.broker.port), site.publishing(50):
        until(lambda: site.is_in("low"))


def test_it_starts_without_a_broker_and_says_so(site: Site):
    site.broker.process.kill()
    site.start()
    until(lambda: "nothing listens" in site.get("/api/v1/adapters")["adapters"][0]["problem"])
    assert not site.get("/api/v1/adapters")["adapters"][0]["connected"]
    assert any("adapter mqtt" in missing for missing in site.get("/readyz")["missing"])


def test_auto_is_shown_as_the_engine_that_it_stands_for(site: Site):
    site.start(GRIDTONE_ENGINES="[{name: auto, options: {weights: nowhere}}]")
    assert site.get("/api/v1/sampler")["engine"] == "composer"


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
    run = subprocess.run([sys.executable, "-m", "gridtone", "serve", "--config", "site.yaml"], cwd=tmp_path, capture_output=True, timeout=PATIENCE_SECONDS)
    error = run.stderr.decode()
    assert run.returncode == 1 and "Traceback" not in error
    assert message in error
