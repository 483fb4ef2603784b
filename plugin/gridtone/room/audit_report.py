"""The report of an audit: one HTML page that prints on A4, to be signed, and JSON for programs."""

import hashlib
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import soundfile
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from ruamel.yaml import YAML

from gridtone.room.audit import Audit, Heard, Margin
from gridtone.room.audit_bands import OCTAVES_HZ, THIRDS_HZ
from gridtone.room.audit_chart import Line, chart
from gridtone.room.audit_inputs import QUIETEST_ALARM_DBA

Language = Literal["en", "zh"]
RED, GREY = "#b3261e", "#9a9a9a"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where and how an audit was made."""

    site: str
    tracks_from: str
    levels_file: Path | None
    made: datetime

    @property
    def measured(self) -> bool:
        return self.levels_file is not None

    def versions(self) -> dict[str, str]:
        return {
            "gridtone": version("gridtone"),
            "Python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": version("scipy"),
            "soundfile": f"{soundfile.__version__} (libsndfile {soundfile.__libsndfile_version__})",
            "system": platform.platform(),
        }

    def command(self) -> str:
        return shlex.join(["gridtone", *sys.argv[1:]])

    def levels_sha256(self) -> str:
        return hashlib.sha256(self.levels_file.read_bytes()).hexdigest() if self.levels_file else ""


def as_json(found: Audit, circumstances: Circumstances) -> bytes:
    """Everything that was found. Bands as in `octaves_hz` and `thirds_hz`."""
    document = {
        "gridtone_room_audit": 1,
        "passed": not found.masked,
        "masked": found.masked,
        "site": circumstances.site,
        "made": circumstances.made.isoformat(timespec="seconds"),
        "command": circumstances.command(),
        "versions": circumstances.versions(),
        "tracks_from": circumstances.tracks_from,
        "levels_sha256": circumstances.levels_sha256() or None,
        "octaves_hz": OCTAVES_HZ,
        "thirds_hz": THIRDS_HZ,
        **{name: value for name, value in asdict(found).items() if name != "levels"},
        "levels": found.levels and found.levels.model_dump(),
        "levels_measured": circumstances.measured,
        "least_dba": {alarm.name: found.least_dba(alarm) for alarm in found.alarms} if found.levels else None,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def as_html(found: Audit, circumstances: Circumstances, language: Language = "en") -> str:
    """The page; it needs nothing beside itself."""
    words: dict[str, Any] = YAML(typ="safe", pure=True).load(Path(__file__).with_name("audit.words.yaml"))[language]
    unit = "dB(A)" if found.levels else "dB(A) FS"
    environment = Environment(loader=PackageLoader("gridtone.room", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("audit.html").render(
        words=words,
        language=language,
        found=found,
        circumstances=circumstances,
        unit=unit,
        octaves_hz=OCTAVES_HZ,
        levels_said=_levels_said(found, circumstances.measured, words),
        to_sign=circumstances.measured or not found.levels,
        cells=_cells(found),
        charts={alarm.name: _charts(found, alarm, words) for alarm in found.alarms},
        lowest={track.name: min(margin.octave_db for margin in found.margins if margin.track == track.name) for track in found.tracks},
        shown=_shown(words),
    )


def _shown(words: dict[str, Any]) -> Callable[[str], str]:
    """A state's name for people."""
    return lambda state: state.replace("_", " ") or words["any_state"]


def _cells(found: Audit) -> dict[tuple[str, str], Margin]:
    return {(alarm.name, state): found.worst(alarm.name, state) for alarm in found.alarms for state in found.states}


def _levels_said(found: Audit, measured: bool, words: dict[str, Any]) -> str:
    if not found.levels:
        return str(words["one_system"].format(music_db=-found.settings.music_db))
    match found.levels.background:
        case None:
            background = words["no_background"]
        case dict() as octaves:
            background = words["octave_levels"].format(levels=", ".join(f"{hz} Hz {level:g}" for hz, level in sorted(octaves.items())))
        case dba:
            background = f"{dba:g} dB(A)"
    return str(words["measured" if measured else "assumed"].format(alarm=QUIETEST_ALARM_DBA, music=found.levels.music_dba, background=background))


def _charts(found: Audit, alarm: Heard, words: dict[str, Any]) -> tuple[Markup, Markup]:
    worst = found.worst(alarm.name)
    others: list[Line] = [(found.worst(alarm.name, state).threshold_octaves_db, GREY, 1, "") for state in found.states if state != worst.state]
    needed = [level + found.settings.margin_db for level in worst.threshold_octaves_db]
    unit = "dB" if found.levels else "dB FS"
    octaves = chart(
        f"{alarm.name}: {words['octave_chart']}",
        OCTAVES_HZ,
        alarm.octaves_db,
        alarm.octaves_carry,
        [*others, (needed, RED, 1.5, "5 4"), (worst.threshold_octaves_db, RED, 2.5, "")],
        unit,
    )
    thirds = chart(
        f"{alarm.name}: {words['third_chart']}",
        THIRDS_HZ,
        alarm.thirds_db,
        alarm.thirds_carry,
        [(worst.threshold_thirds_db, RED, 2.5, "")],
        unit,
    )
    return Markup(octaves), Markup(thirds)  # noqa: S704 - every text in them is escaped
