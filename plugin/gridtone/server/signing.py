"""What the service signs, so that it knows it again: sessions of browsers, and links to audio for what cannot send a header."""

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from itsdangerous import BadSignature, Signer, URLSafeTimedSerializer

SESSION_SECONDS = 30 * 24 * 3600
LINK_SECONDS = 300


class Signing:
    """Signs with the key of one data folder."""

    def __init__(self, folder: Path | None) -> None:
        """Raises ValueError or OSError. Without a folder the key lasts as long as this."""
        key = _key(folder)
        self._sessions = URLSafeTimedSerializer(key, salt="gridtone session")
        self._links = Signer(key, salt="gridtone link", sep=":")

    def session(self, token_id: str) -> str:
        """A cookie that stands for a token, without holding it."""
        cookie = self._sessions.dumps(token_id)
        assert isinstance(cookie, str)
        return cookie

    def signed_in(self, cookie: str) -> str | None:
        """The id of the token that a cookie stands for."""
        try:
            return str(self._sessions.loads(cookie, max_age=SESSION_SECONDS))
        except BadSignature:
            return None

    def link(self, track_id: str, codec: str, token_id: str) -> tuple[str, int]:
        """The query of a link to one track's audio in one codec, and when it ends."""
        expires = int(time.time()) + LINK_SECONDS
        signature = self._links.get_signature(_linked(track_id, codec, str(expires), token_id)).decode()
        return urlencode({"codec": codec, "expires": expires, "by": token_id, "signature": signature}), expires

    def linked(self, track_id: str, query: Mapping[str, str]) -> str | None:
        """The id of the token that a link was made by; None where the link ended, or is for something else."""
        expires, by = query.get("expires", ""), query.get("by", "")
        known = self._links.verify_signature(_linked(track_id, query.get("codec", ""), expires, by), query.get("signature", ""))
        return by if known and int(expires) > time.time() else None


def _linked(track_id: str, codec: str, expires: str, token_id: str) -> bytes:
    return msgspec.json.encode((track_id, codec, expires, token_id))


def _key(folder: Path | None) -> str:
    """Kept beside the tokens, so that a restart of the service signs nobody out."""
    if folder is None:
        return secrets.token_hex(32)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "session-key"
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    key = path.read_text(encoding="utf-8")
    if len(key) < 64:
        raise ValueError(f"{path} is damaged: remove it, and everybody signs in anew")
    return key
