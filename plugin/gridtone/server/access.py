"""Who may do what: roles, tokens, a session cookie for browsers, host names, origins, and the headers that keep the page's own code the only code in it."""

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from gridtone.person import Person, Role
from gridtone.server.answers import ApiError
from gridtone.server.settings import ServerSettings
from gridtone.server.tokens import Token, Tokens

log = logging.getLogger(__name__)

COOKIE = "gridtone_session"
SESSION_SECONDS = 30 * 24 * 3600
PUBLIC = frozenset({"api.healthz", "api.readyz", "api.player", "api.open_session", "api.close_session", "api.speech", "static"})
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

View = TypeVar("View", bound=Callable[..., Response])


def needs(role: Role) -> Callable[[View], View]:
    """A view for that role and those above it. Without this, any listener may ask. `person()` says who does."""

    def mark(view: View) -> View:
        view.needs = role  # type: ignore[attr-defined]
        return view

    return mark


def role_needed(endpoint: str) -> Role | None:
    """The least role that `endpoint` of the current application answers; None where everybody may ask."""
    return None if endpoint in PUBLIC else getattr(current_app.view_functions[endpoint], "needs", "listener")


def person() -> Person:
    """Who makes the current request, of a view that is not public."""
    asking = g.person
    assert isinstance(asking, Person)
    return asking


class Access:
    """Checks every request of an application against the site's settings and tokens."""

    def __init__(self, settings: ServerSettings, folder: Path | None = None) -> None:
        """`folder` is the data folder: its tokens are followed and its session key survives restarts. Raises ValueError or OSError."""
        self._tokens = Tokens(settings, folder)
        self._on_loopback = settings.on_loopback
        self._origins = frozenset(settings.allowed_origins)
        self._own_names = {"localhost", "127.0.0.1", "::1", settings.host}
        self._sessions = URLSafeTimedSerializer(_secret(folder), salt="gridtone session")
        if not self._on_loopback and settings.tls_certificate is None:
            log.warning("listening on %s without TLS: tokens travel readable. Set tls_certificate and tls_key, or put a TLS proxy in front", settings.host)

    def guard(self, app: Flask) -> None:
        app.before_request(self._admit)
        app.after_request(self._add_headers)

    @property
    def open(self) -> bool:
        """Nobody needs a token, since only this machine can ask and there is none."""
        return self._on_loopback and not self._tokens.all()

    def granted(self) -> bool:
        """The current request comes from somebody who may listen."""
        return g.person is not None

    def still(self, person: Person) -> bool:
        """What let this person in does so yet."""
        return self._tokens.by_id(person.token_id) is not None if person.token_id else self.open

    def open_session(self, text: str, response: Response) -> None:
        """Give the browser a cookie, since its EventSource cannot send a token. The cookie proves the token without holding it, and dies with it."""
        token = self._tokens.find(text)
        if token is None:
            log.warning("sign-in refused from %s: unknown token", request.remote_addr)
            raise ApiError(401, "token_refused", "this token is not known here", "ask whoever runs gridtone for a token")
        session = self._sessions.dumps(token.id)
        assert isinstance(session, str)
        response.set_cookie(COOKIE, session, max_age=SESSION_SECONDS, httponly=True, samesite="Strict", secure=request.is_secure)

    def _who(self) -> Person | None:
        if self.open:
            # A proxy on this machine brings people from elsewhere: they may listen, as they always could, but not be taken for whoever sits here.
            forwarded = any(name in request.headers for name in ("Forwarded", "Via", "X-Forwarded-For", "X-Real-Ip"))
            return Person("forwarded", "listener") if forwarded else Person("local", "admin")
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = self._tokens.find(text.strip()) if scheme.lower() == "bearer" else self._signed_in()
        return Person(token.name, token.role, token.id) if token else None

    def _signed_in(self) -> Token | None:
        try:
            return self._tokens.by_id(str(self._sessions.loads(request.cookies.get(COOKIE, ""), max_age=SESSION_SECONDS)))
        except BadSignature:
            return None

    def _admit(self) -> Response | None:
        g.person = None
        if self.open and _host_name(request.host) not in self._own_names:
            # Without a token, a web page elsewhere could rebind its own host name to this machine and read the API; with one it has nothing to show.
            raise ApiError(
                421,
                "wrong_host",
                f"this server does not answer for the host {request.host!r}",
                "open it as http://127.0.0.1, or make a token to serve other names",
            )
        if request.method == "OPTIONS":
            return Response(status=204)
        g.person = self._who()
        if request.method not in ("GET", "HEAD") and not self._own_page_asks():
            raise ApiError(403, "foreign_page", "a web page from elsewhere asked for this", "do it on gridtone's own page, or send a token without an Origin")
        role = role_needed(request.endpoint) if request.endpoint else None
        if role is None:
            return None
        if g.person is None:
            log.warning("refused %s %s from %s: no valid token", request.method, request.path, request.remote_addr)
            raise ApiError(401, "token_needed", "this needs a valid token", "send `Authorization: Bearer <token>`, or sign in on the page")
        if not g.person.may(role):
            log.warning("refused %s %s: %s has the role %s and it takes %s", request.method, request.path, g.person.name, g.person.role, role)
            raise ApiError(
                403,
                "role_needed",
                f"this takes the role {role}, and {g.person.name} has the role {g.person.role}",
                f"`gridtone token create NAME --role {role}` makes a token that may",
            )
        return None

    def _own_page_asks(self) -> bool:
        """No page of another origin changes anything in the name of whoever has it open: not with a cookie, nor on a loopback without tokens."""
        if (site := request.headers.get("Sec-Fetch-Site")) is not None:
            return site in ("same-origin", "none")
        origin = request.headers.get("Origin")
        return origin is None or origin.partition("://")[2] == request.host

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


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # such as a bracket that never closes
        return ""


def _secret(folder: Path | None) -> str:
    """What sessions are signed with: kept beside the tokens, so that a restart of the service signs nobody out."""
    if folder is None:
        return secrets.token_hex(32)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "session-key"
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    secret = path.read_text(encoding="ascii")
    if len(secret) < 64:
        raise ValueError(f"{path} is damaged: remove it, and everybody signs in anew")
    return secret
