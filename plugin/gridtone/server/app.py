"""The Flask application over a running service."""

import logging
from pathlib import Path

from flask import Flask, Response, request
from prometheus_client import Counter
from werkzeug.exceptions import HTTPException

from gridtone.server.access import Access
from gridtone.server.answers import ApiError, StrictJson, error_answer
from gridtone.server.api import create_api
from gridtone.server.backend import Backend
from gridtone.server.rules_api import add_rules_routes
from gridtone.server.settings import ServerSettings
from gridtone.server.stream import Streams

log = logging.getLogger(__name__)

REQUESTS = Counter("gridtone_http_requests", "HTTP requests answered", ["endpoint", "status"])
LARGEST_BODY_BYTES = 16 * 1024


def create_app(backend: Backend, settings: ServerSettings, folder: Path | None = None) -> Flask:
    """An application that serves `backend`. `folder` is the data folder, which the tokens are in. Raises ValueError or OSError where tokens cannot be used."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.json = StrictJson(app)
    app.extensions["gridtone"] = backend
    access = Access(settings, folder, backend.audit)
    access.guard(app)
    api = create_api(backend, access, Streams(backend, settings.max_listeners))
    add_rules_routes(api, backend)
    app.register_blueprint(api)
    app.register_error_handler(ApiError, error_answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(_count)
    return app


def _http_error(error: HTTPException) -> Response:
    code = error.name.lower().replace(" ", "_")
    response = error_answer(ApiError(error.code or 500, code, error.description or error.name, "docs/http-api.md lists what this server answers"))
    for name, text in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = text
    return response


def _unexpected(error: Exception) -> Response:
    log.error("%s %r failed", request.method, request.path, exc_info=error)
    return error_answer(ApiError(500, "internal_error", "the service failed to answer", "the service's log says why"))


def _count(response: Response) -> Response:
    REQUESTS.labels((request.endpoint or "none").removeprefix("api."), response.status_code).inc()
    return response
