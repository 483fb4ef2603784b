"""The command line. Each command is a few lines around what lives in the modules; heavy ones are imported when they run."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gridtone.documents import DocumentError

FORMATS = (".wav", ".flac", ".ogg", ".mp3")

console = Console(stderr=True, highlight=False)


class Commands(click.Group):
    """Turns the errors that people can mend into one message and exit code 1. Imports an engine's own commands only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "model"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "model":
            from gridtone_engine.jukebox.cli import model

            return model
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        from gridtone.library.history import LibraryError
        from gridtone_engine import EngineError

        try:
            return super().invoke(ctx)
        except (DocumentError, EngineError, LibraryError, OSError, ValueError) as error:
            console.print(str(error), style="red", soft_wrap=True)
            sys.exit(1)


def log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("gridtone").setLevel(logging.INFO)
    logging.getLogger("gridtone_adapters").setLevel(logging.INFO)


def announce(url: str) -> None:
    click.echo(f"\n  gridtone plays on {url}\n")


def enter(config: Path | None) -> Path | None:
    """Make the folder of a site's file the working directory, so that its relative paths are relative to it."""
    if config is None:
        return None
    config = config.resolve()
    os.chdir(config.parent)
    return config


def engine_options(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`draft=true`, `batch=4`: values as YAML reads them."""
    from ruamel.yaml import YAML

    options = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--option")
        options[name] = YAML(typ="safe").load(value)
    return options


@click.group(cls=Commands)
@click.version_option(package_name="gridtone")
def main() -> None:
    """Plays the state of a power grid: telemetry in, music out."""


@main.command()
@click.argument("text", default="")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 3600), help="Length of the track.")
@click.option("-o", "--output", default="track.wav", show_default=True, type=click.Path(dir_okay=False, path_type=Path), help="wav, flac, ogg or mp3.")
@click.option("--engine", default="composer", show_default=True, help="Which engine makes it.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Of the engine, such as model=5b or draft=true. May be given several times.")
@click.option("--prime", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Audio to continue, for engines that can.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another track.")
@click.option("--tempo", "tempo_bpm", type=click.FloatRange(30, 200), help="Beats a minute; wins over the text.")
@click.option("--key", help="Such as 'D minor' or 'F# dorian'; wins over the text.")
@click.option("--energy", type=click.FloatRange(0, 1), help="0 still to 1 driving; wins over the text.")
@click.option("--brightness", type=click.FloatRange(0, 1), help="0 dark to 1 bright; wins over the text.")
@click.option("--density", type=click.FloatRange(0, 1), help="0 sparse to 1 busy; wins over the text.")
@click.option("--instrument", "instruments", multiple=True, help="May be given several times; wins over the text.")
def generate(text: str, seconds: float, output: Path, engine: str, options: tuple[str, ...], prime: Path | None, seed: int, **attributes: object) -> None:
    """Make one track from TEXT, in English or Chinese."""
    from gridtone.gate.check import check
    from gridtone.gate.finish import finish
    from gridtone_engine import Attributes, Prompt, open_engine

    if output.suffix not in FORMATS:
        raise click.BadParameter(f"{output}: the suffix says no format that can be written; use one of {', '.join(FORMATS)}")
    if not output.parent.is_dir():
        raise click.BadParameter(f"{output}: there is no folder {output.parent}")
    prompt = Prompt(text, seconds, seed, Attributes(**attributes), continue_from=prime)  # type: ignore[arg-type]
    opened = open_engine(engine, **engine_options(options))
    with Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("starting", total=1.0)
        [rendition] = opened.sample([prompt], progress=lambda at: bar.update(task, completed=at.fraction, description=at.step))
    rendition = rendition.with_samples(finish(rendition.samples, rendition.sample_rate))
    report = check(rendition.samples, rendition.sample_rate)
    rendition.write(output)

    for phrase in rendition.understanding.understood:
        console.print(f"  [green]understood[/] {phrase.text} → {phrase.meaning}")
    for ignored in rendition.understanding.ignored:
        console.print(f"  [yellow]not understood[/] {ignored}")
    for failure in report.failures:
        console.print(f"  [red]gate[/] {failure.message}")
    played = rendition.attributes
    tempo = f"{played.tempo_bpm:.0f} bpm" if played.tempo_bpm else "free tempo"
    console.print(f"{rendition.seconds:.0f} s, {tempo}, {played.key or 'no key'}, {report.loudness_lufs:.1f} LUFS, licence {rendition.licence}")
    click.echo(output)


CONFIG = click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The site's YAML file; without one, the defaults.")


@main.command()
@CONFIG
def serve(config: Path | None) -> None:
    """Run the service: telemetry in, music out, a page to listen on. Relative paths in the site's file are relative to it."""
    from gridtone.config import load_site
    from gridtone.service import serve_site

    log_to_stderr()
    config = enter(config)
    serve_site(load_site(config), config, announce)


@main.command()
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="Where the page is; 0 takes a free one.")
@click.option("--data", default=".gridtone", show_default=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the tracks.")
@click.option("--rules", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your rules instead of the default pack.")
@click.option("--start", type=click.DateTime(), help="Date and time in the grid's year 2016; now without it.")
@click.option("--minutes-per-second", default=7.5, show_default=True, type=click.FloatRange(0.01, 60), help="Speed of the simulated time.")
@click.option("--seed", default=1, show_default=True, help="Another seed, other events.")
def demo(port: int, data: Path, rules: Path | None, **options: object) -> None:
    """Play a real grid: SimBench's, solved by pandapower, on a broker of its own."""
    from gridtone.demo.options import DemoError, DemoOptions

    log_to_stderr()
    try:
        from gridtone.demo.play import play

        play(DemoOptions(**options), port, data, rules, announce)  # type: ignore[arg-type]
    except DemoError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def doctor(config: Path | None, as_json: bool) -> None:
    """Say what works here and what does not, with the next step for each."""
    from gridtone.doctor import examine, show

    checks = examine(enter(config))
    show(checks, as_json)
    sys.exit(any(check.status == "fail" for check in checks))


@main.command()
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
