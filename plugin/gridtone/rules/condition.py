"""Conditions: comparisons of signals with numbers, joined by and, or, not, and judged as true, false or unknown.

A condition speaks of signals only by name, so a richer expression belongs into a signal.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gridtone.documents import Place

Truth: TypeAlias = bool | None
"""None is unknown: a signal that decides is missing or stale (Kleene's three-valued logic)."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Compare:
    """A signal against a number."""

    signal: str
    operator: str
    limit: float
    unit: str = field(default="", compare=False)
    """As written after the number; must be the signal's own."""
    at: Place = field(default=(), compare=False)
    """Where it stands, from the condition's top, and how many characters into the text there."""
    offset: int = field(default=0, compare=False)

    def holds(self, value: float) -> bool:
        return bool(OPERATORS[self.operator](value, self.limit))

    def __str__(self) -> str:
        return f"{self.signal} {self.operator} {self.limit:.12g}{' ' if self.unit else ''}{self.unit}"


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition

    def __str__(self) -> str:
        return f"not {_inner(self.part)}"


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " and ".join(map(_inner, self.parts))


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " or ".join(map(_inner, self.parts))


Condition: TypeAlias = Compare | Not | All | AnyOf


def _inner(part: Condition) -> str:
    return f"({part})" if isinstance(part, All | AnyOf) else str(part)


def comparisons(condition: Condition) -> Iterator[Compare]:
    """Every comparison of a condition, as written from left to right."""
    match condition:
        case Compare():
            yield condition
        case Not(part):
            yield from comparisons(part)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from comparisons(part)


def judge(condition: Condition, truths: Mapping[Compare, Truth]) -> Truth:
    """Is the condition true, false or unknown, given the same of its comparisons?"""
    match condition:
        case Compare():
            return truths[condition]
        case Not(part):
            return negate(judge(part, truths))
        case All(parts):
            return both(*(judge(part, truths) for part in parts))
        case AnyOf(parts):
            return either(*(judge(part, truths) for part in parts))


def negate(truth: Truth) -> Truth:
    return None if truth is None else not truth


def both(*truths: Truth) -> Truth:
    return False if False in truths else None if None in truths else True


def either(*truths: Truth) -> Truth:
    return True if True in truths else None if None in truths else False
