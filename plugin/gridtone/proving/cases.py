"""A file of rule tests: fabricated series, and what must come of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gridtone.documents import Document, DocumentError, Place, Problem, Wrong, read_document, refuse
from gridtone.fields import Seconds
from gridtone.hints import did_you_mean
from gridtone.proving.series import SeriesField
from gridtone.rules import Rules
from gridtone.rules.model import Section, Severity
from gridtone.rules.points import Patterns
from gridtone.rules.source import RulesSource, read_source
from gridtone.rules.standing import RESERVED


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Expectation(Section):
    """What must be so at one time. What is not said does not matter."""

    at: Seconds = Field(description="Time since the start of the test; readings and timers of that very moment count.")
    state: str | None = Field(None, description="The active state; `no_data` and `no_state` too.")
    severity: Severity | Literal["unknown"] | None = Field(None, description="The severity of the active state.")
    silent: bool | None = Field(None, description="Whether the rules want silence.")
    reason: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        (), description="A text, or a list of texts, that must stand in the reason, in any of its languages."
    )
    also_true: tuple[str, ...] | None = Field(None, description="All the states that are true too but lost by priority, in any order.")
    cue: Literal["play", "silence"] | None = Field(None, description="What listeners are told, with a track in stock for every state that has a prompt.")
    plays: str | None = Field(None, description="The state whose track plays: the one before, while the music dwells.")

    @model_validator(mode="after")
    def _check(self) -> Expectation:
        if not self.model_fields_set - {"at"}:
            refuse([Wrong("nothing is expected", "add such as `state: alert`", on_key=True)])
        return self


class Case(Section):
    """One test."""

    name: str = Field(min_length=1, description="What it shows, in a sentence.")
    interval: Seconds | None = Field(None, gt=0, description="Time between readings; the file's unless given.")
    series: dict[str, SeriesField] = Field(default_factory=dict, description="Readings by point, instead of or in addition to the file's.")
    expect: tuple[Expectation, ...] = Field(min_length=1, description="What must be so, and when.")


class Suite(Section):
    """A whole file of rule tests."""

    gridtone_tests: Literal[1] = Field(description="Version of this format.")
    rules: RulesSource = Field(description="The rules: the path of a rules file, relative to this one, `pack: NAME`, or the rules themselves.")
    interval: Seconds = Field(10.0, gt=0, description="Time between readings.")
    series: dict[str, SeriesField] = Field(default_factory=dict, description="Readings by point, in every test that does not give its own.")
    tests: tuple[Case, ...] = Field(min_length=1, description="The tests.")


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """Tests with the rules that they are of, and where everything stands."""

    document: Document
    suite: Suite
    rules: Rules


def load_suite(path: Path) -> LoadedSuite:
    """Read a file of rule tests and its rules. Raises DocumentError with every problem, also for states and points that the rules do not know."""
    document = read_document(path)
    if isinstance(document.data, dict) and "states" in document.data:
        raise DocumentError([document.problem(("states",), "these are rules, not tests of rules", "name the file with `gridtone_tests: 1`", on_key=True)])
    suite = document.validate(Suite)
    try:
        rules = read_source(suite.rules, path.parent)
    except ValueError as error:
        raise DocumentError([document.problem(("rules", "pack"), str(error))]) from error
    if problems := [*_unknown_states(document, suite, rules), *_unknown_points(document, suite, rules)]:
        raise DocumentError(problems)
    return LoadedSuite(document, suite, rules)


def _unknown_states(document: Document, suite: Suite, rules: Rules) -> Iterator[Problem]:
    known = {*rules.states, *RESERVED}
    for number, case in enumerate(suite.tests):
        for order, expected in enumerate(case.expect):
            place: Place = ("tests", number, "expect", order)
            named = [("state", expected.state), ("plays", expected.plays), *(("also_true", name) for name in expected.also_true or ())]
            yield from (
                document.problem((*place, key), f"`{name}` is not a state of the rules", did_you_mean(name, known))
                for key, name in named
                if name is not None and name not in known
            )


def _unknown_points(document: Document, suite: Suite, rules: Rules) -> Iterator[Problem]:
    patterns: Patterns[str] = Patterns()
    for name, signal in rules.signals.items():
        for pattern in signal.of:
            patterns.add(pattern, name)
    wanted = {pattern for signal in rules.signals.values() for pattern in signal.of}
    sections: list[Place] = [("series",), *(("tests", number, "series") for number in range(len(suite.tests)))]
    for place, series in zip(sections, [suite.series, *(case.series for case in suite.tests)], strict=True):
        for point in series:
            if "*" in point:
                yield document.problem((*place, point), f"`{point}` is a pattern, not one point", "write the points out", on_key=True)
            elif not patterns.matching(point):
                yield document.problem((*place, point), f"no signal of the rules speaks of `{point}`", did_you_mean(point, wanted), on_key=True)
