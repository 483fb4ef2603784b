"""The routes."""

import math
import re
import time
from collections.abc import Callable
from typing import cast

from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.wsgi import wrap_file

from gridtone.cue import Cue, at_desk
from gridtone.library.errors import LibraryError
from gridtone.library.track import Track
from gridtone.rules.explanation import Explanation
from gridtone.rules.standing import Standing
from gridtone.server.access import Access, needs, person
from gridtone.server.answers import Adapters, ApiError, AuditEntries, Feedbacks, History, Link, Plays, Readiness, Signals, States, Tracks, answer
from gridtone.server.backend import Backend, Codec, SamplerView
from gridtone.server.openapi import Parameter, describe, document
from gridtone.server.room_api import DESK, add_room, asked_desk
from gridtone.server.session_api import add_sessions
from gridtone.server.signing import LINK_SECONDS
from gridtone.server.stream import Streams, refuse_stalled
from gridtone.trend import KEPT_HOURS, STEP_SECONDS
from gridtone_adapters import Health

AUDIO_TYPES = {"opus": "audio/ogg; codecs=opus", "flac": "audio/flac"}
MOST_HOURS = 24 * 31
MOST_ROWS = 500
MOST_TIME = 1e11
MOST_NUMBER = 2**53
LONGEST_REASON = 500
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

LIMIT = Parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": 50}, "Rows a page.")
TRACK_ID = Parameter("id", "path", {"type": "string"}, "The track's id: the SHA-256 of its FLAC file, hexadecimal.")
CODEC = Parameter("codec", "query", {"type": "string", "enum": list(AUDIO_TYPES), "default": "opus"}, "opus is small; flac is exact.")
HOURS = Parameter("hours", "query", {"type": "number", "minimum": 0.01, "maximum": MOST_HOURS, "default": 24}, "How far back.")


