"""Fabricated readings of one point, one an interval, in the notation of promtool.

50x20          21 readings of 50: one, and 20 more
0+5x10         0, 5, 10 ... 50
100-2.5x4      100, 97.5, 95, 92.5, 90
_  _x5         no reading; five times none
stale          the newest reading is too old from here on, until the next one
50?  50!       of uncertain, of bad quality; also `0+5x10?`
50 ...         the last one goes on to the end
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from gridtone.documents import Wrong, refuse
from gridtone_adapters import Quality

MAX_SAMPLES = 1_000_000
EXAMPLE = 'write such as "50x20 60+5x8 _ stale"'

_UNSIGNED = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_VALUES = re.compile(rf"(?P<start>[+-]?{_UNSIGNED})(?P<step>[+-]{_UNSIGNED})?(?P<mark>[?!]?)(?:x(?P<more>\d+))?")
_GAP = re.compile(r"_(?:x(?P<times>\d+))?")
_QUALITY = {"": Quality.GOOD, "?": Quality.UNCERTAIN, "!": Quality.BAD}

Sample: TypeAlias = tuple[float, Quality] | Literal["stale"] | None
"""A value with its quality, `stale`, or None for no reading."""


@dataclass(frozen=True, slots=True)
class Series:
    """What a point reports, one sample an interval from the start on."""

    samples: tuple[Sample, ...]
    goes_on: bool = False
    """The last sample repeats for ever."""

    def at(self, step: int) -> Sample:
        if step < len(self.samples):
            return self.samples[step]
        return self.samples[-1] if self.goes_on else None


def read_series(value: Any) -> Series:
    """A series from its notation. Raises pydantic's ValidationError with a `Wrong` at the offending word."""
    if not isinstance(value, str):
        refuse([Wrong(f"a series is text, but YAML reads this as {value!r}", f"put it in quotes: {EXAMPLE.removeprefix('write such as ')}")])
    samples: list[Sample] = []
    words = list(re.finditer(r"\S+", value))
    goes_on = bool(words) and words[-1][0] == "..."
    for word in words[:-1] if goes_on else words:
        try:
            samples += _samples(word[0], MAX_SAMPLES - len(samples))
        except ValueError as error:
            refuse([Wrong(str(error), EXAMPLE, offset=word.start())])
    if not samples:
        refuse([Wrong("the series is empty", EXAMPLE)])
    return Series(tuple(samples), goes_on)


def _samples(word: str, most: int) -> Iterator[Sample]:
    """Raises ValueError for a word that is none of the notation, or more than `most` samples."""
    if word == "stale":
        yield "stale"
        return
    found = _VALUES.fullmatch(word) or _GAP.fullmatch(word)
    if found is None:
        raise ValueError(f"`{word}` is neither values, nor `_`, nor `stale`" + (", and `...` comes last" if word == "..." else ""))
    gap = found.re is _GAP
    if not gap and found["step"] and not found["more"]:
        raise ValueError(f"`{word}` does not say how often: add such as `x10`")
    count = int(found["times"] or 1) if gap else 1 + int(found["more"] or 0)
    if count > most:
        raise ValueError(f"`{word}` makes the series longer than {MAX_SAMPLES:,} readings")
    if gap:
        yield from [None] * count
        return
    start, step, quality = float(found["start"]), float(found["step"] or 0), _QUALITY[found["mark"]]
    yield from ((start + number * step, quality) for number in range(count))


SeriesField = Annotated[Series, PlainValidator(read_series), WithJsonSchema({"type": "string", "examples": ["50x20 60+5x8 _ stale", "50 ..."]})]
