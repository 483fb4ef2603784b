"""No adapter holds a code path that could write: proven on the source and on the wire, besides the tests at real servers with read-only users
(`test_deployed_rights.py`).

On the source, what a module may use is listed, not what it may not: a new way out fails here until someone has thought about it.
"""

import ast
import importlib
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest
from telemetry_servers import Broker, wait_until

import gridtone
import gridtone_adapters
from gridtone_adapters import MqttConfig, open_adapter

ADAPTERS = Path(gridtone_adapters.__file__).parent
MODULES = sorted(ADAPTERS.rglob("*.py"))
IMPORTS = {
    *("__future__", "base64", "collections", "csv", "dataclasses", "datetime", "enum", "gzip", "hashlib", "heapq", "hmac", "itertools", "json", "logging"),
    *("math", "os", "pathlib", "random", "re", "selectors", "socket", "ssl", "threading", "time", "typing", "zlib"),
    *("cheroot", "gridtone_adapters", "influxdb_client", "msgspec", "numpy", "paho", "pyarrow", "pydantic", "pydantic_core", "urllib3"),
}
"""Everything that an adapter may import. No process is started, no other protocol spoken, nothing of gridtone's rules or music known."""
WORDS = {
    *("publish", "will_set", "_send_publish", "_packet_queue", "write_api", "write_points", "delete_api", "buckets_api", "POST", "PUT", "PATCH", "DELETE"),
    *("write_text", "write_bytes", "unlink", "rename", "sendall", "sendto", "sendmsg", "urlopen", "system", "popen", "eval", "exec", "__import__"),
}
CLIENT = {
    *("on_connect", "on_subscribe", "on_message", "on_disconnect", "on_log", "connect_timeout", "username_pw_set", "tls_set_context"),
    *("connect", "subscribe", "disconnect", "socket", "loop_read", "loop_write", "loop_misc", "want_write"),
}
"""Everything that the MQTT adapter may ask of paho's client."""


def nodes(module: Path):
    return ast.walk(ast.parse(module.read_text("utf-8")))


def imports(module: Path) -> set[str]:
    """Top-level packages."""
    names: set[str] = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def writing(module: Path) -> list[str]:
    """What a module refers to that could write, with its line."""
    found = []
    for node in nodes(module):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) | ast.keyword(arg=name) if name in WORDS:
                found.append(f"{getattr(node, 'lineno', '?')}: {name}")
            case ast.Constant(value=str(text)) if text in WORDS or " INTO " in text.upper():
                found.append(f"{node.lineno}: {text}")
            case ast.Attribute(value=ast.Name(id="client" | "_client"), attr=name) if "paho" in imports(module) and name not in CLIENT:
                found.append(f"{node.lineno}: client.{name}")
            case ast.Call(func=ast.Attribute(attr="request"), args=[method, *_]) if not (isinstance(method, ast.Constant) and method.value == "GET"):
                found.append(f"{node.lineno}: a request that is not GET")
            case ast.Call(func=ast.Name(id="getattr"), args=[object_, name, *_]) if not (
                isinstance(name, ast.Constant) or ast.unparse(object_) == "self._config"
            ):
                found.append(f"{node.lineno}: getattr of anything")
            case ast.Call(func=ast.Name(id="open") | ast.Attribute(attr="open"), args=arguments) if "'rb'" not in [ast.unparse(each) for each in arguments]:
                found.append(f"{node.lineno}: a file opened for something else than reading")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_no_module_refers_to_anything_that_writes(module):
    assert writing(module) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_no_module_imports_what_is_not_listed_and_none_knows_rules_or_music(module):
    assert imports(module) <= IMPORTS


@pytest.mark.parametrize(
    "line",
    [
        "client.publish('a', 'b')",
        "client.will_set('a')",
        "client.reinitialise()",
        "pool.request('POST', url)",
        "pool.request(method, url)",
        "getattr(client, name)('a')",
        "influx.write_api()",
        "query = 'SELECT * INTO a FROM b'",
        "path.open('wb')",
        "open(path, 'a')",
        "connection.sendall(b'')",
        "eval('1')",
    ],
)
def test_what_would_write_is_found(tmp_path, line):
    module = tmp_path / "module.py"
    module.write_text(f"import paho\n{line}\n")
    assert writing(module)


