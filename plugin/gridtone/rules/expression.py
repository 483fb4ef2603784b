"""Expressions: a signal worked out from others.

    capacity_mw - load_mw
    100 * imports_mw / max(load_mw, 1)
    max_loading if known(max_loading) else 0
    0 if islanded > 0.5 and not generator_mw > 0 else battery_pct

Numbers and truth values, told apart while the text is read. No strings, no attributes, no powers, no loops, no calls but those in `FUNCTIONS`: a text of at
most `MAX_LENGTH` characters is work of at most as many steps. Unknown goes on as in conditions: `and`, `or`, `not` by Kleene's logic; anything else made of
something unknown is unknown itself, and so is what has no value, such as a division by zero. Nothing raises, whatever the values.

Expression libraries were weighed: simpleeval is untyped, rule-engine runs regular expressions, CEL's are slow or unstable beside another protobuf, and none of
them knows unknown. This is as short as what would be needed to tame one.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from gridtone.documents import Wrong, refuse
from gridtone.hints import did_you_mean
from gridtone.rules.condition import OPERATORS, both, either, negate
from gridtone.rules.parser import MAX_DEPTH, MAX_LENGTH, SAID_ELSEWHERE

LARGEST = 1e100
"""Results beyond this are unknown: no grid has them."""
WORDS = frozenset({"and", "or", "not", "if", "else"})
FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {"abs": (abs, 1, 1), "sqrt": (math.sqrt, 1, 1), "min": (min, 2, 20), "max": (max, 2, 20)}
"""By name: the function, and how many numbers it takes at least and at most."""
KNOWN = "known"
"""Whether a number is known: the one function that gives a truth value."""
RESERVED_NAMES = WORDS | FUNCTIONS.keys() | {KNOWN}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_EXAMPLE = "write such as `capacity_mw - load_mw`"
_TOKENS = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[^\W\d]\w*)|(?P<operator>[<>=!&|≥≤≠]+|\*\*|[-+*/^])|(?P<mark>[(),])|(?P<other>\S))"
)

Kind: TypeAlias = Literal["number", "truth"]
Values: TypeAlias = Mapping[str, float | None]
"""Of each signal; None where it is unknown."""
Run: TypeAlias = Callable[[Values], Any]
"""Work out a number, a truth value, or None."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A number made of signals."""

    text: str
    """As written."""
    signals: Mapping[str, int] = field(compare=False)
    """The signals that it names, and where in the text each stands first."""
    run: Run = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text

    def value(self, values: Values) -> float | None:
        """What it comes to; None where that is unknown."""
        found: float | None = self.run(values)
        return found


class _Token(NamedTuple):
    kind: str
    """`number`, `word`, `operator`, `other`, one of the marks, or `end`."""
    text: str
    offset: int


class _Part(NamedTuple):
    """A part of an expression that has been read."""

    kind: Kind
    run: Run
    offset: int


class _WrongError(Exception):
    def __init__(self, offset: int, message: str, fix: str = _EXAMPLE) -> None:
        super().__init__(message)
        self.wrong = Wrong(message, fix, offset=offset)


