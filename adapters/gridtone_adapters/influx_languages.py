"""The two query languages of InfluxDB. Both only ever ask for rows of one measurement within two times; every name in a query is quoted."""

import base64
import csv
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec
import urllib3

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """One point of a measurement."""

    time_ns: int
    fields: list[Any]
    """Values of the selection's fields, in order; None where the point lacks one."""
    quality: Any
    tags: list[str | None]
    """Values of the selection's tags, in order."""


class Selection(NamedTuple):
    """What to read of one measurement."""

    measurement: str
    fields: tuple[str, ...]
    quality_field: str | None
    tags: tuple[str, ...]
    where: tuple[tuple[str, str], ...]
    """Tags and the values that they must have."""


class Refused(Exception):  # noqa: N818 - an answer of the server
    """The database answered, but not with rows. The text says what to do."""


class _Series(msgspec.Struct):
    values: list[Any] = []
    partial: bool = False


class _Result(msgspec.Struct):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct):
    """Of `/query`; any other part of it is left alone."""

    results: list[_Result] = []
    error: str = ""
    message: str = ""


_decode_answer = msgspec.json.Decoder(_Answer).decode


class Language(Protocol):
    def rows(self, selection: Selection, start_ns: int, stop_ns: int, limit: int) -> list[Row]:
        """The first `limit` rows from `start_ns` on and before `stop_ns`, oldest first. Raises Refused, OSError, or an error of urllib3."""
        ...


def influxql(selection: Selection, start_ns: int, stop_ns: int, limit: int) -> str:
    """The InfluxQL query; its columns are time, the fields, the quality and the tags."""
    fields = [*selection.fields, *filter(None, [selection.quality_field])]
    columns = ", ".join([f"{_identifier(name)}::field" for name in fields] + [f"{_identifier(name)}::tag" for name in selection.tags])
    where = "".join(f" AND {_identifier(tag)}::tag = {_literal(value)}" for tag, value in selection.where)
    return f"SELECT {columns} FROM {_identifier(selection.measurement)} WHERE time >= {start_ns} AND time < {stop_ns}{where} ORDER BY time ASC LIMIT {limit}"  # noqa: S608 - quoted


def flux(selection: Selection, bucket: str, start_ns: int, stop_ns: int, limit: int) -> str:
    """The Flux query; one row a time and series, one column a field or tag."""
    fields = " or ".join(f"r._field == {_flux_string(name)}" for name in [*selection.fields, *filter(None, [selection.quality_field])])
    where = "".join(f" and r[{_flux_string(tag)}] == {_flux_string(value)}" for tag, value in selection.where)
    return (
        f"from(bucket: {_flux_string(bucket)})"
        f" |> range(start: {_flux_time(start_ns)}, stop: {_flux_time(stop_ns)})"
        f" |> filter(fn: (r) => r._measurement == {_flux_string(selection.measurement)} and ({fields}){where})"
        ' |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
        f' |> group() |> sort(columns: ["_time"]) |> limit(n: {limit})'
    )


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n")


def _identifier(name: str) -> str:
    return '"' + _escaped(name, '"') + '"'


def _literal(text: str) -> str:
    return "'" + _escaped(text, "'") + "'"


def _flux_string(text: str) -> str:
    return '"' + _escaped(text, '"').replace("${", "\\${") + '"'


