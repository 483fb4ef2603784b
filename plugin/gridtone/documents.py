"""YAML files read so that every error has a file, a line, a column and a likely fix."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file."""

    file: Path
    line: int
    """From 1."""
    column: int
    """From 1."""
    message: str
    """What is wrong, with the offending text."""
    fix: str = ""
    """What to do: `did you mean 'for'?`."""

    def __str__(self) -> str:
        fix = f"; {self.fix}" if self.fix else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{fix}"


class DocumentError(Exception):
    """A file that cannot be used, with every problem found in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
