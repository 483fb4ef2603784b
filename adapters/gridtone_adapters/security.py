"""Secrets and TLS, as every adapter's configuration spells them. No secret is ever written in a configuration file or a log."""

import os
import re
import ssl
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class SetupError(Exception):
    """Something on this machine is missing or wrong; the text says what to do."""


def inline_secret(advice: str) -> PydanticCustomError:
    """What to raise for a secret in a configuration file. Whoever shows an error of the type `inline_secret` must not show its input."""
    return PydanticCustomError("inline_secret", "{advice}", {"advice": advice})


class Secret(BaseModel):
    """Where a secret is found: a file (its first line) or an environment variable. Read again at every connection, so that it can be changed while running."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    file: Path | None = Field(None, description="File whose first line is the secret.")
    env: str | None = Field(None, description="Environment variable that holds the secret.")

    @model_validator(mode="before")
    @classmethod
    def _never_inline(cls, given: Any) -> Any:
        if isinstance(given, str | int | float):
            raise inline_secret("a secret is never written here: use `{file: /path/to/it}` or `{env: NAME_OF_VARIABLE}`")
        return given

    @model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if (self.file is None) == (self.env is None):
            raise ValueError("give either `file` or `env`")
        return self

    def read(self) -> str:
        """The secret. Raises SetupError when it is not there."""
        if self.file is not None:
            try:
                lines = self.file.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise SetupError(f"cannot read the secret in {self.file}: {error}; check the path and its permissions") from None
            if not lines or not lines[0]:
                raise SetupError(f"the secret file {self.file} is empty: put the secret on its first line")
            return lines[0]
        value = os.environ.get(self.env or "")
        if not value:
            raise SetupError(f"the environment variable {self.env} is not set: set it to the secret, for the account that runs this service")
        return value


def plain(value: str | Secret | None) -> str | None:
    return value.read() if isinstance(value, Secret) else value


class Tls(BaseModel):
    """How to check the server, and how to show who we are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: Path | None = Field(
        None, description="PEM file of the certificate authority that signed the server's certificate. Without it, the system's authorities."
    )
    cert_file: Path | None = Field(None, description="PEM file of our own certificate, where the server asks for one.")
    key_file: Path | None = Field(None, description="PEM file of the key to `cert_file`.")
    key_password: Secret | None = Field(None, description="Password of `key_file`, where it has one.")

    @model_validator(mode="after")
    def _pair(self) -> "Tls":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` belong together: give both or neither")
        return self

    def context(self) -> ssl.SSLContext:
        """A context that checks certificate and host name. Raises SetupError when a file is missing or unusable."""
        for path in filter(None, (self.ca_file, self.cert_file, self.key_file)):
            try:
                path.open("rb").close()
            except OSError as error:
                raise SetupError(f"cannot read {path}: {error.strerror}; check the path under `tls` and its permissions") from None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError as error:
            raise SetupError(f"{self.ca_file} holds no usable certificate ({_reason(error)}): `ca_file` must be PEM") from None
        if self.cert_file and self.key_file:
            password = self.key_password.read() if self.key_password else ""  # an empty one fails; None would ask at the terminal
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password)
            except (ssl.SSLError, OSError) as error:
                raise SetupError(
                    f"cannot use {self.cert_file} with {self.key_file} ({error}): do they belong together, are they PEM, is `key_password` right?"
                ) from None
        return context


class ServerTls(BaseModel):
    """How to show who we are to those who connect to us, and whom to let in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cert_file: Path = Field(description="PEM file of our certificate and its chain.")
    key_file: Path = Field(description="PEM file of the key to `cert_file`.")
    key_password: Secret | None = Field(None, description="Password of `key_file`, where it has one.")
    client_ca_file: Path | None = Field(None, description="PEM file of the authority that senders' certificates must be signed by. Without it they need none.")

    def context(self) -> ssl.SSLContext:
        """A context to listen with. Raises SetupError when a file is missing or unusable."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        password = self.key_password.read() if self.key_password else ""  # an empty one fails; None would ask at the terminal
        try:
            context.load_cert_chain(self.cert_file, self.key_file, password)
            if self.client_ca_file:
                context.load_verify_locations(self.client_ca_file)
                context.verify_mode = ssl.CERT_REQUIRED
        except (ssl.SSLError, OSError) as error:
            raise SetupError(
                f"cannot listen with {self.cert_file} and {self.key_file} ({error}): do they exist and belong together, are they PEM, is `key_password` right?"
            ) from None
        return context


def explain(error: BaseException, where: str, tls: bool) -> str:
    """What a failed connection to `where` means and what to do about it."""
    match error:
        case SetupError():
            return str(error)
        case ssl.SSLCertVerificationError():
            advice = (
                "use the host name that the certificate names"
                if "Hostname mismatch" in error.verify_message or "IP address mismatch" in error.verify_message
                else "set `tls.ca_file` to the authority that signed it, and check this machine's clock"
            )
            return f"the certificate of {where} was refused: {error.verify_message}; {advice}"
        case ssl.SSLError() if "CERTIFICATE_REQUIRED" in str(error) or "HANDSHAKE_FAILURE" in str(error):
            return f"{where} wants a certificate from us ({_reason(error)}): set `tls.cert_file` and `tls.key_file`"
        case ssl.SSLError() if "UNKNOWN_CA" in str(error) or "BAD_CERTIFICATE" in str(error) or "CERTIFICATE_EXPIRED" in str(error):
            return f"{where} refused our certificate ({_reason(error)}): have `tls.cert_file` signed by an authority that it trusts, and check its dates"
        case ssl.SSLError():
            return f"no TLS with {where} ({_reason(error)}): is this the TLS port?"
        case TimeoutError():
            return f"no answer from {where}: check host, port, cable and firewall" + (", and that this is the TLS port" if tls else "")
        case ConnectionRefusedError():
            return f"nothing listens at {where}: is the server running, is the port right?"
        case ConnectionResetError() | BrokenPipeError() | EOFError():
            return f"{where} closed the connection: " + (
                "is this the TLS port, and does it want a certificate from us (`tls.cert_file`)?" if tls else "does this port want TLS?"
            )
        case OSError() if type(error).__name__ == "gaierror":
            return f"the host name of {where} cannot be resolved: check its spelling and this machine's DNS"
        case OSError():
            return f"cannot reach {where}: {error.strerror or error}"
        case _:
            return f"unexpected trouble with {where}: {type(error).__name__}: {error}"


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's word for it, such as TLSV1_ALERT_UNKNOWN_CA."""
    found = re.search(r"\[SSL: (\w+)\]", str(error))
    return found[1] if found else str(error)
