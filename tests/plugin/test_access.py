"""Who may do what, as people meet it: tokens from the command line, a service that follows them, roles, sessions."""

import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result
from flask import Flask, Response
from flask.testing import FlaskClient

from gridtone.cli import main
from gridtone.person import Role
from gridtone.server import ServerSettings, create_app
from gridtone.server.access import FEEDBACKS_A_MINUTE, GUESSES_A_MINUTE, SIGN_INS_A_MINUTE, needs, person
from gridtone.server.signing import LINK_SECONDS
from gridtone.server.tokens import TokenError, TokenFile
from memory_backend import MemoryBackend, chord, running
from waiting import PATIENCE_SECONDS, until

STATE = "/api/v1/state"


def gridtone(*arguments: str, data: Path) -> Result:
    return CliRunner().invoke(main, arguments, env={"GRIDTONE_DATA": str(data)})


def status(url: str, token: str = "", path: str = STATE) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.get(url + path, headers=headers, timeout=PATIENCE_SECONDS).status_code


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def app(folder: Path) -> Flask:
    """With one view for each role beside its own."""
    app = create_app(MemoryBackend(), ServerSettings(), folder)

    def view() -> Response:
        return Response(f"{person().name} {person().role}")

    roles: tuple[Role, ...] = ("editor", "admin")
    for role in roles:
        app.add_url_rule(f"/{role}", role, needs(role)(lambda: view()), methods=["GET", "POST"])
    app.add_url_rule("/listener", "listener", view)
    return app


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def test_each_role_may_do_what_those_below_it_may(client: FlaskClient, folder: Path) -> None:
    tokens = {role: TokenFile(folder).create(f"the {role}", role) for role in ("listener", "editor", "admin")}
    allowed = {"listener": (200, 403, 403), "editor": (200, 200, 403), "admin": (200, 200, 200)}
    until(lambda: client.get("/listener").status_code == 401)
    for role, token in tokens.items():
        answers = [client.get(f"/{view}", headers=bearer(token)) for view in allowed]
        assert tuple(answer.status_code for answer in answers) == allowed[role]
        assert answers[0].text == f"the {role} {role}"
    refused = client.get("/admin", headers=bearer(tokens["editor"])).get_json()["error"]
    assert refused["code"] == "role_needed"
    assert refused["message"] == "this takes the role admin, and the editor has the role editor"
    assert client.get("/editor").status_code == 401, "nobody is told what a role could do"


def test_whoever_sits_at_a_machine_without_tokens_is_its_admin_but_nobody_that_a_proxy_brings(client: FlaskClient) -> None:
    assert client.get("/admin").text == "local admin"
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        assert client.get("/editor", headers={name: "192.0.2.7"}).status_code == 403, name
        assert client.get("/listener", headers={name: "192.0.2.7"}).status_code == 200, name


def test_a_page_from_elsewhere_changes_nothing(client: FlaskClient) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused = client.post("/editor", headers=headers)
        assert (refused.status_code, refused.get_json()["error"]["code"]) == (403, "foreign_page"), headers
    for headers in ({}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}):
        assert client.post("/editor", headers=headers).status_code == 200, headers


def test_tokens_come_and_go_while_the_service_runs(folder: Path) -> None:
    with running(MemoryBackend(), folder) as url:
        assert status(url) == 200, "no token yet: whoever sits here"
        made = gridtone("token", "create", "desk 3", "--role", "editor", "--expires", "90d", data=folder)
        assert made.exit_code == 0, made.stderr
        token = made.stdout.strip()
        assert token.startswith("gridtone_") and token not in made.stderr and "desk 3, editor, until" in made.stderr
        until(lambda: status(url) == 401)
        assert status(url, token) == 200
        listed = gridtone("token", "list", data=folder).stdout
        assert "desk 3" in listed and "editor" in listed and token not in listed
        revoked = gridtone("token", "create", "keeps the door shut", data=folder), gridtone("token", "revoke", "desk 3", data=folder)
        assert not any(run.exit_code for run in revoked)
        until(lambda: status(url, token) == 401)


