"""`gridtone demo`: a broker, a grid on it and the service that plays it, together on this machine."""

from collections.abc import Callable
from pathlib import Path

from gridtone.config import Site
from gridtone.demo.broker import start_broker
from gridtone.demo.gateway import start_gateway
from gridtone.demo.options import TOPIC_PREFIX, DemoOptions
from gridtone.demo.processes import stop
from gridtone.rules.source import Pack
from gridtone.server import ServerSettings
from gridtone.service import serve_site
from gridtone_adapters import MqttConfig, MqttTopic

LONGEST_WAIT_SECONDS = 10.0
"""The pack's `for` and `hold` are minutes, as suits a grid; 10 s of the demo are more than an hour of its grid."""


def demo_site(broker_port: int, page_port: int, data: Path, rules: Path | None) -> Site:
    """What a site's file would say to play the demo's grid."""
    topic = MqttTopic(topic=f"{TOPIC_PREFIX}/{{point...}}", point="{point}", time_path="time", quality_path="quality", unit_path="unit")
    return Site(
        data=data,
        rules=rules or Pack(pack="transmission", longest_wait=LONGEST_WAIT_SECONDS),
        adapters=(MqttConfig(name="demo grid", host="127.0.0.1", port=broker_port, protocol="3.1.1", topics=[topic]),),
        server=ServerSettings(port=page_port),
    )


def play(options: DemoOptions, page_port: int, data: Path, rules: Path | None, on_ready: Callable[[str], None]) -> None:
    """Run the demo until it is told to stop. Raises DemoError, LibraryError, DocumentError or OSError when it cannot start."""
    with start_broker() as broker:
        site = demo_site(broker.port, page_port, data, rules)
        gateway = start_gateway(broker.host, broker.port, options)
        try:
            serve_site(site, None, on_ready)
        finally:
            stop(gateway)
