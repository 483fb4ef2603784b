"""`gridtone serve`, `demo` and `doctor`: a site, or one that is played."""

import sys
from pathlib import Path

import click

from gridtone.cli.common import CONFIG, announce, enter, log_to_stderr


@click.command()
@CONFIG
def serve(config: Path | None) -> None:
    """Run the service: telemetry in, music out, a page to listen on. Relative paths in the site's file are relative to it."""
    from gridtone.config import load_site
    from gridtone.service import serve_site

    log_to_stderr()
    config = enter(config)
    serve_site(load_site(config), config, announce)


@click.command()
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


@click.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def doctor(config: Path | None, as_json: bool) -> None:
    """Say what works here and what does not, with the next step for each."""
    from gridtone.doctor import examine, show

    checks = examine(enter(config))
    show(checks, as_json)
    sys.exit(any(check.status == "fail" for check in checks))
