"""The rules as they were at a time."""

from dataclasses import dataclass

FILE = "file"
"""The author of what was changed in the file itself."""
PACK = "gridtone"
"""The author of a pack."""


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version in a list."""

    number: int
    """From 1, in order of time."""
    time: float
    """Seconds since the Unix epoch."""
    author: str
    """Who saved it, as the access token is named; `file` or `gridtone` for what nobody saved on the page."""
    reason: str
    restores: int | None
    """The number of the version that it brought back."""


@dataclass(frozen=True, slots=True)
class RulesVersion(VersionLine):
    text: str
