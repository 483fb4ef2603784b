"""The Grafana panel in headless Chromium: `make panel`, then `python tests/benchmarks/bench_grafana_panel.py` (ten minutes)."""

import gzip
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import requests
from playwright.sync_api import Page, sync_playwright

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "grafana")]

from grafana_kiosk import kiosk  # noqa: E402
from grafana_page import ARGUMENTS, FULL, open_page, play, show  # noqa: E402
from grafana_proxy import PANEL, grafana_before  # noqa: E402
from grafana_site import gridtone_serve  # noqa: E402

from browsing import CHROMIUM  # noqa: E402
from gridtone.demo.broker import start_broker  # noqa: E402
from memory_backend import MemoryBackend, chord, running  # noqa: E402
from waiting import free_port, until  # noqa: E402

Rows = list[tuple[str, str, str]]
LADDERS = 27
CHANGES = 500
PAUSE_SECONDS = 0.25
RULES = """\
gridtone: 1
signals:
  load: {of: grid/load_pct, unit: "%", stale_after: 60s}
states:
  collapse: {title: {en: Collapse}, severity: in_extremis, priority: 40, when: load > 95, prompt: "steady pulse, 90 bpm"}
  high: {title: {en: High}, severity: alert, priority: 20, when: load > 80, prompt: "steady, 80 bpm"}
  low: {title: {en: Low}, when: load <= 80, prompt: "calm ambient, warm pads, 60 bpm"}
"""
LOADS_PCT = {"low": 50, "high": 85, "collapse": 98}
NEWEST_DECK = """
(() => {
  window.audible = [];
  const connect = AudioNode.prototype.connect;
  let decks = 0;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (this instanceof AudioBufferSourceNode) this.deck = ++decks;
    if (this instanceof GainNode && target instanceof GainNode && decks > window.audible.length) {
      const meter = new AnalyserNode(this.context, { fftSize: 256 }), samples = new Float32Array(256);
      connect.call(this, meter);
      const look = setInterval(() => {
        meter.getFloatTimeDomainData(samples);
        if (Math.max(...samples.map(Math.abs)) < 0.003) return; // -50 dB of full scale
        clearInterval(look);
        window.audible.push(Date.now() / 1000);
      }, 5);
    }
    return connect.call(this, target, ...rest);
  };
})();
"""
"""When each track that began was first heard, before volume and mute."""
PAINT = """panel => new Promise((done) => {
  const begun = performance.now();
  new MutationObserver((_, seen) => document.querySelector('h3') && (seen.disconnect(), requestAnimationFrame(() => done(performance.now() - begun))))
    .observe(document.body, {childList: true, subtree: true});
  grafana.show([panel]);
})"""


def sizes() -> Rows:
    files = {name: (PANEL / "dist" / name / "module.js").read_bytes() for name in ("panel", "datasource")}
    return [(f"{name}, gzipped", f"{len(gzip.compress(code, 9)) / 1000:.1f} kB", "60 kB") for name, code in files.items()]


def first_paint(page: Page) -> Rows:
    page.evaluate("grafana.show([])")  # loads the module, as Grafana does before it draws
    times = []
    for _ in range(9):
        times.append(page.evaluate(PAINT, FULL))
        show(page)
    return [("first paint of the panel, median and slowest of 9", f"{np.median(times):.0f}, {max(times):.0f} ms", "100 ms")]


def broker_to_ear(page: Page, service: str, broker_port: int) -> Rows:
    """Escalations, each from one MQTT publish to the first sound of the next track."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", broker_port)
    client.loop_start()

    def publish(state: str) -> float:
        now = time.time()
        client.publish("site/grid/load_pct", json.dumps({"value": LOADS_PCT[state], "time": now}), qos=1).wait_for_publish(10)
        return now

    def cue() -> dict[str, object]:
        return dict(requests.get(f"{service}/api/v1/cue", timeout=30).json())

    def stocked() -> bool:
        return all(requests.get(f"{service}/api/v1/tracks?state={state}", timeout=30).json()["tracks"] for state in LOADS_PCT)

    until(lambda: publish("low") and stocked() and cue()["track"], 600)
    show(page, FULL)
    play(page)
    page.wait_for_function("window.audible.length === 1")
    delays = []
    for _ in range(LADDERS):
        for state in LOADS_PCT:
            heard = page.evaluate("window.audible.length")
            published = publish(state)
            page.wait_for_function("count => window.audible.length > count", arg=heard, polling=20)
            if state != "low":
                delays.append(page.evaluate("window.audible.at(-1)") - published)
            page.wait_for_timeout(600)
        page.wait_for_timeout(2000)
    client.loop_stop()
    client.disconnect()
    milliseconds = 1000 * np.percentile(delays, [50, 99])
    return [
        (f"publish at the broker to the first sound of the next track, median of {len(delays)}", f"{milliseconds[0]:.0f} ms", ""),
        ("the same, 99th percentile", f"{milliseconds[1]:.0f} ms", "1000 ms"),
    ]


def lasting() -> Rows:
    """A kiosk without developer tools: CPU and memory."""
    backend = MemoryBackend()
    tracks = [backend.add_track(chord([220 + 20 * i], 30)) for i in range(6)]
    long = backend.add_track(chord([220], 120))
    with running(backend) as service, grafana_before(service) as grafana:
        backend.give("play", long)
        with kiosk(grafana) as chromium:
            until(lambda: any("audio?codec" in asked for asked in grafana.requests))
            time.sleep(8)
            begun, used = time.monotonic(), chromium.cpu_seconds()
            time.sleep(40)
            cpu_pct = 100 * (chromium.cpu_seconds() - used) / (time.monotonic() - begun)
            mib = [chromium.page_mib()]
            for i in range(CHANGES):
                backend.give("play", tracks[i % 6], upcoming=tracks[(i + 1) % 6], crossfade_seconds=0.1)
                time.sleep(PAUSE_SECONDS)
                mib.append(chromium.page_mib())
            time.sleep(60)
            after = chromium.page_mib()
    return [
        ("CPU while it plays, the whole browser", f"{cpu_pct:.1f} % of a core", "3 %"),
        (
            f"memory of the page before, at most during and a minute after {CHANGES} changes in {PAUSE_SECONDS * CHANGES:.0f} s",
            f"{mib[0]:.0f}, {max(mib):.0f}, {after:.0f} MiB",
            "flat",
        ),
    ]


def show_rows(rows: Rows) -> None:
    for what, measured, target in rows:
        print(f"{what:<96} {measured:>24}   {target}", flush=True)


def main() -> None:
    show_rows(sizes())
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as folder,
        start_broker(free_port()) as broker,
        gridtone_serve(Path(folder), broker.port, RULES) as service,
        grafana_before(service) as grafana,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context()
        context.add_init_script(NEWEST_DECK)
        page = open_page(context, grafana)
        show_rows(first_paint(page))
        show_rows(broker_to_ear(page, service, broker.port))
        browser.close()
    show_rows(lasting())
    print(f"load of the machine's {os.cpu_count()} cores over the last 5 minutes: {os.getloadavg()[1]:.1f}")


if __name__ == "__main__":
    main()
