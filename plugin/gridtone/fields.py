"""Types of values that YAML files share: durations and texts in several languages."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from gridtone.documents import Wrong, refuse
from gridtone.words import Words

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"\d+(?:\.\d+)?(?:ms|s|m|h|d)"
_LANGUAGE = r"[a-z]{2,3}(-[A-Za-z0-9]+)*"


def _seconds(value: Any) -> float:
    if isinstance(value, str) and re.fullmatch(f"(?:{_PART})+", value):
        return sum(float(part) * _UNITS[unit] for part, unit in re.findall(r"([\d.]+)(ms|s|m|h|d)", value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e10:
        refuse([Wrong("no duration is given" if value is None else f"`{value}` is not a duration", "write seconds as a number, or such as 90s, 5m or 1h30m")])
    return float(value)


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^({_PART})+$"}], "examples": ["90s", "5m", "1h30m", 30]}),
]
"""A duration: a number of seconds, or `10s`, `5m`, `1h30m`, `250ms`, `1d`."""


def _words(value: Any) -> Words:
    texts = {"en": value} if isinstance(value, str) else value
    if not isinstance(texts, dict):
        refuse([Wrong(f"`{value}` is not a text", "write a text, or {en: ..., zh: ...}")])
    wrongs = [] if "en" in texts else [Wrong("a text in several languages lacks `en`", "add `en:`", on_key=True)]
    for language, text in texts.items():
        if not (isinstance(language, str) and re.fullmatch(_LANGUAGE, language)):
            wrongs.append(Wrong(f"`{language}` is not a language tag", "write such as en, zh or de-AT", (language,), on_key=True))
        if not (isinstance(text, str) and text.strip()):
            wrongs.append(Wrong(f"the text in `{language}` is empty or not text", "write some text, quoted if it looks like a number", (language,)))
    refuse(wrongs)
    return dict(texts)


LocalText = Annotated[
    Words,
    BeforeValidator(_words),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "required": ["en"], "additionalProperties": {"type": "string"}}]}),
]
"""A text for people: plain, or one per language as `{en: ..., zh: ...}`, always with `en`."""
