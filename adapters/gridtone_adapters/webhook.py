"""Webhooks: Prometheus Alertmanager and Grafana tell of their alerts. It listens and answers; it never sends anything by itself."""

import hashlib
import hmac
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from cheroot import wsgi
from cheroot.errors import MaxSizeExceeded
from cheroot.ssl.builtin import BuiltinSSLAdapter
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gridtone_adapters.adapter import Health
from gridtone_adapters.conventions import Conventions, Interpreter, Unreadable
from gridtone_adapters.intake import Intake
from gridtone_adapters.reading import Reading
from gridtone_adapters.security import Secret, ServerTls, SetupError, explain
from gridtone_adapters.topics import CAPTURE

THREADS = 8
SOCKET_SECONDS = 5
"""A sender that is slower than this between two packets is dropped."""
RETRY_SECONDS = 5.0
STATUSES = {"firing": 1.0, "resolved": 0.0}
HIGHEST_PRIORITY = 1.0
UNNAMED = "-"
"""Stands for a label that an alert lacks: no alert is lost for want of one."""

log = logging.getLogger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], object]


class WebhookConfig(BaseModel):
    """Alerts that Prometheus Alertmanager or Grafana send here."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["webhook"] = Field("webhook", description="`webhook`.")
    name: str = Field("webhook", min_length=1, description="What this source is called on the page, in the log and in the metrics.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(ge=1, le=65535, description="TCP port to listen on.")
    path: str = Field("/alerts", pattern=r"^/[\w./-]*$", description="The path that alerts are sent to.")
    token: Secret = Field(description="Where to find the token that senders show as `Authorization: Bearer <token>`.")
    tls: ServerTls | None = Field(None, description="Listen with TLS.")
    point: str = Field(
        "alert/{alertname}/{fingerprint}",
        description="Name of the points of an alert, with its labels in braces. `{fingerprint}` tells alerts apart and must be there. Each alert makes "
        "`<point>/active` (1 or 0) and, if it has the label `priority_label`, `<point>/priority`.",
    )
    heartbeat: str = Field("alert/heartbeat", min_length=1, description="A point that becomes 1 with every message, whatever it tells.")
    heartbeat_alert: str = Field(
        "Watchdog", description="Name of an alert that always fires, as a sign of life: it makes no points of its own, and its end brings no heartbeat."
    )
    priority_label: str = Field("severity", min_length=1, description="The label that holds the priority.")
    priorities: dict[str, float] = Field(
        {"critical": 1, "error": 2, "high": 2, "major": 2, "warning": 3, "medium": 3, "minor": 3, "info": 4, "low": 4, "none": 4},
        description="Numbers for its values. A number counts as itself, and any other text as 1, the highest.",
    )
    max_requests_per_second: float = Field(20.0, gt=0, description="More than this are answered with 503 and `Retry-After`, so that the sender tries again.")
    max_payload_bytes: int = Field(1_000_000, ge=1, description="A longer message is refused as `oversized`.")
    max_future_seconds: float = Field(300.0, ge=0, description="An alert whose time lies further ahead of this machine's clock counts as of now.")
    queue_limit: int = Field(100_000, ge=2, description="Readings that may wait to be processed. When it is full, senders wait.")

    @field_validator("point")
    @classmethod
    def _tells_alerts_apart(cls, point: str) -> str:
        if "{fingerprint}" not in point:
            raise ValueError("without {fingerprint} two alerts could share a point, and the end of one hide the other: append /{fingerprint}")
        if any(brace in CAPTURE.sub("", point) for brace in "{}"):
            raise ValueError(f"the braces in the point {point!r} do not match")
        return point


class WebhookAdapter:
    """An HTTP server of its own while `batches()` is read."""

    def __init__(self, config: WebhookConfig) -> None:
        self.name = config.name
        self._config = config
        self._where = f"{config.host}:{config.port}"
        self._intake = Intake(config.name, config.queue_limit)
        self._interpreter = Interpreter(Conventions(max_future_seconds=config.max_future_seconds))
        self._listening = False
        self._problem = f"not listening on {self._where} yet"
        self._lock = threading.Lock()
        self._allowance = max(config.max_requests_per_second, 1.0)
        self._allowed_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"webhook {config.name}", daemon=True)

    def batches(self) -> Iterator[list[Reading]]:
        self._thread.start()
        return self._intake.batches()

    def health(self) -> Health:
        return self._intake.health(self._listening, self._problem)

    def close(self) -> None:
        self._intake.close()
        if self._thread.is_alive():
            self._thread.join(1)

    def _run(self) -> None:
        """Listen until closed; where that fails, try again."""
        while not self._intake.closed.is_set():
            try:
                self._listen()
            except (OSError, SetupError) as error:
                self._problem = f"cannot listen on {self._where}: {error}; is the address this machine's, and the port free?"
                if isinstance(error, SetupError):
                    self._problem = explain(error, self._where, self._config.tls is not None)
                log.error("%s: %s", self.name, self._problem)
            self._listening = False
            self._intake.closed.wait(RETRY_SECONDS)

    def _listen(self) -> None:
        """Serve until closed. Raises OSError or SetupError where that cannot begin."""
        config = self._config
        config.token.read()
        server = _Server((config.host, config.port), self._answer, numthreads=THREADS, timeout=SOCKET_SECONDS, shutdown_timeout=1, server_name="gridtone")
        server.max_request_body_size = 10 * config.max_payload_bytes  # what is longer than one of these is refused and counted, longer than ten cut off
        server.max_request_header_size = 16_384
        if config.tls:
            server.ssl_adapter = _TlsAdapter(config.tls)
        server.prepare()
        serving = threading.Thread(target=server.serve, name=f"webhook {config.name} server", daemon=True)
        serving.start()
        self._listening, self._problem = True, ""
        log.info("%s: listening on %s", self.name, self._where)
        self._intake.closed.wait()
        server.stop()

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """One request, as WSGI has it."""
        try:
            taken = self._take(environ)
        except _Refusal as refusal:
            sender = f"{environ.get('REMOTE_ADDR', '?')} {environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"
            self._intake.reject(refusal.reason, sender, refusal.content)
            headers = [("Retry-After", "1")] if refusal.status.startswith("503") else []
            return _reply(start_response, refusal.status, {"error": refusal.reason, "message": refusal.message}, headers)
        return _reply(start_response, "200 OK", {"readings": taken})

    def _take(self, environ: dict[str, Any]) -> int:
        """Queue the readings of a request and say how many they are. Raises _Refusal."""
        config = self._config
        if environ["PATH_INFO"] != config.path:
            raise _Refusal("404 Not Found", "unknown_path", f"alerts are sent to {config.path}")
        try:
            token = config.token.read()
        except SetupError as error:
            raise _Refusal("503 Service Unavailable", "no_token", str(error)) from None
        scheme, _, shown = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode()):
            raise _Refusal("401 Unauthorized", "wrong_token", "send `Authorization: Bearer <token>` with the token that `token` of this adapter names")
        with self._lock:
            self._bound()
        try:
            body = environ["wsgi.input"].read(config.max_payload_bytes + 1)
        except MaxSizeExceeded:
            raise _Refusal("413 Content Too Large", "oversized", f"at most {config.max_payload_bytes} bytes") from None
        readings = self._readings(body)
        with self._lock:
            self._intake.add_all(readings)
        return len(readings)

    def _bound(self) -> None:
        """Raises _Refusal for more requests than allowed."""
        now, rate = time.monotonic(), self._config.max_requests_per_second
        self._allowance = min(max(rate, 1.0), self._allowance + (now - self._allowed_at) * rate)
        self._allowed_at = now
        if self._allowance < 1:
            raise _Refusal("503 Service Unavailable", "too_many_requests", f"more than {rate:g} a second; try again")
        self._allowance -= 1

    def _readings(self, body: bytes) -> list[Reading]:
        """The readings in a message: one or two an alert, and the heartbeat. Raises _Refusal for one that tells of no alerts."""
        if len(body) > self._config.max_payload_bytes:
            raise _Refusal("413 Content Too Large", "oversized", f"at most {self._config.max_payload_bytes} bytes", body)
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            raise _Refusal("400 Bad Request", "not_json", "the body is not JSON", body) from None
        alerts = message.get("alerts") if isinstance(message, dict) else None
        if not isinstance(alerts, list):
            raise _Refusal("400 Bad Request", "not_alerts", "the body is not a message of Alertmanager or Grafana: it has no list `alerts`", body)
        if message.get("truncatedAlerts"):
            self._intake.reject("truncated", self.name, f"{message['truncatedAlerts']} alerts were cut off: set max_alerts of the sender to 0")
        now = time.time()
        readings: list[Reading] = []
        refused, heartbeat = 0, True
        for alert in alerts:
            try:
                name, status, found = self._of_alert(alert, now)
            except Unreadable as error:
                self._intake.reject(error.reason, self.name, json.dumps(alert))
                refused += 1
                continue
            if name == self._config.heartbeat_alert:
                heartbeat = status == "firing"
            else:
                readings += found
        if alerts and len(alerts) == refused:
            raise _Refusal("400 Bad Request", "not_alerts", "no alert in it has labels and a status of firing or resolved", body)
        return [*readings, Reading(self._config.heartbeat, 1.0, now)] if heartbeat else readings

    def _of_alert(self, alert: Any, now: float) -> tuple[str, str, list[Reading]]:
        """Name, status and readings of an alert. Raises Unreadable."""
        labels = alert.get("labels") if isinstance(alert, dict) else None
        status = alert.get("status") if isinstance(alert, dict) else None
        if not isinstance(labels, dict):
            raise Unreadable("no_labels")
        if not isinstance(status, str) or status not in STATUSES:
            raise Unreadable("unknown_status")
        at = self._time(alert.get("startsAt" if status == "firing" else "endsAt"), now)
        fingerprint = alert.get("fingerprint") or hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
        known = {**labels, "fingerprint": fingerprint}
        point = CAPTURE.sub(lambda found: _part(known.get(found[1], UNNAMED)), self._config.point)
        readings = [Reading(f"{point}/active", STATUSES[status], at)]
        if (priority := labels.get(self._config.priority_label)) is not None:
            readings.append(Reading(f"{point}/priority", self._priority(str(priority)), at))
        return str(labels.get("alertname", "")), status, readings

    def _time(self, raw: Any, now: float) -> float:
        """When it began or ended; now, where that is not said or cannot be."""
        try:
            return self._interpreter.time(raw, now)
        except Unreadable:
            return now

    def _priority(self, text: str) -> float:
        known = self._config.priorities.get(text.strip().lower())
        if known is None:
            known = float(text) if text.strip().isdecimal() and len(text) < 10 else HIGHEST_PRIORITY
        return float(known)


class _Refusal(Exception):  # noqa: N818 - not an error of ours
    """A request that is answered with something else than 200. `reason` is one of the fixed words of `Rejected.reason`."""

    def __init__(self, status: str, reason: str, message: str, content: object = "") -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.content = status, reason, message, content


class _Server(wsgi.Server):
    def error_log(self, msg: str = "", level: int = logging.WARNING, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)


class _TlsAdapter(BuiltinSSLAdapter):
    """Leaves the handshake to the connection's own thread: a client that never finishes it must not hold up the others."""

    def __init__(self, tls: ServerTls) -> None:
        super().__init__(str(tls.cert_file), str(tls.key_file))
        self.context = tls.context()

    def wrap(self, sock: socket.socket) -> tuple[socket.socket, dict[str, str]]:
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {"wsgi.url_scheme": "https"}


def _part(value: object) -> str:
    """A label's value as one part of a point's name."""
    text = str(value).encode("utf-8", "replace").decode()  # JSON may hold halves of characters, which nothing could send on
    return text.replace("/", "_") or UNNAMED


def _reply(start_response: StartResponse, status: str, content: dict[str, object], headers: list[tuple[str, str]] | None = None) -> Iterable[bytes]:
    body = json.dumps(content).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *(headers or [])])
    return [body]
