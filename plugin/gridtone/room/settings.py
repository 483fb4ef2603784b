"""What the room asks of the music: when it is silent, and how loud it may be."""

from __future__ import annotations

from datetime import datetime, time, tzinfo
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gridtone.alarms.settings import Priority
from gridtone.documents import Wrong, refuse
from gridtone.rules.model import Severity
from gridtone_adapters import Secret


def _time_of_day(value: Any) -> time:
    try:
        return datetime.strptime(str(value), "%H:%M").time()
    except ValueError:
        refuse([Wrong(f"`{value}` is not a time of day", 'write such as "22:00"')])
        raise AssertionError from None


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse([Wrong(f"`{name}` is not a time zone that this machine knows", "write such as Europe/Vienna")])
    return name


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day), WithJsonSchema({"type": "string", "pattern": r"^\d\d?:\d\d$", "examples": ["22:00"]})]
Decibels = Annotated[float, Field(ge=-60, le=0)]


class Night(BaseModel):
    """Hours in which the music is turned down."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    from_: TimeOfDay = Field(alias="from", description='When the night begins, such as `"22:00"`.')
    to: TimeOfDay = Field(description="When it ends; the next day, if that is earlier.")
    duck_db: Decibels = Field(-10.0, description="How far the music is turned down then.")

    def holds(self, clock: time) -> bool:
        if self.from_ <= self.to:
            return self.from_ <= clock < self.to
        return clock >= self.from_ or clock < self.to


class Speech(BaseModel):
    """The push-to-mute hook for radio and phone: `POST /api/v1/speech`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: Secret | None = Field(
        None,
        description="Where to find a token that opens this hook and nothing else: `{file: /run/secrets/speech}` or `{env: SPEECH_TOKEN}`. "
        "An editor's token opens it too.",
    )
    longest_seconds: float = Field(60.0, gt=0, le=3600, description="A key that nobody releases, or presses again, counts as released after this long.")
    return_seconds: float = Field(2.0, ge=0, description="The music stays silent for this long after the last key was released.")


class RoomSettings(BaseModel):
    """What the control room asks of the music, whatever the rules say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mute_priority: Priority = Field("low", description="An unacknowledged alarm of this priority or a higher one silences the music: `low` means every one.")
    dwell_seconds: float = Field(30.0, ge=0, description="The music returns this long after the last such alarm was acknowledged, or the flood has ended.")
    time_zone: Annotated[str, AfterValidator(_zone)] | None = Field(None, description="The site's, such as `Europe/Vienna`; the machine's own unless given.")
    night: Night | None = Field(None, description="Hours in which the music is turned down.")
    desks: dict[str, Decibels] = Field(
        {},
        description="How far the music is turned down at each desk, in dB: `{shift lead: -6, dispatcher 2: -15}`. A listener names its desk with `?desk=`; "
        "where desks are listed, one that names none gets the lowest of them.",
    )
    speech: Speech = Field(default_factory=Speech, description="The push-to-mute hook for radio and phone: `POST /api/v1/speech`.")
    speech_band_share_max: dict[Severity, Annotated[float, Field(gt=0, le=1)]] = Field(
        {"alert": 0.75, "emergency": 0.7, "in_extremis": 0.7},
        description="For states of these severities, the largest share of a track's energy between 200 and 5000 Hz, where alarms and speech are heard. "
        "No track of another state ever stands in for theirs, unless its own limit is as low.",
    )

    @cached_property
    def zone(self) -> tzinfo | None:
        return ZoneInfo(self.time_zone) if self.time_zone else None

    def night_duck_db(self, now: float) -> float:
        """How far the hour turns the music down."""
        return self.night.duck_db if self.night and self.night.holds(datetime.fromtimestamp(now, self.zone).time()) else 0.0
