"""What an audit looks at: the room's alarms, the levels that were measured there, and tracks."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import soundfile
from fsspec.core import url_to_fs
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gridtone.documents import DocumentError, read_document
from gridtone.gate.check import check
from gridtone.gate.finish import finish
from gridtone.gate.limits import GateLimits
from gridtone.hints import did_you_mean
from gridtone.library.audio import encode_flac
from gridtone.room.masking import limits_of
from gridtone.room.settings import RoomSettings
from gridtone.rules import Rules
from gridtone_engine import open_engine

SUFFIXES = (".wav", ".flac", ".aiff", ".aif", ".ogg", ".opus", ".mp3")
LONGEST_ALARM_SECONDS = 300.0
SHORTEST_SECONDS = 0.05
SILENT_DBFS = -80.0
LOWEST_RATE = 8000
QUIETEST_ALARM_DBA = 65.0
"""ISO 7731 allows none below."""
ATTEMPTS = 8
"""Seeds that are tried for a state before the pack is called unplayable."""

Dba = Annotated[float, Field(ge=0, le=130)]


class AuditError(Exception):
    """An audit cannot be made: what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Audio from a file."""

    name: str
    samples: NDArray[np.float32]
    """(channels, frames), two channels at least: a mono file is played on both loudspeakers."""
    sample_rate: int
    sha256: str
    state: str = ""
    """Of a track: the state that it was made for, where the file says so."""

    @property
    def seconds(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate)


class Levels(BaseModel):
    """Sound levels measured at the desk. `docs/control-room.md` says how."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    music_dba: Dba
    """LAeq at the desk while the calibration noise plays at the loudest setting that listeners can choose."""
    background: Dba | dict[Literal[63, 125, 250, 500, 1000, 2000, 4000, 8000], Dba] | None = None
    """The room without music and alarms: LAeq, taken as pink noise, or the level of each octave, dB without weighting."""
    alarms: dict[str, Dba] = Field(min_length=1)
    """File name of each alarm -> its LAFmax at the desk."""


def assumed_levels(alarms: Sequence[Sound]) -> Levels:
    """Where nobody has measured: every alarm as quiet as ISO 7731 allows, music and an air-conditioned room below it.

    How loud a recording is says nothing: a file that peaks at -1 dBFS is no louder in the room than one that peaks at -20.
    """
    return Levels(music_dba=45.0, background=40.0, alarms={alarm.name: QUIETEST_ALARM_DBA for alarm in alarms})


def load_levels(path: Path, alarms: Sequence[Sound]) -> Levels:
    """Read the levels of these alarms. Raises DocumentError with every problem."""
    document = read_document(path)
    levels = document.validate(Levels)
    names = [alarm.name for alarm in alarms]
    unknown = [
        document.problem(("alarms", name), f"there is no alarm `{name}` among the files", did_you_mean(name, names), on_key=True)
        for name in levels.alarms
        if name not in names
    ]
    missing = [
        document.problem(("alarms",), f"the level of `{name}` is missing", f"measure it and add `{name}: ...`, or leave the file out", on_key=True)
        for name in names
        if name not in levels.alarms
    ]
    if unknown or missing:
        raise DocumentError([*unknown, *missing])
    return levels


