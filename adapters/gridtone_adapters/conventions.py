"""How a source writes values, times and qualities, and how they are read. Shared by every adapter."""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gridtone_adapters.reading import Quality

EARLIEST_SECONDS = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
"""No reading is older than this; what says so has a broken clock."""

TimeFormat = Literal["auto", "s", "ms", "us", "ns", "iso8601"]
QualityName = Literal["good", "uncertain", "bad"]

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
NUMBER_WORDS = {"true": 1.0, "false": 0.0}
QUALITY_WORDS = {
    "good": Quality.GOOD,
    "valid": Quality.GOOD,
    "ok": Quality.GOOD,
    "true": Quality.GOOD,
    "uncertain": Quality.UNCERTAIN,
    "questionable": Quality.UNCERTAIN,
    "suspect": Quality.UNCERTAIN,
    "bad": Quality.BAD,
    "invalid": Quality.BAD,
    "false": Quality.BAD,
}
OPC_GRADES = {  # where the two bits are, and what their four values mean
    "opc_da": (6, (Quality.BAD, Quality.UNCERTAIN, Quality.BAD, Quality.GOOD)),
    "opc_ua": (30, (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)),
}


_decode_strictly = msgspec.json.Decoder().decode
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Unreadable(Exception):  # noqa: N818 - not an error of ours
    """Content that cannot become a reading. `reason` is one of the fixed words of `Rejected.reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode_json(content: bytes | bytearray) -> Any:
    """A JSON document. NaN, Infinity and 1e999, which are not JSON's but which gateways write, cost no other value beside them. Raises Unreadable."""
    try:
        return _decode_strictly(content)
    except RecursionError:
        raise Unreadable("not_json") from None
    except UnicodeDecodeError:
        raise Unreadable("not_utf8") from None
    except msgspec.DecodeError:
        pass
    try:
        text = content.decode("utf-8-sig")
        if _SURROGATE.search(text):  # Python would let halves of a character pass, which nothing can write down again
            raise Unreadable("not_json")
        return json.loads(text)
    except UnicodeDecodeError:
        raise Unreadable("not_utf8") from None
    except (ValueError, RecursionError):
        raise Unreadable("not_json") from None


class Conventions(BaseModel):
    """How values, times and qualities are written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: dict[str, float] = Field(
        {}, description="Numbers for texts, such as `{open: 0, closed: 1}`. Case does not matter. `true` is 1 and `false` is 0 already."
    )
    time_format: TimeFormat = Field(
        "auto",
        description="How times are written: seconds, milliseconds, microseconds or nanoseconds since 1970 (`s`, `ms`, `us`, `ns`), or `iso8601` "
        "(UTC unless it says otherwise). `auto` tells them apart by their size.",
    )
    max_future_seconds: float = Field(300.0, ge=0, description="A time further ahead of this machine's clock is refused as `absurd_time`.")
    quality_words: dict[str, QualityName] = Field(
        {},
        description="Qualities for texts, numbers or booleans, such as `{substituted: uncertain, 3: bad}`. OPC names (`Good`, `Bad_NotConnected`) and "
        "`ok`, `valid`, `suspect`, `questionable`, `invalid`, `true`, `false` are known already.",
    )
    quality_numbers: Literal["opc_da", "opc_ua"] | None = Field(
        None, description="What a number as quality means: `opc_da` (192 is good, 64 uncertain, 0 bad) or `opc_ua` (a status code, 0 is good)."
    )

    @field_validator("words", "quality_words", mode="before")
    @classmethod
    def _lower(cls, given: Any) -> Any:
        return {str(word).lower(): meaning for word, meaning in given.items()} if isinstance(given, dict) else given


class Interpreter:
    """Reads raw values by given conventions. Every method raises Unreadable, and nothing else, for whatever it cannot read."""

    def __init__(self, conventions: Conventions) -> None:
        self._words = NUMBER_WORDS | conventions.words
        self._time_format = conventions.time_format
        self._max_future_seconds = conventions.max_future_seconds
        self._quality_words = QUALITY_WORDS | {word: Quality[name.upper()] for word, name in conventions.quality_words.items()}
        self._quality_numbers = conventions.quality_numbers

    def number(self, raw: object) -> float:
        """A finite number from a number, a boolean, a text that is a number or one of `words`."""
        if raw is None:
            raise Unreadable("missing_value")
        try:
            if isinstance(raw, str | bytes):
                value = self._number_of_text(raw)
            elif isinstance(raw, int | float):
                value = float(raw)
            else:
                raise Unreadable("not_a_number")
        except OverflowError:
            raise Unreadable("not_finite") from None
        if not math.isfinite(value):
            raise Unreadable("not_finite")
        return value

    def _number_of_text(self, raw: str | bytes) -> float:
        try:
            text = raw if isinstance(raw, str) else raw.decode()
        except UnicodeDecodeError:
            raise Unreadable("not_utf8") from None
        try:
            if "_" not in text:  # Python reads 1_000 as a number; nobody else does
                return float(text)
        except ValueError:
            pass
        value = self._words.get(text.strip().lower())
        if value is None:
            raise Unreadable("not_a_number" if text.strip() else "empty")
        return value

    def time(self, raw: object, now: float) -> float:
        """Seconds since 1970, neither before 1990 nor too far ahead of `now`."""
        try:
            seconds = self._seconds(raw)
        except (ValueError, TypeError, OverflowError):
            raise Unreadable("bad_time") from None
        if not EARLIEST_SECONDS <= seconds <= now + self._max_future_seconds:
            raise Unreadable("absurd_time" if math.isfinite(seconds) else "bad_time")
        return seconds

    def _seconds(self, raw: Any) -> float:
        form = self._time_format
        if isinstance(raw, str) and (form == "iso8601" or raw[4:5] == "-"):
            raw = datetime.fromisoformat(raw)
        if isinstance(raw, datetime):
            return (raw if raw.tzinfo else raw.replace(tzinfo=UTC)).timestamp()
        if isinstance(raw, bool) or form == "iso8601":
            raise ValueError
        number = float(raw)
        if form != "auto":
            return number / PER_SECOND[form]
        # between 1990 and 5138 the four ranges do not overlap
        return number / (1.0 if number < 1e11 else 1e3 if number < 1e14 else 1e6 if number < 1e17 else 1e9)

    def quality(self, raw: object) -> Quality:
        """GOOD when the source says nothing."""
        if raw is None:
            return Quality.GOOD
        if isinstance(raw, float) and raw.is_integer():
            raw = int(raw)
        if not isinstance(raw, str | int) or (isinstance(raw, int) and not 0 <= raw < 2**32):
            raise Unreadable("unknown_quality")
        text = str(raw).strip().lower()
        known = self._quality_words.get(text)
        if known is not None:
            return known
        for opc in ("good", "uncertain", "bad"):
            if text.startswith(opc):
                return Quality[opc.upper()]
        if type(raw) is int and self._quality_numbers:
            shift, grades = OPC_GRADES[self._quality_numbers]
            return grades[raw >> shift & 3]
        raise Unreadable("unknown_quality")
