"""The room's alarms against the music: does every alarm stand out, in at least one octave band, of what it sounds over?

    result = audit(load_alarms([folder]), stored_tracks("gridtone-data/audio"), levels, Settings())
    result.masked      # names of alarms that do not stand out of every track
    result.margins     # every alarm against every track

The criteria are those of ISO 7731: the alarm's level in an octave at least 10 dB above the masked threshold there; told as well are the standard's other two,
13 dB in a third octave and 15 dB(A) over all. The octaves decide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gridtone.room.audit_bands import (
    OCTAVES_HZ,
    THIRD_CENTRES,
    THIRDS_HZ,
    Alarm,
    Floats,
    Spectrum,
    a_weighting,
    db,
    hear_alarm,
    masked_threshold,
    octaves_of,
    over_time,
    whole,
)
from gridtone.room.audit_examples import RATE, calibration_noise
from gridtone.room.audit_inputs import QUIETEST_ALARM_DBA, Levels, Sound, Tracks

COUNTED_HZ = (250, 4000)
"""Octaves that count: lower ones are hardly heard as a signal, higher ones not by everyone."""
CARRIES_DB = 15.0
"""A band counts where the alarm's A-weighted level in it is at most so far below the alarm's own: what nobody hears of an alarm cannot save it."""
THIRD_MARGIN_DB, WEIGHTED_MARGIN_DB = 13.0, 15.0
WIDEST_MARGIN_DB = 99.0
"""Said where there is nothing in the band that could mask, or, with a minus, nothing of the alarm."""
ROUNDING_DB = 1e-4
"""Of one machine's arithmetic against another's: who stands 10 dB above stands so everywhere."""
EXCERPT_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Settings:
    margin_db: float = 10.0
    """How far an alarm must stand above the masked threshold in an octave."""
    percentile: float = 99.0
    """Of the music's windows of 0.25 s: the level that counts is exceeded in the rest of them. 100: the loudest window."""
    music_db: float = 0.0
    """Without levels, where one system plays alarms and music from their files: how far the music is turned down there."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An alarm as it sounds in the room, or in its file where no levels were measured."""

    name: str
    seconds: float
    on_seconds: float
    sha256: str
    level_dba: float
    """LAeq of its on-periods."""
    fast_max_dba: float
    """LAFmax."""
    offset_db: float
    """From full scale to the room."""
    octaves_db: tuple[float, ...]
    thirds_db: tuple[float, ...]
    octaves_carry: tuple[bool, ...]
    """Which octaves count for it."""
    thirds_carry: tuple[bool, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Margin:
    """One alarm against one track. Levels and margins in dB; bands as in OCTAVES_HZ and THIRDS_HZ."""

    alarm: str
    track: str
    state: str
    masked: bool
    octave_db: float
    """The best margin in an octave that counts."""
    octave_hz: int
    third_db: float
    third_hz: int
    weighted_db: float
    octaves_db: tuple[float, ...]
    """Margin in every octave, whether it counts or not."""
    threshold_octaves_db: tuple[float, ...]
    threshold_thirds_db: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrackSeen:
    name: str
    state: str
    seconds: float
    level_dba: float
    """LAeq of the whole."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Where the music comes closest to masking an alarm."""

    samples: NDArray[np.float32]
    sample_rate: int
    offset_db: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    settings: Settings
    levels: Levels | None
    alarms: tuple[Heard, ...]
    tracks: tuple[TrackSeen, ...]
    margins: tuple[Margin, ...]

    @property
    def masked(self) -> list[str]:
        """Names of the alarms that some track masks."""
        return list(dict.fromkeys(margin.alarm for margin in self.margins if margin.masked))

    def worst(self, alarm: str, state: str | None = None) -> Margin:
        """The lowest margin of an alarm, in a state or at all."""
        return min((margin for margin in self.margins if margin.alarm == alarm and state in (None, margin.state)), key=lambda margin: margin.octave_db)

    def least_dba(self, heard: Heard) -> float | None:
        """How loud the alarm has to be, LAFmax, to stand out of every track; None where no level makes it, or every one."""
        lowest_db = self.worst(heard.name).octave_db
        return heard.fast_max_dba - (lowest_db - self.settings.margin_db) if any(heard.octaves_carry) and abs(lowest_db) < WIDEST_MARGIN_DB else None

    @property
    def states(self) -> list[str]:
        return list(dict.fromkeys(track.state for track in self.tracks))


def audit(
    sounds: Sequence[Sound], tracks: Tracks, levels: Levels | None, settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> tuple[Audit, dict[str, Excerpt]]:
    """Every alarm against every track, and for each alarm where the music comes closest. `progress` is called after each track with its name."""
    music_offset = levels.music_dba - noise_level_db() if levels else settings.music_db
    background = _background(levels)
    spectra: dict[str, Spectrum] = {}
    alarms = []
    for sound in sounds:
        alarm = hear_alarm(sound.samples, sound.sample_rate)
        offset = levels.alarms[sound.name] - alarm.fast_max_db if levels else 0.0
        spectra[sound.name] = alarm.spectrum.scaled(offset)
        alarms.append(_heard(sound, alarm, offset, spectra[sound.name], levels is not None))
    seen, margins = [], []
    excerpts: dict[str, Excerpt] = {}
    lowest = dict.fromkeys(spectra, np.inf)
    for track in tracks.sounds():
        music = over_time(track.samples, track.sample_rate).scaled(music_offset)
        seen.append(TrackSeen(track.name, track.state, track.seconds, float(db(float(music.weighted.mean()))), track.sha256))
        masker = music + background if background else music
        threshold = Threshold.of(masker, settings.percentile)
        for heard in alarms:
            margin = _margin(heard, spectra[heard.name], track, threshold, settings.margin_db)
            margins.append(margin)
            if margin.octave_db < lowest[heard.name]:
                lowest[heard.name] = margin.octave_db
                excerpts[heard.name] = _excerpt(track, masker, OCTAVES_HZ.index(margin.octave_hz), music_offset)
        progress(track.name)
    return Audit(settings, levels, tuple(alarms), tuple(seen), tuple(margins)), excerpts


@dataclass(frozen=True, slots=True)
class Threshold:
    """What must be stood out of, dB."""

    octaves: Floats
    thirds: Floats
    weighted: float

    @classmethod
    def of(cls, masker: Spectrum, percentile: float) -> "Threshold":
        levels = (masked_threshold(octaves_of(masker.thirds)), masked_threshold(masker.thirds), db(masker.weighted))
        octaves, thirds, weighted = (np.percentile(level, percentile, axis=0, method="higher") for level in levels)
        return cls(octaves, thirds, float(weighted))


@cache
def noise_spectrum() -> Spectrum:
    return whole(calibration_noise(), RATE)


def noise_level_db() -> float:
    """The calibration noise's, A-weighted, dB re full scale."""
    return float(db(float(noise_spectrum().weighted)))


def _background(levels: Levels | None) -> Spectrum | None:
    if levels is None or levels.background is None:
        return None
    match levels.background:
        case dict() as octaves:
            thirds = np.repeat([10 ** (octaves[hz] / 10) / 3 if hz in octaves else 0.0 for hz in OCTAVES_HZ], 3)
            return Spectrum(thirds, np.asarray((thirds * np.square(a_weighting(THIRD_CENTRES))).sum()))
        case dba:
            return noise_spectrum().scaled(dba - noise_level_db())


def _heard(sound: Sound, alarm: Alarm, offset: float, spectrum: Spectrum, measured: bool) -> Heard:
    level = float(db(float(spectrum.weighted)))
    weighted = spectrum.thirds * np.square(a_weighting(THIRD_CENTRES))
    octaves_carry = _carries(octaves_of(weighted), level, OCTAVES_HZ)
    notes = []
    if not any(octaves_carry):
        notes.append("no_octave")
    fast_max = alarm.fast_max_db + offset
    if measured and round(fast_max, 1) < QUIETEST_ALARM_DBA:
        notes.append("quiet")
    return Heard(
        sound.name,
        sound.seconds,
        alarm.on_seconds,
        sound.sha256,
        level,
        fast_max,
        offset,
        tuple(db(octaves_of(spectrum.thirds)).tolist()),
        tuple(db(spectrum.thirds).tolist()),
        octaves_carry,
        _carries(weighted, level, THIRDS_HZ),
        tuple(notes),
    )


def _carries(weighted: Floats, level: float, bands_hz: Sequence[int]) -> tuple[bool, ...]:
    lowest, highest = COUNTED_HZ[0] / 1.3, COUNTED_HZ[1] * 1.3  # the thirds of the outer octaves too
    loud = (db(weighted) >= level - CARRIES_DB).tolist()
    return tuple(carried and lowest < hz < highest for carried, hz in zip(loud, bands_hz, strict=True))


def _margin(heard: Heard, alarm: Spectrum, track: Sound, threshold: Threshold, needed_db: float) -> Margin:
    octaves = np.clip(db(octaves_of(alarm.thirds)) - threshold.octaves, -WIDEST_MARGIN_DB, WIDEST_MARGIN_DB)
    thirds = np.clip(db(alarm.thirds) - threshold.thirds, -WIDEST_MARGIN_DB, WIDEST_MARGIN_DB)
    octave, third = (int(np.where(carry, margins, -np.inf).argmax()) for carry, margins in ((heard.octaves_carry, octaves), (heard.thirds_carry, thirds)))
    masked = not any(heard.octaves_carry) or bool(octaves[octave] < needed_db - ROUNDING_DB)
    return Margin(
        heard.name,
        track.name,
        track.state,
        masked,
        float(octaves[octave]),
        OCTAVES_HZ[octave],
        float(thirds[third]),
        THIRDS_HZ[third],
        float(min(heard.level_dba - threshold.weighted, WIDEST_MARGIN_DB)),
        tuple(octaves.tolist()),
        tuple(threshold.octaves.tolist()),
        tuple(threshold.thirds.tolist()),
    )


def _excerpt(track: Sound, masker: Spectrum, octave: int, offset: float) -> Excerpt:
    """Around the loudest window of that octave."""
    loudest = int(octaves_of(masker.thirds)[:, octave].argmax())
    share = loudest / max(1, len(masker.weighted))
    frames = round(EXCERPT_SECONDS * track.sample_rate)
    start = max(0, min(int(share * track.samples.shape[1]) - frames // 2, track.samples.shape[1] - frames))
    return Excerpt(track.samples[:, start : start + frames].copy(), track.sample_rate, offset)
