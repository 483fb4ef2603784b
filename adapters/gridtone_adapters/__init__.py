"""Telemetry in: one file a protocol, each yields Readings.

An adapter connects to one source (an MQTT broker, an InfluxDB, a recording) and yields batches of `Reading`: the value of one point of the grid with its unit,
source timestamp and quality. That is all an adapter may do:

* **It only reads.** No module here publishes, writes or commands anything on the telemetry side, and none holds a code path that could.
* **It knows nothing of rules or music.** Nothing here imports `gridtone` or `gridtone_engine`.
* **It never loses good data over bad.** A malformed message is counted, kept as a sample for the log and skipped; the next one is read.
* **It never gives up.** A source that is down at start or later is retried with backoff; `health()` says what is wrong and what to do.

Every adapter has the same entry points: a pydantic configuration with a literal `kind`, and a class with `batches()`, `health()` and `close()`
(see `adapter.py`).

    from gridtone_adapters import MqttConfig, open_adapter

    adapter = open_adapter(MqttConfig(host="broker.example", topics=[...]))
    for batch in adapter.batches():
        for reading in batch:
            print(reading.point, reading.value, reading.unit)
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from gridtone_adapters.adapter import Adapter, Health, Rejected
from gridtone_adapters.influxdb import InfluxAdapter, InfluxConfig, InfluxQuery
from gridtone_adapters.mqtt import MqttAdapter, MqttConfig
from gridtone_adapters.payloads import MqttTopic
from gridtone_adapters.reading import Quality, Reading
from gridtone_adapters.replay import ReplayAdapter, ReplayConfig
from gridtone_adapters.security import Secret, ServerTls, Tls
from gridtone_adapters.webhook import WebhookAdapter, WebhookConfig

AdapterConfig: TypeAlias = Annotated[MqttConfig | InfluxConfig | ReplayConfig | WebhookConfig, Field(discriminator="kind")]
"""Any adapter's configuration, told apart by `kind`."""


def open_adapter(config: AdapterConfig) -> Adapter:
    """The adapter for a configuration. It connects when `batches()` is called."""
    match config:
        case MqttConfig():
            return MqttAdapter(config)
        case InfluxConfig():
            return InfluxAdapter(config)
        case ReplayConfig():
            return ReplayAdapter(config)
        case WebhookConfig():
            return WebhookAdapter(config)


__all__ = [
    "Adapter",
    "AdapterConfig",
    "Health",
    "InfluxConfig",
    "InfluxQuery",
    "MqttConfig",
    "MqttTopic",
    "Quality",
    "Reading",
    "Rejected",
    "ReplayConfig",
    "Secret",
    "ServerTls",
    "Tls",
    "WebhookConfig",
    "open_adapter",
]