def load_alarms(paths: Sequence[Path]) -> list[Sound]:
    """The alarms in files and folders. Raises AuditError."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise AuditError(f"{path}: there is no such file or folder; name the recordings of the room's alarms")
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not found:
            raise AuditError(f"{path}: no audio in this folder; put the alarms there as one of {', '.join(SUFFIXES)}")
        files += found
    names = [file.name for file in files]
    for name in names:
        if names.count(name) > 1:
            raise AuditError(f"{name}: two alarms have this name; the levels are given by name, so rename one")
    return [_alarm(file) for file in files]


def _alarm(file: Path) -> Sound:
    sound = _sound(file.name, str(file), file.read_bytes())
    if sound.seconds > LONGEST_ALARM_SECONDS:
        raise AuditError(f"{file}: {sound.seconds:.0f} s is too long for an alarm; cut it to some repetitions, at most {LONGEST_ALARM_SECONDS:.0f} s")
    return sound


def _sound(name: str, where: str, content: bytes) -> Sound:
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, comment = file.samplerate, file.comment
            samples = np.ascontiguousarray(file.read(dtype="float32", always_2d=True).T)
    except soundfile.LibsndfileError as error:
        raise AuditError(f"{where}: not audio that can be read ({error}); save it as WAV") from None
    if rate < LOWEST_RATE:
        raise AuditError(f"{where}: {rate} samples a second are too few to judge it; record it with at least {LOWEST_RATE}, better 44100")
    if samples.shape[1] < SHORTEST_SECONDS * rate:
        raise AuditError(f"{where}: {samples.shape[1] / rate:.3f} s is too short to judge; at least {SHORTEST_SECONDS:g} s")
    if not np.isfinite(samples).all():
        raise AuditError(f"{where}: it holds samples that are no numbers; save it again as WAV")
    if np.abs(samples).max() < 10 ** (SILENT_DBFS / 20):
        raise AuditError(f"{where}: it is silent (nothing above {SILENT_DBFS:g} dBFS); record it again")
    state = re.match(r"state (.+), seed \d+$", comment)
    if len(samples) == 1:
        samples = np.repeat(samples, 2, axis=0)
    return Sound(name, samples, rate, hashlib.sha256(content).hexdigest(), state[1] if state else "")


@dataclass(frozen=True, slots=True)
class Tracks:
    """Music to audit: one track at a time is in memory."""

    where: str
    count: int
    sounds: Callable[[], Iterator[Sound]]


def stored_tracks(url: str) -> Tracks:
    """Every track in a folder, or wherever fsspec reaches: a library's store, which may be in use, or any folder of audio files. Raises AuditError."""
    try:
        files, root = url_to_fs(url)
        paths = sorted(path for path in files.find(root) if path.lower().endswith(SUFFIXES) and "/incoming/" not in path)
    except (OSError, ImportError, ValueError) as error:
        raise AuditError(f"{url}: the tracks there cannot be read: {error}") from error
    lossless = {path.rpartition(".")[0] for path in paths if path.endswith(".flac")}
    paths = [path for path in paths if not (path.endswith(".opus") and path.rpartition(".")[0] in lossless)]  # the same track once more
    if not paths:
        raise AuditError(f"{url}: no tracks there; let the service fill its stock first, name another folder with --tracks, or try --pack transmission")

    def sounds() -> Iterator[Sound]:
        for path in paths:
            try:
                content = files.cat_file(path)
            except FileNotFoundError:  # removed by the service in the meantime
                continue
            yield _sound(_short(path.rpartition("/")[2]), path, content)

    return Tracks(url, len(paths), sounds)


def _short(name: str) -> str:
    return name[:12] if re.fullmatch(r"[0-9a-f]{64}\.flac", name) else name


def pack_tracks(name: str, rules: Rules, gate: GateLimits, room: RoomSettings, seconds: float, per_state: int) -> Tracks:
    """Tracks that the composer makes for every state, finished and judged as those in stock. Iterating raises AuditError."""
    states = {state: (wanted.prompt, limits_of(wanted.severity, room, gate) or gate) for state, wanted in rules.states.items() if wanted.prompt}

    def sounds() -> Iterator[Sound]:
        composer = open_engine("composer")
        for state, (prompt, limits) in states.items():
            passed = 0
            for seed in range(per_state * ATTEMPTS):
                [rendition] = composer.sample([prompt.for_engine(seconds, seed)])
                samples = finish(rendition.samples, rendition.sample_rate, limits)
                if check(samples, rendition.sample_rate, limits).passed:
                    passed += 1
                    flac = encode_flac(samples, rendition.sample_rate, 16, {"comment": f"state {state}, seed {seed}"})
                    yield _sound(f"{state} {seed}", f"{name}: {state}, seed {seed}", flac)
                if passed == per_state:
                    break
            else:
                raise AuditError(f"{name}: the gate refused {per_state * ATTEMPTS - passed} tracks of the state `{state}`; change its prompt")

    return Tracks(name, per_state * len(states), sounds)
