"""Which points are alarms, and from when on there are too many of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gridtone.documents import Wrong, refuse
from gridtone.fields import LocalText, Seconds
from gridtone.rules.model import Pattern

Priority = Literal["low", "medium", "high", "critical"]
PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high", "critical")
Condition = Literal["cleared", "unacknowledged", "acknowledged", "returned", "shelved"]
PARTS = ("state", "active", "acknowledged", "shelved", "priority_of")
"""The keys of a source that name points of an alarm."""


class AlarmSource(BaseModel):
    """Alarm points of one kind. `*` stands for one part of a path, a last `**` for all the rest; what they stand for names the alarm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("alarms", min_length=1, description="What these alarms are called on the page and in the log.")
    state: Pattern | None = Field(None, description="One point an alarm that says all, such as `alarm/*/state`; `states` says what its numbers mean.")
    states: dict[Annotated[int, Field(strict=True)], Condition] = Field(
        {0: "cleared", 1: "unacknowledged"},
        min_length=1,
        description="What each number of `state` means: `cleared`, `unacknowledged`, `acknowledged` (active both), `returned` (cleared, but not acknowledged "
        "yet) or `shelved`. A number that is not here leaves the alarm unknown.",
    )
    active: Pattern | None = Field(None, description="Instead of `state`: the point that is 1 while the alarm is active, as `alarm/*/active`.")
    acknowledged: Pattern | None = Field(None, description="Beside `active`: the point that is 1 once it is acknowledged. Without it, clearing is enough.")
    shelved: Pattern | None = Field(None, description="The point that is 1 while the alarm is shelved: it is shown, and counts for nothing.")
    latched: bool = Field(
        True,
        description="An alarm that cleared before anybody acknowledged it still counts as unacknowledged until somebody does. `false`: clearing is enough.",
    )
    priority: Priority = Field("high", description="`low`, `medium`, `high` or `critical`; of an alarm without `priority_of`, or until that has reported.")
    priority_of: Pattern | None = Field(None, description="The point that holds the alarm's priority, as a number of `priorities`.")
    priorities: dict[Annotated[int, Field(strict=True)], Priority] = Field(
        {1: "critical", 2: "high", 3: "medium", 4: "low"}, description="What the numbers of `priority_of` mean. One that is not here counts as `critical`."
    )
    heartbeat: Pattern | None = Field(
        None,
        description="A point that reports all the time as long as these alarms do: while it is fresh, every alarm is as it last said.",
    )
    stale_after: Seconds | None = Field(
        None,
        gt=0,
        description="How old the newest reading may be, by its source's timestamp: of `heartbeat`, or of each alarm point without one. Past that, the state of "
        "alarms is unknown.",
    )
    titles: dict[str, LocalText] = Field({}, description="What people call an alarm, by its name; the name unless given.")

    @model_validator(mode="after")
    def _check(self) -> AlarmSource:
        wrongs = []
        if (self.state is None) == (self.active is None):
            wrongs.append(
                Wrong(f"the alarms `{self.name}` need one of `state` and `active`", "it names the points that say whether one is active", on_key=True)
            )
        if self.state:
            meaningless = [key for key in ("acknowledged", "shelved") if getattr(self, key)]
            wrongs += [Wrong(f"`{key}` means nothing beside `state`", "give its number under `states`", (key,), on_key=True) for key in meaningless]
        shapes = {key: [part for part in pattern.split("/") if part in ("*", "**")] for key, pattern in self.patterns().items()}
        first = next(iter(shapes), "")
        others = [key for key, wildcards in shapes.items() if wildcards != shapes[first]]
        wrongs += [Wrong(f"`{key}` and `{first}` have different wildcards", "what they stand for says which alarm it is", (key,)) for key in others]
        if self.heartbeat and self.stale_after is None:
            wrongs.append(Wrong("a `heartbeat` lacks `stale_after`", "add such as `stale_after: 30s`", ("heartbeat",), on_key=True))
        refuse(wrongs)
        return self

    def patterns(self) -> dict[str, str]:
        """Part of an alarm -> the pattern of the points that hold it."""
        return {part: pattern for part in PARTS if (pattern := getattr(self, part))}


class AlarmSettings(BaseModel):
    """Alarms, and when there are too many, after ISA-18.2."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[AlarmSource, ...] = Field((), description="Which points are alarms: one entry a kind.")
    flood_alarms: int = Field(10, ge=1, description="More new alarms than this within `flood_seconds` are a flood.")
    flood_ends_below: int = Field(5, ge=1, description="The flood ends when fewer than this have come within `flood_seconds`.")
    flood_seconds: float = Field(600.0, gt=0, description="See `flood_alarms`.")
    chattering_alarms: int = Field(3, ge=2, description="An alarm that comes this often within `chattering_seconds` chatters.")
    chattering_seconds: float = Field(60.0, gt=0, description="See `chattering_alarms`.")
    stale_hours: float = Field(24.0, gt=0, description="An alarm that stands for longer is stale.")

    @model_validator(mode="after")
    def _check(self) -> AlarmSettings:
        if self.flood_ends_below > self.flood_alarms + 1:
            refuse([Wrong("`flood_ends_below` lies above `flood_alarms`", "a flood ends below where it begins", ("flood_ends_below",))])
        names = [source.name for source in self.sources]
        twice = next((number for number, name in enumerate(names) if name in names[:number]), None)
        if twice is not None:
            refuse([Wrong(f"two sources are called `{names[twice]}`", "give each a `name:` of its own", ("sources", twice))])
        return self