class _Reader:
    """Recursive descent over one text: every rule reads one part and makes what runs it."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise _WrongError(0, f"an expression of {len(text)} characters", f"at most {MAX_LENGTH}: make a signal of a part of it at its source")
        self.signals: dict[str, int] = {}
        self._depth = 0
        self._tokens = [_token(found) for found in _TOKENS.finditer(text.rstrip())]
        self._tokens.append(_Token("end", "the end", len(text.rstrip())))
        self._next = 0

    def whole(self) -> Run:
        part = self._number(self._choice())
        token = self._peek()
        if token.kind != "end":
            raise _WrongError(token.offset, f"{_found(token)} is not expected here", _instead(token) or "write an operator before it, or delete it")
        return part.run

    def _choice(self) -> _Part:
        part = self._either()
        if not self._takes("if"):
            return part
        condition = self._truth(self._either())
        if not self._takes("else"):
            raise _WrongError(self._peek().offset, f"`else` is missing before {_found(self._peek())}", "write such as `a if b > 0 else 0`")
        other = self._nested(self._choice)
        if other.kind != part.kind:
            raise _WrongError(other.offset, f"one side of `else` is a {_named(part.kind)}, the other a {_named(other.kind)}", "make both numbers")
        return _Part(part.kind, _chosen(condition.run, part.run, other.run), part.offset)

    def _either(self) -> _Part:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _joined(either, [self._truth(part) for part in parts])

    def _both(self) -> _Part:
        parts = [self._negation()]
        while self._takes("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else _joined(both, [self._truth(part) for part in parts])

    def _negation(self) -> _Part:
        offset = self._peek().offset
        if not self._takes("not"):
            return self._comparison()
        run = self._truth(self._nested(self._negation)).run
        return _Part("truth", lambda values: negate(run(values)), offset)

    def _comparison(self) -> _Part:
        first = left = self._sum()
        found: list[_Part] = []
        while (sign := self._peek()).kind == "operator" and sign.text not in _ARITHMETIC:
            if sign.text not in OPERATORS:
                raise _WrongError(sign.offset, f"`{sign.text}` is not known in an expression", _instead(sign) or f"known here: {' '.join(OPERATORS)}")
            self._next += 1
            right = self._sum()
            found.append(_Part("truth", _compared(OPERATORS[sign.text], self._number(left).run, self._number(right).run), first.offset))
            left = right
        return found[0] if len(found) == 1 else _joined(both, found) if found else first

    def _sum(self) -> _Part:
        return self._chain("+-", self._product)

    def _product(self) -> _Part:
        return self._chain("*/", self._signed)

    def _chain(self, signs: str, read: Callable[[], _Part]) -> _Part:
        first = read()
        rest: list[tuple[Callable[[float, float], float], Run]] = []
        while (sign := self._peek()).kind == "operator" and sign.text in signs:
            self._next += 1
            rest.append((_ARITHMETIC[sign.text], self._number(read()).run))
        return _Part("number", _one_after_the_other(self._number(first).run, rest), first.offset) if rest else first

    def _signed(self) -> _Part:
        sign = self._peek()
        if sign.text not in ("-", "+"):
            return self._operand()
        self._next += 1
        part = self._number(self._nested(self._signed))
        return _Part("number", _of_one(operator.neg, part.run) if sign.text == "-" else part.run, sign.offset)

    def _operand(self) -> _Part:
        token = self._peek()
        self._next += token.kind != "end"
        if token.kind == "number":
            number = float(token.text)
            if number > LARGEST:
                raise _WrongError(token.offset, f"`{token.text}` is too large", f"at most {LARGEST:g}")
            return _Part("number", lambda _: number, token.offset)
        if token.kind == "(":
            part = self._nested(self._choice)
            self._close(token)
            return part._replace(offset=token.offset)
        if token.kind != "word" or token.text in WORDS:
            raise _WrongError(token.offset, f"expected a signal or a number, found {_found(token)}", _instead(token) or _EXAMPLE)
        if self._peek().kind == "(":
            return self._call(token)
        if token.text in RESERVED_NAMES:
            raise _WrongError(token.offset, f"`{token.text}` is a function", f"write such as `{token.text}(load_mw)`")
        name = token.text
        self.signals.setdefault(name, token.offset)
        return _Part("number", lambda values: values[name], token.offset)

    def _call(self, name: _Token) -> _Part:
        if name.text not in RESERVED_NAMES:
            raise _WrongError(name.offset, f"`{name.text}` is not a function", did_you_mean(name.text, RESERVED_NAMES - WORDS))
        opened = self._peek()
        self._next += 1
        given = [self._number(self._nested(self._choice))]
        while self._peek().kind == ",":
            self._next += 1
            given.append(self._number(self._nested(self._choice)))
        self._close(opened)
        function, least, most = FUNCTIONS.get(name.text, (abs, 1, 1))
        if not least <= len(given) <= most:
            wanted = f"{least} number" if least == most else f"{least} to {most} numbers"
            raise _WrongError(name.offset, f"`{name.text}` takes {wanted}, not {len(given)}", "count its commas")
        runs = [part.run for part in given]
        if name.text == KNOWN:
            return _Part("truth", lambda values: runs[0](values) is not None, name.offset)
        return _Part("number", _of_one(function, runs[0]) if most == 1 else _of_several(function, runs), name.offset)

    def _close(self, opened: _Token) -> None:
        token = self._peek()
        if token.kind == "end":
            raise _WrongError(opened.offset, "this `(` is never closed", "add `)`, and quote a text with commas: YAML ends it there within { }")
        if token.kind != ")":
            raise _WrongError(token.offset, f"{_found(token)} is not expected here", _instead(token) or "write an operator before it, or `)`")
        self._next += 1

    def _nested(self, read: Callable[[], _Part]) -> _Part:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _WrongError(self._peek().offset, "nested too deeply", f"at most {MAX_DEPTH} levels")
        part = read()
        self._depth -= 1
        return part

    def _number(self, part: _Part) -> _Part:
        if part.kind != "number":
            raise _WrongError(part.offset, "a number is needed here, but this is true or false", "write such as `1 if a > b else 0`")
        return part

    def _truth(self, part: _Part) -> _Part:
        if part.kind != "truth":
            raise _WrongError(part.offset, "true or false is needed here, but this is a number", "compare it: `load_mw > 0`")
        return part

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _takes(self, word: str) -> bool:
        """Is the next token this word? Then it is read."""
        token = self._peek()
        if token.kind == "word" and token.text == word:
            self._next += 1
            return True
        if token.text.lower() == word or SAID_ELSEWHERE.get(token.text) == word:
            raise _WrongError(token.offset, f"`{token.text}` is not known in an expression", f"did you mean `{word}`?")
        return False


def _token(found: re.Match[str]) -> _Token:
    kind = str(found.lastgroup)
    return _Token(found["mark"] or kind, found[kind], found.start(kind))


def _found(token: _Token) -> str:
    return "the end" if token.kind == "end" else f"`{token.text}`"


def _named(kind: Kind) -> str:
    return "number" if kind == "number" else "truth value"


def _instead(token: _Token) -> str:
    """What to write instead of what other languages have."""
    if token.text in ("**", "^"):
        return "there are no powers: write `a * a`"
    if token.text in ("%", "‰", "°"):
        return "numbers have no unit here: delete it"
    if token.text in ("'", '"'):
        return "there is no text in expressions"
    if token.text == ".":
        return "a signal is named without dots, as it stands under `signals:`"
    return f"did you mean `{SAID_ELSEWHERE[token.text]}`?" if token.text in SAID_ELSEWHERE else ""


def _one_after_the_other(first: Run, rest: list[tuple[Callable[[float, float], float], Run]]) -> Run:
    def run(values: Values) -> float | None:
        found = first(values)
        for function, part in rest:
            other = part(values)
            if found is None or other is None or (function is operator.truediv and other == 0):
                return None
            found = function(found, other)
            if not -LARGEST <= found <= LARGEST:
                return None
        return found  # type: ignore[no-any-return]

    return run


def _compared(function: Callable[[float, float], bool], left: Run, right: Run) -> Run:
    def run(values: Values) -> bool | None:
        a, b = left(values), right(values)
        return None if a is None or b is None else function(a, b)

    return run


def _of_one(function: Callable[[float], float], part: Run) -> Run:
    def run(values: Values) -> float | None:
        a = part(values)
        try:
            return None if a is None else function(a)
        except ValueError:  # the square root of less than nothing
            return None

    return run


def _of_several(function: Callable[..., float], parts: list[Run]) -> Run:
    def run(values: Values) -> float | None:
        found = [part(values) for part in parts]
        return None if None in found else function(found)

    return run


def _joined(join: Callable[..., bool | None], parts: list[_Part]) -> _Part:
    runs = [part.run for part in parts]
    return _Part("truth", lambda values: join(*(run(values) for run in runs)), parts[0].offset)


def _chosen(condition: Run, part: Run, other: Run) -> Run:
    def run(values: Values) -> float | bool | None:
        truth = condition(values)
        if truth is None:
            return None
        chosen: float | bool | None = part(values) if truth else other(values)
        return chosen

    return run


def read_expression(value: Any) -> Expression:
    """An expression from its text. Raises pydantic's ValidationError with a `Wrong` at the offending character."""
    text = f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        refuse([Wrong(f"`{value}` is not an expression", _EXAMPLE)])
    try:
        reader = _Reader(text)
        run = reader.whole()
    except _WrongError as error:
        refuse([error.wrong])
    if not reader.signals:
        refuse([Wrong(f"`{text.strip()}` names no signal", _EXAMPLE)])
    return Expression(text.strip(), reader.signals, run)


ExpressionField = Annotated[
    Expression,
    PlainValidator(read_expression),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["capacity_mw - load_mw"]}),
]
