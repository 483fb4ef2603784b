"""Conditions as people write them.

    max_loading > 100 %
    0.9 <= lowest_voltage < 1.1 and not (restoring == 1)

The same as nested YAML: `all: [...]`, `any: [...]`, `not: ...`. Every mistake is reported at its character.
"""

import math
import re
from typing import Annotated, Any, NamedTuple

from pydantic import PlainValidator, WithJsonSchema

from gridtone.documents import Place, Wrong, refuse
from gridtone.rules.condition import OPERATORS, All, AnyOf, Compare, Condition, Not

_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}
SAID_ELSEWHERE = {"=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "≥": ">=", "≤": "<=", "≠": "!=", "&&": "and", "||": "or", "!": "not", "&": "and", "|": "or"}
MAX_LENGTH = 2000
MAX_DEPTH = 20


class _Token(NamedTuple):
    kind: str
    """`number`, `word`, `operator`, `(`, `)` or `end`."""
    text: str
    offset: int
    unit: str = ""
    """What follows a number."""


_TOKENS = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:\s*(?P<unit>(?!(?i:and|or|not)\b)[^\W\d_]?[%‰°]?[\w%°/.·]*))?"
    r"|(?P<word>[^\W\d]\w*)|(?P<operator>[<>=!&|≥≤≠]+)|(?P<paren>[()])|(?P<other>\S))"
)


def _token(found: re.Match[str]) -> _Token:
    kind = "number" if found["number"] else str(found.lastgroup)
    return _Token(found["paren"] or kind, found[kind], found.start(kind), found["unit"] or "")