def _flux_time(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


class InfluxQl:
    """InfluxQL over `/query`: InfluxDB 1.x, 2.x with a DBRP mapping, and 3.x. Every request is a GET."""

    def __init__(self, pool: urllib3.PoolManager, url: str, database: str, retention_policy: str | None, authorization: Callable[[], str | None]) -> None:
        self._pool, self._url = pool, url
        self._parameters = {"db": database, "epoch": "ns"} | ({"rp": retention_policy} if retention_policy else {})
        self._authorization = authorization

    def rows(self, selection: Selection, start_ns: int, stop_ns: int, limit: int) -> list[Row]:
        authorization = self._authorization()
        answer = self._pool.request(
            "GET",
            f"{self._url}/query",
            fields=self._parameters | {"q": influxql(selection, start_ns, stop_ns, limit)},
            headers={"Accept": "application/json", "Accept-Encoding": "gzip"} | ({"Authorization": authorization} if authorization else {}),
            redirect=False,
            retries=False,
        )
        try:
            document = _decode_answer(answer.data)
            problem = document.error or document.message or next((result.error for result in document.results if result.error), "")
        except (ValueError, RecursionError):
            document, problem = _Answer(), answer.data[:200].decode(errors="replace").strip() or "an answer that is not JSON"
        if answer.status != 200 or problem:
            raise Refused(advise(answer.status, problem))
        series = [series for result in document.results for series in result.series]
        if any(part.partial for part in series):
            raise Refused("the server cut its answer short (max-row-limit): set `page_points` to no more than its limit")
        return [self._row(selection, values) for part in series for values in part.values]

    @staticmethod
    def _row(selection: Selection, values: Any) -> Row:
        """Raises Refused for what InfluxDB would never answer."""
        fields_end = 1 + len(selection.fields)
        tags_start = fields_end + (selection.quality_field is not None)
        if not isinstance(values, list) or len(values) != tags_start + len(selection.tags) or type(values[0]) not in (int, float):
            raise _strange(f"the row {values!r}")
        return Row(int(values[0]), values[1:fields_end], values[fields_end] if selection.quality_field else None, values[tags_start:])


def _strange(found: str) -> Refused:
    return Refused(f"an answer that is not InfluxDB's, {found[:120]}: see what answers at `url`")


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Flux:
    """Flux through influxdb-client: InfluxDB 1.8 and 2.x."""

    def __init__(self, url: str, org: str, bucket: str, token: Callable[[], str], timeout_seconds: float, tls: ssl.SSLContext | None) -> None:
        self._url, self._org, self._bucket, self._token = url, org, bucket, token
        self._options: dict[str, Any] = {"timeout": round(timeout_seconds * 1000), "enable_gzip": True, "retries": False, "ssl_context": tls}

    def rows(self, selection: Selection, start_ns: int, stop_ns: int, limit: int) -> list[Row]:
        from influxdb_client import InfluxDBClient  # type: ignore[attr-defined]  # slow to import, and not every site needs it
        from influxdb_client.client.flux_csv_parser import FluxCsvParserException, FluxQueryException
        from influxdb_client.rest import ApiException

        with InfluxDBClient(self._url, self._token(), org=self._org, **self._options) as client:
            try:
                records = list(client.query_api().query_stream(flux(selection, self._bucket, start_ns, stop_ns, limit)))
            except ApiException as error:
                raise Refused(advise(error.status, error.message or str(error.reason))) from None
            except (FluxQueryException, FluxCsvParserException) as error:
                raise Refused(f"the query failed: {error}") from None
            except OSError:
                raise
            except (ValueError, TypeError, LookupError, AttributeError, csv.Error) as error:  # what the parser stumbles over in an answer that is none
                raise _strange(f"{type(error).__name__}: {error}") from None
        return [self._row(selection, record.values) for record in records]

    @staticmethod
    def _row(selection: Selection, values: dict[str, Any]) -> Row:
        when = values.get("_time")
        if not isinstance(when, datetime) or when.tzinfo is None:
            raise _strange(f"the row {values!r}")
        return Row(
            (when - EPOCH) // timedelta(microseconds=1) * 1000,
            [values.get(name) for name in selection.fields],
            values.get(selection.quality_field) if selection.quality_field else None,
            [values.get(name) for name in selection.tags],
        )


def advise(status: int | None, problem: str) -> str:
    """What an answer that is no rows means and what to do about it."""
    match status:
        case 401:
            advice = "check `username` and `password`, or `token`"
        case 403:
            advice = "let this user or token read the database (READ is enough; InfluxQL: `GRANT READ ON <database> TO <user>`)"
        case 404:
            advice = (
                "check `url`, and the names of database, bucket and organisation; InfluxQL needs a DBRP mapping on 2.x, Flux does not exist on 1.7 and older"
            )
        case 200 if "not found" in problem:
            advice = "check the name"
        case int() if 300 <= status < 400:
            advice = "the server points elsewhere: set `url` to where it points"
        case _:
            advice = "see the database's log"
    return f"{problem} ({status}): {advice}"
