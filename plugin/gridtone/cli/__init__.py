"""The command line, one file a topic. Each command is a few lines around what lives in the modules; heavy ones are imported when they run."""

import sys

import click

from gridtone.cli.access import audit, token
from gridtone.cli.common import console
from gridtone.cli.history import explain, replay
from gridtone.cli.room import room
from gridtone.cli.rules import check, test
from gridtone.cli.site import demo, doctor, serve
from gridtone.cli.tracks import generate
from gridtone.documents import DocumentError


class Commands(click.Group):
    """Turns the errors that people can mend into one message and exit code 1. Imports an engine's own commands only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "model", "train"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "model":
            from gridtone_engine.jukebox.cli import model

            return model
        if cmd_name == "train":
            from gridtone_engine.undertone.cli import train

            return train
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        from gridtone.library.errors import LibraryError
        from gridtone_engine import EngineError

        try:
            return super().invoke(ctx)
        except (DocumentError, EngineError, LibraryError, OSError, ValueError) as error:
            console.print(str(error), style="red", soft_wrap=True, markup=False)
            sys.exit(1)


@click.group(cls=Commands)
@click.version_option(package_name="gridtone")
def main() -> None:
    """Plays the state of a power grid: telemetry in, music out."""


for command in (generate, serve, demo, doctor, check, test, explain, replay, room, token, audit):
    main.add_command(command)
