"""Every route, asked for whatever its own description allows and for what it does not; and the port, sent what is hardly HTTP."""

import logging
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi import from_wsgi
from schemathesis.schemas import APIOperation

from gridtone.server import ServerSettings, create_app
from gridtone.server.tokens import TokenFile
from memory_backend import MemoryBackend, chord, running
from waiting import PATIENCE_SECONDS

AGAIN_AND_AGAIN = settings(
    max_examples=20, derandomize=True, deadline=None, database=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck)
)
NOT_REFUSED = ["2xx", "3xx", "401", "403", "404", "409", "416", "422", "429", "503"]
"""What a request that fits its description may be answered: rules may have mistakes, a range may lie beyond its track."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], list[APIOperation]]]:
    """The headers of an admin, and every operation."""
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("FEEDBACKS_A_MINUTE", "GUESSES_A_MINUTE", "SIGN_INS_A_MINUTE"):
            patch.setattr(f"gridtone.server.access.{limit}", 10**9)
        patch.chdir(folder := tmp_path_factory.mktemp("data"))
        headers = {"Authorization": f"Bearer {TokenFile(folder).create('fuzzer', 'admin')}"}
        backend = MemoryBackend()
        backend.add_track(chord([440], 0.1))
        backend.events.close()  # an event stream ends where it would go on for ever
        app = create_app(backend, ServerSettings(max_requests_a_minute=10**9), folder)
        schema = from_wsgi("/api/v1/openapi.json", app, headers=headers)
        schema.config.checks.positive_data_acceptance.expected_statuses = NOT_REFUSED
        yield headers, [operation.ok() for operation in schema.get_all_operations()]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_described(api: tuple[dict[str, str], list[APIOperation]], mode: GenerationMode) -> None:
    headers, operations = api
    failures = []
    for operation in operations:
        try:
            ask(operation, mode, headers)
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing about such an operation can be wrong
        except FailureGroup as error:
            failures.append(f"{operation.label}: {error}")
    assert not failures, "\n".join(failures)


def ask(operation: APIOperation, mode: GenerationMode, headers: dict[str, str]) -> None:
    @AGAIN_AND_AGAIN
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered_as_described(case: Case) -> None:
        case.call_and_validate(headers=headers)

    answered_as_described()


REQUEST = b"GET /api/v1/state HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A request with some of its bytes replaced, removed or repeated."""
    request = bytearray(REQUEST)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(request)))
        end = min(len(request), start + draw(st.integers(0, 20)))
        request[start:end] = draw(st.one_of(st.binary(max_size=20), st.just(bytes(request[start:end]) * 3)))
    return bytes(request)


def test_what_is_hardly_http_costs_nobody_else_anything(caplog: pytest.LogCaptureFixture) -> None:
    with running(MemoryBackend()) as url:
        address = urlsplit(url)

        @settings(AGAIN_AND_AGAIN, max_examples=150)
        @given(request=damaged() | st.binary(max_size=200))
        def send(request: bytes) -> None:
            with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answer = bytearray()
                try:
                    while part := connection.recv(65536):
                        answer += part
                except ConnectionError:
                    pass  # closed without a word
            assert not answer or answer.startswith(b"HTTP/1.1 ") or b"\r\n" not in request, answer
            assert b"Traceback" not in answer and not answer.startswith(b"HTTP/1.1 500"), (request, answer)

        send()
        assert requests.get(f"{url}/api/v1/state", timeout=PATIENCE_SECONDS).ok
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("reason", [b'"\\ud800"', b"NaN", b"[" * 15_000, b'"\xff"', b"1e999"])
def test_a_body_that_could_not_be_kept_is_no_json(reason: bytes) -> None:
    backend = MemoryBackend()
    track = backend.add_track(chord([440], 0.1))
    client = create_app(backend, ServerSettings()).test_client()
    body = b'{"thumb": 1, "reason": ' + reason + b"}"
    refused = client.post(f"/api/v1/tracks/{track.id}/feedback", data=body, content_type="application/json")
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (400, "bad_body")
    assert not backend.thumbs
