"""A fixture for every test of an adapter."""

from collections.abc import Callable, Iterator

import pytest
from telemetry_servers import Collector

from gridtone_adapters import Adapter


@pytest.fixture
def collect() -> Iterator[Callable[[Adapter], Collector]]:
    """Collects from an adapter and closes it after the test."""
    collectors: list[Collector] = []

    def start(adapter: Adapter) -> Collector:
        collectors.append(Collector(adapter))
        return collectors[-1]

    yield start
    for collector in collectors:
        collector.close()
