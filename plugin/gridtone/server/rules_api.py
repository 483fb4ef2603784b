"""The routes of the rules page."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, request

from gridtone.documents import DocumentError
from gridtone.editing.views import Checked, Comparison, ConflictError, CurrentRules, HelperError, NoReadingsError, RefusedError
from gridtone.library.errors import LibraryError
from gridtone.library.rules_version import RulesVersion, VersionLine
from gridtone.rules import Rules
from gridtone.server.access import needs, person
from gridtone.server.answers import ApiError, answer
from gridtone.server.backend import Backend
from gridtone.server.openapi import Parameter, describe

LARGEST_RULES_BYTES = 1_000_000
LONGEST_REASON = 500
MOST_VERSIONS = 200
MOST_NUMBER = 2**53

SAYS_SOMETHING = re.compile(r"[^\s\u0000-\u001f\u007f-\u009f]")
TEXT = {"type": "string", "description": "A whole file of rules."}
BASE = {"type": "string", "description": "`fingerprint` of the rules that were edited: a save over newer ones is refused."}
REASON = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_REASON,
    "pattern": SAYS_SOMETHING.pattern,
    "description": "Why, for those who read the versions.",
}
NUMBER = Parameter("number", "path", {"type": "integer", "minimum": 1}, "The version's number.")


@dataclass(frozen=True, slots=True)
class RulesAnswer:
    rules: CurrentRules
    person: str
    """Who asks."""
    may_edit: bool


@dataclass(frozen=True, slots=True)
class Versions:
    versions: tuple[VersionLine, ...]
    next_before: int | None
    """Pass it as `before` for the next page; None on the last."""


def add_rules_routes(api: Blueprint, backend: Backend) -> None:
    desk = backend.rules_desk

    def route(path: str, method: str = "GET") -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        return api.route(path, methods=[method])

    @route("/rules")
    @describe("The page on which rules are edited.", content="text/html")
    @needs(None)
    def rules_page() -> Response:
        return current_app.send_static_file("rules.html")

    @route("/api/v1/rules")
    @describe("The rules as they are saved, good or not.", answers=RulesAnswer, errors=(503,))
    def rules() -> Response:
        with _explained():
            return answer(RulesAnswer(desk.current(), person().name, person().may("editor")))

    @route("/api/v1/rules/schema")
    @describe("The JSON Schema of a file of rules, for completion.", answers=dict)
    def rules_schema() -> Response:
        return answer(Rules.model_json_schema())

    @route("/api/v1/rules", "PUT")
    @needs("editor")
    @describe(
        "Save rules, if they are good; the service takes them over within two seconds.",
        answers=RulesVersion,
        body=_body(text=TEXT, base=BASE, reason=REASON),
        errors=(400, 409, 422, 503),
    )
    def save_rules() -> Response:
        asked = _asked("text", "base", "reason")
        return _saved(asked["text"], asked["base"], asked["reason"])

    @route("/api/v1/rules/check", "POST")
    @needs("editor")
    @describe(
        "Every mistake in rules with its place and the likely fix; of good ones, what is hardly meant.",
        answers=Checked,
        body=_body(text=TEXT),
        errors=(400, 503),
    )
    def check_rules() -> Response:
        with _explained():
            return answer(desk.check(_asked("text")["text"]))

    @route("/api/v1/rules/replay", "POST")
    @needs("editor")
    @describe(
        "The last hours of readings under the saved rules and under others. Takes seconds.",
        answers=Comparison,
        body=_body(text=TEXT),
        errors=(400, 409, 422, 503),
    )
    def replay_rules() -> Response:
        with _explained():
            return answer(desk.compare(_asked("text")["text"]))

    @route("/api/v1/rules/versions")
    @describe(
        "Every version of the rules, newest first.",
        answers=Versions,
        parameters=(
            Parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": MOST_VERSIONS, "default": 50}, "Versions a page."),
            Parameter(
                "before",
                "query",
                {"type": "integer", "minimum": 1, "maximum": MOST_NUMBER},
                "Only versions with a lower number: `next_before` of the page before.",
            ),
        ),
        errors=(400,),
    )
    def rules_versions() -> Response:
        limit, before = _whole("limit", 50, MOST_VERSIONS), _whole("before", None, MOST_NUMBER)
        page = desk.versions(limit or MOST_VERSIONS, before)
        return answer(Versions(tuple(page), page[-1].number if len(page) == limit else None))

    @route("/api/v1/rules/versions/<number>")
    @describe("One version of the rules, with its text.", answers=RulesVersion, parameters=(NUMBER,), errors=(404,))
    def rules_version(number: str) -> Response:
        return answer(known(number))

    @route("/api/v1/rules/versions/<number>/restore", "POST")
    @needs("editor")
    @describe(
        "Save a version again, as a new one, if it is still good.",
        answers=RulesVersion,
        parameters=(NUMBER,),
        body=_body(base=BASE, reason=REASON),
        errors=(400, 404, 409, 422, 503),
    )
    def restore_rules(number: str) -> Response:
        asked = _asked("base", "reason")
        version = known(number)
        return _saved(version.text, asked["base"], asked["reason"], version.number)

    def known(number: str) -> RulesVersion:
        version = desk.version(int(number)) if number.isascii() and number.isdigit() and len(number) < 16 else None
        if version is None:
            raise ApiError(404, "no_such_version", f"there is no version {number[:20]} of the rules", "/api/v1/rules/versions lists them")
        return version

    def _saved(text: str, base: str, reason: str, restores: int | None = None) -> Response:
        with _explained():
            version = desk.save(text, base, person().name, reason, restores)
            name = desk.current().name
        detail = {"version": version.number, "reason": reason} | ({"restores": restores} if restores else {})
        backend.audit.record(person(), "rules_saved", name, detail)
        return answer(version)


_TOLD: dict[type[Exception], tuple[int, str, str]] = {
    ConflictError: (409, "changed_meanwhile", "fetch the rules again and look at the difference"),
    NoReadingsError: (409, "no_readings", "readings are kept from the start of the service on, unless library.readings_hours is 0"),
    RefusedError: (422, "rules_refused", "/api/v1/rules/check says everything that is wrong"),
    DocumentError: (422, "rules_refused", "/api/v1/rules/check says everything that is wrong"),
    HelperError: (503, "helper_failed", "try again; the service's log may say more"),
    LibraryError: (503, "not_kept", "nothing was saved"),
    OSError: (503, "file_unusable", "see that gridtone may read and write the file of the rules"),
}


@contextmanager
def _explained() -> Iterator[None]:
    """What the desk refuses, told to whoever asked."""
    try:
        yield
    except tuple(_TOLD) as error:
        status, code, hint = next(told for kind, told in _TOLD.items() if isinstance(error, kind))
        raise ApiError(status, code, str(error), hint) from error


def _body(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _asked(*names: str) -> dict[str, str]:
    """The texts that the body holds."""
    request.max_content_length = LARGEST_RULES_BYTES
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or body.keys() != set(names) or not all(isinstance(text, str) for text in body.values()):
        raise ApiError(400, "bad_body", f"the body is not JSON with the texts {', '.join(names)}", "docs/http-api.md shows one")
    if len(reason := body.get("reason", "-")) > LONGEST_REASON or not SAYS_SOMETHING.search(reason):
        raise ApiError(400, "bad_body", f"the reason is empty or longer than {LONGEST_REASON} characters", "say in a line why the rules change")
    return body


def _whole(name: str, default: int | None, most: int) -> int | None:
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise ApiError(400, "bad_parameter", f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)
