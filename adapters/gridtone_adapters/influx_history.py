"""What an InfluxDB holds between two times, in order of time, for replaying history through rules. It selects, and that is all it can do."""

import heapq
from collections.abc import Iterator

from gridtone_adapters.influx_languages import Language
from gridtone_adapters.influxdb import NS, InfluxConfig, Window, open_language
from gridtone_adapters.intake import Intake
from gridtone_adapters.reading import Reading


def influx_history(config: InfluxConfig, start: float, end: float) -> Iterator[Reading]:
    """Every reading of the adapter's queries from `start` to `end`, seconds since 1970. Raises Refused, SetupError, OSError or an error of urllib3."""
    language = open_language(config)
    return heapq.merge(*(_of_query(language, Window(query, config), config, start, end) for query in config.queries), key=lambda reading: reading.time)


def _of_query(language: Language, window: Window, config: InfluxConfig, start: float, end: float) -> Iterator[Reading]:
    start_ns, stop_ns, limit = round(start * NS), round(end * NS), config.page_points
    refused = Intake(config.name, 2)  # for its tally and its log
    while True:
        rows = language.rows(window.selection, start_ns, stop_ns, limit)
        for row in rows:
            yield from window.unseen(row, refused)
        if len(rows) < limit:
            return
        if rows[-1].time_ns <= start_ns:
            limit *= 2  # more points at one instant than a page holds
        start_ns = rows[-1].time_ns
        window.forget(start_ns)
