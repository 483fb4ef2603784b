"""What the rules page gets to see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gridtone.library.rules_version import VersionLine
from gridtone.proving.timeline import Difference, StateFigures, Stretch
from gridtone.words import Words

Source = Literal["file", "pack", "inline"]


class ConflictError(Exception):
    """Somebody else saved meanwhile."""


class RefusedError(Exception):
    """The rules have mistakes, or there is nothing to save: the message says what."""


class NoReadingsError(Exception):
    """There is no history to replay yet."""


class HelperError(Exception):
    """The process that checks and replays gave no answer: the message says why."""


@dataclass(frozen=True, slots=True)
class CurrentRules:
    """The rules as they are saved."""

    text: str
    fingerprint: str
    """SHA-256 of the file, hexadecimal: what a save is based on."""
    source: Source
    """`file`: a file of rules. `pack`: a pack of gridtone's; the first save makes a file of it. `inline`: the site's file, which cannot be edited here."""
    name: str
    """The file's path, or the pack's name."""
    in_force: bool
    """The service plays by this text. It takes one over within two seconds."""
    problem: str
    """Why the service refused this text, and plays on by the one before it; empty when it did not."""
    version: VersionLine | None
    """The newest."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mistake or a doubt, at a place in the text."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    length: int
    """Characters of the offending text, all on that line."""
    severity: Literal["error", "warning"]
    message: str
    fix: str
    replacement: str | None
    """What the offending text was probably meant to be."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A text of rules, checked as `gridtone check` does."""

    good: bool
    """No errors: it may be saved."""
    found: str
    """What good rules hold, in words."""
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class StateName:
    name: str
    title: Words
    severity: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What rules made of a history."""

    states: Sequence[StateName]
    """Of those rules, and `no_data` and `no_state`."""
    stretches: Sequence[Stretch]
    """In order of time. Of very many, the longest."""
    undrawn: int
    """Stretches that are left out."""
    figures: Sequence[StateFigures]
    """The longest time first."""
    changes: int
    """Of the state."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The last hours under the rules that are saved and under the edited ones."""

    start: float
    end: float
    readings: int
    spacing_seconds: float
    """How far apart the readings of one point that were kept may lie. Signals go stale that much later than in service."""
    current: Outcome
    edited: Outcome
    differing_seconds: float
    differences: Sequence[Difference]
    """`state` and `reason` under the current rules, `other` ones under the edited. Of very many, the longest; in order of time."""
    unlisted: int
    """Differences that are left out."""
    unseen: Sequence[str]
    """Signals of the edited rules of which no point was recorded."""
