"""The Grafana panel in headless Chromium: `make panel`, then `python tests/benchmarks/bench_grafana_panel.py` (two minutes)."""

import gzip
import os
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "grafana")]

from grafana_proxy import PANEL, grafana_before  # noqa: E402
from test_grafana_panel import ARGUMENTS, CHROMIUM, FULL, play, show  # noqa: E402

from memory_backend import MemoryBackend, chord, running  # noqa: E402

CHANGES = 500
STARTS = """
window.starts = []; window.contexts = 0; window.recorded = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when, ...rest) {
  window.starts.push(Date.now() / 1000 + Math.max(0, when - this.context.currentTime)); return start.call(this, when, ...rest);
};
"""
PAINT = """panel => new Promise((done) => {
  const begun = performance.now();
  new MutationObserver((_, seen) => document.querySelector('h3') && (seen.disconnect(), requestAnimationFrame(() => done(performance.now() - begun))))
    .observe(document.body, {childList: true, subtree: true});
  grafana.show([panel]);
})"""


def cpu_seconds(browser: Browser) -> float:
    """Of all of the browser's processes so far."""
    session = browser.new_browser_cdp_session()
    try:
        return sum(process["cpuTime"] for process in session.send("SystemInfo.getProcessInfo")["processInfo"])
    finally:
        session.detach()


def resident_mib(browser: Browser) -> float:
    """Of the page's process."""
    session = browser.new_browser_cdp_session()
    found = [process["id"] for process in session.send("SystemInfo.getProcessInfo")["processInfo"] if process["type"] == "renderer"]
    session.detach()
    pages = max(int(Path(f"/proc/{number}/statm").read_text().split()[1]) for number in found)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def collected_heap_mib(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    session.detach()
    return float(used)


def main() -> None:
    size_kb = {name: len(gzip.compress((PANEL / "dist" / name / "module.js").read_bytes(), 9)) / 1000 for name in ("panel", "datasource")}
    rows = [(f"{name}/module.js, gzipped", f"{size:.1f} kB", "60 kB") for name, size in size_kb.items()]
    backend = MemoryBackend()
    tracks = [backend.add_track(chord([220 + 20 * i], 30)) for i in range(6)]
    with sync_playwright() as playwright, running(backend) as service, grafana_before(service) as grafana:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, "--enable-precise-memory-info"])
        page = browser.new_context().new_page()
        page.add_init_script(STARTS)
        page.goto(grafana.url)
        page.wait_for_function("window.grafana")
        page.evaluate("grafana.show([])")  # loads the module, as Grafana does before it draws
        backend.give("play", tracks[0], upcoming=tracks[1])
        rows.append(("first paint of the panel", f"{page.evaluate(PAINT, FULL):.0f} ms", "100 ms"))
        show(page, FULL)
        play(page)
        page.wait_for_timeout(5000)

        begun, used = time.monotonic(), cpu_seconds(browser)
        page.wait_for_timeout(20_000)
        rows.append(("CPU while it plays, whole browser", f"{100 * (cpu_seconds(browser) - used) / (time.monotonic() - begun):.1f} % of a core", "3 %"))

        delays = []
        for i in range(100):
            upcoming = tracks[(i + 2) % 6]
            count = len(page.evaluate("window.starts"))
            published = time.time()
            backend.give("play", tracks[(i + 1) % 6], upcoming=upcoming, crossfade_seconds=0.2)
            page.wait_for_function("count => window.starts.length > count", arg=count, polling=20)
            delays.append(page.evaluate("window.starts.at(-1)") - published)
            page.wait_for_timeout(300)
        rows.append(("cue to the begin of its crossfade, median", f"{1000 * statistics.median(delays):.0f} ms", ""))
        rows.append(("the same, 99th of 100", f"{1000 * sorted(delays)[98]:.0f} ms", "1000 ms"))

        heaps, residents = [], []
        for i in range(CHANGES + 1):
            if i % (CHANGES // 5) == 0:
                page.wait_for_timeout(3000)
                heaps.append(f"{collected_heap_mib(page):.1f}")
                residents.append(f"{resident_mib(browser):.0f}")
            backend.give("play", tracks[i % 6], upcoming=tracks[(i + 1) % 6], crossfade_seconds=0.1)
            page.wait_for_timeout(100)
        rows.append((f"script memory at every {CHANGES // 5} of {CHANGES} changes", f"{', '.join(heaps)} MiB", "flat"))
        rows.append(("memory of the page at the same", f"{', '.join(residents)} MiB", "flat"))
        browser.close()
    for what, measured, target in rows:
        print(f"{what:<48} {measured:>40}   {target}")


if __name__ == "__main__":
    main()
