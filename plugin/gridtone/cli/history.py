"""`gridtone explain` and `replay`: why the grid is in its state, and which ones it would have been in."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridtone.cli.common import console, progress_bar, to_write

if TYPE_CHECKING:
    from gridtone.rules import Rules

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
STALE_AFTER = click.option("--stale-after", metavar="DURATION", help="Instead of the signals' own, for recordings with readings further apart.")


def rules_of(named: str) -> "Rules":
    """The rules in a file, or the pack of that name."""
    from gridtone.rules import load_pack, load_rules

    return load_rules(Path(named)) if Path(named).exists() or "/" in named or named.endswith((".yaml", ".yml")) else load_pack(named)


def seconds_of(option: str, duration: str | None) -> float | None:
    from pydantic import TypeAdapter, ValidationError

    from gridtone.fields import Seconds

    try:
        return None if duration is None else float(TypeAdapter(Seconds).validate_python(duration))
    except ValidationError as error:
        raise click.BadParameter(f"{duration!r} is not a duration: write such as 90s, 30m, 12h or 7d", param_hint=option) from error


def time_of(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a time: write such as 2026-01-31T14:05:00", param_hint="--at") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


@click.command()
@click.option("--url", default="http://127.0.0.1:8765", show_default=True, help="The service to ask.")
@click.option("--token-file", type=FILE, help="File whose first line is the token of the service.")
@click.option("--token-env", help="Environment variable that holds the token.")
@click.option("--ca-file", type=FILE, help="PEM file of the authority that signed the service's certificate.")
@click.option("--from", "recording", type=FILE, help="A recording (CSV, Parquet, jsonl) instead of a service.")
@click.option("--at", metavar="TIME", help="With --from: this moment, in UTC unless it says otherwise; the end unless given.")
@click.option("--rules", "named", default="transmission", show_default=True, metavar="FILE|PACK", help="With --from: the rules.")
@STALE_AFTER
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as /api/v1/explain answers.")
def explain(
    url: str,
    token_file: Path | None,
    token_env: str | None,
    ca_file: Path | None,
    recording: Path | None,
    at: str | None,
    named: str,
    stale_after: str | None,
    as_json: bool,
) -> None:
    """Say why the grid is in its state: every state, limit, margin, age and timer."""
    import msgspec

    from gridtone.proving.asking import of_history, of_service
    from gridtone.proving.past import past, patient
    from gridtone.proving.telling import explained

    if recording:
        rules = patient(rules_of(named), seconds_of("--stale-after", stale_after))
        explanation = of_history(past(str(recording), None, None, lambda fraction: None), rules, time_of(at))
    else:
        token = token_file.read_text(encoding="utf-8").split("\n")[0].strip() if token_file else os.environ.get(token_env, "") if token_env else None
        explanation = of_service(url, token, str(ca_file) if ca_file else None)
    click.echo(msgspec.json.encode(explanation).decode() if as_json else "\n".join(explained(explanation)))


@click.command()
@click.option("--from", "source", required=True, metavar="FILE|influx", help="A recording (CSV, Parquet, jsonl), or the InfluxDB of --config.")
@click.option("--config", type=FILE, help="With --from influx: the site's file, which says where the database is.")
@click.option("--since", metavar="DURATION", help="Only the last so long, such as 7d: before now, or before the end of the recording. influx: 1d unless given.")
@click.option("--rules", "named", default="transmission", show_default=True, metavar="FILE|PACK", help="The rules.")
@click.option("--against", metavar="FILE|PACK", help="Other rules: say what would have been different under them, and when.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), callback=to_write, help="Draw the states over time as SVG.")
@STALE_AFTER
def replay(source: str, config: Path | None, since: str | None, named: str, against: str | None, picture: Path | None, stale_after: str | None) -> None:
    """Run rules over history: which states the grid would have been in, and for how long."""
    from gridtone.proving.past import past, patient
    from gridtone.proving.picture import draw
    from gridtone.proving.telling import differed, replayed
    from gridtone.proving.timeline import differences, figures, replay
    from gridtone.stock.settings import StockSettings

    names = [name for name in (named, against) if name]
    rules = [patient(rules_of(name), seconds_of("--stale-after", stale_after)) for name in names]
    with progress_bar() as bar:
        task = bar.add_task(f"replaying {source}", total=1.0)

        def progress(fraction: float) -> None:
            bar.update(task, completed=fraction)

        timelines = replay(past(source, config, seconds_of("--since", since), progress), rules)
    for name, timeline in zip(names, timelines, strict=True):
        click.echo("\n".join(replayed(name, timeline, figures(timeline, StockSettings()))))
    if against:
        stretches = timelines[0].stretches
        click.echo("\n".join(differed(named, against, list(differences(*timelines)), stretches[-1].end - stretches[0].start)))
    if picture:
        picture.write_text(draw(list(zip(names, timelines, strict=True))), encoding="utf-8")
        console.print(f"drawn: {picture}", markup=False)
