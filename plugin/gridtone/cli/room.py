"""`gridtone room`: what concerns the control room's own sounds."""

import sys
from datetime import datetime
from pathlib import Path

import click

from gridtone.cli.access import record
from gridtone.cli.common import CONFIG, console, enter, progress_bar
from gridtone.cli.history import FILE as EXISTING_FILE
from gridtone.cli.history import rules_of

MOST_NAMED = 20
"""Alarms that an entry of the audit log names."""
FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def room() -> None:
    """The control room's own alarms, and the music."""


@room.command()
@click.argument("alarms", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--levels", "levels_file", type=FILE, help="YAML file of levels measured at the desk.")
@click.option(
    "--one-system",
    "music_db",
    metavar="DB",
    type=click.FloatRange(-60, 0),
    help="Instead of levels: one system plays alarms and music from their files, with the music turned down by so much, such as -6.",
)
@click.option("--config", type=EXISTING_FILE, help="The site's file: audit the tracks in its stock. The service may be running.")
@click.option("--tracks", "folder", metavar="FOLDER|URL", help="Audit the audio files there instead.")
@click.option("--pack", metavar="PACK|FILE", help="Audit tracks made on the spot, by the composer, for every state of these rules instead.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(10, 1800), help="With --pack: length of a track.")
@click.option("--per-state", default=1, show_default=True, type=click.IntRange(1, 100), help="With --pack: tracks a state.")
@click.option("--margin", default=10.0, show_default=True, type=click.FloatRange(0, 40), help="How far an alarm must stand out in an octave band, dB.")
@click.option("--percentile", default=99.0, show_default=True, type=click.FloatRange(50, 100), help="Of the music's level over time; 100: its loudest.")
@click.option("--site", default="", help="What the report calls the place.")
@click.option("-o", "--output", default="room-audit.html", show_default=True, type=FILE, help="The report.")
@click.option("--json", "json_file", type=FILE, help="Write everything that was found as JSON too.")
@click.option("--mixes", type=click.Path(file_okay=False, path_type=Path), help="Write each alarm over the music that comes closest to masking it.")
@click.option("--language", default="en", show_default=True, type=click.Choice(["en", "zh"]), help="Of the report.")
def audit(
    alarms: tuple[Path, ...],
    levels_file: Path | None,
    music_db: float | None,
    config: Path | None,
    folder: str | None,
    pack: str | None,
    seconds: float,
    per_state: int,
    margin: float,
    percentile: float,
    site: str,
    output: Path,
    json_file: Path | None,
    mixes: Path | None,
    language: str,
) -> None:
    """Check that every alarm stands out of the music: ALARMS are audio files, or folders of them.

    Without --levels and --one-system, every alarm is taken for 65 dB(A), the music for 45 and the room for 40.

    Exit code 0: every alarm stands out; 1: an alarm is masked; 2: something could not be read.
    """
    from gridtone.config import load_site
    from gridtone.documents import DocumentError
    from gridtone.room import audit as audits
    from gridtone.room.audit_inputs import AuditError, assumed_levels, load_alarms, load_levels, pack_tracks, stored_tracks
    from gridtone.room.audit_mix import write_mixes
    from gridtone.room.audit_report import Circumstances, as_html, as_json
    from gridtone_engine import EngineError

    if sum(source is not None for source in (config, folder, pack)) > 1:
        raise click.UsageError("give one of --config, --tracks and --pack: they all say which tracks to audit")
    if levels_file and music_db is not None:
        raise click.UsageError("give --levels or --one-system: both say how loud alarms and music are")
    try:
        sounds = load_alarms(alarms)
        assumed = assumed_levels(sounds) if music_db is None else None
        levels = load_levels(levels_file, sounds) if levels_file else assumed
        described = load_site(config)
        if pack:
            tracks = pack_tracks(pack, rules_of(pack), described.gate, described.room, seconds, per_state)
        else:
            store = described.library.store or str(described.data / "audio")
            tracks = stored_tracks(folder or (store if config is None or "://" in store else str(config.parent / store)))
        with progress_bar() as bar:
            task = bar.add_task(f"{len(sounds)} alarms against {tracks.count} tracks", total=tracks.count)
            settings = audits.Settings(margin, percentile, music_db or 0.0)
            found, excerpts = audits.audit(sounds, tracks, levels, settings, lambda name: bar.update(task, advance=1, description=name))
        circumstances = Circumstances(site, tracks.where, levels_file, datetime.now().astimezone())
        output.write_text(as_html(found, circumstances, "zh" if language == "zh" else "en"), encoding="utf-8")
        if json_file:
            json_file.write_bytes(as_json(found, circumstances))
        if mixes:
            write_mixes(mixes, sounds, found, excerpts)
    except (AuditError, DocumentError, EngineError, OSError, ValueError) as error:
        console.print(str(error), style="red", soft_wrap=True, markup=False)
        sys.exit(2)
    for alarm in found.alarms:
        worst = found.worst(alarm.name)
        over = f"{worst.state} ({worst.track})" if worst.state else worst.track
        verdict = "MASKED" if worst.masked else "ok"
        least_dba = found.least_dba(alarm) if levels else None
        needed = f"{margin:g}" if least_dba is None else f"{margin:g}, so {least_dba:.1f} dB(A) at least"
        click.echo(f"{verdict:<7} {alarm.name}: {worst.octave_db:.1f} dB in the {worst.octave_hz} Hz octave over {over}; needed {needed}")
    if levels is not None and levels is assumed:
        console.print("nobody measured: alarms are taken for 65 dB(A), music for 45, the room for 40; give --levels for a report to sign", soft_wrap=True)
    click.echo(output)
    sys.exit(bool(found.masked))


@room.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def examples(folder: Path) -> None:
    """Write three example alarms, the calibration noise and a levels file into FOLDER."""
    from gridtone.room.audit_examples import write_examples

    for path in write_examples(folder):
        click.echo(path)


@room.command()
@CONFIG
def forget_alarms(config: Path | None) -> None:
    """Forget which alarms waited for somebody when the service stopped. Stop it first.

    For an alarm whose acknowledgement nobody will ever report, since it came while gridtone was not running.
    """
    from gridtone.config import load_site
    from gridtone.library.errors import LibraryError
    from gridtone.library.library import Library
    from gridtone.room.policy import ROOM, KeptRoom

    site = load_site(enter(config))
    with Library.open(site.library, site.data) as library:
        try:
            kept = library.remembered(ROOM, KeptRoom) or KeptRoom()
        except LibraryError as error:
            console.print(str(error), soft_wrap=True, markup=False)
            kept = KeptRoom()
        names = [f"{alarm.source}: {alarm.name}" for alarm in kept.alarms.alarms]
        library.forget_kept(ROOM)
        record(site, library.audit, "alarms_forgotten", "", {"count": len(names), "first": names[:MOST_NAMED]})
    click.echo("\n".join(names) or "no alarm waited for anybody")
