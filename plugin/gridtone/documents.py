"""YAML files read so that every error has a file, a line, a column and a likely fix.

A document is parsed once (`read_document`) and validated against a pydantic model, as a whole or from a key downwards. What pydantic finds, and what a model's
own checks find (`Wrong`, `refuse`), comes back as `Problem`s that point at the offending text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from gridtone.hints import EXAMPLES, MAPPING_TYPES, did_you_mean, keys_of, members, syntax_fix, tags_of, types_inside

MAX_BYTES = 4_000_000
MAX_VALUES = 500_000
"""After aliases are expanded, so that a few lines of nested aliases cannot fill the memory."""
MAX_DEPTH = 40

Place = tuple[str | int, ...]
"""Where in a document: keys and indices from its top."""

M = TypeVar("M", bound=BaseModel)


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

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (str(problem.file), problem.line, problem.column, problem.message))
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[DocumentError], tuple[list[Problem]]]:
        return DocumentError, (self.problems,)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What a model's own check found. `refuse` raises a list of them from a validator."""

    message: str
    fix: str = ""
    at: Place = ()
    """From the value that the validator sees."""
    offset: int = 0
    """Characters into the scalar there."""
    on_key: bool = False
    """Point at the key rather than at its value."""


def refuse(wrongs: Sequence[Wrong], found: ValidationError | None = None) -> None:
    """Raise what is wrong, if anything, from inside a pydantic validator, together with what pydantic `found` already."""
    if wrongs:
        details = [
            InitErrorDetails(
                type=PydanticCustomError("wrong", "{message}", {"message": wrong.message, "fix": wrong.fix, "offset": wrong.offset, "on_key": wrong.on_key}),
                loc=wrong.at,
                input=None,
            )
            for wrong in wrongs
        ]
        raise ValidationError.from_exception_data("document", [*details, *map(_again, found.errors() if found else ())])


def _again(details: ErrorDetails) -> InitErrorDetails:
    """An error of pydantic's, to be raised once more."""
    context = details.get("ctx", {})
    own = PydanticCustomError(details["type"], "{message}", context) if details["type"] == "wrong" else details["type"]
    return InitErrorDetails(type=own, loc=details["loc"], input=details["input"], ctx=context)


@dataclass(frozen=True, slots=True)
class _Spot:
    """The nodes of one value and of its key."""

    value: Node
    key: Node


