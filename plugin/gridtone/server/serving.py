"""The web server around the application: cheroot, in this process, a thread a listener.

Why cheroot and not a server of several processes: the service's state lives here once, a process manager that revives a dead worker would start the service
in a loop, and a signal must reach the one that can end the streams. Slow listeners are dropped by its socket time-out.
"""

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from cheroot import wsgi
from cheroot.errors import FatalSSLAlert
from cheroot.ssl.builtin import BuiltinSSLAdapter
from flask import Flask

from gridtone.server.settings import ServerSettings

log = logging.getLogger(__name__)

SPARE_THREADS = 100
"""Beyond one a listener: for everything that is not an event stream."""
SHUTDOWN_SECONDS = 3


def serve(app: Flask, settings: ServerSettings, on_ready: Callable[[str], None] = lambda url: None, stop: threading.Event | None = None) -> None:
    """Serve `app` until SIGTERM, SIGINT or `stop`; then end every stream, finish open requests and return, within a few seconds.

    `on_ready` gets the server's address once it accepts connections. Raises OSError when it cannot listen there. In a thread that is not the main one,
    only `stop` ends it.
    """
    stop = stop or threading.Event()
    server = _make_server(app, settings)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            server.serve()
        except BaseException as error:
            failures.append(error)
        finally:
            stop.set()

    def on_signal(number: int, frame: FrameType | None) -> None:
        log.info("stopping: %s", signal.Signals(number).name)
        stop.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
    thread = threading.Thread(target=run, name="http", daemon=True)
    thread.start()
    try:
        on_ready(_address(server, settings))
        stop.wait()
    finally:
        app.extensions["gridtone"].events.close()
        server.stop()
        thread.join(SHUTDOWN_SECONDS)
    if failures:
        raise failures[0]


def _make_server(app: Flask, settings: ServerSettings) -> wsgi.Server:
    server = _Server(
        (settings.host, settings.port),
        app,
        numthreads=settings.max_listeners + SPARE_THREADS,
        request_queue_size=min(settings.max_listeners, socket.SOMAXCONN),
        timeout=10,
        shutdown_timeout=SHUTDOWN_SECONDS,
        server_name="gridtone",
    )
    if settings.tls_certificate and settings.tls_key:
        server.ssl_adapter = _TlsAdapter(str(settings.tls_certificate), str(settings.tls_key))
    server.keep_alive_conn_limit = settings.max_listeners + SPARE_THREADS
    server.prepare()
    return server


class _Server(wsgi.Server):
    def error_log(self, msg: str = "", level: int = logging.WARNING, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)


class _TlsSocket(ssl.SSLSocket):
    """A client that speaks no TLS, or does not trust the certificate, is a line in the log and no server's error."""

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        try:
            return super().recv_into(*arguments, **named)
        except ssl.SSLError as error:
            log.info("no TLS with a client: %s", error.reason)
            raise FatalSSLAlert(*error.args) from error


class _TlsAdapter(BuiltinSSLAdapter):
    """Leaves the handshake to the connection's own thread: a client that never finishes it must not hold up the others."""

    def __init__(self, certificate: str, key: str) -> None:
        super().__init__(certificate, key)
        self.context.sslsocket_class = _TlsSocket

    def wrap(self, sock: socket.socket) -> tuple[socket.socket, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}


def _address(server: wsgi.Server, settings: ServerSettings) -> str:
    host, port = server.bind_addr[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http{'s' if settings.tls_certificate else ''}://{f'[{host}]' if ':' in host else host}:{port}"
