"""Good rules made bad, a change at a time: what an editor, a slip of the hand or a bad merge does to a file.

`slips` are wrong whatever else the file says, and must be refused. `noise` may leave a file that is good; then it must be good enough to run.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path

from gridtone.documents import Document, DocumentError
from gridtone.proving.doubts import doubts
from gridtone.rules import Evaluator, Rules
from gridtone.rules.explanation import explain
from gridtone_adapters import Reading

GOOD = """gridtone: 1
title: {en: Substation, zh: 变电站}
signals:
  max_loading:
    of: [line/*/loading_pct, trafo/*/loading_pct]
    take: max
    unit: "%"
    stale_after: 60s
    uncertain: use
  open_breakers:
    of: breaker/**
    take: count
    where: "< 0.5"
    absent: 0
  ramp:
    of: grid/load_mw
    take: rate
    over: 15m
    per: 1h
    unit: MW/h
  load:
    of: grid/load_mw
    unit: MW
  reserve:
    expression: 100 * (900 - load) / max(load, 1)
    unit: "%"
states:
  overload:
    severity: emergency
    priority: 40
    when: max_loading > 100 %
    clear: max_loading < 95 %
    for: 10s
    hold: 5m
    on_stale: silent
    prompt:
      text: Very calm and sparse, low cello
      seconds: 2m
      tempo_bpm: 58
      key: A minor
      energy: 0.15
      instruments: [cello, warm pad]
  evening:
    priority: 10
    when:
      all:
        - ramp > 20 MW/h
        - any: [open_breakers == 0, 20 <= max_loading < 60]
        - not: open_breakers > 3
    prompt: Focused, steady and rhythmic
  short:
    priority: 5
    when: reserve < 5 and not (ramp > 20 or ramp < -20)
    silent: true
  day:
    prompt: Focused and steady
fallback: day
"""

DOUBTED_EVERY = 20
"""`check` looks at every combination of the signals, which takes a second: not for each one."""

Mutation = Callable[[str, random.Random], str]


def _swap(pattern: str, *instead: str) -> Mutation:
    """Replace one of the places that match by one of these."""

    def mutate(text: str, chance: random.Random) -> str:
        found = chance.choice(list(re.finditer(pattern, text, re.MULTILINE)))
        return text[: found.start()] + found.expand(chance.choice(instead)) + text[found.end() :]

    return mutate


SLIPS: dict[str, Mutation] = {
    "a misspelt key": _swap(
        r"\b(take|unit|stale_after|when|clear|for|hold|priority|prompt|severity|on_stale|fallback|signals|states)(?=:)",
        r"\1x", r"x\1", r"\1 _"
    ),
    "a key of nothing": _swap(r"^( +)(?=(?:of|when|priority|take|silent): )", r"\1colour: red\n\1"),
    "a key twice": _swap(r"^( +(?:of|when|take|severity|priority|unit|per|over): .*\n)", r"\1\1"),
    "a signal renamed where it is defined": _swap(r"^  (max_loading|open_breakers|ramp|load|reserve)(?=:)", r"  \1_"),
    "a state renamed that is the fallback": _swap(r"^fallback: day", "fallback: dya", "fallback: 7", "fallback: [day]"),
    "an unknown word": _swap(r"(?<=: )(max|count|rate|emergency|silent|use)$", "biggest", "7", "[a, b]", "grave", "null"),
    "text for a number": _swap(
        r"\b(priority|tempo_bpm|energy|absent): [\d.]+",
        *(rf"\1: {other}" for other in ("many", "'x'", "{}", "[1]", ".nan", ".inf", "5 x")),
    ),
    "a duration that is none": _swap(r"(?<=for: |old: |ver: |per: |ter: |nds: )\w+$", "soon", "-5s", "5 parsecs", "10 s", "{}", "1e99", ".inf"),
    "beyond what is allowed": _swap(r"(?<=tempo_bpm: )58|(?<=energy: )0.15|(?<=priority: )40", "1e6", "-1e9", "99999"),
    "an operator that is none": _swap(r"(?<=[a-z] )(>|<|==|<=)(?= -?\d)", "=", "=>", "><", "~", "is above", "**"),
    "a unit of another quantity": _swap(r"(?<=\d )(%|MW/h)$", "MW", "pu", "kV"),
    "a bracket that is never closed": _swap(r"(?<=when: )(max_loading|reserve)", r"(\1", r"((\1"),
    "a condition cut off": _swap(r"(?<=when: |lear: )(max_loading [<>]|reserve <).*$", r"\1", r"\1 5 and", "5 >", "and", "5 < 6"),
    "a signal that nobody defined": _swap(r"(?<=when: |lear: )max_loading|(?<=- )ramp|(?<=not: )open_breakers", "maxx_loading", "load_x", "电压"),
    "an expression of nothing": _swap(
        r"(?<=expression: ).*$",
        "load +", "2 + 3", "reserve * 2", "load > 3", "load ** 9", "max(load)", "open(load)", "load if load else 1", "[load]"
    ),
    "a point's path that is none": _swap(r"(?<=of: )(grid/load_mw|breaker/\*\*)", "grid//load", "a**/b", "'#'", "grid/+/x", "{}", "[]", "7", "''"),
    "a number for a prompt": _swap(r"(?<=prompt: )Focused.*$", "7", "[calm]", "{tempo_bpm: fast}", "{}", "{key: H minor}", "{instruments: [kazoo]}", "null"),
    "another format": _swap(r"^gridtone: 1", "gridtone: 2", "gridtone: one", "gridtone:", "gridtoneX: 1"),
}  # fmt: skip