class _ParseError(Exception):
    def __init__(self, token: _Token, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.wrong = Wrong(message, fix, offset=token.offset)


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str, at: Place) -> None:
        if len(text) > MAX_LENGTH:
            raise _ParseError(_Token("end", "", 0), f"a condition of {len(text)} characters", f"at most {MAX_LENGTH}: split it into `all:` or `any:`")
        self.at = at
        self.depth = 0
        self.tokens = [_token(found) for found in _TOKENS.finditer(text.rstrip())]
        self.tokens.append(_Token("end", "the end", len(text.rstrip())))
        self.next = 0

    def peek(self) -> _Token:
        return self.tokens[self.next]

    def advance(self) -> _Token:
        self.next += 1
        return self.tokens[self.next - 1]

    def is_word(self, word: str) -> bool:
        token = self.peek()
        if token.text != word and (token.text.lower() == word or SAID_ELSEWHERE.get(token.text) == word):
            raise _ParseError(token, f"`{token.text}` is not known in a condition", f"did you mean `{word}`?")
        return token.kind == "word" and token.text == word

    def condition(self) -> Condition:
        found = self.disjunction()
        token = self.peek()
        if token.kind != "end":
            close = token.kind == ")"
            raise _ParseError(
                token, f"`{token.text}` is not expected here", "delete it, or open it with `(`" if close else "join comparisons with `and` or `or`"
            )
        return found

    def disjunction(self) -> Condition:
        parts = [self.conjunction()]
        while self.is_word("or"):
            self.advance()
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def conjunction(self) -> Condition:
        parts = [self.negation()]
        while self.is_word("and"):
            self.advance()
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def negation(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _ParseError(self.peek(), "nested too deeply", f"at most {MAX_DEPTH} levels")
        found: Condition
        if self.is_word("not"):
            self.advance()
            found = Not(self.negation())
        elif self.peek().kind == "(":
            opened = self.advance()
            found = self.disjunction()
            if self.advance().kind != ")":
                raise _ParseError(opened, "this `(` is never closed", "add `)`")
        else:
            found = self.comparison()
        self.depth -= 1
        return found

    def comparison(self) -> Condition:
        start = self.peek()
        left = self.operand()
        sign = self.sign()
        middle = self.operand()
        if self.peek().kind != "operator":
            return self.compare(start, left, sign, middle)
        second = self.peek()
        other = self.sign()
        right = self.operand()
        if not isinstance(middle, str) or isinstance(left, str) or isinstance(right, str):
            raise _ParseError(start, "a range needs the signal between two numbers", "write such as `45 <= load_pct < 85`")
        if sign[0] != other[0] or sign[0] not in "<>":
            raise _ParseError(second, f"`{sign}` and `{other}` do not make a range", "write such as `45 <= load_pct < 85`")
        if (left[0] > right[0]) == (sign[0] == "<"):
            raise _ParseError(start, f"no number lies between {left[0]:.12g} and {right[0]:.12g} that way round", "swap the two numbers")
        return All((self.compare(start, left, sign, middle), self.compare(start, middle, other, right)))

    def compare(self, start: _Token, left: str | tuple[float, str], sign: str, right: str | tuple[float, str]) -> Compare:
        if isinstance(left, str) and not isinstance(right, str):
            return Compare(left, sign, right[0], right[1], self.at, start.offset)
        if isinstance(right, str) and not isinstance(left, str):
            return Compare(right, _TURNED[sign], left[0], left[1], self.at, start.offset)
        raise _ParseError(start, "a comparison needs one signal and one number", "write such as `max_loading > 100`")

    def operand(self) -> str | tuple[float, str]:
        """A signal's name, or a number with its unit."""
        token = self.advance()
        if token.kind == "word" and token.text not in ("and", "or", "not"):
            return token.text
        if token.kind == "number" and math.isfinite(float(token.text)):
            return float(token.text), token.unit
        raise _ParseError(token, f"expected a signal or a number, found {_found(token)}", "write such as `max_loading > 100`")

    def sign(self) -> str:
        token = self.advance()
        if token.text in OPERATORS:
            return token.text
        if token.text in SAID_ELSEWHERE:
            raise _ParseError(token, f"`{token.text}` does not compare", f"did you mean `{SAID_ELSEWHERE[token.text]}`?")
        raise _ParseError(token, f"expected one of {' '.join(OPERATORS)}, found {_found(token)}", "write such as `max_loading > 100`")


def _found(token: _Token) -> str:
    return "the end" if token.kind == "end" else f"`{token.text}`"


def parse(text: str, at: Place = ()) -> Condition:
    """Parse one text. Raises pydantic's ValidationError with a `Wrong` at the offending character."""
    try:
        return _Parser(text, at).condition()
    except _ParseError as error:
        refuse([Wrong(error.wrong.message, error.wrong.fix, at, error.wrong.offset)])
        raise AssertionError from error


def _read(value: Any, at: Place, wrongs: list[Wrong]) -> Condition | None:
    """A condition as YAML gives it; what is wrong is appended to `wrongs`."""
    if isinstance(value, str):
        try:
            return _Parser(value, at).condition()
        except _ParseError as error:
            wrongs.append(Wrong(error.wrong.message, error.wrong.fix, at, error.wrong.offset))
            return None
    if not isinstance(value, dict) or len(value) != 1:
        wrongs.append(Wrong(f"`{value}` is not a condition", "write such as `max_loading > 100`, or one of `all:`, `any:`, `not:`", at))
        return None
    [(word, inner)] = value.items()
    if word == "not":
        part = _read(inner, (*at, "not"), wrongs)
        return None if part is None else Not(part)
    if word not in ("all", "any"):
        wrongs.append(Wrong(f"`{word}` does not join conditions", "write `all:`, `any:` or `not:`", (*at, word), on_key=True))
        return None
    if not isinstance(inner, list) or not inner:
        wrongs.append(Wrong(f"`{word}:` needs a list of conditions", "write `- max_loading > 100` lines below it", (*at, word)))
        return None
    parts = [_read(item, (*at, word, index), wrongs) for index, item in enumerate(inner)]
    known = tuple(part for part in parts if part is not None)
    return (All if word == "all" else AnyOf)(known) if len(known) == len(parts) else None


def read_condition(value: Any) -> Condition:
    """A condition from YAML data: a text, or nested `all:`, `any:`, `not:`. Raises pydantic's ValidationError with every `Wrong`."""
    wrongs: list[Wrong] = []
    found = _read(value, (), wrongs)
    refuse(wrongs)
    assert found is not None
    return found


def read_threshold(value: Any) -> Compare:
    """`> 100`, the `where` of a count: a comparison whose signal is the value itself. Raises pydantic's ValidationError."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*([<>=!]+)\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*(\S*)\s*", value)) and found[1] in OPERATORS:
        return Compare("", found[1], float(found[2]), found[3])
    refuse([Wrong(f"`{value}` is not a comparison with a number", 'write such as "> 100", in quotes')])
    raise AssertionError


_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "examples": ["max_loading > 100 %", "45 <= load_pct < 85"]},
        {"type": "object", "properties": {"all": {"type": "array"}}, "required": ["all"], "additionalProperties": False},
        {"type": "object", "properties": {"any": {"type": "array"}}, "required": ["any"], "additionalProperties": False},
        {"type": "object", "properties": {"not": {}}, "required": ["not"], "additionalProperties": False},
    ]
}

ConditionField = Annotated[Condition, PlainValidator(read_condition), WithJsonSchema(_SCHEMA)]
ThresholdField = Annotated[Compare, PlainValidator(read_threshold), WithJsonSchema({"type": "string", "examples": ["> 100"]})]
