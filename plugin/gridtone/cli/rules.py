"""`gridtone check` and `test`: what rules do, before they do it."""

import sys
from pathlib import Path

import click

from gridtone.cli.common import to_write
from gridtone.documents import DocumentError

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command()
@FILES
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings too.")
def check(files: tuple[Path, ...], strict: bool) -> None:
    """Check rules, rule tests or site files; every error and warning with line, column and the likely fix."""
    from gridtone.proving.check import check_file

    failed = False
    for file in files:
        try:
            checked = check_file(file)
        except DocumentError as error:
            click.echo(str(error), err=True)
            failed = True
            continue
        for warning in checked.warnings:
            click.echo(str(warning), err=True)
        failed |= strict and bool(checked.warnings)
        warnings = f", {len(checked.warnings)} warning{'s'[: len(checked.warnings) > 1]}" if checked.warnings else ""
        click.echo(f"{file}: {checked.found}{warnings}")
    sys.exit(failed)


@click.command()
@FILES
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), callback=to_write, help="Write the report as JUnit XML too.")
def test(files: tuple[Path, ...], junit: Path | None) -> None:
    """Run rule tests: fabricated series, and the states, reasons and cues that must come of them."""
    from gridtone.proving import report
    from gridtone.proving.cases import load_suite
    from gridtone.proving.trial import run_suite

    suites, broken = {}, {}
    for file in files:
        try:
            suites[file] = list(run_suite(load_suite(file)))
        except DocumentError as error:
            broken[file] = error
            click.echo(str(error), err=True)
        else:
            click.echo("\n".join(report.lines(file, suites[file])))
    click.echo(report.summary(suites, len(broken)))
    if junit:
        report.write_junit(junit, suites, broken)
    sys.exit(bool(broken) or any(outcome.failures for outcomes in suites.values() for outcome in outcomes))
