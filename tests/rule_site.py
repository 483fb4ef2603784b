"""A real service whose rules are edited: its folder, its address, and a day that it recorded before."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from gridtone.config import load_site
from gridtone.recent import Recent
from gridtone.rules import Evaluator, load_rules
from gridtone.server import create_app, serve
from gridtone.service import Service
from gridtone_adapters import Reading
from waiting import PATIENCE_SECONDS, until

RULES = """\
# Rules of a small substation.
gridtone: 1
signals:
  load:
    of: grid/load_pct   # of the feeder
    unit: "%"
    title: {en: feeder load, zh: 馈线负载}
states:
  overload:
    severity: emergency
    priority: 20
    when: load > 95 %
    clear: load < 90 %
    silent: true
  high:
    severity: alert
    priority: 10
    when: load > 80 %
    silent: true
  calm:
    silent: true
fallback: calm
"""
HOURS = 2
STEP_SECONDS = 5


class RuleSite:
    """A folder with a site's file and its rules."""

    def __init__(self, folder: Path, rules: str = "rules.yaml", more: str = "") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.rules = folder / "rules.yaml"
        self.rules.write_text(RULES, encoding="utf-8")
        self.config = folder / "site.yaml"
        value = folder / rules if rules == "rules.yaml" else rules
        self.config.write_text(f"data: {self.data}\nserver: {{port: 0, max_listeners: 8}}\nrules: {value}\n{more}", encoding="utf-8")
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["RuleSite"]:
        site = load_site(self.config, {})
        ready, stop = threading.Event(), threading.Event()

        def on_ready(url: str) -> None:
            self.url = url
            ready.set()

        with Service(site, self.config) as service:
            thread = threading.Thread(target=serve, args=(create_app(service, site.server, site.data), site.server, on_ready, stop))
            thread.start()
            try:
                assert ready.wait(PATIENCE_SECONDS), "the server did not start"
                yield self
            finally:
                stop.set()
                thread.join(PATIENCE_SECONDS)
                assert not thread.is_alive(), "the server did not stop"

    def record(self, load_pct: Callable[[float], float]) -> None:
        """What the service would have kept of the last `HOURS`; `load_pct` of the share of that time that has passed."""
        now = time.time()
        start = now - HOURS * 3600
        evaluator, recent = Evaluator(load_rules(self.rules), start), Recent(self.data / "readings", 24)
        steps = HOURS * 3600 // STEP_SECONDS
        for step in range(steps):
            time_then = start + step * STEP_SECONDS
            evaluator.ingest([Reading("grid/load_pct", load_pct(step / steps), time_then, "%")], time_then)
            recent.look(evaluator, time_then)
            if recent.full(time_then):
                recent.write()
        recent.write()

    def ask(self, path: str, method: str = "GET", token: str = "", **body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, f"{self.url}/api/v1/{path}", json=body or None, headers=headers, timeout=PATIENCE_SECONDS)

    def saved(self) -> Any:
        """The rules as they are saved."""
        answer = self.ask("rules")
        assert answer.ok, answer.text
        return answer.json()["rules"]

    def save(self, text: str, reason: str = "a test", base: str | None = None) -> requests.Response:
        return self.ask("rules", "PUT", text=text, base=self.saved()["fingerprint"] if base is None else base, reason=reason)

    def versions(self) -> list[tuple[int, str, str]]:
        """Number, author and reason, newest first."""
        return [(version["number"], version["author"], version["reason"]) for version in self.ask("rules/versions").json()["versions"]]

    def follows(self, condition: str) -> None:
        """Wait until the running service plays by rules in which a state is entered when `condition`."""
        until(lambda: condition in [state["when"] for state in self.ask("explain").json()["states"]], seen=lambda: self.ask("explain").text)


def waves(share: float) -> float:
    """Between 56 and 88 %, and one excursion to 93 %."""
    return 93.0 if 0.5 < share < 0.52 else round(72 + 16 * math.sin(share * 20), 3)
