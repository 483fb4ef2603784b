"""Settings of the stock and its sampler."""

import re

from apscheduler.triggers.cron import CronTrigger
from pydantic import BaseModel, ConfigDict, Field, field_validator

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def cron_trigger(expression: str) -> CronTrigger:
    """Minute, hour, day, month, weekday in local time, as crontab(5) has them: weekday 0 and 7 are Sunday (APScheduler's 0 is Monday). Raises ValueError."""
    *others, weekday = expression.split()
    names = re.sub(r"(?<!/)\b[0-7]\b", lambda digit: WEEKDAYS[int(digit[0])], weekday)
    return CronTrigger.from_crontab(" ".join([*others, names]))


class StockSettings(BaseModel):
    """How many tracks each state keeps ready, and how they are made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_state: int = Field(3, ge=1, le=1000, description="Fresh tracks that every state keeps in stock.")
    track_seconds: float = Field(180.0, ge=10, le=3600, description="Length of a track in seconds.")
    first_seconds: float = Field(60.0, ge=10, le=3600, description="Length of the first track of a state that has none, so that it is ready soon.")
    fresh_hours: float = Field(72.0, gt=0, description="A track is fresh for this long after it was made.")
    fresh_plays: int = Field(5, ge=1, description="A track is fresh until it has been played this often.")
    refresh: str | None = Field(
        "0 3 * * *",
        description="When every state's oldest fresh track is replaced by a new one: a crontab expression in local time (minute, hour, day, month, weekday). "
        "`null`: never.",
    )
    batch: int = Field(4, ge=1, le=256, description="Tracks that the engine is asked for at once. Engines on a GPU are only fast in batches.")
    attempts: int = Field(
        4, ge=1, description="Tracks in a row that may fail the gate before a state is given up for `retry_minutes`. Each attempt has another seed."
    )
    retry_minutes: float = Field(15.0, gt=0, description="After this time a failed engine, or a state that was given up, is tried again.")
    hang_seconds: float = Field(300.0, gt=0, description="The sampler process is killed and started anew when it makes no progress for this long.")
    threads: int = Field(1, ge=1, description="CPU threads that the sampler's numerical libraries may use.")
    memory_mib: int | None = Field(
        None, ge=256, description="Address space that the sampler process may take, in MiB. `null`: no limit. GPU engines need a great deal of address space."
    )

    @field_validator("refresh")
    @classmethod
    def _valid_cron(cls, expression: str | None) -> str | None:
        if expression is not None:
            try:
                cron_trigger(expression)
            except ValueError as error:
                raise ValueError(f"{expression!r} is no crontab expression ({error}); an example: '0 3 * * *' is every day at 03:00") from error
        return expression
