"""`gridtone check` warns of what a site opens to the network without TLS or without a token."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gridtone.cli import main

RULES = "rules: {gridtone: 1, states: {calm: {prompt: calm}}, fallback: calm}\n"
TLS = "tls_certificate: c.pem, tls_key: k.pem"
PLAIN = "is on the network and speaks plain HTTP"
NO_TOKEN = "there is no token, so the service will refuse to start"


def warnings(folder: Path, site: str) -> list[str]:
    (folder / "site.yaml").write_text(RULES + site)
    run = CliRunner().invoke(main, ["check", "--strict", str(folder / "site.yaml")])
    found = [line for line in run.stderr.splitlines() if "warning:" in line]
    assert run.exit_code == bool(found), run.output
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_loopback_leaves_no_doubt(tmp_path: Path, host: str) -> None:
    assert warnings(tmp_path, f'server: {{host: "{host}"}}\n') == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gridtone.example"])
def test_a_network_address_without_tls_or_token_is_told(tmp_path: Path, host: str) -> None:
    plain, no_token = warnings(tmp_path, f'server: {{host: "{host}"}}\n')
    assert PLAIN in plain and "site.yaml:2:17" in plain and host in plain
    assert NO_TOKEN in no_token
    [plain] = warnings(tmp_path, f'server: {{host: "{host}", token_file: t}}\n')
    assert PLAIN in plain
    [no_token] = warnings(tmp_path, f'server: {{host: "{host}", {TLS}}}\n')
    assert NO_TOKEN in no_token
    assert warnings(tmp_path, f'server: {{host: "{host}", token_env: TOKEN, {TLS}}}\n') == []


def test_a_token_of_the_data_folder_beside_the_file_counts(tmp_path: Path) -> None:
    site = f"data: data\nserver: {{host: 0.0.0.0, {TLS}}}\n"
    assert len(warnings(tmp_path, site)) == 1
    run = CliRunner().invoke(main, ["token", "create", "hall"], env={"GRIDTONE_DATA": str(tmp_path / "data")})
    assert run.exit_code == 0, run.output
    assert warnings(tmp_path, site) == []


def test_a_webhook_on_the_network_without_tls_is_told(tmp_path: Path) -> None:
    site = "adapters:\n  - {kind: webhook, name: alerts, host: HOST, port: 8766, token: {env: T}TLS}\n"
    [told] = warnings(tmp_path, site.replace("HOST", "0.0.0.0").replace("TLS", ""))
    assert "the webhook `alerts` listens on `0.0.0.0` without TLS" in told
    assert warnings(tmp_path, site.replace("HOST", "0.0.0.0").replace("TLS", ", tls: {cert_file: c.pem, key_file: k.pem}")) == []
    assert warnings(tmp_path, site.replace("HOST", "127.0.0.1").replace("TLS", "")) == []
