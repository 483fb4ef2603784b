"""A recording read as fast as possible, for replaying history through rules: no pacing, no restamping, moments instead of a stream.

Where pyarrow is installed and the columns are plain numbers and texts, CSV and Parquet are read a column at a time; anything else row by row, as in
`replay.py`.
"""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise, repeat
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gridtone_adapters.conventions import EARLIEST_SECONDS, Conventions, Interpreter, Unreadable
from gridtone_adapters.intake import BATCH_LIMIT
from gridtone_adapters.reading import Quality
from gridtone_adapters.replay import ReplayAdapter, ReplayConfig

Row: TypeAlias = tuple[str, float, float, str, Quality]
"""As a Reading, which is a tuple too, but cheaper to make."""
Moment: TypeAlias = tuple[float, list[Row]]
"""The newest time in it, and readings that are judged together."""

BLOCK_BYTES = 4 << 20
BLOCK_READINGS = 50_000
_SCALES = np.array([1e11, 1e14, 1e17])
_PER_SECOND = np.array([1.0, 1e3, 1e6, 1e9])


class Recording:
    """One file of readings, in order of time."""

    def __init__(self, config: ReplayConfig) -> None:
        """`config.speed`, `restamp` and `loop` mean nothing here."""
        self._config = config
        self.fraction = 0.0
        """How much of the file has been read."""
        self.readings = 0
        self.rejected: Counter[str] = Counter()
        """Rows and values that are no readings, by reason, as in `Rejected.reason`."""

    def moments(self, step_seconds: float) -> Iterator[Moment]:
        """Readings that lie within one step of the clock together. Raises OSError or SetupError for a file that is no recording."""
        held: list[Row] = []
        held_step = -np.inf
        for times, rows in self._blocks():
            self.readings += len(rows)
            steps = np.floor(times / step_seconds)
            edges = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(rows)]
            for start, end in pairwise(edges):
                if steps[start] != held_step and held:
                    yield held[-1][2], held
                    held = []
                held_step = steps[start]
                held += rows[start:end]
        if held:
            yield held[-1][2], held
        self.fraction = 1.0

    def _blocks(self) -> Iterator[tuple[NDArray[np.float64], list[Row]]]:
        """Times and rows, some thousands together."""
        plain = all(getattr(self._config, name) == field.default for name, field in Conventions.model_fields.items())
        done = 0
        if plain and _suffix(self._config.file) in (".csv", ".parquet"):
            try:
                for times, rows in self._fast_blocks():
                    yield times, rows
                    done += len(rows)
            except _NotPlainError:
                self.rejected.clear()
            else:
                return
        adapter = ReplayAdapter(self._config)
        rows_left = islice(adapter.recorded(), done, None)
        while block := list[Row](islice(rows_left, BATCH_LIMIT)):
            yield np.array([row[2] for row in block]), block
        self.rejected.update(adapter.health().rejected)

    def _fast_blocks(self) -> Iterator[tuple[NDArray[np.float64], list[Row]]]:
        """Raises _NotPlainError where the file is beyond columns of numbers and texts."""
        try:
            import pyarrow
        except ImportError:
            raise _NotPlainError from None
        try:
            for batch in self._batches():
                yield self._rows(batch)
        except (pyarrow.ArrowException, UnicodeDecodeError):
            raise _NotPlainError from None

    def _batches(self) -> Iterator[Any]:
        if _suffix(self._config.file) == ".parquet":
            from pyarrow import parquet

            with parquet.ParquetFile(self._config.file) as table:
                done = 0
                points = 1 if "point" in table.schema_arrow.names else max(1, table.metadata.num_columns - 1)
                for batch in table.iter_batches(max(1, BLOCK_READINGS // points)):
                    yield batch
                    done += batch.num_rows
                    self.fraction = done / max(1, table.metadata.num_rows)
            return
        from pyarrow import CompressedInputStream, csv

        with self._config.file.open("rb") as file:
            stream = CompressedInputStream(file, "gzip") if self._config.file.suffix.lower() == ".gz" else file
            size = max(1, self._config.file.stat().st_size)
            with csv.open_csv(stream, csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)) as table:
                for batch in table:
                    yield batch
                    self.fraction = min(1.0, file.tell() / size)

    def _rows(self, batch: Any) -> tuple[NDArray[np.float64], list[Row]]:
        names = batch.schema.names
        if "time" not in names:
            raise _NotPlainError
        times = _seconds(batch.column("time"))
        if "point" in names:
            if "value" not in names:
                raise _NotPlainError
            points, values = _texts(batch.column("point")), _numbers(batch.column("value"))
            units = _texts(batch.column("unit"), self._config.unit) if "unit" in names else repeat(self._config.unit)
            qualities = self._qualities(_texts(batch.column("quality"), "good")) if "quality" in names else repeat(Quality.GOOD)
        else:
            columns = [name for name in names if name != "time"]
            values = np.stack([_numbers(batch.column(name)) for name in columns], axis=1).ravel()
            times = np.repeat(times, len(columns))
            points, units, qualities = columns * batch.num_rows, repeat(self._config.unit), repeat(Quality.GOOD)
        good = np.isfinite(values) & (times >= EARLIEST_SECONDS) & (times <= time.time() + self._config.max_future_seconds)
        rows = list(zip(points, values.tolist(), times.tolist(), units, qualities, strict=False))
        if not good.all():
            if "point" in names:
                raise _NotPlainError  # let the rows that are refused be named and counted
            rows = [row for row, keep in zip(rows, good.tolist(), strict=True) if keep]
            times = times[good]
        return times, rows

    def _qualities(self, words: list[str]) -> Iterator[Quality]:
        known: dict[str, Quality] = {}
        interpreter = Interpreter(self._config)
        for word in set(words):
            try:
                known[word] = interpreter.quality(word)
            except Unreadable:
                raise _NotPlainError from None
        return map(known.__getitem__, words)


class _NotPlainError(Exception):
    """The columns cannot be read as numbers and texts: read row by row."""


def _suffix(file: Path) -> str:
    return next(iter([suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"][-1:]), "")


def _numbers(column: Any) -> NDArray[np.float64]:
    import pyarrow

    if not (pyarrow.types.is_floating(column.type) or pyarrow.types.is_integer(column.type) or pyarrow.types.is_null(column.type)):
        raise _NotPlainError
    numbers: NDArray[np.float64] = column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _seconds(column: Any) -> NDArray[np.float64]:
    import pyarrow
    import pyarrow.compute

    if column.null_count:
        raise _NotPlainError
    if pyarrow.types.is_timestamp(column.type):
        exact = pyarrow.compute.cast(column, pyarrow.timestamp("us", column.type.tz), safe=False).cast(pyarrow.int64())
        return np.asarray(exact.to_numpy(zero_copy_only=False) / 1e6)
    numbers = _numbers(column)
    return np.asarray(numbers / _PER_SECOND[np.searchsorted(_SCALES, numbers, side="right")])


def _texts(column: Any, missing: str | None = None) -> list[str]:
    """Each text once in memory."""
    import pyarrow

    if pyarrow.types.is_null(column.type) and missing is not None:
        return [missing] * len(column)
    encoded = column if pyarrow.types.is_dictionary(column.type) else column.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    if (encoded.null_count and missing is None) or not all(isinstance(word, str) for word in words):
        raise _NotPlainError
    indices = encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False).tolist()
    table = [word or missing or "" for word in words] + [missing or ""]
    if missing is None and not all(words):
        raise _NotPlainError
    return list(map(table.__getitem__, indices))
