"""What `gridtone doctor` says of machines and sites that work, and of those that don't."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gridtone import doctor
from gridtone.cli import main
from gridtone.config import Engine, Site
from gridtone.demo.broker import RunningBroker, start_broker
from gridtone.demo.gateway import Gateway
from gridtone.demo.simulation import PointValue
from gridtone.library.library import Library
from gridtone.library.lock import DirectoryLock
from gridtone.library.settings import LibrarySettings
from gridtone.server import ServerSettings
from gridtone_adapters import MqttConfig, MqttTopic, WebhookConfig, open_adapter
from memory_backend import MemoryBackend, running
from waiting import PATIENCE_SECONDS, free_port, until


def site(tmp_path: Path, **settings: Any) -> Site:
    return Site(**{"data": tmp_path / "data"} | settings)


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningBroker]:
    with start_broker(free_port()) as running_broker:
        yield running_broker


def source(broker: RunningBroker, **settings: Any) -> MqttConfig:
    topic = MqttTopic(topic="doctor/{point...}", point="{point}", value_path="value", time_path="time")
    return MqttConfig(**{"name": "field", "host": broker.host, "port": broker.port, "topics": [topic], "protocol": "3.1.1", "session_seconds": 0} | settings)


def test_this_machine_passes():
    checks = [doctor.check_python(), doctor.check_packages(), doctor.check_audio(), doctor.check_sentence_encoder(), doctor.check_gpu(), doctor.check_demo()]
    assert [check.status for check in checks] == ["ok"] * len(checks), checks
    packages = checks[1].detail
    assert all(name in packages for name in ("gridtone 0", "numpy 2", "soundfile", "paho-mqtt"))
    assert "pandapower" not in packages, "extras are not required"


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=2", "no-such-package>=1", "other; extra == 'demo'"])
    check = doctor.check_packages()
    assert (check.status, check.next_step) == ("fail", "pip install no-such-package")


def test_the_data_folder_has_to_be_writable_and_roomy(tmp_path: Path):
    assert doctor.check_data_folder(site(tmp_path)).status == "ok"
    small = doctor.check_data_folder(site(tmp_path, library=LibrarySettings(max_gib=1e6)))
    assert small.status == "warn" and "library.max_gib" in small.next_step
    full = doctor.check_data_folder(site(tmp_path, library=LibrarySettings(min_free_mib=1e9)))
    assert full.status == "fail" and "GiB free" in full.detail
    (tmp_path / "file").touch()
    assert doctor.check_data_folder(site(tmp_path, data=tmp_path / "file" / "data")).status == "fail"
    assert not (tmp_path / "data").exists(), "looking makes nothing"


def test_the_library_is_tried_on_a_copy_and_left_alone_while_in_use(tmp_path: Path):
    there = site(tmp_path)
    assert "none yet" in doctor.check_library(there).detail
    Library.open(there.library, there.data).close()
    database = there.data / "gridtone.db"
    before = database.read_bytes()
    assert doctor.check_library(there).status == "ok" and database.read_bytes() == before

    lock = DirectoryLock(there.data)
    in_use = doctor.check_library(there)
    lock.release()
    assert in_use.status == "ok" and "in use by another gridtone (process id" in in_use.detail

    database.write_bytes(b"not a database" * 1000)
    broken = doctor.check_library(there)
    assert broken.status == "fail" and "backup" in broken.next_step


def test_the_port_is_free_or_ours_or_taken(monkeypatch: pytest.MonkeyPatch):
    with running(MemoryBackend()) as url:
        ours = ServerSettings(port=int(url.rpartition(":")[2]))
        until(lambda: (check := doctor.check_port(ours)).status == "ok" and "service runs" in check.detail)
    assert doctor.check_port(ServerSettings(port=0)).status == "ok"

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        taken = doctor.check_port(ServerSettings(port=other.server_port))
        other.shutdown()
    assert taken.status == "fail" and str(other.server_port) in taken.detail

    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    assert "NO_SUCH_TOKEN" in doctor.check_port(ServerSettings(token_env="NO_SUCH_TOKEN")).detail


def test_engines_show_their_licence_and_what_fails(tmp_path: Path):
    engines = (Engine(name="composer"), Engine(name="theremin"), Engine(name="auto", options={"weights": tmp_path / "none"}))
    checks = {check.name: check for check in doctor.check_engines(site(tmp_path, engines=engines))}
    assert checks["engine composer"].status == "ok" and "licence CC0-1.0" in checks["engine composer"].detail
    assert checks["engine theremin"].status == "fail" and "theremin" in checks["engine theremin"].detail
    assert checks["engine auto"] == doctor.Check("engine auto", "ok", f"the composer, because {tmp_path / 'none'} holds no weights of undertone")


def test_a_source_that_sends_one_that_is_silent_and_one_that_is_not_there(tmp_path: Path, broker: RunningBroker):
    publisher = Gateway(broker.host, broker.port, prefix="doctor")
    assert publisher.wait_connected(PATIENCE_SECONDS)
    publisher.publish([PointValue("line/L1/loading_pct", 50.0, "%")])
    sends = source(broker)
    silent = source(broker, name="silent", topics=[MqttTopic(topic="nowhere/{point...}", point="{point}")])
    gone = source(broker, name="gone", port=1)

    def as_expected() -> list[doctor.Check]:
        checks = doctor.check_sources(site(tmp_path, adapters=(sends, silent, gone)))
        return checks if [check.status for check in checks] == ["ok", "warn", "fail"] else []

    checks = until(as_expected)
    publisher.close()
    assert "1 readings" in checks[0].detail
    assert "127.0.0.1:1" in checks[2].detail
    assert doctor.check_sources(site(tmp_path))[0].status == "warn"


def test_a_running_service_keeps_its_session(broker: RunningBroker):
    config = source(broker, client_id="the-service")
    service = open_adapter(config)
    threading.Thread(target=lambda: list(service.batches()), daemon=True).start()
    until(lambda: service.health().connected)
    doctor.check_source(config)
    assert service.health().connected and not service.health().problem
    service.close()


def test_a_webhook_is_looked_at_while_the_service_listens(tmp_path: Path):
    config = WebhookConfig(port=free_port(), token={"file": tmp_path / "token"})
    assert "cannot read the secret" in doctor.check_source(config).detail
    (tmp_path / "token").write_text("secret-of-the-senders")
    service = open_adapter(config)
    threading.Thread(target=lambda: list(service.batches()), daemon=True).start()
    until(lambda: service.health().connected)
    found = doctor.check_source(config)
    assert found.status == "ok" and str(config.port) in found.detail
    assert service.health().connected and not service.health().rejected
    service.close()


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "check_sentence_encoder", lambda: doctor.Check("sentence encoder", "ok", "tested above"))
    good = tmp_path / "site.yaml"
    good.write_text("data: data\nserver: {port: 0}\n")
    result = CliRunner().invoke(main, ["doctor", "--config", str(good), "--json"])
    checks = {check["name"]: check for check in json.loads(result.output)}
    assert result.exit_code == 0, result.output
    assert checks["telemetry"]["status"] == "warn" and checks["telemetry"]["next_step"]
    assert checks["settings"]["status"] == "ok"

    bad = tmp_path / "bad.yaml"
    bad.write_text("server: {prot: 1}\n")
    result = CliRunner().invoke(main, ["doctor", "--config", str(bad)])
    assert result.exit_code == 1
    assert "prot" in result.output and "gridtone check" in result.output and "✗" in result.output

    bad.write_text("rules: {pack: nope}\n")
    result = CliRunner().invoke(main, ["doctor", "--config", str(bad), "--json"])
    checks = {check["name"]: check for check in json.loads(result.output)}
    assert result.exit_code == 1 and checks["packages"]["status"] == "ok"
    assert checks["settings"]["status"] == "fail" and "bad.yaml:1:15: no rules pack is called 'nope'" in checks["settings"]["detail"]
