"""`gridtone check`: what rules do, before they do it."""

import sys
from pathlib import Path

import click

from gridtone.documents import DocumentError


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Check rules or site files; every error with line, column and the likely fix."""
    from gridtone.config import check_file

    failed = False
    for file in files:
        try:
            click.echo(f"{file}: {check_file(file)}")
        except DocumentError as error:
            click.echo(str(error), err=True)
            failed = True
    sys.exit(failed)