class Document:
    """A parsed YAML file: plain data, and where each value of it stands."""

    def __init__(self, text: str, file: Path) -> None:
        """Raises DocumentError if `text` is not YAML, is too large or repeats a key."""
        self.file = file
        self._text = text
        self._spots: dict[Place, _Spot] = {}
        self._problems: list[Problem] = []
        self._yaml = YAML(typ="safe", pure=True)
        try:
            root: Node | None = self._yaml.compose(text)
            self.data: Any = {} if root is None else self._build(root, root, (), ())
        except MarkedYAMLError as error:
            raise DocumentError([self._syntax_problem(error)]) from error
        except ReaderError as error:
            raise DocumentError([self._problem_at(error.position, f"the character {chr(error.character)!r} may not stand in YAML", "delete it")]) from error
        except (YAMLError, ValueError, OverflowError) as error:
            raise DocumentError([self._problem_at(0, f"not YAML: {error}")]) from error
        except RecursionError as error:
            raise DocumentError([self._problem_at(0, "nested too deeply", f"at most {MAX_DEPTH} levels")]) from error
        if self._problems:
            raise DocumentError(self._problems)

    def validate(self, model: type[M], at: Place = ()) -> M:
        """Return the value at `at` as a `model`. Raises DocumentError with every problem."""
        data = self.data
        for part in at:
            data = data[part]
        try:
            return TypeAdapter(model).validate_python(data)
        except ValidationError as error:
            raise DocumentError({self._from_pydantic(details, model, at): None for details in _without_echoes(error.errors())}) from error

    def __contains__(self, at: Place) -> bool:
        """Whether there is a value at `at`."""
        return at in self._spots

    def problem(self, at: Place, message: str, fix: str = "", *, offset: int = 0, on_key: bool = False) -> Problem:
        """A problem with the value (or the key) at `at`, or at the nearest place above it that exists; `offset` characters into a scalar."""
        found = at
        while found and found not in self._spots:
            found = found[:-1]
        if found not in self._spots:
            return Problem(self.file, 1, 1, message, fix)
        spot = self._spots[found]
        empty = spot.value.start_mark.index == spot.value.end_mark.index
        if on_key or empty or (found != at and found):
            return self._problem_at(spot.key.start_mark.index, message, fix)
        start = spot.value.start_mark.index
        if isinstance(spot.value, ScalarNode):
            start += _index_in_source(spot.value, self._source(spot.value), offset)
        return self._problem_at(start, message, fix)

    def source(self, at: Place) -> str:
        """The value at `at` as it is written, from the beginning of its first line."""
        node = self._spots[at].value
        return f"{' ' * node.start_mark.column}{self._source(node)}"

    def _problem_at(self, index: int, message: str, fix: str = "") -> Problem:
        before = self._text[:index]
        return Problem(self.file, before.count("\n") + 1, index - before.rfind("\n"), message, fix)

    def _source(self, node: Node) -> str:
        return self._text[node.start_mark.index : node.end_mark.index]

    def _build(self, node: Node, key: Node, at: Place, above: tuple[Node, ...]) -> Any:
        if node in above:
            raise DocumentError([self._problem_at(key.start_mark.index, "an alias stands inside what it names", "write the value out")])
        if len(above) > MAX_DEPTH:
            raise DocumentError([self._problem_at(node.start_mark.index, "nested too deeply", f"at most {MAX_DEPTH} levels")])
        if len(self._spots) >= MAX_VALUES:
            raise DocumentError([self._problem_at(key.start_mark.index, f"more than {MAX_VALUES:,} values", "use fewer or smaller aliases")])
        self._spots[at] = _Spot(node, key)
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if isinstance(node, MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                name = self._key(key_node)
                if name in mapping:
                    first = self._spots[(*at, name)].key.start_mark.line + 1
                    self._problems.append(self._problem_at(key_node.start_mark.index, f"`{name}` stands here twice", f"the first is on line {first}; keep one"))
                    continue
                mapping[name] = self._build(value_node, key_node, (*at, name), (*above, node))
            return mapping
        return [self._build(item, item, (*at, index), (*above, node)) for index, item in enumerate(node.value)]

    def _key(self, node: Node) -> Any:
        if not isinstance(node, ScalarNode):
            raise DocumentError([self._problem_at(node.start_mark.index, "a key must be plain text", "quote a key that contains [ ] { or }")])
        if node.tag == "tag:yaml.org,2002:merge":
            raise DocumentError([self._problem_at(node.start_mark.index, "`<<` is not supported", "write the keys out, or alias single values")])
        return self._scalar(node)

    def _scalar(self, node: ScalarNode) -> Any:
        kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
        try:
            match kind:
                case "str" | "timestamp":
                    return node.value
                case "null":
                    return None
                case "bool":
                    return self._yaml.constructor.construct_yaml_bool(node)
                case "int":
                    return self._yaml.constructor.construct_yaml_int(node)
                case "float":
                    return self._yaml.constructor.construct_yaml_float(node)
        except (ValueError, LookupError, ArithmeticError):  # what a tag such as `!!bool` makes of a text is not checked before
            meant, fix = ("true or false", "write one of them") if kind == "bool" else ("a number that can be read", "")
            self._problems.append(self._problem_at(node.start_mark.index, f"`{_short(node.value)}` is not {meant}", fix))
            return None
        self._problems.append(self._problem_at(node.start_mark.index, f"the tag {_short(str(node.tag))} is not known", "quote text that begins with !"))
        return None

    def _syntax_problem(self, error: MarkedYAMLError) -> Problem:
        unclosed = error.context_mark is not None and re.search("end of stream|stream end", error.problem or "") is not None
        mark = error.context_mark if unclosed or error.problem_mark is None else error.problem_mark
        index = mark.index if mark is not None else 0
        message = ", ".join(part for part in (error.context, error.problem) if part)
        line = self._text[self._text.rfind("\n", 0, index) + 1 :].split("\n", 1)[0].strip()
        return self._problem_at(min(index, len(self._text)), f"not YAML: {message}: `{_short(line)}`", syntax_fix(message, self._text[index : index + 1]))

    def _from_pydantic(self, details: ErrorDetails, model: type[BaseModel], at: Place) -> Problem:
        place, kinds = self._walk(details["loc"], model, at)
        context = details.get("ctx") or {}
        name = ".".join(map(str, place)) or "the document"
        if details["type"] == "wrong":
            on_key = context["on_key"] or place not in self._spots
            return self.problem(place, context["message"], context["fix"], offset=context["offset"], on_key=on_key)
        last = details["loc"][-1] if details["loc"] else ""
        if details["type"] == "extra_forbidden":
            siblings = {key for kind in self._walk(details["loc"][:-1], model, at)[1] for key in keys_of(kind)}
            return self.problem(
                place, f"`{last}` is not a key of {'.'.join(map(str, place[:-1])) or 'the document'}", did_you_mean(last, siblings), on_key=True
            )
        if details["type"] == "missing":
            return self.problem(place, f"{name} lacks `{last}`", f"add `{last}:`", on_key=True)
        if last == "[key]":
            return self.problem(place, f"the key `{place[-1]}` is not right: {_lower(details['msg'])}", "quote it if it is meant as text", on_key=True)
        spot = self._spots.get(place)
        found = f", found `{_short(self._source(spot.value)) or 'nothing'}`" if spot and details["type"] != "inline_secret" else ""
        expected = [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
        if details["type"] in ("literal_error", "union_tag_invalid"):
            words = expected or [word.strip(" '") for word in str(context.get("expected_tags", "")).split(",")]
            value = details["input"] if details["type"] == "literal_error" else context.get("tag")
            place = place if details["type"] == "literal_error" else (*place, str(context.get("discriminator", "")).strip("'"))
            return self.problem(place, f"{name}: `{_short(str(value))}` is not one of {', '.join(f'`{word}`' for word in words)}", did_you_mean(value, words))
        message = "must be a mapping" if details["type"] in MAPPING_TYPES else _lower(details["msg"]).replace("tuple", "list")
        return self.problem(place, f"{name}: {message}{found}", EXAMPLES.get(details["type"], ""))

    def _walk(self, loc: Iterable[str | int], model: type[BaseModel], at: Place) -> tuple[Place, list[Any]]:
        """Follow pydantic's location through the data, and the types beside it. Names that pydantic adds for the members of a union are not in the data."""
        place, kinds = at, list(members(model))
        for part in loc:
            inside = [member for kind in kinds for member in types_inside(kind, part)]
            if (*place, part) in self._spots:
                place, kinds = (*place, part), inside
            elif tagged := [kind for kind in kinds if part == getattr(kind, "__name__", None) or part in tags_of(kind)]:
                kinds = tagged
        return place, kinds


def read_document(path: Path) -> Document:
    """Read and parse a YAML file. Raises DocumentError, also for a file that is missing, too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DocumentError([Problem(path, 1, 1, f"larger than {MAX_BYTES:,} bytes", "split it")])
        return Document(raw.decode("utf-8-sig").replace("\r\n", "\n"), path)
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise DocumentError([Problem(path, line, column, f"the byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")]) from error
    except FileNotFoundError as error:
        raise DocumentError([Problem(path, 1, 1, "no such file", "check the path and the working directory")]) from error
    except OSError as error:
        raise DocumentError([Problem(path, 1, 1, f"cannot be read: {error.strerror}", "check its permissions")]) from error


def load_document(path: Path, model: type[M]) -> M:
    """Read a YAML file as a `model`. Raises DocumentError with every problem in it."""
    return read_document(path).validate(model)


def parse_document(text: str, model: type[M], file: Path = Path("<text>")) -> M:
    """Read YAML text as a `model`; `file` is what problems name. Raises DocumentError."""
    return Document(text, file).validate(model)


def _without_echoes(found: list[ErrorDetails]) -> list[ErrorDetails]:
    """Pydantic calls a list too short whose items are wrong; the items' own errors are enough."""
    return [
        details
        for details in found
        if details["type"] != "too_short" or not any(other["loc"][: len(details["loc"])] == details["loc"] != other["loc"] for other in found)
    ]


def _index_in_source(node: ScalarNode, source: str, offset: int) -> int:
    """Where the character `offset` of a scalar's value stands in its source, which may be quoted, folded or a block."""
    index = source.find("\n") + 1 if node.style in ("|", ">") else 1 if node.style in ("'", '"') else 0
    for character in node.value[:offset]:
        if not character.isspace():
            index = source.find(character, index) + 1 or index
    while index < len(source) and source[index].isspace():
        index += 1
    return min(index, max(len(source) - 1, 0))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
