"""Where the server listens, and who may listen to it."""

import ipaddress
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

SHORTEST_TOKEN = 16


class ServerSettings(BaseModel):
    """HTTP server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on. Beyond loopback (0.0.0.0, say) a token is required.")
    port: int = Field(default=8765, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    token_file: Path | None = Field(
        default=None, description="File of listeners' tokens beside those of `gridtone token`, one a line; empty lines and lines that begin with # are skipped."
    )
    token_env: str | None = Field(default=None, description="Name of an environment variable that holds listeners' tokens, separated by spaces.")
    tls_certificate: Path | None = Field(default=None, description="PEM file of the certificate and its chain. With it the server speaks HTTPS only.")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's private key.")
    allowed_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may read the API from a browser, such as https://grafana.example:3000. None by default."
    )
    max_requests_a_minute: int = Field(
        default=6000,
        ge=60,
        description="Requests of one token from one address, or of one address without a token, beside event streams and audio; more get 429.",
    )
    max_listeners: int = Field(default=500, ge=1, le=5000, description="Event streams open at once; one more is refused with 503.")

    @model_validator(mode="after")
    def _check(self) -> "ServerSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or neither")
        return self

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.host)

    def tokens(self) -> tuple[str, ...]:
        """The bearer tokens, read now. Raises ValueError where a file or variable was named that has none, or where one is too short to be a secret."""
        tokens: list[str] = []
        if self.token_file is not None:
            try:
                lines = self.token_file.read_text(encoding="utf-8").splitlines()
            except OSError as error:
                raise ValueError(f"token_file cannot be read: {error}") from error
            found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
            if not found:
                raise ValueError(f"token_file {self.token_file} holds no token: write one a line, for example from `openssl rand -hex 24`")
            tokens += found
        if self.token_env is not None:
            found = os.environ.get(self.token_env, "").split()
            if not found:
                raise ValueError(f"token_env: the environment variable {self.token_env} is not set or is empty")
            tokens += found
        if any(len(token) < SHORTEST_TOKEN for token in tokens):
            raise ValueError(f"a token is shorter than {SHORTEST_TOKEN} characters and could be guessed: make one with `openssl rand -hex 24`")
        return tuple(tokens)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
