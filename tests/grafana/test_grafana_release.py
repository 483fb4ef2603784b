"""What goes out: the app as Grafana's catalogue wants it, and the deployment beside it, as far as both can be judged without a Grafana server."""

import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from grafana_proxy import PANEL
from ruamel.yaml import YAML

from gridtone.config import load_site
from gridtone.rules import load_pack
from waiting import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((PANEL / "src/dashboards/grid-music.json").read_text(encoding="utf-8"))
sys.path.insert(0, str(ROOT / "tools"))
from pack_grafana_app import pack  # noqa: E402


@pytest.fixture
def archive(tmp_path: Path) -> zipfile.ZipFile:
    if not (PANEL / "dist/panel/module.js").exists():
        pytest.skip("needs the built Grafana app: run `make panel`")
    return zipfile.ZipFile(pack(folder=tmp_path))


def plugins(archive: zipfile.ZipFile) -> dict[str, dict[str, Any]]:
    """Folder inside the archive -> its plugin.json."""
    return {str(Path(name).parent): json.loads(archive.read(name)) for name in archive.namelist() if name.endswith("plugin.json")}


def test_the_archive_is_one_folder_with_everything_that_the_catalogue_asks_for(archive: zipfile.ZipFile) -> None:
    names = set(archive.namelist())
    assert {name.split("/")[0] for name in names} == {"gridtone-gridtone-app"}
    for needed in ("plugin.json", "README.md", "CHANGELOG.md", "LICENSE", "module.js", "module.js.map", "dashboards/grid-music.json"):
        assert f"gridtone-gridtone-app/{needed}" in names
    assert not [name for name in names if re.search(r"(^|/)(\.|node_modules|.*\.(tsx?|sh|exe)$)", name)]
    found = plugins(archive)
    assert sorted(meta["type"] for meta in found.values()) == ["app", "datasource", "panel"]
    package = json.loads((PANEL / "package.json").read_text())
    for folder, meta in found.items():
        info = meta["info"]
        assert re.fullmatch(r"[a-z0-9]+-[a-z0-9-]+-(app|datasource|panel)|gridtone-music-panel", meta["id"])
        assert info["version"] == package["version"] and f"## {info['version']}" in archive.read("gridtone-gridtone-app/CHANGELOG.md").decode()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", info["updated"])
        assert len(info["description"]) > 20 and info["keywords"] and meta["dependencies"]["grafanaDependency"] == ">=12.3.0"
        for logo in info["logos"].values():
            assert archive.read(f"{folder}/{logo}").startswith(b"<svg")
        for shot in info.get("screenshots", []):
            assert archive.read(f"{folder}/{shot['path']}").startswith(b"\x89PNG")
        assert f"{folder}/module.js.map" in names
        assert archive.read(f"{folder}/module.js").strip()


def test_the_code_is_small_quiet_and_reaches_nowhere(archive: zipfile.ZipFile) -> None:
    for folder in ("", "datasource/", "panel/"):
        code = archive.read(f"gridtone-gridtone-app/{folder}module.js").decode()
        assert len(gzip.compress(code.encode())) < 60_000
        assert "console.log" not in code and "sourceMappingURL=module.js.map" in code
        assert "secureJsonData.token" not in code.replace("secureJsonData?.token", "")
        assert not re.findall(r"""["'`]https?://(?!gridtone:8765)[\w.-]+""", code), "an address in the code"


def test_the_readme_is_for_operators(archive: zipfile.ZipFile) -> None:
    text = archive.read("gridtone-gridtone-app/README.md").decode()
    assert len(text) > 800 and "# gridtone" in text
    assert not re.search(r"\b(npm|webpack|yarn|docker compose|jest|TypeScript|git clone|build from source)\b", text, re.I), "developers' words"
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert f"gridtone-gridtone-app/{link}" in archive.namelist(), f"the README points to {link}, which is not packed"


