"""From a topic and its payload to readings."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, model_validator

from gridtone_adapters.conventions import Conventions, Interpreter, Unreadable, decode_json
from gridtone_adapters.reading import Quality, Reading
from gridtone_adapters.topics import check_point, fill_point, parse_topic

Path = tuple[str, ...]


class MqttTopic(Conventions):
    """Which points some topics carry, and how their payload is read."""

    topic: str = Field(
        description="Topic pattern: `grid/{element}/{id}/{quantity}`. `{name}` captures one level or part of one, a last `{name...}` all that follows; "
        "`+` and `#` match without capturing."
    )
    point: str = Field(description="Name of the point, with the captures of `topic`: `{element}/{id}/{quantity}`.")
    payload: Literal["json", "number"] = Field(
        "json", description="`json`: a document in which the paths below lead to the parts. `number`: the payload is the value, as text."
    )
    value_path: str = Field("value", description="Where the value is in the document, in dots: `data.0.value`. Empty when the document itself is the value.")
    values: dict[str, str] = Field(
        {},
        description="For documents with several values, instead of `value_path`: path -> what to append to `point`. "
        "`{p.mw: p_mw}` makes `<point>/p_mw` of `p.mw`. What a document lacks is skipped.",
    )
    time_path: str | None = Field(
        None,
        description="Where the source's timestamp is. Without this key a reading has its time of arrival; what the broker had retained then has time 0 "
        "and uncertain quality, because nobody knows how old it is.",
    )
    quality_path: str | None = Field(None, description="Where the quality is. A document without it counts as good.")
    unit_path: str | None = Field(None, description="Where the unit is. A document without it has `unit`.")
    unit: str = Field("", description="The unit, where the payload does not say.")

    @model_validator(mode="after")
    def _consistent(self) -> "MqttTopic":
        check_point(self.point, parse_topic(self.topic).names)
        if self.payload == "number" and (self.values or self.time_path or self.quality_path or self.unit_path):
            raise ValueError("a plain number has no parts: use `payload: json` or leave out `values`, `time_path`, `quality_path` and `unit_path`")
        return self


class TopicReader:
    """Reads every topic of one pattern."""

    def __init__(self, config: MqttTopic) -> None:
        self.config = config
        self.interpreter = Interpreter(config)
        self.value_paths = tuple(_path(path) for path in config.values or [config.value_path])
        self.suffixes = tuple(f"/{suffix}" for suffix in config.values.values()) or ("",)
        self.time_path = _path(config.time_path)
        self.quality_path = _path(config.quality_path)
        self.unit_path = _path(config.unit_path)
        self._match = parse_topic(config.topic).regex.fullmatch

    def for_topic(self, topic: str) -> "PointReader | None":
        match = self._match(topic)
        return PointReader(self, fill_point(self.config.point, match.groupdict())) if match else None


class PointReader:
    """Reads one topic: the hot path, one call a message."""

    __slots__ = ("_points", "_reader")

    def __init__(self, reader: TopicReader, point: str) -> None:
        self._reader = reader
        self._points = tuple(point + suffix for suffix in reader.suffixes)

    def read(self, payload: bytes | bytearray, now: float, retained: bool, refuse: Callable[[str], None]) -> list[Reading]:
        """The readings in a payload that arrived at `now`. Raises Unreadable for a payload with none; calls `refuse` for a bad value among good ones."""
        reader = self._reader
        interpreter = reader.interpreter
        if not payload:
            raise Unreadable("empty")
        time, quality, unit = now, Quality.GOOD, reader.config.unit
        if retained and not reader.time_path:
            time, quality = 0.0, Quality.UNCERTAIN
        if reader.config.payload == "number":
            return [Reading(self._points[0], interpreter.number(payload), time, unit, quality)]
        document = decode_json(payload)
        if reader.time_path:
            time = interpreter.time(_find(document, reader.time_path), now)
        if reader.quality_path:
            quality = interpreter.quality(_find(document, reader.quality_path))
        if reader.unit_path:
            found = _find(document, reader.unit_path)
            unit = found if isinstance(found, str) else unit
        if len(self._points) == 1:
            return [Reading(self._points[0], interpreter.number(_find(document, reader.value_paths[0])), time, unit, quality)]
        readings = []
        for path, point in zip(reader.value_paths, self._points, strict=True):
            raw = _find(document, path)
            if raw is not None:
                try:
                    readings.append(Reading(point, interpreter.number(raw), time, unit, quality))
                except Unreadable as error:
                    refuse(error.reason)
        return readings


def _path(dotted: str | None) -> Path:
    return tuple(dotted.split(".")) if dotted else ()


def _find(document: Any, path: Path) -> Any:
    """What is at the path, or None."""
    for step in path:
        if type(document) is dict:
            document = document.get(step)
        elif type(document) is list and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document
