"""The headers that keep the page's own code the only code in it, and other sites' pages out."""

import time
from collections.abc import Collection

from flask import Response, request

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


def add_headers(response: Response, origins: Collection[str]) -> Response:
    """`origins` are those whose pages may read the answer to the current request."""
    response.headers.update(SECURITY_HEADERS)
    response.headers["X-Gridtone-Time"] = f"{time.time():.3f}"
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if origins:
        response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "ETag, X-Gridtone-Time"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Last-Event-ID, Range"
            response.headers["Access-Control-Max-Age"] = "600"
    return response