def test_what_a_revoked_token_opened_ends_with_it(folder: Path) -> None:
    tokens = TokenFile(folder)
    tokens.create("another", "listener")
    token = tokens.create("desk", "listener")
    with running(MemoryBackend(), folder) as url:
        browser = requests.Session()
        assert browser.post(f"{url}/api/v1/session", json={"token": token}, timeout=PATIENCE_SECONDS).status_code == 204
        assert browser.get(url + STATE, timeout=PATIENCE_SECONDS).ok
        with browser.get(f"{url}/api/v1/events", stream=True, timeout=PATIENCE_SECONDS) as stream:
            assert stream.ok
            tokens.revoke("desk")
            for _ in stream.iter_lines():
                pass  # until it ends; a stream that did not would run into the test's time limit
        assert browser.get(url + STATE, timeout=PATIENCE_SECONDS).status_code == 401
        tokens.create("desk", "admin")
        assert browser.get(url + STATE, timeout=PATIENCE_SECONDS).status_code == 401, "a new token of that name is another token"


def test_a_browser_stays_signed_in_over_a_restart(folder: Path) -> None:
    token = TokenFile(folder).create("desk", "editor")
    with running(MemoryBackend(), folder) as url:
        cookies = requests.post(f"{url}/api/v1/session", json={"token": token}, timeout=PATIENCE_SECONDS).cookies
    with running(MemoryBackend(), folder) as url:
        assert requests.get(url + STATE, cookies=cookies, timeout=PATIENCE_SECONDS).ok
    (folder / "session-key").unlink()
    with running(MemoryBackend(), folder) as url:
        assert requests.get(url + STATE, cookies=cookies, timeout=PATIENCE_SECONDS).status_code == 401, "signed by a key that is gone"


def test_only_hashes_are_kept_and_only_for_their_owner(folder: Path) -> None:
    token = TokenFile(folder).create("desk", "admin")
    create_app(MemoryBackend(), ServerSettings(), folder)
    for file in folder.iterdir():
        assert token not in file.read_text() and token.removeprefix("gridtone_") not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0, file
    [kept] = json.loads((folder / "tokens.json").read_text())
    with running(MemoryBackend(), folder) as url:
        assert status(url, kept["sha256"]) == 401, "the hash is no token"


