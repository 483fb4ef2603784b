"""What commands share."""

import logging
import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

console = Console(stderr=True, highlight=False)

CONFIG = click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The site's YAML file; without one, the defaults.")


def to_write(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    """Callback of an option that names a file to write, so that a missing folder is told before the work and not after it."""
    if file is not None and not file.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {file.parent}: make it, or write elsewhere")
    return file


def log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("gridtone").setLevel(logging.INFO)
    logging.getLogger("gridtone_adapters").setLevel(logging.INFO)
    if sys.stderr.isatty():  # nobody keeps a terminal: the seals of the audit log are for a log that is kept
        logging.getLogger("gridtone.library.audit").setLevel(logging.WARNING)


def announce(url: str) -> None:
    click.echo(f"\n  gridtone plays on {url}\n")


def enter(config: Path | None) -> Path | None:
    """Make the folder of a site's file the working directory, so that its relative paths are relative to it."""
    if config is None:
        return None
    config = config.resolve()
    os.chdir(config.parent)
    return config


def progress_bar() -> Progress:
    """Shows the time that has passed; an engine that knows the time left says it in its step."""
    return Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=console)
