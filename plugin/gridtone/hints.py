"""Likely fixes for mistakes in YAML files, and the types that a pydantic model has at a place, which they are drawn from."""

import difflib
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A fix that names the nearest known word, or all of them where they are few."""
    words = sorted(known)
    near = difflib.get_close_matches(str(word).lower(), words, n=1, cutoff=0.6)
    if near := near or [known for known in words if len(str(word)) > 2 and str(word).lower() in known.lower()]:
        return f"did you mean `{near[0]}`?"
    return f"known here: {', '.join(words)}" if 0 < len(words) <= 40 else ""


def members(kind: Any) -> Iterator[Any]:
    """The types behind aliases, annotations and unions."""
    if hasattr(kind, "__value__"):
        yield from members(kind.__value__)
    elif hasattr(kind, "__metadata__"):
        yield from members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from members(member)
    else:
        yield kind


def types_inside(kind: Any, part: str | int) -> Iterator[Any]:
    """The types that a value of type `kind` may hold under `part`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if part in (name, field.alias):
                yield from members(field.annotation)
    elif get_origin(kind) in (dict, list, tuple):
        yield from members([argument for argument in get_args(kind) if argument is not ...][-1])


def keys_of(kind: Any) -> set[str]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return set()
    return {field.alias or name for name, field in kind.model_fields.items()}


def tags_of(kind: Any) -> set[Any]:
    """The literals by which a member of a union is told from the others."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return set()
    return {word for field in kind.model_fields.values() if get_origin(field.annotation) is Literal for word in get_args(field.annotation)}


MAPPING_TYPES = ("dict_type", "model_type", "model_attributes_type")
EXAMPLES = dict.fromkeys(MAPPING_TYPES, "write `key: value` lines, indented below it") | {
    "string_type": "write text, quoted if it looks like a number",
    "int_type": "write a whole number such as 60",
    "int_parsing": "write a whole number such as 60",
    "int_from_float": "write a whole number such as 60",
    "float_type": "write a number such as 0.5",
    "float_parsing": "write a number such as 0.5",
    "finite_number": "write a number such as 0.5",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "list_type": "write a list: `- item` lines, or [one, two]",
    "tuple_type": "write a list: `- item` lines, or [one, two]",
    "too_short": "add what is missing, or delete the key",
    "string_too_short": "write some text",
}


def syntax_fix(message: str, character: str) -> str:
    if character == "\t":
        return "indent with spaces"
    if "block scalar" in message:
        return 'quote a text that begins with > or |: "> 100"'
    if "mapping values are not allowed" in message:
        return "quote a text that contains `: `, and check the indentation"
    if "alias" in message:
        return "quote a text that begins with *, or define the alias with &"
    if "quoted scalar" in message:
        return "close the quote, and double every \\ in it" if "escape" in message else "close the quote"
    if "another document" in message:
        return "keep one document a file: delete the `---`"
    if "flow" in message:
        return "close the bracket, and put commas between the items"
    if "cannot start any token" in message:
        return f"quote a text that begins with {character}"
    return "check the indentation: keys of one mapping begin in the same column"
