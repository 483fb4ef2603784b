"""The routes by which a browser signs in and out, and learns as whom."""

from collections.abc import Callable

from flask import Response, request

from gridtone.server.access import Access, needs, person
from gridtone.server.answers import ApiError, Asking, answer
from gridtone.server.openapi import describe

View = Callable[..., Response]


def add_sessions(route: Callable[..., Callable[[View], View]], access: Access) -> None:
    """Add the routes to an API."""

    @route("/api/v1/session")
    @describe("Who asks, and what they may.", answers=Asking)
    def session() -> Response:
        return answer(Asking(person().name, person().role))

    @route("/api/v1/session", "POST")
    @describe(
        "Sign a browser in: sets an HttpOnly cookie that stands for the token.",
        content=None,
        body={"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"], "additionalProperties": False},
        statuses={204: "Signed in"},
        errors=(400, 401, 403),
    )
    @needs(None)
    def open_session() -> Response:
        body = request.get_json(silent=True)  # a foreign page cannot send JSON without CORS, so this also keeps forged sign-ins out
        if not isinstance(body, dict) or not isinstance(body.get("token"), str):
            raise ApiError(400, "bad_body", "the body is not JSON with a token", 'send {"token": "..."} as application/json')
        response = Response(status=204)
        if not access.open:
            access.open_session(body["token"], response)
        return response

    @route("/api/v1/session", "DELETE")
    @describe("Sign this browser out.", content=None, statuses={204: "Signed out"}, errors=(403,))
    @needs(None)
    def close_session() -> Response:
        response = Response(status=204)
        access.close_session(response)
        return response
