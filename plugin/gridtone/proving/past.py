"""Where a history to replay comes from: a recording, or the InfluxDB of a site."""

import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import urllib3

from gridtone.config import load_site
from gridtone.proving.timeline import STEP_SECONDS
from gridtone.rules import Rules
from gridtone_adapters import InfluxConfig, ReplayConfig
from gridtone_adapters.influx_history import influx_history
from gridtone_adapters.influx_languages import Refused
from gridtone_adapters.recording import Moment, Recording, Row
from gridtone_adapters.security import SetupError

INFLUX = "influx"
DEFAULT_SINCE_SECONDS = 86400.0
Progress = Callable[[float], None]
"""Told which fraction has been read, 0 to 1."""


def past(source: str, config: Path | None, since_seconds: float | None, progress: Progress) -> Iterator[Moment]:
    """The moments of a recording, or for `influx` of the database of the site that `config` describes. Raises ValueError that says what to do."""
    try:
        if source != INFLUX:
            yield from _recorded(Path(source), since_seconds, progress)
        elif config is None:
            raise ValueError("--from influx needs --config: the site's file says where the database is")
        else:
            yield from _of_database(config, since_seconds or DEFAULT_SINCE_SECONDS, progress)
    except FileNotFoundError as error:
        raise ValueError(f"cannot read {source}: no such file; check the path, or write `{INFLUX}` for the database of --config") from error
    except (OSError, EOFError, zlib.error) as error:
        packed = source.lower().endswith(".gz") and not (isinstance(error, OSError) and error.errno)  # without a number it is not the disk that complains
        advice = "; is it complete, and packed by gzip? Test it with `gzip -t`, and copy it again" if packed else ""
        raise ValueError(f"cannot read {source}: {error}{advice}") from error
    except (SetupError, Refused, urllib3.exceptions.HTTPError) as error:
        raise ValueError(f"cannot read {source}: {error}") from error


def _recorded(file: Path, since_seconds: float | None, progress: Progress) -> Iterator[Moment]:
    config = ReplayConfig(file=file, restamp="original")
    start = 0.0
    if since_seconds is not None:
        for now, _ in Recording(config).moments(STEP_SECONDS):
            start = max(start, now - since_seconds)
    recording = Recording(config)
    for now, rows in recording.moments(STEP_SECONDS):
        progress(recording.fraction)
        if now >= start:
            yield now, rows


def _of_database(config: Path, since_seconds: float, progress: Progress) -> Iterator[Moment]:
    adapters = [adapter for adapter in load_site(config).adapters if isinstance(adapter, InfluxConfig)]
    if len(adapters) != 1:
        raise ValueError(f"{config} has {len(adapters)} adapters of the kind `influxdb`; a replay needs exactly one")
    end = time.time()
    start = end - since_seconds
    moment: list[Row] = []
    for reading in influx_history(adapters[0], start, end):
        if moment and reading.time // STEP_SECONDS != moment[0][2] // STEP_SECONDS:
            progress((reading.time - start) / since_seconds)
            yield moment[-1][2], moment
            moment = []
        moment.append(reading)
    if moment:
        yield moment[-1][2], moment


def patient(rules: Rules, stale_after_seconds: float | None) -> Rules:
    """The same rules for a history whose readings lie further apart than in service."""
    if stale_after_seconds is None:
        return rules
    signals = {name: signal.model_copy(update={"stale_after": stale_after_seconds}) for name, signal in rules.signals.items()}
    return rules.model_copy(update={"signals": signals})
