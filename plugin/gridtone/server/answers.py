"""How answers and errors look as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Response
from flask.json.provider import DefaultJSONProvider

from gridtone.library.audit import AuditEntry
from gridtone.library.listening import Feedback, Play
from gridtone.library.track import Track
from gridtone.person import Role
from gridtone.server.backend import StateSpan, StateView
from gridtone.stock.view import ForecastView
from gridtone.trend import SignalTrend
from gridtone_adapters import Health


@dataclass(frozen=True, slots=True)
class States:
    states: Sequence[StateView]
    rules_problem: str
    """Why the newest save of the rules file is not in use; empty when it is."""
    forecast: ForecastView
    """Which states the grid may enter next, as far as the stock looks ahead."""


@dataclass(frozen=True, slots=True)
class History:
    start: float
    end: float
    spans: Sequence[StateSpan]


@dataclass(frozen=True, slots=True)
class Signals:
    start: float
    end: float
    signals: Sequence[SignalTrend]


@dataclass(frozen=True, slots=True)
class Plays:
    start: float
    end: float
    plays: Sequence[Play]


@dataclass(frozen=True, slots=True)
class Feedbacks:
    start: float
    end: float
    feedback: Sequence[Feedback]


@dataclass(frozen=True, slots=True)
class Tracks:
    tracks: Sequence[Track]
    next_before: float | None
    """Pass it as `before` for the next page; None on the last."""


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    """Of audio, relative to this service; it needs no token."""
    expires: float


@dataclass(frozen=True, slots=True)
class Asking:
    name: str
    """Of the token; `local` on a loopback that has no tokens."""
    role: Role


@dataclass(frozen=True, slots=True)
class AuditEntries:
    entries: Sequence[AuditEntry]
    next_before: int | None
    """Pass it as `before` for the next page; None on the last."""


@dataclass(frozen=True, slots=True)
class Adapters:
    adapters: Sequence[Health]


@dataclass(frozen=True, slots=True)
class Readiness:
    ready: bool
    missing: Sequence[str]
    """What is missing before listeners can be served; only told to those who may read the API."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    time: float
    """The service's clock, seconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    code: str
    """A fixed word for programs."""
    message: str
    """What is wrong."""
    hint: str
    """What to do."""


@dataclass(frozen=True, slots=True)
class Error:
    error: ErrorDetail


class ApiError(Exception):
    """Becomes an error answer with that HTTP status."""

    def __init__(self, status: int, code: str, message: str, hint: str = "", retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_seconds = retry_seconds
        self.detail = ErrorDetail(code, message, hint)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class StrictJson(DefaultJSONProvider):
    """Reads bodies: text that no database could keep (half a surrogate pair), NaN and bottomless nesting are no JSON."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Raises ValueError."""
        try:
            return msgspec.json.decode(s)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def to_json(value: Any) -> bytes:
    """One line of JSON for dataclasses and plain data. A NaN becomes null."""
    return _encoder.encode(value)


def answer(value: Any, status: int = 200) -> Response:
    response = Response(to_json(value), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def error_answer(error: ApiError) -> Response:
    response = answer(Error(error.detail), error.status)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="gridtone"'
    if error.retry_seconds:
        response.headers["Retry-After"] = str(math.ceil(error.retry_seconds))
    return response
