"""Is undertone at least as good as the composer? By the rows of the table in which both were judged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gridtone_engine.undertone.evaluate.table import Row

TIE = 0.05
"""Figures no further apart are a tie: the standard error of the difference between two shares near 0.9, of 80 tracks each."""


@dataclass(frozen=True, slots=True)
class Verdict:
    compared: tuple[Row, ...]
    lost: tuple[Row, ...]
    """Those of the compared rows in which undertone neither wins nor ties."""

    @property
    def holds(self) -> bool:
        """undertone wins or ties everywhere, and there was something to compare."""
        return bool(self.compared) and not self.lost


def verdict(rows: Sequence[Row]) -> Verdict:
    """The codec's rows compare nothing with the composer, nor do those that are only reported or a control."""
    compared = tuple(
        row
        for row in rows
        if row.undertone is not None and row.composer is not None and row.target not in ("reported", "control") and not row.what.startswith("codec,")
    )
    return Verdict(compared, tuple(row for row in compared if not _holds(row.undertone, row.composer, row.target)))


def _holds(undertone: float | None, composer: float | None, target: str) -> bool:
    assert undertone is not None and composer is not None
    match target.split():
        case ["<", limit]:
            return undertone < float(limit)
        case [">=", share, "of", "the", "composer's"]:
            return undertone >= float(share) * composer
        case ["0"] | ["<=", _]:
            return undertone <= composer + TIE
        case _:
            return undertone >= composer - TIE


@dataclass(frozen=True, slots=True)
class _Table:
    rows: list[Row]


def read_rows(evaluation: Path) -> list[Row]:
    """Rows of the `evaluation.json` that `evaluate` wrote. Raises OSError, or ValueError for a file that is none."""
    return msgspec.convert(json.loads(evaluation.read_text("utf-8")), _Table).rows
