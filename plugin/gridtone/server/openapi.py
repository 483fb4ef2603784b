"""The API described for machines: an OpenAPI 3.1 document made from the routes and from the dataclasses that they answer with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from flask import Flask, Response
from pydantic import TypeAdapter

from gridtone.server.answers import Error, Heartbeat

View = Callable[..., Response]

ERRORS = {
    400: "A parameter is wrong",
    401: "A valid token is needed",
    403: "The token's role does not suffice, or a foreign page asks",
    404: "There is no such thing",
    409: "Somebody else changed it meanwhile, or there is nothing to compare with yet",
    413: "The body is too large",
    416: "The range cannot be served",
    421: "Another host name than this machine's, without a token",
    422: "The rules have mistakes",
    429: "Too many requests, or too many wrong tokens; Retry-After says when to come again",
    500: "The service failed to answer; its log says why",
    503: "Not now",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: Literal["path", "query", "header"]
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    summary: str
    answers: type | None
    content: str | None
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    statuses: Mapping[int, str] = field(default_factory=dict)
    """Further statuses that are no errors."""
    errors: tuple[int, ...] = ()


OPERATIONS: dict[str, Operation] = {}
"""By the name of the view function."""


def describe(
    summary: str,
    *,
    answers: type | None = None,
    content: str | None = "application/json",
    parameters: tuple[Parameter, ...] = (),
    body: Mapping[str, Any] | None = None,
    statuses: Mapping[int, str] | None = None,
    errors: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Say what a view takes and answers, for the document."""

    def remember(view: View) -> View:
        OPERATIONS[view.__name__] = Operation(summary, answers, content, parameters, body, statuses or {}, errors)
        return view

    return remember


def document(app: Flask, anybody: bool) -> dict[str, Any]:
    """The OpenAPI document of every described route of `app`; `anybody`: nobody needs a token."""
    kinds = {operation.answers for operation in OPERATIONS.values() if operation.answers not in (None, dict)} | {Error, Heartbeat}
    references, schemas = TypeAdapter.json_schemas([(kind, "serialization", TypeAdapter(kind)) for kind in kinds], ref_template="#/components/schemas/{model}")
    schema_of: dict[type | None, Any] = {kind: references[kind, "serialization"] for kind in kinds}
    schema_of[dict] = {"type": "object"}
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        operation = OPERATIONS.get(rule.endpoint.removeprefix("api."))
        if operation is None or not rule.endpoint.startswith("api."):
            continue
        path = rule.rule.replace("<", "{").replace(">", "}")
        [method] = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        paths.setdefault(path, {})[method.lower()] = _operation(rule.endpoint, operation, schema_of, app.view_functions[rule.endpoint])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gridtone",
            "version": version("gridtone"),
            "description": "The state of a power grid, and the music that follows it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "gridtone_session"},
            },
        },
        "security": [{"token": []}, {"session": []}, *([{}] if anybody else [])],
    }


def _operation(endpoint: str, operation: Operation, schema_of: Mapping[type | None, Any], view: Any) -> dict[str, Any]:
    role = getattr(view, "needs", "listener")
    public = role is None and not getattr(view, "admits_itself", False)
    responses: dict[str, Any] = {}
    content: dict[str, Any] = {}
    if operation.answers is not None:
        content = {"application/json": {"schema": schema_of[operation.answers]}}
    elif operation.content is not None:
        content = {operation.content: {}}
    good = {200: "OK", **operation.statuses} if operation.content is not None else operation.statuses
    for status, meaning in good.items():
        responses[str(status)] = {"description": meaning} | ({"content": content} if content and status != 304 else {})
    refusals = () if public else (401, *((403,) if operation.body is not None or role != "listener" else ()))
    too_large = (413,) if operation.body is not None else ()
    for status in (*operation.errors, *refusals, *too_large, 421, 429, 500):
        responses.setdefault(str(status), {"description": ERRORS[status], "content": {"application/json": {"schema": schema_of[Error]}}})
    described: dict[str, Any] = {
        "operationId": endpoint.removeprefix("api."),
        "summary": operation.summary,
        "parameters": [
            {"name": p.name, "in": p.place, "required": p.place == "path", "schema": dict(p.schema), "description": p.description} for p in operation.parameters
        ],
        "responses": responses,
    }
    if public:
        described["security"] = []
    elif role not in (None, "listener"):
        described["description"] = f"Takes the role {role}."
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(operation.body)}}}
    return described