def test_an_expired_token_is_refused_and_does_not_open_the_door(client: FlaskClient, folder: Path) -> None:
    tokens = TokenFile(folder)
    old = tokens.create("old", "admin", datetime.now(UTC) - timedelta(seconds=1))
    until(lambda: client.get("/listener").status_code == 401)
    assert client.get("/listener", headers=bearer(old)).status_code == 401
    assert tokens.read()[0].expired


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '[{"name": "x"}]',
        '[{"name": "x", "role": "root", "sha256": ""}]',
        '[{"name": "x", "role": "admin", "sha256": "", "expires": "2001-01-01T00:00:00"}]',
    ],
)
def test_a_damaged_file_lets_nobody_in_until_it_is_mended(client: FlaskClient, folder: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    token = TokenFile(folder).create("desk", "listener")
    good = (folder / "tokens.json").read_text()
    until(lambda: client.get("/listener", headers=bearer(token)).status_code == 200 and client.get("/listener").status_code == 401)
    (folder / "tokens.json").write_text(text)
    until(lambda: client.get("/listener", headers=bearer(token)).status_code == 401)
    assert client.get("/listener").status_code == 401
    assert "tokens.json" in caplog.text
    with pytest.raises(TokenError, match=r"tokens\.json"):
        create_app(MemoryBackend(), ServerSettings(), folder)
    with pytest.raises(TokenError, match=r"tokens\.json"):
        TokenFile(folder).create("another", "admin")
    (folder / "tokens.json").write_text(good)
    until(lambda: client.get("/listener", headers=bearer(token)).status_code == 200)


def test_many_may_make_tokens_at_once(folder: Path) -> None:
    gate = threading.Barrier(8)

    def make(number: int) -> str:
        gate.wait()
        return TokenFile(folder).create(f"desk {number}", "listener")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert len(set(made)) == len(TokenFile(folder).read()) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "desk"), "already"),
        (("create", ""), "cannot name"),
        (("create", "a\nb"), "cannot name"),
        (("create", "x", "--role", "root"), "root"),
        (("create", "x", "--expires", "soon"), "soon"),
        (("revoke", "nobody"), "gridtone token list"),
    ],
)
def test_the_command_line_says_what_is_wrong(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    TokenFile(folder).create("desk", "listener")
    before = (folder / "tokens.json").read_bytes()
    run = gridtone("token", *arguments, data=folder)
    assert run.exit_code != 0 and message in run.stderr and "Traceback" not in run.stderr
    assert (folder / "tokens.json").read_bytes() == before


def test_the_network_is_listened_to_with_tokens_of_either_kind_only(folder: Path) -> None:
    beyond = ServerSettings(host="192.0.2.1")
    with pytest.raises(ValueError, match=r"refusing to listen on 192\.0\.2\.1 without a token.*gridtone token create"):
        create_app(MemoryBackend(), beyond, folder)
    TokenFile(folder).create("desk", "listener")
    create_app(MemoryBackend(), beyond, folder)


def test_a_network_service_that_loses_its_tokens_stays_shut(folder: Path) -> None:
    token = TokenFile(folder).create("desk", "listener")
    client = create_app(MemoryBackend(), ServerSettings(host="192.0.2.1"), folder).test_client()
    assert client.get(STATE, headers=bearer(token)).status_code == 200
    TokenFile(folder).revoke("desk")
    until(lambda: client.get(STATE, headers=bearer(token)).status_code == 401)
    assert client.get(STATE).status_code == 401


def actions(backend: MemoryBackend) -> list[tuple[str, str, str]]:
    return [(entry.person, entry.action, entry.what) for entry in backend.audit.verified()]


# How often


@pytest.fixture
def long_minute(monkeypatch: pytest.MonkeyPatch) -> int:
    """It must not end within a test, however slow the machine. Its seconds."""
    monkeypatch.setattr("gridtone.server.access.MINUTE_SECONDS", 3600)
    return 3600


def test_ever_other_wrong_tokens_are_guesses_and_one_old_token_is_not(folder: Path, long_minute: int, monkeypatch: pytest.MonkeyPatch) -> None:
    token = TokenFile(folder).create("desk", "listener")
    monkeypatch.setenv("BY_HAND", guessable := "correct-horse-battery")
    backend = MemoryBackend()
    with running(backend, folder, token_env="BY_HAND") as url:
        cookies = requests.post(f"{url}/api/v1/session", json={"token": guessable}, timeout=PATIENCE_SECONDS).cookies
        for _ in range(3 * GUESSES_A_MINUTE):
            assert status(url, "what a forgotten panel still sends") == 401
        assert status(url, guessable) == 200
        refused = next(answer for number in range(2 * GUESSES_A_MINUTE) if (answer := ask(url, f"guess {number}")).status_code == 429)
        assert refused.json()["error"]["code"] == "too_many_guesses"
        assert 0 < int(refused.headers["Retry-After"]) <= long_minute
        assert status(url, guessable) == 429, "or a guess that hits would tell"
        assert requests.post(f"{url}/api/v1/session", json={"token": guessable}, timeout=PATIENCE_SECONDS).status_code == 429
        assert status(url, token) == 200, "nobody guesses this one, and others behind the same proxy do not suffer"
        assert requests.get(url + STATE, cookies=cookies, timeout=PATIENCE_SECONDS).ok, "who is signed in stays so"
    assert actions(backend).count(("gridtone", "token_refused", "api.state")) == GUESSES_A_MINUTE


def test_too_many_requests_are_told_when_to_come_again_and_the_music_goes_on(folder: Path, long_minute: int) -> None:
    one, other = (TokenFile(folder).create(name, "listener") for name in ("one", "other"))
    backend = MemoryBackend()
    track = backend.add_track(chord([440], 0.2))
    with running(backend, folder, max_requests_a_minute=60) as url:
        refused = next(answer for _ in range(200) if not (answer := ask(url, one)).ok)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
        assert 0 < int(refused.headers["Retry-After"]) <= long_minute
        assert status(url, other) == 200
        assert status(url, one, f"/api/v1/tracks/{track.id}/audio") == 200
        with requests.get(f"{url}/api/v1/events", headers=bearer(one), stream=True, timeout=PATIENCE_SECONDS) as stream:
            assert stream.ok
        assert status(url, path="/healthz") == 200


def test_nobody_fills_the_audit_log_with_sign_ins(folder: Path, long_minute: int) -> None:
    token = TokenFile(folder).create("desk", "listener")
    backend = MemoryBackend()
    client = create_app(backend, ServerSettings(), folder).test_client()
    answers = [client.post("/api/v1/session", json={"token": token}).status_code for _ in range(SIGN_INS_A_MINUTE + 5)]
    assert answers == [204] * SIGN_INS_A_MINUTE + [429] * 5
    assert actions(backend).count(("desk", "signed_in", "page")) == SIGN_INS_A_MINUTE


def test_nobody_fills_the_database_with_feedback(folder: Path, long_minute: int) -> None:
    one, other = (TokenFile(folder).create(name, "listener") for name in ("one", "other"))
    backend = MemoryBackend()
    track = backend.add_track(chord([440], 0.2))
    client = create_app(backend, ServerSettings(), folder).test_client()

    def say(token: str, thumb: object = 1) -> Response:
        return client.post(f"/api/v1/tracks/{track.id}/feedback", json={"thumb": thumb}, headers=bearer(token))

    assert say(one, "what fits no thumb").status_code == 400, "which writes nothing, and counts as nothing"
    answers = [say(one) for _ in range(FEEDBACKS_A_MINUTE + 5)]
    assert [answer.status_code for answer in answers] == [204] * FEEDBACKS_A_MINUTE + [429] * 5
    assert answers[-1].get_json()["error"]["code"] == "too_many_requests"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= long_minute
    assert say(other).status_code == 204, "others do not suffer"
    assert len(backend.thumbs) == FEEDBACKS_A_MINUTE + 1
    assert client.get(STATE, headers=bearer(one)).status_code == 200


def ask(url: str, token: str) -> requests.Response:
    return requests.get(url + STATE, headers=bearer(token), timeout=PATIENCE_SECONDS)


# Links


def test_a_link_opens_one_track_in_one_codec_for_a_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TokenFile(folder)
    tokens.create("another", "listener")
    token = tokens.create("desk", "admin")
    backend = MemoryBackend()
    track, secret = backend.add_track(chord([440], 0.2)), backend.add_track(chord([550], 0.2))
    with running(backend, folder) as url:

        def made() -> str:
            answer = requests.get(f"{url}/api/v1/tracks/{track.id}/link?codec=flac", headers=bearer(token), timeout=PATIENCE_SECONDS).json()
            assert time.time() < answer["expires"] <= time.time() + LINK_SECONDS
            return str(answer["url"])

        def refused(path: str) -> bool:
            answer = requests.get(url + path, timeout=PATIENCE_SECONDS)
            return answer.status_code == 403 and answer.json()["error"]["code"] == "link_refused"

        link = made()
        heard = requests.get(url + link, headers={"Range": "bytes=0-3"}, timeout=PATIENCE_SECONDS)
        assert (heard.status_code, heard.content) == (206, b"fLaC")
        assert token not in link
        assert refused(link.replace(track.id, secret.id))
        assert refused(link.replace("codec=flac", "codec=opus"))
        assert refused(re.sub(r"expires=\d+", "expires=99999999999", link))
        assert refused(re.sub(r"by=\w+", "by=", link))
        assert refused(link[:-2]) and refused(link.partition("&")[0] + "&signature=") and refused(link + "&signature=x") is False
        assert requests.get(url + link.replace("/audio", ""), timeout=PATIENCE_SECONDS).status_code == 401, "it opens nothing else"
        monkeypatch.setattr("gridtone.server.signing.LINK_SECONDS", -1)
        ended = requests.get(f"{url}/api/v1/tracks/{track.id}/link", headers=bearer(token), timeout=PATIENCE_SECONDS).json()["url"]
        assert refused(ended)
        tokens.revoke("desk")
        until(lambda: refused(link))


# What is written down


def test_sign_ins_refusals_and_tokens_are_audited_and_no_secret_is(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = TokenFile(folder)
    listener, admin = tokens.create("desk", "listener"), tokens.create("chief", "admin")
    backend = MemoryBackend()
    with running(backend, folder) as url:
        for text in (listener, "a wrong one that nobody knows"):
            browser = requests.Session()
            browser.post(f"{url}/api/v1/session", json={"token": text}, timeout=PATIENCE_SECONDS)
            browser.delete(f"{url}/api/v1/session", timeout=PATIENCE_SECONDS)
        answers = [requests.get(f"{url}/api/v1/audit", headers=bearer(listener), timeout=PATIENCE_SECONDS) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {403}
        newest = requests.get(f"{url}/api/v1/audit?limit=3", headers=bearer(admin), timeout=PATIENCE_SECONDS).json()
        earlier = requests.get(f"{url}/api/v1/audit?before={newest['next_before']}", headers=bearer(admin), timeout=PATIENCE_SECONDS).json()
        assert [entry["number"] for entry in newest["entries"] + earlier["entries"]] == [5, 4, 3, 2, 1] and earlier["next_before"] is None
        tokens.revoke("chief")
        until(lambda: status(url) == 401 and len(actions(backend)) > 5)
    assert actions(backend) == [
        ("gridtone", "tokens_in_force", ""),
        ("desk", "signed_in", "page"),
        ("desk", "signed_out", "page"),
        ("gridtone", "token_refused", "api.open_session"),
        ("desk", "role_refused", "api.audit"),
        ("gridtone", "tokens_in_force", ""),
    ]
    written = "".join(entry.detail for entry in backend.audit.verified()) + caplog.text + "".join(answer.text for answer in answers)
    for secret in (listener, admin, "a wrong one that nobody knows", (folder / "session-key").read_text()):
        assert secret not in written


def test_the_command_line_writes_down_what_it_does(folder: Path, tmp_path: Path) -> None:
    made = gridtone("token", "create", "desk", "--role", "editor", data=folder).stdout.strip()
    assert gridtone("token", "revoke", "desk", data=folder).exit_code == 0
    exported = gridtone("audit", "export", "--since", "1h", data=folder)
    entries = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [(entry["action"], entry["what"], entry["role"]) for entry in entries] == [("token_created", "desk", "admin"), ("token_revoked", "desk", "admin")]
    assert all(entry["person"].endswith(" at the command line") for entry in entries) and made not in exported.stdout
    assert gridtone("audit", "export", "-o", str(tmp_path / "audit.jsonl"), data=folder).exit_code == 0
    assert "audit_exported" in (tmp_path / "audit.jsonl").read_text()
    whole = gridtone("audit", "verify", "--head", entries[-1]["hash"], data=folder)
    assert whole.exit_code == 0 and whole.stdout.startswith("4 entries, none changed or missing")
    cut = gridtone("audit", "verify", "--head", "0" * 64, data=folder)
    assert cut.exit_code == 1 and "cut short" in cut.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_what_root_writes_the_service_can_read(folder: Path) -> None:
    folder.mkdir()
    for above in (folder, *folder.parents[:3]):
        above.chmod(0o755)
    shutil.chown(folder, "nobody")
    made = gridtone("token", "create", "desk", data=folder)
    assert made.exit_code == 0, made.stderr
    assert {file.owner() for file in folder.iterdir()} == {"nobody"}
