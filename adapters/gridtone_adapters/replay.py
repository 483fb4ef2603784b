"""Replay: a recording in a file becomes readings again, as it happened or faster. For tests, and for showing yesterday."""

import csv
import gzip
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field

from gridtone_adapters.adapter import Health
from gridtone_adapters.conventions import Conventions, Interpreter, Unreadable, decode_json
from gridtone_adapters.intake import BATCH_LIMIT, Intake
from gridtone_adapters.reading import Reading
from gridtone_adapters.security import SetupError

RETRY_SECONDS = 5.0
BATCH_SECONDS = 0.02
"""Readings that are due within so long of each other go out together."""
LINE_LIMIT = 1_000_000
"""Bytes. What is longer is not a line of a recording."""


class ReplayConfig(Conventions):
    """A recording."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["replay"] = Field("replay", description="`replay`.")
    name: str = Field("replay", min_length=1, description="What this source is called on the page, in the log and in the metrics.")
    file: Path = Field(
        description="The recording, in order of time: `.csv`, `.jsonl` (both also with `.gz`) or `.parquet`. Long: one reading a row, with `time`, `point`, "
        "`value` and, where there are some, `unit` and `quality`. Wide (CSV and Parquet without a column `point`): `time`, and one column a point."
    )
    speed: float | None = Field(1.0, ge=0, description="1 is real time, 60 an hour in a minute; 0 or nothing: as fast as it can be read.")
    restamp: Literal["now", "original"] = Field(
        "now", description="Times of the readings: `now`, as if it happened now, or as recorded (`original`), which rules find stale."
    )
    loop: bool = Field(False, description="Start again at the end.")
    unit: str = Field("", description="The unit, where the recording does not say.")


class _Record(NamedTuple):
    """One reading as it was recorded."""

    where: str
    """File and line."""
    point: Any
    value: Any
    time: Any
    unit: Any = None
    quality: Any = None


class _BadRow(NamedTuple):
    """A row that is no record."""

    where: str
    reason: str
    content: object


class ReplayAdapter:
    """Reads one file while `batches()` is read, never more of it than a batch at a time."""

    def __init__(self, config: ReplayConfig) -> None:
        self.name = config.name
        self._config = config
        self._intake = Intake(config.name, 2)  # for its tally; nothing is queued
        self._interpreter = Interpreter(config)
        self._playing = False
        self._problem = f"{config.file} has not been opened yet"

    def health(self) -> Health:
        return self._intake.health(self._playing, self._problem)

    def close(self) -> None:
        self._intake.close()

    def batches(self) -> Iterator[list[Reading]]:
        """As promised by `Adapter`; after the end of a recording without `loop` it waits for `close`."""
        closed = self._intake.closed
        while not closed.is_set():
            received = self._intake.received
            try:
                for batch in self._paced():
                    self._playing, self._problem = True, ""
                    self._intake.received += len(batch)
                    yield batch
                    if closed.is_set():
                        return
            except (OSError, EOFError, zlib.error, SetupError) as error:
                self._playing, self._problem = False, f"cannot read {self._config.file}: {error}"
                closed.wait(RETRY_SECONDS)
                continue
            if self._intake.received == received:
                self._problem = f"{self._config.file} holds no readings: is it empty, or are its rows all refused?"
                closed.wait(RETRY_SECONDS)
            elif not self._config.loop:
                self._playing, self._problem = False, f"{self._config.file} has been played to its end; set `loop` to repeat it"
                closed.wait()

    def _paced(self) -> Iterator[list[Reading]]:
        """Batches of one pass, each when it is due."""
        speed, restamp = self._config.speed, self._config.restamp == "now"
        began, first = time.time(), None
        batch: list[Reading] = []
        batch_due = began
        for reading in self.recorded():
            if first is None:
                first = reading.time
            due = began + (reading.time - first) / speed if speed else began
            if batch and (due > batch_due + BATCH_SECONDS or len(batch) >= BATCH_LIMIT):
                if self._intake.closed.wait(max(0.0, batch_due - time.time())):
                    return
                yield batch
                batch = []
            if not batch:
                batch_due = due
            batch.append(reading._replace(time=due if speed else time.time()) if restamp else reading)
        if batch and not self._intake.closed.wait(max(0.0, batch_due - time.time())):
            yield batch

    def recorded(self) -> Iterator[Reading]:
        """The readings as they were recorded, one pass; what is refused is counted. Raises OSError, EOFError, zlib.error or SetupError."""
        now = time.time()
        for record in _records(self._config.file):
            try:
                if isinstance(record, _BadRow):
                    raise Unreadable(record.reason)
                if not isinstance(record.point, str) or not record.point:
                    raise Unreadable("missing_point")
                yield Reading(
                    record.point,
                    self._interpreter.number(record.value),
                    self._interpreter.time(record.time, now),
                    record.unit if isinstance(record.unit, str) and record.unit else self._config.unit,
                    self._interpreter.quality(record.quality),
                )
            except Unreadable as error:
                self._intake.reject(error.reason, record.where, record.content if isinstance(record, _BadRow) else record[1:])


def _records(file: Path) -> Iterator[_Record | _BadRow]:
    """What a file holds, row by row. Raises OSError, EOFError, zlib.error or SetupError for a file that is no recording."""
    match [suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"][-1:]:
        case [".csv"]:
            return _csv_records(file)
        case [".jsonl"]:
            return _json_records(file)
        case [".parquet"]:
            return _parquet_records(file)
        case _:
            raise SetupError("its name must end in .csv, .jsonl or .parquet (.csv.gz and .jsonl.gz are read as well)")


def _open(file: Path) -> Any:
    return gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb")


def _lines(file: Path) -> Iterator[tuple[str, bytes]]:
    """Where each line is, and the line."""
    with _open(file) as raw:
        for number, line in enumerate(iter(lambda: raw.readline(LINE_LIMIT), b""), 1):
            yield f"{file}:{number}", line


def _csv_records(file: Path) -> Iterator[_Record | _BadRow]:
    columns: list[str] = []
    for where, line in _lines(file):
        try:
            row = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")]), [])  # each line by itself, so that a stray quote costs one line
        except UnicodeDecodeError:
            yield _BadRow(where, "not_utf8", line)
            continue
        except csv.Error:
            yield _BadRow(where, "not_csv", line)
            continue
        if not columns:
            columns = [name.strip() for name in row]
        elif len(row) == len(columns):
            yield from _of_row(where, dict(zip(columns, row, strict=True)))
        elif row:
            yield _BadRow(where, "wrong_columns", line)


def _json_records(file: Path) -> Iterator[_Record | _BadRow]:
    for where, line in _lines(file):
        try:
            row = decode_json(line) if line.strip() else None
        except Unreadable as error:
            yield _BadRow(where, error.reason, line)
        else:
            if isinstance(row, dict):
                yield _Record(where, row.get("point"), row.get("value"), row.get("time"), row.get("unit"), row.get("quality"))
            elif row is not None:
                yield _BadRow(where, "wrong_columns", line)


def _parquet_records(file: Path) -> Iterator[_Record | _BadRow]:
    try:
        import pyarrow
        import pyarrow.compute
        from pyarrow import parquet
    except ImportError:
        raise SetupError("reading Parquet needs pyarrow: install gridtone[parquet]") from None
    try:
        number = 0
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(BATCH_LIMIT):
                for index, field in enumerate(batch.schema):
                    if pyarrow.types.is_timestamp(field.type):
                        exact = pyarrow.compute.cast(batch.column(index), pyarrow.timestamp("us", field.type.tz), safe=False)
                        batch = batch.set_column(index, field.name, exact)
                for row in batch.to_pylist():
                    number += 1
                    yield from _of_row(f"{file}:{number}", row)
    except pyarrow.ArrowException as error:
        raise SetupError(str(error)) from None


def _of_row(where: str, row: dict[str, Any]) -> Iterator[_Record]:
    """The readings of a table's row: one where there is a column `point`, otherwise one a column. Empty cells of a wide table are none."""
    if "time" not in row:
        raise SetupError(f"there is no column `time`, only {', '.join(row)}")
    if "point" in row:
        if "value" not in row:
            raise SetupError("there is a column `point` but none `value`")
        yield _Record(where, row["point"], row["value"], row["time"], row.get("unit"), row.get("quality") or None)
        return
    for point, value in row.items():
        if point != "time" and value is not None and value != "":
            yield _Record(where, point, value, row["time"])