def _delete_line(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return "".join(lines)


def _swap_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    one, other = chance.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return "".join(lines)


def _shift_line(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    lines[at] = chance.choice([" " + lines[at], "\t" + lines[at], lines[at].lstrip(" "), lines[at].replace("  ", " ", 1)])
    return "".join(lines)


def _delete_characters(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    return text[:at] + text[at + chance.choice([1, 1, 1, 2, 5, 40]) :]


def _insert_character(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice("abc019 :,[]{}()<>=&*!|'\"%@`#-+?\\\t\n\0\x7f\ufeff：（，负é😀") + text[at:]


def _swap_words(text: str, chance: random.Random) -> str:
    words = list(re.finditer(r"[\w./*%<>=-]+", text))
    first, second = sorted(chance.sample(words, 2), key=re.Match.start)
    return text[: first.start()] + second[0] + text[first.end() : second.start()] + first[0] + text[second.end() :]


def _cut_off(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text))]


NOISE: dict[str, Mutation] = {
    "a line deleted": _delete_line,
    "two lines swapped": _swap_lines,
    "a line shifted": _shift_line,
    "characters deleted": _delete_characters,
    "a character inserted": _insert_character,
    "two words swapped": _swap_words,
    "the end cut off": _cut_off,
}


def mutant(number: int) -> tuple[str, str]:
    """What was done, and the text: half of them slips, half noise, up to three on top of each other. The same number gives the same one."""
    chance = random.Random(number)
    if number % 2:
        kind = sorted(SLIPS)[number // 2 % len(SLIPS)]
        return kind, SLIPS[kind](GOOD, chance)
    kind = sorted(NOISE)[number // 2 % len(NOISE)]
    text = GOOD
    for _ in range(chance.choice([1, 1, 2, 3])):
        text = NOISE[kind](text, chance) or GOOD
    return kind, text


def outcome(number: int) -> str:
    """`refused`, or `accepted` if it may be. Raises AssertionError that shows the file otherwise; what crashes comes out as it is."""
    kind, text = mutant(number)
    file = Path("rules.yaml")
    try:
        document = Document(text, file)
        rules = document.validate(Rules)
    except DocumentError as error:
        lines = text.replace("\r\n", "\n").split("\n")
        assert error.problems, f"{number}: refused without a reason"
        for problem in error.problems:
            assert problem.message.strip(), f"{number}: {problem}"
            assert 1 <= problem.line <= len(lines) and 1 <= problem.column <= len(lines[problem.line - 1]) + 1, f"{number}: {kind}: {problem}\n{text}"
        return "refused"
    assert kind not in SLIPS, f"{number}: accepted with {kind}\n{text}"
    if number % DOUBTED_EVERY == 0:
        list(doubts(rules, document))
    run(rules)
    return "accepted"


def run(rules: Rules) -> None:
    """Rules that were accepted work: readings lead to a state with a reason."""
    evaluator = Evaluator(rules, 0.0)
    for now, load in ((0.0, 50.0), (30.0, 120.0), (900.0, 70.0)):
        points = [pattern.replace("**", "x").replace("*", "x") for signal in rules.signals.values() for pattern in signal.of]
        evaluator.ingest([Reading(point, load, now, "") for point in points], now)
        explanation = explain(evaluator, now)
        assert explanation.standing.reason["en"] and explanation.standing.reason["zh"]
    for _ in evaluator.until(3000.0):
        pass