def test_everything_can_be_imported_and_the_modules_are_found():
    names = {module.stem for module in MODULES}
    assert {"mqtt", "payloads", "security", "influx_languages", "webhook"} <= names
    for name in names - {"__init__"}:
        importlib.import_module(f"gridtone_adapters.{name}")
    assert not {"paho.mqtt.publish", "influxdb_client.client.write_api"} & set(vars(sys.modules["gridtone_adapters.mqtt"]))


def test_nothing_but_the_adapters_and_the_demo_speaks_to_a_broker_or_a_database_of_telemetry():
    """The demo has a grid of its own and publishes it on a broker of its own; nothing that `gridtone serve` runs imports it."""
    clients = {"paho", "influxdb_client", "amqtt", "aiomqtt", "requests", "pymodbus", "asyncua", "c104", "iec61850"}
    plugin = Path(gridtone.__file__).parent
    assert {module.relative_to(plugin).parts[0] for module in plugin.rglob("*.py") if imports(module) & clients} <= {"demo"}
    demo = {str(module.relative_to(plugin)) for module in plugin.rglob("*.py") if "gridtone.demo" in module.read_text("utf-8") and "demo" not in module.parts}
    assert demo <= {"cli/site.py", "doctor.py"}, "the command `gridtone demo`, and the doctor who says whether it could run"


CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14


class Relay:
    """Stands between an adapter and its broker, and keeps the types of the MQTT packets that the adapter sends."""

    def __init__(self, port: int) -> None:
        self.target, self.packets, self.connects = port, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self.open = (near, far)
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, watched: bool) -> None:
        buffer = b""
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                if watched:
                    buffer = self._packets(buffer + data)
        except OSError:
            pass
        for connection in (source, sink):
            connection.close()

    def _packets(self, buffer: bytes) -> bytes:
        while True:
            digits = next((count for count, byte in enumerate(buffer[1:5], 1) if byte < 128), 0)
            begin = 1 + digits
            end = begin + sum((byte & 127) << (7 * place) for place, byte in enumerate(buffer[1:begin]))
            if not digits or len(buffer) < end:
                return buffer
            self.packets.append(buffer[0] >> 4)
            if self.packets[-1] == CONNECT:
                self.connects.append(buffer[begin:end])
            buffer = buffer[end:]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_on_the_wire_an_adapter_only_greets_subscribes_acknowledges_and_leaves(tmp_path, collect, protocol):
    broker = Broker(tmp_path).start()
    relay = Relay(broker.port)
    try:
        topics = [{"topic": "grid/{id}", "point": "{id}", "payload": "number"}]
        settings = {"host": "127.0.0.1", "port": relay.port, "protocol": protocol, "topics": topics, "qos": 1, "retry_seconds": 0.1, "keepalive_seconds": 5}
        broker.publish(("grid/kept", "1"), retain=True)
        collector = collect(open_adapter(MqttConfig.model_validate(settings)))
        collector.wait_connected()
        broker.publish(*[(f"grid/{number}", str(number)) for number in range(300)])
        wait_until(lambda: relay.packets.count(PUBACK) >= 300, "the acknowledgement of every message")
        relay.open[0].close()
        relay.open[1].close()
        wait_until(lambda: relay.packets.count(CONNECT) == 2, "another connection")
        broker.publish(("grid/x", "nonsense"), ("grid/y", "7"))
        wait_until(lambda: "y" in collector.points, "a message after that")
        wait_until(lambda: PINGREQ in relay.packets, "a sign of life")
        collector.close()
        wait_until(lambda: DISCONNECT in relay.packets, "an orderly end")
    finally:
        relay.listener.close()
        broker.stop()
    assert PUBLISH not in relay.packets
    assert set(relay.packets) == {CONNECT, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT}
    for connect in relay.connects:
        name_length = struct.unpack(">H", connect[:2])[0]
        assert not connect[2 + name_length + 1] & 0b100, "no last will, which the broker would publish for us"
