"""InfluxDB: asks again and again for what is new, and yields every point once. It selects, and that is all it can do.

Each poll reads again from `late_seconds` before the newest point that it has seen (or before the last poll, if that was earlier) and leaves out what it has
yielded already. So a point that is written up to `late_seconds` after its own timestamp is found. For as long as that again after an outage, polls read from
where the outage began, because whoever writes catches up as well. Nothing is kept on disk: after a restart of this service the last `look_back_seconds` are
read again; a reading that comes again with the time that it had changes nothing.
"""

import logging
import random
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import urllib3
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gridtone_adapters.adapter import Health
from gridtone_adapters.conventions import EARLIEST_SECONDS, Conventions, Interpreter, Unreadable
from gridtone_adapters.influx_languages import Flux, InfluxQl, Language, Refused, Row, Selection, basic
from gridtone_adapters.intake import Intake
from gridtone_adapters.reading import Reading
from gridtone_adapters.security import Secret, SetupError, Tls, explain, inline_secret, plain

NS = 10**9
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

log = logging.getLogger(__name__)


class InfluxQuery(Conventions):
    """Which points one measurement holds."""

    measurement: str = Field(min_length=1, description="Name of the measurement.")
    fields: list[str] = Field(min_length=1, description="Fields to read; each makes a reading.")
    point: str = Field(min_length=1, description="Name of the point: `{tag:NAME}` stands for the value of a tag, `{field}` for the field's name.")
    where: dict[str, str] = Field({}, description="Tags and the value that each must have.")
    unit: str = Field("", description="The unit of these fields.")
    quality_field: str | None = Field(None, description="Field that holds the quality. A point without it counts as good.")

    @field_validator("fields", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @model_validator(mode="after")
    def _consistent(self) -> "InfluxQuery":
        placeholders = PLACEHOLDER.findall(self.point)
        for placeholder in placeholders:
            if placeholder != "field" and not (placeholder.startswith("tag:") and len(placeholder) > 4):
                raise ValueError(f"the point {self.point!r} uses {{{placeholder}}}: there are {{tag:NAME}} and {{field}}")
        if len(self.fields) > 1 and "field" not in placeholders:
            raise ValueError(f"the point {self.point!r} must contain {{field}}, because there are several fields")
        return self

    def selection(self) -> Selection:
        tags = dict.fromkeys(name.removeprefix("tag:") for name in PLACEHOLDER.findall(self.point) if name != "field")
        return Selection(self.measurement, tuple(self.fields), self.quality_field, tuple(tags), tuple(self.where.items()))


class InfluxConfig(BaseModel):
    """An InfluxDB database."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["influxdb"] = Field("influxdb", description="`influxdb`.")
    name: str = Field("influxdb", min_length=1, description="What this source is called on the page, in the log and in the metrics.")
    url: str = Field(pattern=r"^https?://[^/?#@]+(/[^?#@]*)?$", description="Address, such as `http://db.example:8086`, without user and password.")
    language: Literal["influxql", "flux"] = Field(
        "influxql", description="`influxql` for InfluxDB 1.x, 2.x (with a DBRP mapping) and 3.x; `flux` for 1.8 and 2.x."
    )
    database: str | None = Field(None, min_length=1, description="InfluxQL: the database.")
    retention_policy: str | None = Field(None, min_length=1, description="InfluxQL: the retention policy, if not the default one.")
    org: str | None = Field(None, min_length=1, description="Flux: the organisation (`-` on 1.8).")
    bucket: str | None = Field(None, min_length=1, description="Flux: the bucket (`database/retention_policy` on 1.8).")
    token: Secret | None = Field(None, description="Where to find the token of 2.x and 3.x (on 1.8 with Flux it is `user:password`).")
    username: str | Secret | None = Field(None, description="User of 1.x, or where to find it.")
    password: Secret | None = Field(None, description="Where to find the user's password.")
    tls: Tls | None = Field(None, description="Authority and client certificate for an `https` address.")
    queries: list[InfluxQuery] = Field(min_length=1, description="What to read.")
    poll_seconds: float = Field(5.0, gt=0, description="Pause between two polls.")
    late_seconds: float = Field(60.0, ge=0, description="How long after its own timestamp a point may be written and still be found.")
    look_back_seconds: float = Field(600.0, gt=0, description="How far back the first poll after a start reads.")
    page_points: int = Field(10_000, ge=1, description="Points in one answer, at most; more are fetched page by page.")
    timeout_seconds: float = Field(10.0, gt=0, description="How long an answer may take.")
    retry_max_seconds: float = Field(60.0, gt=0, description="Longest pause after failures; it starts at `poll_seconds` and doubles.")
    queue_limit: int = Field(100_000, ge=2, description="Readings that may wait to be processed. When it is full polling waits; nothing is lost.")

    @field_validator("url", mode="before")
    @classmethod
    def _no_user(cls, given: Any) -> Any:
        if isinstance(given, str) and "@" in given:
            raise inline_secret("write the address without user and password: there are `username` and `password` for them")
        return given

    @model_validator(mode="after")
    def _complete(self) -> "InfluxConfig":
        if self.language == "influxql" and not self.database:
            raise ValueError("InfluxQL needs `database`")
        if self.language == "flux" and not (self.org and self.bucket and self.token):
            raise ValueError("Flux needs `org`, `bucket` and `token`")
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` belong together")
        if self.token and self.username:
            raise ValueError("give `token`, or `username` and `password`, not both")
        return self


class InfluxAdapter:
    """Polls one database while `batches()` is read."""

    def __init__(self, config: InfluxConfig) -> None:
        self.name = config.name
        self._config = config
        self._intake = Intake(config.name, config.queue_limit)
        self._windows = [Window(query, config) for query in config.queries]
        self._connected = False
        self._problem = f"not connected to {config.url} yet"
        self._thread = threading.Thread(target=self._run, name=f"influxdb {config.name}", daemon=True)

    def batches(self) -> Iterator[list[Reading]]:
        self._thread.start()
        return self._intake.batches()

    def health(self) -> Health:
        return self._intake.health(self._connected, self._problem)

    def close(self) -> None:
        self._intake.close()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def _run(self) -> None:
        config, language = self._config, None
        pause = config.poll_seconds
        while not self._intake.closed.is_set():
            try:
                language = language or open_language(config)
                for window in self._windows:
                    self._poll(language, window)
            except Exception as error:
                cause = _cause(error)
                if not isinstance(cause, OSError | SetupError | Refused):
                    log.exception("%s: unexpected trouble", self.name)
                self._connected, language = False, None
                self._report(f"{config.url}: {cause}" if isinstance(cause, Refused) else explain(cause, config.url, config.url.startswith("https")))
                for window in self._windows:
                    window.hold()
                pause = min(pause * 2, config.retry_max_seconds)
            else:
                self._connected = True
                self._report("; ".join(filter(None, (window.silence() for window in self._windows))))
                pause = config.poll_seconds
            self._intake.closed.wait(pause if self._connected else pause * random.uniform(0.75, 1.25))  # noqa: S311 - not a secret

    def _poll(self, language: Language, window: "Window") -> None:
        """Read what is new, page by page. Raises what `Language.rows` raises; what was read until then is not read again."""
        polled_ns = time.time_ns()
        start_ns = window.begin(polled_ns)
        stop_ns = polled_ns + round(window.query.max_future_seconds * NS)
        limit = self._config.page_points
        while not self._intake.closed.is_set():
            rows = language.rows(window.selection, start_ns, stop_ns, limit)
            self._intake.add_all([reading for row in rows for reading in window.unseen(row, self._intake)])
            if len(rows) < limit:
                break
            if rows[-1].time_ns <= start_ns:
                limit *= 2  # more points at one instant than a page holds
            start_ns = rows[-1].time_ns
        window.polled_ns = polled_ns

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("%s: %s", self.name, problem) if problem else log.info("%s: reading from %s", self.name, self._config.url)
        self._problem = problem


class Window:
    """What has been read of one query, and so what to read next."""

    def __init__(self, query: InfluxQuery, config: InfluxConfig) -> None:
        self.query = query
        self.selection = query.selection()
        self.polled_ns = 0
        self._interpreter = Interpreter(query)
        self._late_ns = round(config.late_seconds * NS)
        self._look_back_ns = round(config.look_back_seconds * NS)
        self._newest_ns = 0
        self._start_ns = 0
        self._held_from_ns: int | None = None
        self._held_until: float | None = None
        self._seen: set[tuple[int, str, Any, Any]] = set()

    def begin(self, now_ns: int) -> int:
        """Where the next poll starts to read."""
        if not self._newest_ns:
            self._start_ns = now_ns - self._look_back_ns
        else:
            self._start_ns = min(self._newest_ns, self.polled_ns) - self._late_ns
        if self._held_from_ns is not None:
            self._start_ns = min(self._start_ns, self._held_from_ns)
            self._held_until = self._held_until or time.monotonic() + self._late_ns / NS
            if time.monotonic() > self._held_until:
                self._held_from_ns = self._held_until = None
        self.forget(self._start_ns)
        return self._start_ns

    def forget(self, before_ns: int) -> None:
        """What is older will not be read again."""
        self._seen = {seen for seen in self._seen if seen[0] >= before_ns}

    def hold(self) -> None:
        """The database is away: whoever writes to it will catch up later, so keep reading from here for a while."""
        self._held_until = None
        if self._held_from_ns is None:
            self._held_from_ns = self._start_ns or time.time_ns() - self._look_back_ns

    def unseen(self, row: Row, intake: Intake) -> Iterator[Reading]:
        """The readings of a row, without those that were yielded before. Bad ones are counted."""
        tags = dict(zip(self.selection.tags, row.tags, strict=True))
        absurd = not EARLIEST_SECONDS * NS <= row.time_ns <= time.time_ns() + self.query.max_future_seconds * NS
        if not absurd:
            self._newest_ns = max(self._newest_ns, row.time_ns)
        for field, raw in zip(self.selection.fields, row.fields, strict=True):
            if raw is None:
                continue
            point = PLACEHOLDER.sub(lambda match: field if match[1] == "field" else str(tags[match[1][4:]] or ""), self.query.point)  # noqa: B023
            key = (row.time_ns, point, _plain(raw), _plain(row.quality))
            if key in self._seen:
                continue
            self._seen.add(key)
            try:
                if absurd:
                    raise Unreadable("absurd_time")
                if not all(tags.values()):
                    raise Unreadable("missing_tag")
                value, quality = self._interpreter.number(raw), self._interpreter.quality(row.quality)
                yield Reading(point, value, row.time_ns / NS, self.query.unit, quality)
            except Unreadable as error:
                intake.reject(error.reason, f"{self.query.measurement}.{field}", f"{raw!r} {row.quality!r} {tags}")

    def silence(self) -> str:
        """A complaint if nothing was ever found."""
        if self._newest_ns:
            return ""
        where = f" where {self.query.where}" if self.query.where else ""
        return (
            f"no points of {', '.join(self.query.fields)} in the measurement {self.query.measurement!r}{where} in the last {self._look_back_ns / NS:.0f} s: "
            "are the names right, is anything written?"
        )


def _plain(value: Any) -> Any:
    """To be remembered: lists and mappings, which no database holds in a cell, as their text."""
    return value if isinstance(value, str | int | float | None) else repr(value)


def open_language(config: InfluxConfig) -> Language:
    """Raises SetupError when a TLS file is missing or wrong."""
    context = (config.tls or Tls()).context() if config.url.startswith("https") else None
    url = config.url.rstrip("/")
    if config.language == "flux":
        return Flux(url, config.org or "", config.bucket or "", lambda: plain(config.token) or "", config.timeout_seconds, context)

    def authorization() -> str | None:
        if config.token:
            return f"Token {config.token.read()}"
        return basic(plain(config.username) or "", plain(config.password) or "") if config.username else None

    pool = urllib3.PoolManager(maxsize=1, timeout=config.timeout_seconds, ssl_context=context)
    return InfluxQl(pool, url, config.database or "", config.retention_policy, authorization)


def _cause(error: BaseException) -> BaseException:
    """What made the HTTP library fail."""
    while isinstance(error, urllib3.exceptions.HTTPError):
        inner = error.__cause__ or next((part for part in error.args if isinstance(part, BaseException)), None)
        if inner is None:
            break
        error = inner
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return TimeoutError()
    return error
