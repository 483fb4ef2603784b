"""Who may read: bearer tokens, a session cookie for browsers, host names, origins, and the headers that keep the page's own code the only code in it."""

import hmac
import logging
import time
from urllib.parse import urlsplit

from flask import Flask, Response, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from gridtone.server.answers import ApiError
from gridtone.server.settings import ServerSettings

log = logging.getLogger(__name__)

COOKIE = "gridtone_session"
SESSION_SECONDS = 30 * 24 * 3600
PUBLIC = frozenset({"api.healthz", "api.readyz", "api.player", "api.open_session", "api.close_session", "static"})
"""Endpoints that tell nothing about the grid."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Access:
    """Checks every request of an application against the site's settings."""

    def __init__(self, settings: ServerSettings) -> None:
        self._tokens = settings.tokens()
        self._origins = frozenset(settings.allowed_origins)
        # Without a token, a web page elsewhere could rebind its own host name to this machine and read the API; with one it has nothing to show.
        self._host_names = {"localhost", "127.0.0.1", "::1", settings.host} if settings.on_loopback and not self._tokens else None
        if self._tokens and not settings.on_loopback and settings.tls_certificate is None:
            log.warning("listening on %s without TLS: tokens travel readable. Set tls_certificate and tls_key, or put a TLS proxy in front", settings.host)

    def guard(self, app: Flask) -> None:
        app.before_request(self._admit)
        app.after_request(self._add_headers)

    @property
    def open(self) -> bool:
        """Nobody needs a token."""
        return not self._tokens

    def granted(self) -> bool:
        """The current request carries a valid token or session."""
        if self.open:
            return True
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._matching(token.strip()) is not None
        return any(_session_holds(known, request.cookies.get(COOKIE, "")) for known in self._tokens)

    def open_session(self, token: str, response: Response) -> None:
        """Give the browser a cookie, since its EventSource cannot send a token. The cookie proves the token without holding it, and dies with it."""
        known = self._matching(token)
        if known is None:
            log.warning("sign-in refused from %s: unknown token", request.remote_addr)
            raise ApiError(401, "token_refused", "this token is not known here", "ask whoever runs gridtone for a token")
        session = _serializer(known).dumps("listener")
        assert isinstance(session, str)
        response.set_cookie(COOKIE, session, max_age=SESSION_SECONDS, httponly=True, samesite="Strict", secure=request.is_secure)

    def _matching(self, token: str) -> str | None:
        offered = token.encode()
        return next((known for known in self._tokens if hmac.compare_digest(known.encode(), offered)), None)

    def _admit(self) -> Response | None:
        if self._host_names is not None and (urlsplit(f"//{request.host}").hostname or "") not in self._host_names:
            raise ApiError(
                421,
                "wrong_host",
                f"this server does not answer for the host {request.host!r}",
                "open it as http://127.0.0.1, or set a token to serve other names",
            )
        if request.method == "OPTIONS":
            return Response(status=204)
        if request.endpoint is None or request.endpoint in PUBLIC or self.granted():
            return None
        log.warning("refused %s %s from %s: no valid token", request.method, request.path, request.remote_addr)
        raise ApiError(401, "token_needed", "this needs a valid token", "send `Authorization: Bearer <token>`, or sign in on the page")

    def _add_headers(self, response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        response.headers["X-Gridtone-Time"] = f"{time.time():.3f}"
        if self._origins:
            response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "ETag, X-Gridtone-Time"
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = "GET, HEAD"
                response.headers["Access-Control-Allow-Headers"] = "Authorization, Last-Event-ID, Range"
                response.headers["Access-Control-Max-Age"] = "600"
        return response


def _serializer(token: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(token, salt="gridtone session")


def _session_holds(token: str, cookie: str) -> bool:
    try:
        _serializer(token).loads(cookie, max_age=SESSION_SECONDS)
    except BadSignature:
        return False
    return True
