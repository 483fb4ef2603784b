"""Who may do what: roles, tokens, a session cookie for browsers, signed links, host names, origins, and how often somebody may ask."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request

from gridtone.library.audit import Audit, told
from gridtone.person import Person, Role
from gridtone.server.answers import ApiError
from gridtone.server.headers import add_headers
from gridtone.server.settings import ServerSettings
from gridtone.server.signing import SESSION_SECONDS, Signing
from gridtone.server.throttle import Throttle
from gridtone.server.tokens import Token, Tokens, hash_of

log = logging.getLogger(__name__)

COOKIE = "gridtone_session"
UNCOUNTED = frozenset({"api.healthz", "api.events", "api.audio"})
"""Endpoints that may be asked as often as one likes: a probe, and the music, which must not stop because somebody's page asks too often."""
MINUTE_SECONDS = 60.0
SIGN_INS_A_MINUTE = 60
"""From one address: each is an entry in the audit log, which never shrinks."""
FEEDBACKS_A_MINUTE = 10
"""Of one person: each is kept for months."""
GUESSES_A_MINUTE = 10
"""Different wrong tokens from one address, before only those that `gridtone token` made are looked at."""

View = TypeVar("View", bound=Callable[..., Response])


def needs(role: Role | None) -> Callable[[View], View]:
    """A view for that role and those above it; None: for everybody, since it tells nothing about the grid. Without this, any listener may ask.

    `person()` says who does.
    """

    def mark(view: View) -> View:
        view.needs = role  # type: ignore[attr-defined]
        return view

    return mark


def admits_itself(view: View) -> View:
    """A view that lets in others too, and checks who asks."""
    view.needs, view.admits_itself = None, True  # type: ignore[attr-defined]
    return view


def role_needed(endpoint: str) -> Role | None:
    """The least role that `endpoint` of the current application answers; None where everybody may ask."""
    return None if endpoint == "static" else getattr(current_app.view_functions[endpoint], "needs", "listener")


def person() -> Person:
    """Who makes the current request, of a view that is not for everybody."""
    asking = g.person
    assert isinstance(asking, Person)
    return asking


