"""`gridtone token`: who may do what."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console

from gridtone.cli.common import CONFIG, console, enter
from gridtone.cli.history import seconds_of


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
    tokens = TokenFile(_data(config))
    text = tokens.create(name, role, end)  # type: ignore[arg-type]  # click let only roles through
    console.print(f"{name}, {role}{f', until {end:%Y-%m-%d %H:%M} UTC' if end else ''}, in {tokens.path}. This is shown once:")
    click.echo(text)


@token.command("list")
@CONFIG
def list_tokens(config: Path | None) -> None:
    """Names, roles and times of all tokens."""
    from rich.table import Table

    from gridtone.server.tokens import TokenFile

    table = Table("name", "role", "created", "expires", box=None)
    for known in TokenFile(_data(config)).read():
        expires = f"{known.expires:%Y-%m-%d %H:%M}{' (expired)' if known.expired else ''}" if known.expires else "never"
        table.add_row(known.name, known.role, f"{known.created:%Y-%m-%d %H:%M}" if known.created else "", expires)
    Console().print(table)


@token.command()
@click.argument("name")
@CONFIG
def revoke(name: str, config: Path | None) -> None:
    """Refuse the token called NAME from now on, and end the sessions and streams that it opened."""
    from gridtone.server.tokens import TokenFile

    revoked = TokenFile(_data(config)).revoke(name)
    console.print(f"{revoked.name}, {revoked.role}, is revoked")


def _data(config: Path | None) -> Path:
    """The data folder of a site; `GRIDTONE_DATA` names it as well."""
    from gridtone.config import load_site

    return load_site(enter(config)).data