def test_two_packings_are_the_same(archive: zipfile.ZipFile, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    time.sleep(2.1)  # a zip's clock ticks every two seconds
    assert Path(str(archive.filename)).read_bytes() == pack(folder=tmp_path / "again").read_bytes()


def test_the_token_is_added_on_the_server_only() -> None:
    meta = json.loads((PANEL / "src/datasource/plugin.json").read_text())
    assert meta["routes"] == [
        {"path": "gridtone", "url": "{{ .JsonData.url }}", "headers": [{"name": "Authorization", "content": "Bearer {{ .SecureJsonData.token }}"}]}
    ]


def test_the_lockfile_names_no_host() -> None:
    for folder in (PANEL, PANEL / "harness/grafana-13"):
        assert '"resolved"' not in (folder / "package-lock.json").read_text()


def test_the_dashboard_asks_for_signals_that_the_default_rules_have() -> None:
    asked = {signal for panel in DASHBOARD["panels"] for target in panel["targets"] for signal in target.get("signals", [])}
    assert asked - {"$signal"} <= set(load_pack("transmission").signals)
    kinds = {target["kind"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    source = (PANEL / "src/datasource/types.ts").read_text()
    assert all(f"'{kind}'" in source for kind in kinds)
    assert {panel["type"] for panel in DASHBOARD["panels"]} >= {"gridtone-music-panel", "state-timeline", "timeseries"}
    cells = [(x, y) for panel in DASHBOARD["panels"] for x, y in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells)), "panels overlap"


def _cells(grid: dict[str, int]) -> list[tuple[int, int]]:
    return [(grid["x"] + i, grid["y"] + j) for i in range(grid["w"]) for j in range(grid["h"])]


def test_provisioning_names_what_the_app_ships(tmp_path: Path) -> None:
    yaml = YAML(typ="safe")
    compose = yaml.load((DEPLOY / "compose.yaml").read_text())
    ids = {json.loads(file.read_text())["id"] for file in (PANEL / "src").rglob("plugin.json")}
    assert set(compose["services"]["grafana"]["environment"]["GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS"].split(",")) == ids
    [source] = yaml.load((DEPLOY / "grafana/provisioning/datasources/gridtone.yaml").read_text())["datasources"]
    assert source["type"] in ids and source["secureJsonData"]["token"].startswith("$__file{")
    [app] = yaml.load((DEPLOY / "grafana/provisioning/plugins/gridtone.yaml").read_text())["apps"]
    assert app["type"] in ids
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            path = str(mount).split(":")[0]
            if path.startswith(".") and "dist" not in path and "secrets" not in path:
                assert (DEPLOY / path).exists(), f"compose mounts {path}, which does not exist"
    site = load_site(DEPLOY / "gridtone/site.yaml", {})
    assert site.adapters[0].host == "mosquitto" and site.server.token_file == Path("/run/secrets/gridtone_token")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the broker may read after it has given up root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_the_brokers_list_lets_gridtone_read_and_nothing_else(open_folder: Path) -> None:
    port, passwords = free_port(), open_folder / "passwords"
    for user in ("gateway", "gridtone"):
        subprocess.run(["mosquitto_passwd", "-b", *([] if passwords.exists() else ["-c"]), str(passwords), user, "secret"], check=True, capture_output=True)
    passwords.chmod(0o644)
    text = (DEPLOY / "mosquitto/mosquitto.conf").read_text().replace("listener 1883", f"listener {port} 127.0.0.1")
    text = text.replace("/mosquitto/config/passwords", str(passwords)).replace("/mosquitto/config/acl", str(open_folder / "acl"))
    (open_folder / "acl").write_text((DEPLOY / "mosquitto/acl").read_text())
    (open_folder / "acl").chmod(0o644)
    (open_folder / "mosquitto.conf").write_text(text)
    broker = subprocess.Popen(["mosquitto", "-c", str(open_folder / "mosquitto.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        reader, writer = _client("gridtone", port), _client("gateway", port)
        heard: list[str] = []
        reader.on_message = lambda _client, _data, message: heard.append(message.topic)
        reader.subscribe("grid/#", qos=1)
        time.sleep(0.3)
        writer.publish("grid/load", "1", qos=1).wait_for_publish(5)
        time.sleep(0.5)
        assert heard == ["grid/load"]
        heard.clear()
        reader.publish("grid/breaker/close", "1", qos=1).wait_for_publish(5)
        reader.publish("other", "1", qos=1).wait_for_publish(5)
        time.sleep(0.5)
        assert heard == [], "gridtone could write"
        for client in (reader, writer):
            client.loop_stop()
            client.disconnect()
    finally:
        broker.terminate()
        broker.wait(5)


def _client(user: str, port: int) -> paho.Client:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(user, "secret")
    for _ in range(50):
        try:
            client.connect("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    client.loop_start()
    for _ in range(50):
        if client.is_connected():
            return client
        time.sleep(0.1)
    raise AssertionError(f"the broker does not let {user} in")
