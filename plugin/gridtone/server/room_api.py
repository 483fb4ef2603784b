"""The routes of the control room: alarms, and the push-to-mute hook for radio and phone."""

import hmac
import re
from collections.abc import Callable

from flask import Response, g, request

from gridtone.alarms import AlarmsView
from gridtone.person import Person
from gridtone.server.access import admits_itself
from gridtone.server.answers import ApiError, answer
from gridtone.server.backend import Backend
from gridtone.server.openapi import Parameter, describe
from gridtone_adapters.security import SetupError

View = Callable[..., Response]
LONGEST_NAME = 64
NAME = re.compile(r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$")
"""A line of text."""

DESK = Parameter("desk", "query", {"type": "string"}, "The listener's desk, one of `room.desks` in the settings: its music is turned down as said there.")


def asked_desk(backend: Backend) -> str | None:
    """The desk that the current request names. Raises ApiError for one that the site does not list."""
    desk = request.args.get("desk")
    if desk is not None and desk not in backend.desks():
        known = ", ".join(sorted(backend.desks())) or "none"
        raise ApiError(404, "unknown_desk", f"no desk is called {desk!r}; known: {known}", "name one of `room.desks` in the site's settings")
    return desk


def add_room(route: Callable[..., Callable[[View], View]], backend: Backend) -> None:
    """Add the routes to an API."""

    @route("/api/v1/alarms")
    @describe("The alarms that are not cleared, the gravest first, and whether the room keeps the music silent.", answers=AlarmsView)
    def alarms() -> Response:
        return answer(backend.alarms())

    @route("/api/v1/speech", "POST")
    @describe(
        "Push to mute, for radio and phone: silence while the key is pressed. Takes the site's speech token, or an editor's.",
        content=None,
        body={
            "type": "object",
            "properties": {
                "pressed": {"type": "boolean"},
                "name": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": LONGEST_NAME,
                    "pattern": NAME.pattern,
                    "description": "Which radio or phone; `speech` unless given.",
                },
            },
            "required": ["pressed"],
            "additionalProperties": False,
        },
        statuses={204: "Done"},
        errors=(400, 401, 503),
    )
    @admits_itself
    def speech() -> Response:
        _admit_speech(backend)
        body = request.get_json(silent=True)
        name = body.get("name", "speech") if isinstance(body, dict) else None
        if not isinstance(body, dict) or type(body.get("pressed")) is not bool or set(body) - {"pressed", "name"}:
            raise ApiError(400, "bad_body", "the body is not JSON that says whether the key is pressed", 'send {"pressed": true, "name": "radio 1"}')
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not NAME.fullmatch(name):
            raise ApiError(400, "bad_body", "`name` is not a name", f"write 1 to {LONGEST_NAME} characters, such as radio 1")
        if not backend.speak(name, body["pressed"]):
            raise ApiError(503, "too_many_keys", "too many keys are held at once", "release those that nobody holds")
        return Response(status=204)


def _admit_speech(backend: Backend) -> None:
    """Raises ApiError unless the current request brings the speech token, or comes from an editor."""
    asking = g.person
    if isinstance(asking, Person) and asking.may("editor"):
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        known = backend.speech_token()
    except SetupError as error:
        raise ApiError(503, "no_speech_token", "the speech token cannot be read", str(error)) from None
    if known and scheme.lower() == "bearer" and hmac.compare_digest(known.encode(), token.strip().encode()):
        return
    raise ApiError(
        401, "token_needed", "this needs the speech token, or an editor's", "send the one that `room.speech.token` names: `Authorization: Bearer <token>`"
    )
