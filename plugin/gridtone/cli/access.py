"""`gridtone token` and `gridtone audit`: who may do what, and who did what."""

import getpass
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from rich.console import Console

from gridtone.cli.common import CONFIG, console, enter
from gridtone.cli.history import seconds_of

if TYPE_CHECKING:
    from gridtone.config import Site
    from gridtone.library.audit import Audit


@click.group()
def token() -> None:
    """Make, list and revoke tokens. A running service follows within a second."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["listener", "editor", "admin"]), default="listener", show_default=True, help="What it lets its holder do.")
@click.option("--expires", metavar="DURATION", help="After this time it is refused, such as 90d; never unless given.")
@CONFIG
def create(name: str, role: str, expires: str | None, config: Path | None) -> None:
    """Make a token called NAME and print it, once: only its hash is kept."""
    from gridtone.server.tokens import TokenFile

    seconds = seconds_of("--expires", expires)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds) if seconds is not None else None
    site = _site(config)
    tokens = TokenFile(site.data)
    text = tokens.create(name, role, end)  # type: ignore[arg-type]  # click let only roles through
    console.print(f"{name}, {role}{f', until {end:%Y-%m-%d %H:%M} UTC' if end else ''}, in {tokens.path}. This is shown once:")
    click.echo(text)
    record(site, _audit(site), "token_created", name, {"role": role, "expires": end.isoformat() if end else None})


@token.command("list")
@CONFIG
def list_tokens(config: Path | None) -> None:
    """Names, roles and times of all tokens."""
    from rich.table import Table

    from gridtone.server.tokens import TokenFile

    table = Table("name", "role", "created", "expires", box=None)
    for known in TokenFile(_site(config).data).read():
        expires = f"{known.expires:%Y-%m-%d %H:%M}{' (expired)' if known.expired else ''}" if known.expires else "never"
        table.add_row(known.name, known.role, f"{known.created:%Y-%m-%d %H:%M}" if known.created else "", expires)
    Console().print(table)


@token.command()
@click.argument("name")
@CONFIG
def revoke(name: str, config: Path | None) -> None:
    """Refuse the token called NAME from now on, and end the sessions, links and streams that it opened."""
    from gridtone.server.tokens import TokenFile

    site = _site(config)
    revoked = TokenFile(site.data).revoke(name)
    console.print(f"{revoked.name}, {revoked.role}, is revoked")
    record(site, _audit(site), "token_revoked", name, {"role": revoked.role})


@click.group()
def audit() -> None:
    """The audit log: who changed what."""


@audit.command()
@click.option("-o", "--output", type=click.File("w", encoding="utf-8", lazy=False), default="-", help="A file instead of standard output.")
@click.option("--since", metavar="DURATION", help="Only the last so long, such as 30d.")
@CONFIG
def export(output: IO[str], since: str | None, config: Path | None) -> None:
    """Print every entry, oldest first, as one line of JSON. Exit code 1 where the log was tampered with."""
    import time

    import msgspec

    seconds = seconds_of("--since", since)
    site = _site(config)
    log = _audit(site)
    count = 0
    for entry in log.verified(time.time() - seconds if seconds is not None else 0.0):
        output.write(msgspec.json.encode(entry).decode() + "\n")
        count += 1
    record(site, log, "audit_exported", "", {"entries": count})


@audit.command()
@click.option("--head", metavar="HASH", help="A seal from the service's log or an export: the log must still hold the entry that has it.")
@CONFIG
def verify(head: str | None, config: Path | None) -> None:
    """Follow the chain from its first entry. Exit code 1 where it was tampered with."""
    count, newest, found = 0, "", False
    for entry in _audit(_site(config)).verified():
        count, newest = entry.number, entry.hash
        found = found or entry.hash == head
    if head and not found:
        console.print(f"no entry is sealed {head}: the log was cut short or written anew since", style="red", soft_wrap=True)
        sys.exit(1)
    click.echo(f"{count} entries, none changed or missing{f'; the newest is sealed {newest}' if newest else ''}")


def _site(config: Path | None) -> "Site":
    """A site; `GRIDTONE_DATA` names its data folder as well."""
    from gridtone.config import load_site

    return load_site(enter(config))


def _audit(site: "Site") -> "Audit":
    from gridtone.library.audit import open_audit

    return open_audit(site.library, site.data)


def record(site: "Site", log: "Audit", action: str, what: str, detail: dict[str, Any]) -> None:
    """Done is done; but that nobody can see it later is an error."""
    from gridtone.person import Person

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = f"user {os.getuid()}"
    log.record(Person(f"{user} at the command line", "admin"), action, what, detail)
    if os.geteuid() == 0:  # the service, which should not be root, has to read and write these
        owner = site.data.stat()
        for file in (*site.data.glob("tokens.json"), *site.data.glob("gridtone.db*")):
            os.chown(file, owner.st_uid, owner.st_gid)
    if log.problem:
        raise OSError(f"this is done, but {log.problem}")