class Access:
    """Checks every request of an application against the site's settings and tokens."""

    def __init__(self, settings: ServerSettings, folder: Path | None, audit: Audit) -> None:
        """`folder` is the data folder: its tokens are followed and its key keeps sessions over restarts. Raises ValueError or OSError."""
        self._audit = audit
        self._tokens = Tokens(settings, folder, lambda tokens: _tell_tokens(audit, tokens))
        self._signing = Signing(folder)
        self._on_loopback = settings.on_loopback
        self._origins = frozenset(settings.allowed_origins)
        self._own_names = {"localhost", "127.0.0.1", "::1", settings.host}
        self._requests = Throttle(settings.max_requests_a_minute, MINUTE_SECONDS)
        self._sign_ins = Throttle(SIGN_INS_A_MINUTE, MINUTE_SECONDS)
        self._feedbacks = Throttle(FEEDBACKS_A_MINUTE, MINUTE_SECONDS)
        self._guesses = Throttle(GUESSES_A_MINUTE, MINUTE_SECONDS)
        self._wrong = Throttle(1, MINUTE_SECONDS)
        self._told = Throttle(1, 60 * MINUTE_SECONDS)
        if not self._on_loopback and settings.tls_certificate is None:
            log.warning("listening on %s without TLS: tokens travel readable. Set tls_certificate and tls_key, or put a TLS proxy in front", settings.host)

    def guard(self, app: Flask) -> None:
        app.before_request(self._admit)
        app.after_request(self._count_wrong)
        app.after_request(partial(add_headers, origins=self._origins))

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
        if wait := self._sign_ins.count(request.remote_addr):
            hint = "wait as long as Retry-After says"
            raise ApiError(429, "too_many_requests", f"more than {SIGN_INS_A_MINUTE} sign-ins a minute came from here", hint, retry_seconds=wait)
        token = self._find(text)
        if token is None:
            log.warning("sign-in refused from %s: unknown token", request.remote_addr)
            raise ApiError(401, "token_refused", "this token is not known here", "ask whoever runs gridtone for a token")
        cookie = self._signing.session(token.id)
        response.set_cookie(COOKIE, cookie, max_age=SESSION_SECONDS, httponly=True, samesite="Strict", secure=request.is_secure)
        self._audit.record(_holder(token), "signed_in", "page", {"from": request.remote_addr})

    def close_session(self, response: Response) -> None:
        response.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
        if g.person is not None and COOKIE in request.cookies:
            self._audit.record(g.person, "signed_out", "page", {"from": request.remote_addr})

    def link(self, track_id: str, codec: str) -> tuple[str, int]:
        """The query of a link to audio that needs no token, and when it ends. It ends with the token of who asks for it, too."""
        return self._signing.link(track_id, codec, person().token_id)

    def count_feedback(self) -> None:
        """Raises ApiError where who asks has said enough for now."""
        if wait := self._feedbacks.count(person()):
            message = f"more than {FEEDBACKS_A_MINUTE} feedbacks a minute came from {person().name}"
            raise ApiError(429, "too_many_requests", message, "wait as long as Retry-After says", retry_seconds=wait)

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
        self._count()
        if request.method not in ("GET", "HEAD") and not _own_page_asks():
            raise ApiError(403, "foreign_page", "a web page from elsewhere asked for this", "do it on gridtone's own page, or send a token without an Origin")
        role = role_needed(request.endpoint) if request.endpoint else None
        if role is not None:
            self._check(role)
        return None

    def _who(self) -> Person | None:
        if request.endpoint == "api.audio" and "signature" in request.args:
            return self._linked()
        if self.open:
            # A proxy on this machine brings people from elsewhere: they may listen, as they always could, but not be taken for whoever sits here.
            forwarded = any(name in request.headers for name in ("Forwarded", "Via", "X-Forwarded-For", "X-Real-Ip"))
            return Person("forwarded", "listener") if forwarded else Person("local", "admin")
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = self._find(text.strip())
        else:
            token_id = self._signing.signed_in(request.cookies.get(COOKIE, ""))
            token = self._tokens.by_id(token_id) if token_id is not None else None
        return _holder(token) if token else None

    def _linked(self) -> Person:
        """Whoever holds a link may hear what it is for."""
        token_id = self._signing.linked((request.view_args or {})["id"], request.args)
        listener = Person("somebody with a link", "listener", token_id or "")
        if token_id is None or not self.still(listener):
            raise ApiError(403, "link_refused", "this link has ended, or is for something else", "ask /api/v1/tracks/<id>/link for a new one")
        return listener

    def _find(self, text: str) -> Token | None:
        """The token that reads so. After too many wrong ones from an address only one that nobody can guess, so that others behind a proxy do not suffer."""
        token = self._tokens.find(text)
        wait = self._guesses.wait_seconds(request.remote_addr)
        if wait and (token is None or not token.random):
            hint = "wait as long as Retry-After says"
            raise ApiError(429, "too_many_guesses", f"too many wrong tokens came from {request.remote_addr}", hint, retry_seconds=wait)
        g.offered = hash_of(text)
        return token

    def _count_wrong(self, response: Response) -> Response:
        """The same wrong token again is somebody's old one; ever others are guesses."""
        wrong = (request.remote_addr, g.get("offered"))
        if response.status_code == 401 and wrong[1] and not self._wrong.count(wrong):
            self._guesses.count(request.remote_addr)
            if not self._told.count(wrong):
                self._audit.record(None, "token_refused", request.endpoint or "", {"from": request.remote_addr})
        return response

    def _count(self) -> None:
        who = g.person.token_id if g.person else None
        if request.endpoint not in UNCOUNTED and (wait := self._requests.count((request.remote_addr, who))):
            raise ApiError(
                429,
                "too_many_requests",
                "more requests came from here within a minute than server.max_requests_a_minute allows",
                "wait as long as Retry-After says; /api/v1/events tells changes without being asked",
                retry_seconds=wait,
            )

    def _check(self, role: Role) -> None:
        """Raises ApiError where the current request may not be answered."""
        if g.person is None:
            log.warning("refused %s from %s: no valid token", request.endpoint, request.remote_addr)
            raise ApiError(401, "token_needed", "this needs a valid token", "send `Authorization: Bearer <token>`, or sign in on the page")
        if not g.person.may(role):
            log.warning("refused %s: %s has the role %s and it takes %s", request.endpoint, g.person.name, g.person.role, role)
            if not self._told.count((g.person, request.endpoint)):
                self._audit.record(g.person, "role_refused", request.endpoint or "", {"takes": role, "from": request.remote_addr})
            raise ApiError(
                403,
                "role_needed",
                f"this takes the role {role}, and {g.person.name} has the role {g.person.role}",
                f"`gridtone token create NAME --role {role}` makes a token that may",
            )


def _holder(token: Token) -> Person:
    return Person(token.name, token.role, token.id)


def _own_page_asks() -> bool:
    """No page of another origin changes anything in the name of whoever has it open: not with a cookie, nor on a loopback without tokens."""
    if (site := request.headers.get("Sec-Fetch-Site")) is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # such as a bracket that never closes
        return ""


def _tell_tokens(audit: Audit, tokens: list[str]) -> None:
    """Write down which tokens are in force, if that is news: whoever changed the file by hand shows too."""
    detail = {"tokens": tokens}
    last = audit.last("tokens_in_force")
    if last is None or last.detail != told(detail):
        audit.record(None, "tokens_in_force", "", detail)
