"""What Grafana's server does for a panel, and no more: serves the plugin under Grafana's content security policy, and proxies a data source as Grafana does.

Like Grafana's proxy it adds the token, drops Origin, Referer and Cookie on the way in and Set-Cookie on the way out, turns a 401 into a 400, flushes what comes
every 200 ms, and waits 30 s for the head of an answer.
"""

import http.client
import json
import mimetypes
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PANEL = Path(__file__).parents[2] / "grafana-panel"
PLUGIN = "/public/plugins/gridtone-gridtone-app/"
ICONS = "/public/build/img/icons/"
PROXY = "/api/datasources/proxy/uid/main/gridtone/"
FLUSH_SECONDS = 0.2
HEADER_SECONDS = 30
POLICY = (  # the template that Grafana's defaults.ini ships
    "script-src 'self' 'unsafe-eval' 'unsafe-inline' 'strict-dynamic' 'nonce-harness';object-src 'none';font-src 'self';style-src 'self' 'unsafe-inline' blob:;"
    "img-src * data:;base-uri 'self';connect-src 'self' grafana.com;manifest-src 'self';media-src 'none';form-action 'self';"
)
PAGE = """<!doctype html><meta charset="utf-8"><title>Grafana</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/grafana.css">
<div id="root"></div><div id="grafana-portal-container"></div>
<script nonce="harness">window.grafanaBootData = {settings: {featureToggles: {}, namespace: "default"},
 user: {language: new URLSearchParams(location.search).get("lang") ?? "en-US",
 isSignedIn: true, uid: "u1", id: 1}, navTree: []}</script>
<script nonce="harness">%s</script><script nonce="harness" type="module" src="/grafana.js"></script>"""


@dataclass
class Grafana:
    """What the tests set."""

    service: str
    """Address of the gridtone service."""
    token: str = ""
    events_held_back: bool = False
    """As a proxy that buffers does."""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    alerts_answer: int = 200
    kept: dict[str, str] = field(default_factory=dict)
    """The user storage."""
    write_seconds: list[float] = field(default_factory=list)
    """How long its next writes take."""
    url: str = ""
    build: str = "12"
    """Major version of the packages: a folder of `grafana-panel/build`."""
    requests: list[str] = field(default_factory=list)
    script: str = ""
    """Runs in the page before Grafana's."""
    heard: list[Any] = field(default_factory=list)
    """What that script posted to /heard."""
    hang_ups: int = 0
    """Raised, the events under way end."""


class Handler(BaseHTTPRequestHandler):
    grafana: Grafana

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.grafana.requests.append(self.path)
        if path == "/":
            self._send(200, (PAGE % self.grafana.script).encode(), "text/html; charset=utf-8")
        elif path in ("/grafana.js", "/grafana.css"):
            self._file(PANEL / "build" / self.grafana.build / path.removeprefix("/"))
        elif path.startswith(PLUGIN):
            self._file(PANEL / "dist" / path.removeprefix(PLUGIN))
        elif path.startswith(ICONS):
            self._file(PANEL / "node_modules/@grafana/ui/dist/public/img/icons" / path.removeprefix(ICONS))
        elif path.startswith(PROXY):
            self._proxy()
        elif path == "/api/alertmanager/grafana/api/v2/alerts":
            self._send(self.grafana.alerts_answer, json.dumps(self.grafana.alerts).encode(), "application/json")
        elif path.startswith("/apis/userstorage.grafana.app/"):
            kept = self.grafana.kept
            self._send(200 if kept else 404, json.dumps({"spec": {"data": kept}}).encode(), "application/json")
        else:
            self._send(404, b"not found", "text/plain")

    def do_POST(self) -> None:
        if self.path.startswith("/apis/userstorage.grafana.app/"):
            self._keep()
        elif self.path == "/heard":
            self.grafana.heard.append(json.loads(self._body()))
            self._send(200, b"{}", "application/json")
        else:
            self._proxy()

    do_PATCH = do_POST  # noqa: N815

    def _keep(self) -> None:
        writes = self.grafana.write_seconds
        time.sleep(writes.pop(0) if writes else 0)
        self.grafana.kept |= json.loads(self._body())["spec"]["data"]
        self._send(200, json.dumps({"spec": {"data": self.grafana.kept}}).encode(), "application/json")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _file(self, file: Path) -> None:
        if file.is_file():
            self._send(200, file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream")
        else:
            self._send(404, b"not found", "text/plain")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(content)

    def _proxy(self) -> None:
        host = urlsplit(self.grafana.service).netloc
        upstream = http.client.HTTPConnection(host, timeout=HEADER_SECONDS)
        dropped = {"origin", "referer", "cookie", "host", "connection", "content-length"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        headers["Authorization"] = f"Bearer {self.grafana.token}"
        try:
            upstream.request(self.command, "/" + self.path.removeprefix(PROXY), self._body() or None, headers)
            answer = upstream.getresponse()
        except OSError:
            upstream.close()
            return self._send(502, b"", "text/plain")
        try:
            if answer.status == 401:
                return self._send(400, b"Authentication to data source failed", "text/plain")
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("set-cookie", "connection", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.flush()
            self._flush_every_200_ms(answer)
        finally:
            upstream.close()
        return None

    def _flush_every_200_ms(self, answer: http.client.HTTPResponse) -> None:
        parts: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def read() -> None:
            try:
                while part := answer.read1(65536):
                    parts.put(part)
            except (OSError, ValueError, http.client.HTTPException, AttributeError):
                pass  # the service went away, or the browser did
            parts.put(b"")

        threading.Thread(target=read, daemon=True).start()
        hang_ups = self.grafana.hang_ups
        try:
            while not (self.path.endswith("/events") and self.grafana.hang_ups > hang_ups):
                block = [parts.get()]
                if block[0]:
                    time.sleep(FLUSH_SECONDS)
                while not parts.empty():
                    block.append(parts.get())
                if not (self.grafana.events_held_back and self.path.endswith("/events")):
                    self.wfile.write(b"".join(block))
                    self.wfile.flush()
                if not block[-1]:
                    return
        except OSError:
            pass  # the browser went away

    def log_message(self, *_: object) -> None: ...


@contextmanager
def grafana_before(service: str, token: str = "", build: str = "12") -> Iterator[Grafana]:
    """Grafana on a free loopback port before a gridtone service."""
    grafana = Grafana(service, token, build=build)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"grafana": grafana}))
    server.daemon_threads = True
    grafana.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
