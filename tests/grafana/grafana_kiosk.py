"""A browser as a control room has it on a wall. No developer tools are attached: they keep every tab in front and answers in memory."""

import json
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from grafana_page import ARGUMENTS, FULL
from grafana_proxy import Grafana

from browsing import CHROMIUM
from sound import TAP
from waiting import until

REPORTS = (
    TAP
    + """
setInterval(() => {
  if (!window.tap) return;
  const samples = new Float32Array(16384);
  window.tap.getFloatTimeDomainData(samples);
  void fetch('/heard', { method: 'POST', body: JSON.stringify([document.visibilityState, window.tap.context.sampleRate, window.coded(samples)]) });
}, 300);
"""
)
"""What the speakers of a page give, several times a second; for `Grafana.script`."""


@dataclass(frozen=True)
class Kiosk:
    process: subprocess.Popen[bytes]
    debugging_port: int

    def cover(self) -> None:
        """Open another tab in front."""
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.debugging_port}/json/new?about:blank", method="PUT"), timeout=30)

    def page_mib(self) -> float:
        """Resident memory of the page's process: the largest that draws pages."""
        sizes = [_resident_mib(number) for number in _descendants(self.process.pid) if b"--type=renderer" in Path(f"/proc/{number}/cmdline").read_bytes()]
        return max(sizes)

    def cpu_seconds(self) -> float:
        """Of all of the browser's processes so far."""
        ticks = 0
        for number in (self.process.pid, *_descendants(self.process.pid)):
            fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def kiosk(grafana: Grafana, **options: Any) -> Iterator[Kiosk]:
    """Chromium with one panel that plays unasked."""
    panel = json.dumps([{**FULL, "options": {"autoplay": True, **options}}])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        process = subprocess.Popen([CHROMIUM, *ARGUMENTS, *flags, f"{grafana.url}/?show={quote(panel)}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = Path(profile) / "DevToolsActivePort"
        try:
            until(lambda: port_file.exists() and "\n" in port_file.read_text())
            yield Kiosk(process, int(port_file.read_text().split()[0]))
        finally:
            process.terminate()
            process.wait(30)


def _descendants(number: int) -> list[int]:
    children = [int(child) for task in Path(f"/proc/{number}/task").iterdir() for child in (task / "children").read_text().split()]
    return children + [below for child in children for below in _descendants(child)]


def _resident_mib(number: int) -> float:
    return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
