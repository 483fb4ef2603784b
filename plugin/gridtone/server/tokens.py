"""Tokens: who may do what. `gridtone token` writes `tokens.json` in the data folder, the running service follows it, and a person can read it.

Only SHA-256 hashes are kept. A slow hash (bcrypt, Argon2) makes guessing a person's password expensive; a token is 256 random bits, which nobody guesses
however fast the hash, and a fast one keeps the check of every request cheap.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gridtone.person import Role
from gridtone.server.settings import ServerSettings

log = logging.getLogger(__name__)

PREFIX = "gridtone_"
"""So that scanners for leaked secrets find it."""
LOOK_SECONDS = 0.2
"""How often the file is looked at for changes, at most."""
LONGEST_NAME = 64


class TokenError(ValueError):
    """The tokens cannot be used or changed: the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    role: Role
    sha256: str
    """Of the token, hexadecimal."""
    created: datetime | None = None
    expires: datetime | None = None

    @property
    def id(self) -> str:
        """Names this token and no other of the same name, and proves nothing."""
        return self.sha256[:16]

    def __str__(self) -> str:
        return f"{self.name}: {self.role}{f', made {self.created:%Y-%m-%d %H:%M:%S}' if self.created else ''}"

    @property
    def random(self) -> bool:
        """Made here, of 256 random bits; not written by somebody into a file or a variable."""
        return self.created is not None

    @property
    def expired(self) -> bool:
        return self.expires is not None and self.expires <= datetime.now(UTC)


class TokenFile:
    """`tokens.json`: several processes may read and change it at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.json"

    def read(self) -> tuple[Token, ...]:
        """Every token, expired ones too; none where there is no file. Raises TokenError."""
        try:
            tokens = msgspec.json.decode(self.path.read_bytes(), type=tuple[Token, ...])
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise TokenError(f"the tokens cannot be read: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TokenError(f"{self.path} is no list of tokens ({error}): mend it, or bring back the one before") from error
        if zoneless := [token.name for token in tokens if token.expires and token.expires.tzinfo is None]:
            raise TokenError(f"{self.path}: `expires` of {', '.join(zoneless)} needs a time zone, such as 2027-01-31T00:00:00Z")
        return tokens

    def create(self, name: str, role: Role, expires: datetime | None = None) -> str:
        """A new token, which is kept nowhere: whoever asked must. Raises TokenError."""
        if not name.isprintable() or not 0 < len(name.strip()) <= LONGEST_NAME:
            raise TokenError(f"{name!r} cannot name a token: write 1 to {LONGEST_NAME} characters")
        text = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as tokens:
            if any(token.name == name for token in tokens):
                raise TokenError(f"there is a token called {name!r} already: revoke it first, or choose another name")
            tokens.append(Token(name, role, hash_of(text), datetime.now(UTC).replace(microsecond=0), expires))
        return text

    def revoke(self, name: str) -> Token:
        """Remove a token; a running service refuses it within a second. Raises TokenError."""
        with self._changing() as tokens:
            found = next((token for token in tokens if token.name == name), None)
            if found is None:
                raise TokenError(f"no token is called {name!r}: `gridtone token list` shows those there are")
            tokens.remove(found)
        return found

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The tokens, to be changed; what is left of them is saved, whole or not at all."""
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = list(self.read())
            yield tokens
            with tempfile.NamedTemporaryFile(dir=folder, prefix="tokens-", delete=False) as file:  # made with mode 0600
                file.write(msgspec.json.format(msgspec.json.encode(tokens)) + b"\n")
            Path(file.name).replace(self.path)
        finally:
            os.close(lock)


class Tokens:
    """The tokens in force in a running service: those of its settings, all of them listeners, and those of the token file, which is followed."""

    def __init__(self, settings: ServerSettings, folder: Path | None, tell: Callable[[list[str]], None] = lambda tokens: None) -> None:
        """`tell` is told which tokens are in force, now and when that changes.

        Raises ValueError where a token cannot be used, or where there is none although the network is listened to.
        """
        self._given = tuple(Token(f"token {number} of the settings", "listener", hash_of(text)) for number, text in enumerate(settings.tokens(), 1))
        self._file = TokenFile(folder) if folder else None
        self._tell = tell
        self._lock = threading.Lock()
        self._looked_at = time.monotonic()
        self._stamp = self._look()
        self._in_force = self._with(self._file.read() if self._file else ())
        if not settings.on_loopback and not self._in_force:
            raise TokenError(
                f"refusing to listen on {settings.host} without a token: anyone on the network could see the grid's state. "
                "Make one with `gridtone token create NAME --role listener`, set token_file or token_env, or listen on 127.0.0.1"
            )
        tell([str(token) for token in self._in_force.values()])

    def all(self) -> Sequence[Token]:
        """Expired ones too."""
        return list(self._current().values())

    def find(self, text: str) -> Token | None:
        """The token in force that reads so. Looking the hash up tells nothing in its timing: nobody can choose a text by its hash."""
        return _unless_expired(self._current().get(hash_of(text)))

    def by_id(self, token_id: str) -> Token | None:
        """The token in force with that id."""
        return _unless_expired(next((token for token in self._current().values() if token.id == token_id), None))

    def _current(self) -> dict[str, Token]:
        with self._lock:
            if not self._file or time.monotonic() < self._looked_at + LOOK_SECONDS:
                return self._in_force
            self._looked_at = time.monotonic()
            stamp, before = self._look(), self._stamp
            if stamp == before:
                return self._in_force
            self._stamp = stamp
            try:
                self._in_force = self._with(self._file.read())
            except TokenError as error:
                log.error("until this is mended nobody gets in by a token of the file: %s", error)
                self._in_force = self._with((Token("of a file that cannot be read", "listener", ""),))  # still: a service with tokens
            in_force = self._in_force
        self._tell([str(token) for token in in_force.values()])
        return in_force

    def _with(self, tokens: Sequence[Token]) -> dict[str, Token]:
        return {token.sha256: token for token in (*self._given, *tokens)}

    def _look(self) -> tuple[int, int] | None:
        try:
            stat = self._file.path.stat() if self._file else None
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_ino) if stat else None


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _unless_expired(token: Token | None) -> Token | None:
    return None if token is None or token.expired else token