def create_api(backend: Backend, access: Access, streams: Streams) -> Blueprint:
    api = Blueprint("api", __name__)

    def route(path: str, method: str = "GET") -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        return api.route(path, methods=[method])

    def known(track_id: str) -> Track:
        track = backend.track(track_id) if track_id.isalnum() else None
        if track is None:
            raise ApiError(404, "no_such_track", "no track has this id", "the library may have retired it; /api/v1/tracks lists what is there")
        return track

    @route("/")
    @describe("The player.", content="text/html")
    @needs(None)
    def player() -> Response:
        return current_app.send_static_file("index.html")

    @route("/api/v1/state")
    @describe("The grid's state and why it is in it, with the ages of its signals as of now.", answers=Standing, errors=(503,))
    def state() -> Response:
        refuse_stalled(backend)
        return answer(backend.standing())

    @route("/api/v1/explain")
    @describe("Every state of the rules with what speaks for it and against it, and every signal, as of now.", answers=Explanation)
    def explain() -> Response:
        return answer(backend.explain())

    @route("/api/v1/cue")
    @describe("What every listener does now.", answers=Cue, parameters=(DESK,), errors=(404, 503))
    def cue() -> Response:
        refuse_stalled(backend)
        return answer(at_desk(backend.cue(), asked_desk(backend), backend.desks()))

    @route("/api/v1/events")
    @describe(
        "Server-sent events: `heartbeat` (every 2 s), `state`, `cue`, `stock`, `rules`, `adapters`, `alarms`. The current state, alarms and cue come first.",
        content="text/event-stream",
        parameters=(DESK, Parameter("Last-Event-ID", "header", {"type": "string"}, "Resume after this event; one that is not known misses nothing new.")),
        errors=(404, 503),
    )
    def events() -> Response:
        listener = person()
        return streams.open(lambda: access.still(listener), asked_desk(backend))

    @route("/api/v1/states")
    @describe("Every state of the rules, with its stock of tracks, and which are likely next.", answers=States)
    def states() -> Response:
        return answer(States(backend.states(), backend.rules_problem(), backend.forecast()))

    @route("/api/v1/history")
    @describe(
        "The states of the last hours, oldest first.",
        answers=History,
        parameters=(HOURS,),
        errors=(400,),
    )
    def history() -> Response:
        start, end = _last_hours()
        return answer(History(start, end, backend.history(start, end)))

    @route("/api/v1/signals")
    @describe(
        f"Every signal of the rules, sampled every {STEP_SECONDS:g} s; the last {KEPT_HOURS:g} hours since the service started are kept.",
        answers=Signals,
        parameters=(HOURS, Parameter("signal", "query", {"type": "array", "items": {"type": "string"}}, "Only these signals; may be repeated.")),
        errors=(400,),
    )
    def signals() -> Response:
        start, end = _last_hours()
        wanted = set(request.args.getlist("signal"))
        return answer(Signals(start, end, [trend for trend in backend.signals(start, end) if not wanted or trend.name in wanted]))

    @route("/api/v1/plays")
    @describe("What was played in the last hours, oldest first.", answers=Plays, parameters=(HOURS,), errors=(400,))
    def plays() -> Response:
        start, end = _last_hours()
        return answer(Plays(start, end, backend.plays(start, end)))

    @route("/api/v1/feedback")
    @describe("What listeners thought of tracks in the last hours, oldest first.", answers=Feedbacks, parameters=(HOURS,), errors=(400,))
    def feedback() -> Response:
        start, end = _last_hours()
        return answer(Feedbacks(start, end, backend.feedback(start, end)))

    @route("/api/v1/tracks")
    @describe(
        "Tracks of the library, newest first.",
        answers=Tracks,
        parameters=(
            Parameter("state", "query", {"type": "string"}, "Only tracks made for this state."),
            LIMIT,
            Parameter(
                "before",
                "query",
                {"type": "number", "minimum": 0, "maximum": MOST_TIME},
                "Only tracks made before this time: `next_before` of the page before.",
            ),
        ),
        errors=(400,),
    )
    def tracks() -> Response:
        limit = _whole("limit", 50, MOST_ROWS)
        before = _number("before", 0, least=0, most=MOST_TIME) if "before" in request.args else None
        state = request.args.get("state")
        page = backend.tracks(state, limit, before) if state is None or "\0" not in state else []  # PostgreSQL has no such text
        return answer(Tracks(page, page[-1].created if len(page) == limit else None))

    @route("/api/v1/tracks/<id>")
    @describe("One track.", answers=Track, parameters=(TRACK_ID,), errors=(404,))
    def track(id: str) -> Response:  # noqa: A002
        return answer(known(id))

    @route("/api/v1/tracks/<id>/audio")
    @describe(
        "A track's audio, whole or one range of it. It never changes: cache it for ever.",
        content="audio/ogg",
        parameters=(
            TRACK_ID,
            CODEC,
            Parameter("Range", "header", {"type": "string"}, "One range: `bytes=0-999`, `bytes=1000-` or `bytes=-500`."),
            *(Parameter(name, "query", {"type": "string"}, "Of a link, instead of a token.") for name in ("expires", "by", "signature")),
        ),
        statuses={206: "The range asked for", 304: "Not modified"},
        errors=(400, 403, 404, 416),
    )
    def audio(id: str) -> Response:  # noqa: A002
        codec = _codec()
        opened = backend.open_audio(known(id).id, codec)
        if opened is None:
            other = "flac" if codec == "opus" else "opus"
            raise ApiError(404, "no_audio", f"the store has no {codec} audio of this track", f"ask for codec={other}")
        file, size = opened
        response = Response(wrap_file(request.environ, file), mimetype=AUDIO_TYPES[codec], direct_passthrough=True)
        response.call_on_close(file.close)
        response.content_length = size
        response.set_etag(f"{id}-{codec}")
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        try:
            return cast(Response, response.make_conditional(request, accept_ranges=True, complete_length=size))
        except Exception:
            response.close()
            raise

    @route("/api/v1/tracks/<id>/link")
    @describe(
        f"A link to a track's audio for what cannot send a header, such as an audio element: good for {LINK_SECONDS // 60} minutes, and as long as your token.",
        answers=Link,
        parameters=(TRACK_ID, CODEC),
        errors=(400, 404),
    )
    def link(id: str) -> Response:  # noqa: A002
        query, expires = access.link(known(id).id, _codec())
        return answer(Link(f"/api/v1/tracks/{id}/audio?{query}", expires))

    @route("/api/v1/tracks/<id>/feedback", "POST")
    @describe(
        "Say what you think of a track: `thumb` 1 is up, -1 is down.",
        content=None,
        parameters=(TRACK_ID,),
        body={
            "type": "object",
            "properties": {"thumb": {"enum": [1, -1]}, "reason": {"type": "string", "maxLength": LONGEST_REASON}},
            "required": ["thumb"],
            "additionalProperties": False,
        },
        statuses={204: "Kept"},
        errors=(400, 404, 503),
    )
    def give_feedback(id: str) -> Response:  # noqa: A002
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or body.get("thumb") not in (1, -1) or body["thumb"] is True or not isinstance(body.get("reason", ""), str):
            raise ApiError(400, "bad_body", "the body is not JSON with a thumb of 1 or -1", 'send {"thumb": -1, "reason": "too loud"} as application/json')
        heard = known(id)
        access.count_feedback()
        try:
            backend.record_feedback(heard.id, int(body["thumb"]), body.get("reason", "")[:LONGEST_REASON].replace("\0", ""))
        except LibraryError as error:
            raise ApiError(503, "not_kept", str(error), "say it again later") from error
        return Response(status=204)

    add_room(route, backend)

    @route("/api/v1/sampler")
    @describe("What the sampler is doing.", answers=SamplerView)
    def sampler() -> Response:
        return answer(backend.sampler())

    @route("/api/v1/adapters")
    @describe("The sources of telemetry and what they refused.", answers=Adapters)
    def adapters() -> Response:
        return answer(Adapters(list[Health](backend.adapters())))

    add_sessions(route, access)

    @route("/audit")
    @describe("The page of the audit log.", content="text/html")
    @needs(None)
    def audit_page() -> Response:
        return current_app.send_static_file("audit.html")

    @route("/api/v1/audit")
    @describe(
        "Who changed what, newest first: the audit log.",
        answers=AuditEntries,
        parameters=(
            LIMIT,
            Parameter(
                "before",
                "query",
                {"type": "integer", "minimum": 1, "maximum": MOST_NUMBER},
                "Only entries below this number: `next_before` of the page before.",
            ),
        ),
        errors=(400,),
    )
    @needs("admin")
    def audit() -> Response:
        limit = _whole("limit", 50, MOST_ROWS)
        before = _whole("before", 1, MOST_NUMBER) if "before" in request.args else None
        page = backend.audit.entries(limit, before)
        return answer(AuditEntries(page, page[-1].number if len(page) == limit else None))

    @route("/api/v1/openapi.json")
    @describe("This API, described for machines (OpenAPI 3.1).", answers=dict)
    def openapi() -> Response:
        return answer(document(current_app, access.open))

    @route("/healthz")
    @describe("The service runs; 503 when it stands still and should be restarted.", content="text/plain", statuses={503: "Stands still"})
    @needs(None)
    def healthz() -> Response:
        alive = backend.alive()
        return Response("ok\n" if alive else "stalled\n", 200 if alive else 503, mimetype="text/plain")

    @route("/readyz")
    @describe("Listeners can be served; 503 while something is missing.", answers=Readiness, statuses={503: "Not ready"})
    @needs(None)
    def readyz() -> Response:
        missing = backend.not_ready()
        return answer(Readiness(not missing, tuple(missing) if access.granted() else ()), 503 if missing else 200)

    @route("/metrics")
    @describe("Figures for Prometheus.", content="text/plain")
    def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    return api


def _codec() -> Codec:
    codec = request.args.get("codec", "opus")
    if codec not in AUDIO_TYPES:
        raise ApiError(400, "bad_parameter", f"codec {codec!r} is not offered", f"ask for {' or '.join(AUDIO_TYPES)}")
    return cast(Codec, codec)


def _last_hours() -> tuple[float, float]:
    end = time.time()
    return end - _number("hours", 24.0, least=0.01, most=MOST_HOURS) * 3600, end


def _number(name: str, default: float, least: float, most: float) -> float:
    text = request.args.get(name)
    if text is None:
        return default
    number = float(text) if NUMBER.fullmatch(text) else math.nan
    if not least <= number <= most:
        raise ApiError(400, "bad_parameter", f"{name} must be a number from {least:g} to {most:g}, not {text!r}")
    return number


def _whole(name: str, default: int, most: int) -> int:
    number = _number(name, default, 1, most)
    if number % 1:
        raise ApiError(400, "bad_parameter", f"{name} must be a whole number, not {number}")
    return int(number)
